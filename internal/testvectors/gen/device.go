package main

import (
	"strings"

	"github.com/secure-ota/secure-ota/internal/reason"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
)

// returnFile has a device that goes back by itself to the image it retained.
func returnFile() []byte {
	f := tv.NewWriter("return", "A device that returns by itself to its retained image: the signed window and the floor.",
		tv.Num("installed-sequence", sequence(1, 5)), tv.Num("oldest-return", sequence(1, 3)),
		tv.Num("floor-epoch", 1), tv.Num("floor-counter", 2), tv.Num("keyset-floor", 1),
		tv.Num("retained-sequence", sequence(1, 4)), tv.Num("retained-counter", 2), tv.Num("retained-confirmed", 1))
	add := func(name string, expect reason.Reason, lines ...tv.Line) { f.Add(name, expect, lines...) }
	add("within the window", reason.None)
	add("the oldest of the window", reason.None, tv.Num("retained-sequence", sequence(1, 3)))
	add("before the window", reason.OutsideWindow, tv.Num("retained-sequence", sequence(1, 2)))
	add("no window is signed", reason.OutsideWindow, tv.Num("oldest-return", 0))
	add("an image that was never confirmed", reason.NothingRetained, tv.Num("retained-confirmed", 0))
	add("nothing is retained", reason.NothingRetained, tv.Num("retained-sequence", 0), tv.Num("retained-confirmed", 0))
	add("below the floor of the device", reason.BelowFloor, tv.Num("retained-counter", 1))
	add("below the floor of the keyset", reason.BelowFloor, tv.Num("keyset-floor", 3))
	add("an image of the epoch before", reason.None, tv.Num("installed-sequence", sequence(2, 1)), tv.Num("floor-epoch", 2), tv.Num("floor-counter", 0))
	add("order: confirmed before window", reason.NothingRetained, tv.Num("retained-confirmed", 0), tv.Num("oldest-return", 0))
	add("order: window before floor", reason.OutsideWindow, tv.Num("oldest-return", 0), tv.Num("retained-counter", 0))
	return f.Bytes()
}

// documentFile has release documents, as bytes in hex.
func documentFile() []byte {
	f := tv.NewWriter("release-document", "Release documents: JSON in the canonical form of RFC 8785.")
	add := func(name string, expect reason.Reason, text string) {
		f.Add(name, expect, tv.Hex("document", []byte(text)))
	}
	sha := strings.Repeat("0a", 32)
	good := `{"cves":["CVE-2024-1234"],"format":1,"notes":"Security patch","sbom":[{"name":"bom.json","sha256":"` + sha + `"}]}`
	replace := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	add("every member", reason.None, good)
	add("nothing to say", reason.None, `{"cves":[],"format":1,"notes":"","sbom":[]}`)
	add("an embargoed number", reason.None, replace("1234", "XXXX"))
	add("control characters escaped as in RFC 8785", reason.None, replace("Security", `\u001b\n`))
	malformed := func(name, text string) { add(name, reason.Malformed, text) }
	malformed("empty", "")
	malformed("an array", "[]")
	malformed("a space", replace(`:1,`, `: 1,`))
	malformed("a line after it", good+"\n")
	malformed("members not sorted", `{"format":1,"cves":[],"notes":"","sbom":[]}`)
	malformed("a member missing", `{"cves":[],"format":1,"notes":""}`)
	malformed("an unknown member", replace(`"notes"`, `"extra":1,"notes"`))
	malformed("a member twice", replace(`"notes"`, `"format":1,"notes"`))
	malformed("a member in another case", replace(`"notes"`, `"Notes"`))
	malformed("null for a list", replace(`["CVE-2024-1234"]`, `null`))
	malformed("an escape that is not needed", replace("Security", `\u0053ecurity`))
	malformed("a number as a float", replace(":1,", ":1.0,"))
	malformed("a text that is not UTF-8", replace("Security", "\xff"))
	malformed("a digest in upper case", replace("0a", "0A"))
	malformed("CVEs not sorted", replace(`"CVE-2024-1234"`, `"CVE-2024-9999","CVE-2024-1234"`))
	malformed("a CVE twice", replace(`"CVE-2024-1234"`, `"CVE-2024-1234","CVE-2024-1234"`))
	add("format 2", reason.Unsupported, replace(":1,", ":2,"))
	add("a CVE that is none", reason.InvalidField, replace("CVE-2024-1234", "CVE-24-1"))
	add("an SBOM with a path for a name", reason.InvalidField, replace("bom.json", "../bom.json"))
	return f.Bytes()
}
