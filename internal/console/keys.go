package console

import (
	"github.com/secure-ota/secure-ota/internal/api"
)

// typeKeys are the keysets of a device type and which devices hold them.
type typeKeys struct {
	DeviceType string
	Newest     api.Keyset
	Keysets    []keysetRow // newest first
	Devices    int
	Behind     int // devices that hold an older one
	Held       bar
}

// keysetRow is a keyset and how many devices hold it.
type keysetRow struct {
	api.Keyset
	Holders int
	Href    string
}

func showKeys(v *visit) (*page, error) {
	keysets, err := v.keysets()
	if err != nil {
		return nil, err
	}
	c, err := takeCensus(v)
	if err != nil {
		return nil, err
	}
	var types []*typeKeys
	for _, ks := range keysets { // by type, newest first
		if len(types) == 0 || types[len(types)-1].DeviceType != ks.DeviceType {
			counted := c.of(ks.DeviceType)
			types = append(types, &typeKeys{
				DeviceType: ks.DeviceType, Newest: ks, Devices: counted.Devices,
				Behind: counted.Devices - counted.Keysets[ks.Version],
				Held:   keysetBar(ks.DeviceType, counted.Keysets, ks.Version),
			})
		}
		t := types[len(types)-1]
		t.Keysets = append(t.Keysets, keysetRow{ks, c.of(ks.DeviceType).Keysets[ks.Version],
			devicesURL(where(equal("type", ks.DeviceType), equal("keyset", number(int(ks.Version)))))})
	}
	return &page{Title: "Keys", Section: "keys", Data: types}, nil
}
