package trust_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	tv "github.com/secure-ota/secure-ota/internal/testvectors"
	"github.com/secure-ota/secure-ota/trust"
)

// wycheproof is a file of Project Wycheproof.
type wycheproof struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKeyPem string
		TagSize      int
		Tests        []struct {
			TcID               int
			Comment            string
			Key, Msg, Sig, Tag string
			Result             string
		}
	}
}

type wycheproofTest struct {
	name               string
	valid              bool
	tagSize            int
	pem                string
	key, msg, sig, tag []byte
}

// run gives every test of a file to accept, and holds its verdict against the
// file's. "acceptable" is refused.
func run(t *testing.T, file string, accept func(t *testing.T, test wycheproofTest) bool) {
	t.Helper()
	var w wycheproof
	tv.Shared(t, &w, "vectors", "wycheproof", file)
	raw := func(s string) []byte { return must(hex.DecodeString(s))(t) }
	count, accepted := 0, 0
	for _, g := range w.TestGroups {
		for _, c := range g.Tests {
			count++
			test := wycheproofTest{
				name: c.Comment, valid: c.Result == "valid", tagSize: g.TagSize, pem: g.PublicKeyPem,
				key: raw(c.Key), msg: raw(c.Msg), sig: raw(c.Sig), tag: raw(c.Tag),
			}
			// A truncated MAC is outside the policy, however right it is.
			want := test.valid && (test.tagSize == 0 || test.tagSize == 256)
			if got := accept(t, test); got != want {
				t.Errorf("test %d (%s): accepted %v, want %v", c.TcID, c.Comment, got, want)
			}
			if want {
				accepted++
			}
		}
	}
	if count != w.NumberOfTests || accepted == 0 {
		t.Errorf("ran %d tests of %d, %d to accept", count, w.NumberOfTests, accepted)
	}
	t.Logf("%d tests, %d accepted", count, accepted)
}

func publicKey(t *testing.T, pem string) trust.PublicKey {
	t.Helper()
	return must(trust.ParsePublicKeyPEM([]byte(pem)))(t)
}

func TestWycheproofRSAPSS(t *testing.T) {
	for _, file := range []string{"rsa_pss_2048_sha256_mgf1_32_test.json", "rsa_pss_3072_sha256_mgf1_32_test.json"} {
		t.Run(file, func(t *testing.T) {
			run(t, file, func(t *testing.T, test wycheproofTest) bool {
				return publicKey(t, test.pem).Verify(test.msg, test.sig) == nil
			})
		})
	}
}

func TestWycheproofBareSignatures(t *testing.T) {
	run(t, "rsa_pss_2048_sha256_mgf1_32_test.json", func(t *testing.T, test wycheproofTest) bool {
		_, err := trust.Verifier{Key: publicKey(t, test.pem)}.VerifyFirmware(bytes.NewReader(test.msg), test.sig)
		return err == nil
	})
}

func TestWycheproofEd25519(t *testing.T) {
	run(t, "ed25519_test.json", func(t *testing.T, test wycheproofTest) bool {
		return publicKey(t, test.pem).Verify(test.msg, test.sig) == nil
	})
}

// The ECDSA file is in DER. A signature that is not the one DER encoding of two
// numbers of 256 bits has no form of ours, and is refused as it stands.
func TestWycheproofECDSA(t *testing.T) {
	run(t, "ecdsa_secp256r1_sha256_test.json", func(t *testing.T, test wycheproofTest) bool {
		key := publicKey(t, test.pem)
		if key.Verify(test.msg, test.sig) == nil {
			t.Errorf("%s: DER is accepted", test.name)
		}
		var sig struct{ R, S *big.Int }
		rest, err := asn1.Unmarshal(test.sig, &sig)
		if err != nil || len(rest) > 0 {
			return false
		}
		if again, err := asn1.Marshal(sig); err != nil || !bytes.Equal(again, test.sig) {
			return false
		}
		if sig.R.Sign() < 0 || sig.S.Sign() < 0 || sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
			return false
		}
		fixed := make([]byte, 64)
		sig.R.FillBytes(fixed[:32])
		sig.S.FillBytes(fixed[32:])
		return key.Verify(test.msg, fixed) == nil
	})
}

// Each tag stands in a message of its own too: the MAC of the file is over the
// bare message, so there only its length can be judged.
func TestWycheproofHMAC(t *testing.T) {
	run(t, "hmac_sha256_test.json", func(t *testing.T, test wycheproofTest) bool {
		sum, err := trust.BareMAC(test.key, bytes.NewReader(test.msg))
		if err != nil {
			t.Fatal(err)
		}
		_, parseErr := cose.ParseMac0(macWithTag(t, test.tag), cose.TypCheckRequest, trust.MaxMessage)
		if (parseErr == nil) != (len(test.tag) == sha256.Size) {
			t.Errorf("%s: a tag of %d bytes: %v", test.name, len(test.tag), parseErr)
		}
		return hmac.Equal(sum, test.tag)
	})
}

func macWithTag(t *testing.T, tag []byte) []byte {
	t.Helper()
	sealed := cose.Seal(cose.TypCheckRequest, cose.KID{}, make([]byte, 32), []byte{0xa0})
	head := bytes.Clone(sealed[:len(sealed)-sha256.Size-2])
	return append(head, must(dcbor.Marshal(tag))(t)...)
}
