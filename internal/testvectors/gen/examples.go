package main

import (
	"bytes"
	"fmt"
)

func fieldsOf(names ...string) map[int64]shape {
	fields := map[int64]shape{}
	for i, n := range names {
		if n != "" {
			fields[int64(i)] = shape{name: n}
		}
	}
	return fields
}

func signedShape(kind string, payload map[int64]shape) shape {
	signature := shape{name: "signature", items: []shape{
		{name: "protected", inside: &shape{fields: map[int64]shape{1: {name: "alg"}, 4: {name: "kid"}}}},
		{name: "unprotected"}, {name: "value"},
	}}
	return shape{name: kind, items: []shape{
		{name: "protected", inside: &shape{fields: map[int64]shape{16: {name: "typ"}}}},
		{name: "unprotected"},
		{name: "payload", inside: &shape{fields: payload}},
		{name: "signatures, ascending by kid", each: &signature},
	}}
}

func macedShape(kind string, payload map[int64]shape) shape {
	return shape{name: kind, items: []shape{
		{name: "protected", inside: &shape{fields: map[int64]shape{1: {name: "alg"}, 4: {name: "kid"}, 16: {name: "typ"}}}},
		{name: "unprotected"},
		{name: "payload", inside: &shape{fields: payload}},
		{name: "tag"},
	}}
}

// examplesFile is docs/spec/examples.md.
func examplesFile(w *world, d *device) []byte {
	var out bytes.Buffer
	out.WriteString(`# Examples

Written by ` + "`go run ./internal/testvectors/gen`" + ` from objects that stand in [testvectors/](../../testvectors/README.md) too, where they are whole; a test
holds this page to them. Bytes stand on the left, strings longer than twelve bytes cut; what they mean on the right. The format of each
object is in [objects.md](objects.md).
`)
	add := func(title, words string, raw []byte, s shape) {
		fmt.Fprintf(&out, "\n## %s\n\n%s %d bytes.\n\n```\n%s```\n", title, words, len(raw), annotate(raw, s))
	}
	root := shape{items: []shape{{name: "key id"}, {name: "algorithm"}}}
	release := shape{items: []shape{{name: "key id"}, {name: "algorithm"}, {name: "epoch"}}}
	ks := fieldsOf("format", "vendor", "device type", "keyset version", "", "root threshold", "", "release threshold", "security floor")
	ks[4], ks[6] = shape{name: "roots, ascending by key id", each: &root}, shape{name: "release keys, ascending by key id", each: &release}
	add("Keyset", "Version 4 of the vector \"the next version\": three roots, of which two must sign and have, and two release keys.",
		sign(typKeyset, w.keyset(4).encode(), by(w.rootA, w.rootB)...), signedShape("keyset", ks))

	m := fieldsOf("format", "vendor", "device type", "hardware revisions", "component", "sequence", "version", "security counter", "image size",
		"SHA-256 of the image", "payload encoding", "lowest keyset version", "expires", "flags", "downgrade from", "oldest return", "SHA-256 of the release document")
	add("Manifest", "The vector \"required fields alone\": release 5 of key epoch 1, so the sequence is 2^32 + 5.",
		sign(typManifest, manifest().encode(), by(w.release1)...), signedShape("manifest", m))

	add("Check request", "A device asks, and tells what it runs.",
		sealed{typ: typRequest, kid: d.upKID, key: d.up, payload: d.request().encode()}.encode(),
		macedShape("check request", fieldsOf("format", "device", "device type", "nonce", "sequence that runs", "digest of what runs", "keyset version")))
	add("Check response", "The answer to nonce 17: there is a manifest to fetch by its hash.",
		sealed{typ: typResponse, kid: d.downKID, key: d.down, payload: d.response().encode()}.encode(),
		macedShape("check response", fieldsOf("format", "device", "", "nonce", "server time", "keyset version", "retry seconds", "hash of the manifest", "size of the manifest")))
	add("Report", "Release 1.5 is confirmed.",
		sealed{typ: typReport, kid: d.upKID, key: d.up, payload: d.report().encode()}.encode(),
		macedShape("report", fieldsOf("format", "device", "device type", "nonce", "event", "sequence that runs", "digest of what runs")))

	add("COSE_Key", "The release key. Its SHA-256 is its key id: it is the input of the thumbprint itself.",
		w.release1.Public().COSEKey(), shape{fields: map[int64]shape{1: {name: "kty, 3 is RSA"}, -1: {name: "n"}, -2: {name: "e"}}})
	add("Info of a device key", "What HKDF-SHA-256 takes beside the fleet master for the up key of generation 1.",
		array(tstr("secure-ota device key"), tstr(d.vendor), tstr(d.deviceType), tstr(d.id), num(1), num(0)),
		shape{items: []shape{{name: "label"}, {name: "vendor"}, {name: "device type"}, {name: "device id"}, {name: "generation"}, {name: "direction, 0 is up"}}})
	return out.Bytes()
}
