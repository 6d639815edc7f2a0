package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/gateway"
)

// maxCA is the longest file of CA certificates, in bytes.
const maxCA = 1 << 20

type gatewayOptions struct {
	env    *env.Env
	config gateway.Config
	ca     string
}

func gatewayCommand(e *env.Env) *cobra.Command {
	o := gatewayOptions{env: e}
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Connect microcontrollers at serial lines to a server",
		Long: `Connect microcontrollers without a network to a server, one at each serial line: a terminal's path,
or tcp:HOST:PORT or unix:PATH of an emulator (docs/spec/serial.md).

The gateway holds no key and is trusted with nothing: messages are authenticated between device and
server, manifests are signed. It keeps nothing on disk and may be stopped at any time. Lines that are
not there, or are unplugged, are tried again. Who starts it has to be of the group of the terminal, on
Debian dialout. Without --fingerprint or --ca the system's CAs must vouch
for an https server; http:// reaches a server's plain listener.

What the devices do is printed, one line an event; with --json one JSON object a line.`,
		Example: `  ota gateway --serial /dev/ttyUSB0 --server https://10.0.0.5:8443 --fingerprint 6a3f…
  ota gateway --serial /dev/ttyUSB0 --serial /dev/ttyUSB1 --baud 57600 --server https://ota.example.com
  ota gateway --serial unix:/run/qemu/uart --server http://127.0.0.1:8080 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.config.Lines, "serial", nil, "`LINE`: a terminal's path, tcp:HOST:PORT or unix:PATH; may be repeated")
	flags.IntVar(&o.config.Baud, "baud", gateway.DefaultBaud, "speed of terminals, in bits a second")
	flags.StringVar(&o.config.Server.URL, "server", "", "the server's `URL` (default: $OTA_SERVER)")
	flags.StringVar(&o.config.Server.Fingerprint, "fingerprint", "", "SHA-256 of the server's certificate, in `HEX` (default: $OTA_FINGERPRINT)")
	flags.StringVar(&o.ca, "ca", "", "PEM `FILE` of the certificates that vouch for the server")
	cmd.MarkFlagRequired("serial")
	cmd.MarkFlagFilename("serial")
	return cmd
}

func (o *gatewayOptions) run(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	g, err := o.open()
	if errors.Is(err, gateway.ErrConfig) {
		return exit.Usagef("%w", err)
	}
	if err != nil {
		return err
	}
	o.env.Say("serving %s from %s", strings.Join(o.config.Lines, ", "), o.config.Server.URL)
	g.Run(ctx)
	return nil
}

func (o *gatewayOptions) open() (*gateway.Gateway, error) {
	server := &o.config.Server
	*server = client.Server{
		URL:         cmp.Or(server.URL, o.env.Getenv(serverVariable)),
		Fingerprint: cmp.Or(server.Fingerprint, o.env.Getenv(fingerprintVariable)),
	}
	if o.ca != "" {
		var err error
		if server.CA, err = o.env.ReadFile(o.ca, maxCA); err != nil {
			return nil, err
		}
	}
	o.config.Log, o.config.Now = o.print, o.env.Now
	return gateway.New(o.config)
}

// print prints an event. One that cannot be printed is lost, and nothing else:
// a full disk under the log stops no device.
func (o *gatewayOptions) print(e gateway.Event) {
	line := e.String()
	if o.env.JSON {
		raw, err := json.Marshal(e, jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return
		}
		line = string(raw)
	}
	// Servers and certificates have words in it; escaped they are JSON as well.
	fmt.Fprintln(o.env.Stdout, strings.ReplaceAll(record.Clean(line), "\n", " "))
}
