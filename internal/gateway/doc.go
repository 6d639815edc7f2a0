// Package gateway connects microcontrollers without a network to a server: each
// stands at the other end of a serial line and asks in the frames of
// docs/spec/serial.md; the gateway asks the server for them.
//
// It holds no key and is trusted with nothing: it carries bytes that are
// authenticated end to end. What it reads of them is for its log alone.
//
// What it guarantees, whatever comes over a line: bounded memory, a bounded
// rate of requests to the server, and that the next whole frame is understood.
// It keeps nothing on disk, and nothing in memory that a restart could miss.
package gateway
