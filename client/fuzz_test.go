package client_test

import (
	"encoding/json"
	"testing"

	"github.com/secure-ota/secure-ota/client"
)

func FuzzState(f *testing.F) {
	d := newDevice(f)
	c, _ := d.mustBoot(f)
	s := c.State()
	for _, seed := range []any{s, client.State{Format: 1}, client.State{Format: 2}} {
		raw, err := json.Marshal(seed)
		if err == nil {
			f.Add(raw)
		}
	}
	f.Add([]byte(`{"format":1,"active":1,"update":{"phase":"trial","slot":0}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := client.DecodeState(raw)
		if err != nil {
			return
		}
		u := s.Update
		if s.Active != 0 && s.Active != 1 || u.Phase != client.Idle && (u.Slot != 1-s.Active || u.Written > int64(u.Entry.ImageSize)) {
			t.Errorf("accepted: %+v", s)
		}
	})
}

func FuzzProvisioning(f *testing.F) {
	d := newDevice(f)
	raw, err := json.Marshal(d.server.AddDevice("dev-9", 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"vendor":"","device_type":"t","device":"d","token":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := client.ParseProvisioning(raw)
		if err == nil && (p.Device == "" || (p.UpKey == "") == (p.Token == "")) {
			t.Errorf("accepted: %+v", p)
		}
	})
}
