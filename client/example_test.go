package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/testserver"
)

// A whole device: provision it, take an update, boot it, confirm it.
func Example() {
	server := testserver.New(author)
	server.Publish(seq(1), "1.0.0", []byte("firmware"))
	url, caPEM, stop := serveTLS(server)
	defer stop()
	dir, err := os.MkdirTemp("", "device")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	cfg := client.Config{StoragePath: dir, Server: client.Server{URL: url, CA: caPEM}}
	if err := client.Provision(cfg, server.AddDevice("gw-17", 1)); err != nil {
		log.Fatal(err)
	}
	c, err := client.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	c.SetProgressCallback(func(p client.Progress) { fmt.Printf("%s: %d of %d bytes\n", p.Version, p.Done, p.Total) })
	if _, err := c.Update(ctx); err != nil { // check, verify, download, switch
		log.Fatal(err)
	}
	image, err := c.Boot(ctx) // in a real device: after a reset
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("slot %s, version %s, on trial: %v\n", client.SlotName(image.Slot), image.Entry.Version, image.Trial)
	if err := c.ConfirmFirmware(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("installed:", c.DeviceInfo().Version)
	// Output:
	// 1.0.0: 8 of 8 bytes
	// slot b, version 1.0.0, on trial: true
	// installed: 1.0.0
}

func serveTLS(s *testserver.Server) (url string, caPEM []byte, stop func()) {
	srv := httptest.NewTLSServer(s)
	return srv.URL, certPEM(srv), srv.Close
}
