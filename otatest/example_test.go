package otatest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"testing"

	"github.com/secure-ota/secure-ota/otatest"
)

// A test of a client against a real server. In a test, t is the test's own.
func Example() {
	t := &exampleTB{}
	defer t.end()

	system := otatest.New(t)
	release := system.Publish("1.1.0", []byte("firmware 1.1.0"))
	device := system.Device("dev-0001")
	fmt.Println(device.Vendor, device.DeviceType, device.Device, len(device.UpKey))

	resp, err := http.Get(system.PlainURL + "/v1/firmware/" + release.ImageDigest.String())
	if err != nil {
		t.Fatalf("download: %v", err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.ContentLength)
	// Output:
	// acme sensor_v1 dev-0001 64
	// 200 14
}

// exampleTB is what an example needs of a testing.TB.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (t *exampleTB) Helper()                  {}
func (t *exampleTB) Context() context.Context { return context.Background() }
func (t *exampleTB) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *exampleTB) Errorf(f string, a ...any) {
	log.Printf(f, a...)
}
func (t *exampleTB) Fatalf(f string, a ...any) {
	log.Fatalf(f, a...)
}

func (t *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (t *exampleTB) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
