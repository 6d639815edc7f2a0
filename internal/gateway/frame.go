package gateway

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Sizes of frames, in bytes (docs/spec/serial.md, sections 2 and 4).
const (
	maxQuestion = 1280 // of a raw frame from a device
	maxData     = 4096 // of data in an answer
	lengthSize  = 2
	crcSize     = 4
	maxRun      = 254 // of bytes without a zero in one COBS block
)

// delimiter stands between frames and nowhere else.
const delimiter = 0

// maxWire is the most bytes between two delimiters that can be a question.
const maxWire = maxQuestion + (maxQuestion+maxRun-1)/maxRun

// A frame is what came whole over the line.
type frame struct {
	body []byte
	crc  uint32 // by which an answer names its question
}

// encodeFrame returns the bytes on the line, delimiters included.
func encodeFrame(body []byte) []byte {
	raw := make([]byte, 0, lengthSize+len(body)+crcSize)
	raw = binary.BigEndian.AppendUint16(raw, uint16(len(body)))
	raw = append(raw, body...)
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	wire := make([]byte, 1, len(raw)+len(raw)/maxRun+3)
	return append(stuff(wire, raw), delimiter)
}

// decodeFrame returns the frame that the bytes between two delimiters are, if
// they are one.
func decodeFrame(wire []byte) (frame, bool) {
	raw, ok := unstuff(wire)
	if !ok || len(raw) <= lengthSize+crcSize {
		return frame{}, false
	}
	end := len(raw) - crcSize
	crc := crc32.ChecksumIEEE(raw[:end])
	if int(binary.BigEndian.Uint16(raw)) != end-lengthSize || binary.BigEndian.Uint32(raw[end:]) != crc {
		return frame{}, false
	}
	return frame{raw[lengthSize:end], crc}, true
}

// stuff appends raw in COBS: without zeros.
func stuff(wire, raw []byte) []byte {
	for {
		block, rest, found := bytes.Cut(raw, []byte{0})
		for len(block) >= maxRun {
			wire = append(append(wire, maxRun+1), block[:maxRun]...)
			block = block[maxRun:]
			if len(block) == 0 && !found {
				return wire
			}
		}
		wire = append(append(wire, byte(len(block)+1)), block...)
		if !found {
			return wire
		}
		raw = rest
	}
}

// unstuff reverses stuff. It says no to a block that reaches beyond the end,
// and to a zero.
func unstuff(wire []byte) ([]byte, bool) {
	raw := make([]byte, 0, len(wire))
	for len(wire) > 0 {
		n := int(wire[0])
		if n == 0 || n > len(wire) || bytes.IndexByte(wire[1:n], delimiter) >= 0 {
			return nil, false
		}
		raw = append(raw, wire[1:n]...)
		wire = wire[n:]
		if n <= maxRun && len(wire) > 0 {
			raw = append(raw, 0)
		}
	}
	return raw, true
}
