// Package provision writes what a microcontroller with libota is given to begin
// with, as docs/spec/provisioning.md describes it: as an image of its flash, and
// as a C header.
//
// The formats are libota's own, written here a second time: the tests build
// libota and hold both against each other, byte for byte.
//
// What it returns holds the device's secret. It writes no file.
package provision
