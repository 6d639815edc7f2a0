// Package native serves the device protocol of docs/spec/device-protocol.md:
// check and report as COSE_Mac0 and as JSON, objects by hash, the firmware
// stream and enrolment.
//
// It translates: one wire form → fleet → one wire form. What a device may have
// is decided in package fleet, whether a message is authentic in package trust.
// It guarantees that an answer carries a Content-Length, that a 206 holds
// exactly the range that was asked for, and that who is refused with 401 does
// not learn why.
package native
