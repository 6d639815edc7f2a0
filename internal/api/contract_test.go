package api_test

import (
	"testing"

	"github.com/secure-ota/secure-ota/otatest"
)

func newSystem(t *testing.T, options ...otatest.Options) *otatest.System {
	t.Helper()
	return otatest.New(t, options...)
}
