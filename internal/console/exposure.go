package console

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// exposurePage says which devices lack the fix of a vulnerability.
type exposurePage struct {
	CVE    string // as it was asked for; empty: nothing was asked yet
	Answer *api.Exposure
}

func showExposure(v *visit) (*page, error) {
	e := &exposurePage{CVE: v.query("cve")}
	p := &page{Title: "Exposure", Section: "devices", Data: e}
	if e.CVE == "" {
		return p, nil
	}
	answer, err := v.Exposure(v.ctx(), api.ExposureQuery{CVE: e.CVE, DeviceType: v.ownType()})
	if err != nil {
		return nil, &formError{form: p.as("exposure"), cause: err}
	}
	e.Answer = &answer
	return p, nil
}

// downloadSBOM answers with a bill of materials that a release names, as it was
// given.
func downloadSBOM(v *visit) (string, error) {
	identity, err := identityOf(v)
	if err != nil {
		return "", err
	}
	name := v.PathValue("name")
	raw, err := v.ReleaseSBOM(v.ctx(), identity, name)
	if err != nil {
		return "", err
	}
	v.attach(fmt.Sprintf("sbom-%s-%s", identity.String()[:8], name))
	protocol.WriteBytes(v.w, 200, "application/json", raw)
	return "", nil
}
