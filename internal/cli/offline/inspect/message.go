package inspect

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// names are the fields of the messages (docs/spec/objects.md section 5).
func names(typ cose.Typ) map[int64]fieldName {
	common := map[int64]fieldName{
		0: {name: "format"}, 1: {name: "device"}, 2: {name: "device type"}, 3: {name: "nonce"},
	}
	var more map[int64]fieldName
	switch typ {
	case cose.TypCheckRequest:
		more = map[int64]fieldName{
			4: {"sequence", sequence}, 5: {name: "image sha256"}, 6: {name: "keyset version"},
			7: {"boot", enum("confirmed", "trial", "reverted")}, 8: {"last error", reasonWords},
			9: {name: "hardware revision"}, 10: {"capabilities", enum("", "no revert")},
		}
	case cose.TypCheckResponse:
		more = map[int64]fieldName{
			4: {"server time", unixTime}, 5: {name: "keyset version"}, 6: {name: "retry seconds"},
			7: {name: "manifest sha256"}, 8: {name: "manifest size"}, 9: {"patch", patch}, 10: {name: "retry rejected"},
		}
	case cose.TypReport:
		more = map[int64]fieldName{
			4: {"event", func(v any) any { return trust.Event(number(v)).String() }}, 5: {"sequence", sequence},
			6: {name: "image sha256"}, 7: {name: "manifest sha256"}, 8: {"reason", reasonWords}, 9: {name: "detail"},
		}
	}
	for k, v := range more {
		common[k] = v
	}
	return common
}

func number(v any) uint64 { n, _ := v.(uint64); return n }

func sequence(v any) any { return manifest.Sequence(number(v)) }

func reasonWords(v any) any {
	return fmt.Sprintf("%d, %v", number(v), trust.Reason(number(v)))
}

func unixTime(v any) any {
	if n := number(v); n < manifest.MaxExpiry {
		return time.Unix(int64(n), 0).UTC().Format(time.RFC3339)
	}
	return v
}

func unixMilli(v any) any { return unixTime(number(v) / 1000) }

func enum(words ...string) func(any) any {
	return func(v any) any {
		if n := number(v); n < uint64(len(words)) {
			return words[n]
		}
		return v
	}
}

func patch(v any) any {
	parts, _ := v.([]any)
	if len(parts) != 3 {
		return fmt.Sprint(v)
	}
	digest, _ := parts[2].([]byte)
	return fmt.Sprintf("format %v, %v bytes, sha256 %x", parts[0], parts[1], digest)
}

// explainMessage explains a check request, a check response or a report.
func explainMessage(data []byte, c Context) (Result, error) {
	for _, typ := range []cose.Typ{cose.TypCheckRequest, cose.TypCheckResponse, cose.TypReport} {
		obj, err := cose.ParseMac0(data, typ, trust.MaxMessage)
		if errors.Is(err, trust.ErrWrongKind) {
			continue
		}
		if err != nil {
			return Result{}, err
		}
		r := Result{Record: start(typ.String(), data)}
		fields, err := explainFields(obj.Payload, names(typ))
		if err != nil {
			return Result{}, err
		}
		r.Record = append(r.Record, fields...)
		r.Record.Addn("kid", hex.EncodeToString(obj.KID[:]), "of the device key that MAC'ed it")
		deviceType, _ := fields.Get("device type").(string)
		device, _ := fields.Get("device").(string)
		r.conclude(judgeMessage(data, obj, deviceType, device, number(fields.Get("nonce")), c))
		return r, nil
	}
	return Result{}, fmt.Errorf("MAC'ed object: %w", trust.ErrWrongKind)
}

func judgeMessage(data []byte, obj *cose.Maced, deviceType, device string, nonce uint64, c Context) (Verdict, error, string) {
	keys, ok := trust.DeviceKeys{}, false
	if c.Device != nil {
		keys, ok = c.Device(deviceType, device)
	}
	if !ok {
		return Unchecked, nil, fmt.Sprintf("the key of device %s: --device-key FILE", device)
	}
	up := func(string, string) (trust.DeviceKey, error) { return keys.Up, nil }
	var err error
	direction := "up"
	switch obj.Typ {
	case cose.TypCheckRequest:
		_, err = trust.OpenCheckRequest(data, up)
	case cose.TypReport:
		_, err = trust.OpenReport(data, up)
	default:
		direction = "down"
		_, err = trust.OpenCheckResponse(data, keys.Down, device, nonce)
	}
	against := fmt.Sprintf("the %s key of device %s", direction, device)
	if err != nil {
		return Refused, err, against
	}
	return Verified, nil, against
}
