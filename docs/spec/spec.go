// Package spec holds the parts of the specification that programs read.
package spec

import _ "embed"

// OpenAPI is the description of the management API, and of what the device
// protocol looks like from outside (openapi.yaml).
//
//go:embed openapi.yaml
var OpenAPI []byte
