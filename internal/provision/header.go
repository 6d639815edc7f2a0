package provision

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/secure-ota/secure-ota/internal/cli/offline/cheader"
)

// Header returns the same as a C header. Its names begin with symbol.
func (d *Device) Header(symbol string) ([]byte, error) {
	if symbol == "" || cheader.Symbol(symbol) != symbol {
		return nil, fmt.Errorf("C header: %q: %w", symbol, cheader.ErrSymbol)
	}
	anchor, err := d.anchor()
	if err != nil {
		return nil, fmt.Errorf("encode device %s: %w", d.ID, err)
	}
	guard := strings.ToUpper(symbol) + "_PROVISIONING_H"
	var out bytes.Buffer
	fmt.Fprintf(&out, "/* SECRET: the keys of device %s of type %s. Made by \"ota device provision\"; do not edit, do not commit. */\n", d.ID, d.DeviceType)
	fmt.Fprintf(&out, "#ifndef %[1]s\n#define %[1]s\n\n", guard)
	cheader.WriteIncludes(&out, d.signers...)
	out.WriteString("#include \"ota/check.h\"\n\n")
	for _, text := range []struct{ name, value string }{
		{"vendor", d.Vendor}, {"device_type", d.DeviceType}, {"device", d.ID}, {"hardware", d.Hardware},
	} {
		fmt.Fprintf(&out, "static const char %s_%s[] = %q;\n", symbol, text.name, text.value) // names need no escapes
	}
	fmt.Fprintf(&out, "static const uint32_t %s_generation = %du;\n\n", symbol, d.Generation)
	fmt.Fprintf(&out, "static const struct ota_device_keys %s_keys = {\n\t{%s},\n\t{%s}};\n\n", symbol, list(d.keys.Up[:]), list(d.keys.Down[:]))
	cheader.WriteBytes(&out, symbol+"_anchor", "for ota_keyset_anchor", anchor)
	cheader.WriteBytes(&out, symbol+"_keyset", fmt.Sprintf("signed, version %d", d.KeysetVersion()), d.keyset.Bytes())
	for i, key := range d.signers {
		cheader.WriteKey(&out, fmt.Sprintf("%s_key_%d", symbol, i+1), key)
	}
	fmt.Fprintf(&out, "#endif /* %s */\n", guard)
	return out.Bytes(), nil
}

// list returns bytes as they stand between braces.
func list(data []byte) string {
	var parts []string
	for _, b := range data {
		parts = append(parts, fmt.Sprintf("0x%02x", b))
	}
	return strings.Join(parts, ", ")
}
