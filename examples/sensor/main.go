// Command sensor is the firmware of the demo: a small program that a device's
// slot holds and runs. It says which version it is, measures for ever, and
// answers a health check.
//
//	sensor            print a reading every second
//	sensor --health   exit 0 if this version can measure, 1 if not
//	sensor --version  print the version
package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Set when it is linked. A broken sensor stands for a release that passed every
// test but the one that counts.
var (
	version = "0.0.0"
	broken  = ""
)

var errSensor = errors.New("sensor does not answer")

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "--version" {
		fmt.Fprintln(stdout, version)
		return 0
	}
	if _, err := measure(time.Now()); err != nil {
		fmt.Fprintf(stderr, "sensor firmware %s: %v\n", version, err)
		return 1
	}
	if len(args) == 1 && args[0] == "--health" {
		return 0
	}
	return loop(stdout)
}

func loop(stdout io.Writer) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	fmt.Fprintf(stdout, "sensor firmware %s running\n", version)
	for {
		select {
		case <-stop:
			return 0
		case now := <-tick.C:
			celsius, err := measure(now)
			if err != nil {
				return 1
			}
			fmt.Fprintf(stdout, "sensor firmware %s: %.1f °C\n", version, celsius)
		}
	}
}

// measure stands for the hardware: a slow day's curve around 21 °C.
func measure(now time.Time) (celsius float64, err error) {
	if broken != "" {
		return 0, errSensor
	}
	return 21 + 3*math.Sin(float64(now.Unix())/86400*2*math.Pi), nil
}
