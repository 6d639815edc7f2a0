package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/secure-ota/secure-ota/internal/home"
)

// checkHome looks at the home, its private keys and its keysets.
func checkHome(h *home.Home) []diagnosis {
	found := []diagnosis{checkHomeMode(h)}
	keys, err := h.Keys()
	if err != nil {
		return append(found, fail("keys", err.Error(), "restore the home from a backup"))
	}
	private := 0
	for _, k := range keys {
		if k.Private == home.Absent {
			continue
		}
		private++
		found = append(found, checkKey(h, k)...)
	}
	found = append(found, ok("keys", fmt.Sprintf("%d keys, %d of them with their private half", len(keys), private)))
	unfinished, err := h.UnfinishedKeys()
	if err == nil && len(unfinished) > 0 {
		found = append(found, warn("keys", fmt.Sprintf("interrupted while they were made: %v", unfinished), "remove their files in "+h.Dir()+"/keys"))
	}
	return append(found, checkKeysets(h)...)
}

func checkHomeMode(h *home.Home) diagnosis {
	info, err := os.Stat(h.Dir())
	switch {
	case err != nil:
		return fail("home", err.Error(), "check --home and OTA_HOME")
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0:
		return fail("home", fmt.Sprintf("%s has mode %04o: others can change it", h.Dir(), info.Mode().Perm()), "chmod 700 "+h.Dir())
	}
	return ok("home", h.Dir()+" of "+h.Vendor())
}

func checkKey(h *home.Home, k home.Key) []diagnosis {
	name := "key " + k.Name
	var found []diagnosis
	info, err := os.Stat(h.PrivatePath(k.Name))
	if err != nil {
		return []diagnosis{fail(name, err.Error(), "check the permissions of the home")}
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		found = append(found, fail(name, fmt.Sprintf("mode %04o: others can read it", mode), "chmod 600 "+h.PrivatePath(k.Name)+"; if others may have read it, rotate it"))
	}
	if k.Private == home.Plain {
		found = append(found, warn(name, "not encrypted: whoever can read the file can sign", "openssl pkcs8 -topk8 -scrypt -in "+h.PrivatePath(k.Name)+" writes an encrypted copy"))
	}
	return found
}

// checkKeysets verifies the keysets, and reminds of what makes a stolen
// machine fatal: enough roots beside each other.
func checkKeysets(h *home.Home) []diagnosis {
	types, err := h.Types()
	if err != nil {
		return []diagnosis{fail("keysets", err.Error(), "restore the home from a backup")}
	}
	var found []diagnosis
	for _, t := range types {
		name := "keyset of " + t
		held, err := h.Newest(t)
		if errors.Is(err, home.ErrNoKeyset) {
			found = append(found, warn(name, "waits for signatures", "ota keyset request "+t))
			continue
		}
		if err != nil {
			found = append(found, fail(name, err.Error(), "restore the home from a backup"))
			continue
		}
		ks, here := held.Keyset(), 0
		for _, root := range ks.Roots {
			if k, err := h.KeyByID(root.ID); err == nil && k.Private != home.Absent {
				here++
			}
		}
		if here >= ks.RootThreshold {
			found = append(found, warn(name, fmt.Sprintf("%d private root keys lie here, %d can decide whom devices trust", here, ks.RootThreshold),
				"move them to machines of their own before devices leave the house"))
			continue
		}
		found = append(found, ok(name, fmt.Sprintf("version %d, %d private root keys here", ks.Version, here)))
	}
	return found
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
