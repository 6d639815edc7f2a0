package agent

import (
	"strings"
	"testing"
)

const full = `{"server":"https://ota.example:8443","storage":"/var/lib/ota-agent","max_poll_sec":3600,
"slots":{"kind":"devices","a":{"path":"/dev/mmcblk0","offset":1048576,"size":67108864},"b":{"path":"/dev/mmcblk0","offset":68157440,"size":67108864}},
"boot_loader":{"kind":"uboot","tries":5},"trial":{"health":["/usr/bin/app","--self-test"],"deadline_sec":300},
"reboot":["/sbin/reboot"],"watchdog":{"device":"/dev/watchdog","interval_sec":2.5}}`

func TestConfigIsStrict(t *testing.T) {
	if _, err := ParseConfig([]byte(full)); err != nil {
		t.Fatal(err)
	}
	for want, raw := range map[string]string{
		"server is missing":  `{"storage":"/s"}`,
		"storage is missing": `{"server":"https://x"}`,
		"unknown":            `{"server":"https://x","storage":"/s","fast":true}`,
		"duplicate":          `{"server":"https://x","server":"https://y","storage":"/s"}`,
		"Server":             `{"Server":"https://x","storage":"/s"}`,
		"invalid character":  `{"server":"https://x","storage":"/s"} x`,
		"overlap":            strings.Replace(full, "68157440", "1048577", 1),
		"slots.kind is":      strings.Replace(full, `"devices"`, `"tapes"`, 1),
		"boot_loader.kind":   strings.Replace(full, `"uboot"`, `"lilo"`, 1),
		"boot_loader.tries":  strings.Replace(full, `"tries":5`, `"tries":-1`, 1),
		"max_poll_sec":       strings.Replace(full, "3600", "-1", 1),
	} {
		if _, err := ParseConfig([]byte(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"server":"https://x","storage":"/s"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		cfg, err := ParseConfig(raw)
		if err != nil {
			return
		}
		if err := cfg.Validate(); err != nil || cfg.Server == "" || cfg.Storage == "" {
			t.Errorf("accepted %+v: %v", cfg, err)
		}
	})
}
