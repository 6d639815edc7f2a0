// Package protocol is what every HTTP protocol of the server shares and no
// one of them owns: bounded bodies, strict JSON, error bodies with a reason
// and a request id, and limits by address. It knows no device and no release.
package protocol
