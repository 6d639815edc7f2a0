package front

import (
	"bytes"
	"strings"
)

// requestLine is all of it that is answered here.
const requestLine = "POST /v1/check HTTP/1.1\r\n"

// A verdict is what to do with what has come of a request.
type verdict int

const (
	elsewhere  verdict = iota // it is for net/http
	incomplete                // more has to come
	complete
)

// parse looks at the bytes that have come of a request: a check in COSE with
// no header but those that every client sends, each once, none of which changes
// what the request means. For a complete one it returns where the body begins
// and where it ends; for an incomplete one, the end of the body if that is known.
//
// Whatever has a second reading (a length given twice, a transfer coding, a line
// that is folded or ends in a bare LF) is elsewhere: a proxy in front of the
// server may have read it the other way, and net/http knows what to refuse.
func parse(raw []byte) (v verdict, body, end int) {
	if len(raw) < len(requestLine) {
		if strings.HasPrefix(requestLine, string(raw)) {
			return incomplete, 0, 0
		}
		return elsewhere, 0, 0
	}
	if string(raw[:len(requestLine)]) != requestLine {
		return elsewhere, 0, 0
	}
	var seen fields
	length := 0
	for at := len(requestLine); ; {
		size := bytes.IndexByte(raw[at:], '\n')
		if size < 0 {
			return incomplete, 0, 0
		}
		line := raw[at : at+size]
		if size == 0 || line[size-1] != '\r' {
			return elsewhere, 0, 0
		}
		line, at = line[:size-1], at+size+1
		if len(line) == 0 {
			body = at
			break
		}
		field, ok := fieldOf(line, &length)
		if !ok || seen&field != 0 {
			return elsewhere, 0, 0
		}
		seen |= field
	}
	if seen&needed != needed || body+length > bufferSize {
		return elsewhere, 0, 0
	}
	if len(raw) < body+length {
		return incomplete, body, body + length
	}
	return complete, body, body + length
}

// fields is a set of header fields.
type fields uint

const (
	host fields = 1 << iota
	contentType
	contentLength
	connection
	userAgent
	accept
	acceptEncoding

	needed = host | contentType | contentLength
)

// fieldOf returns which field a line is, and the length if it is that one; ok
// is false if its name or its value is not one that is known here.
func fieldOf(line []byte, length *int) (f fields, ok bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return 0, false
	}
	value = bytes.Trim(value, " ")
	switch {
	case is(name, "host"):
		return host, len(value) > 0 && isHost(value)
	case is(name, "content-type"):
		return contentType, is(value, "application/cose")
	case is(name, "content-length"):
		*length, ok = decimal(value)
		return contentLength, ok
	case is(name, "connection"):
		return connection, is(value, "keep-alive")
	case is(name, "user-agent"):
		return userAgent, isPrintable(value)
	case is(name, "accept"):
		return accept, isPrintable(value)
	case is(name, "accept-encoding"): // an answer of 200 bytes is not compressed
		return acceptEncoding, isPrintable(value)
	}
	return 0, false
}

// is compares without regard to case; lower is in lower case.
func is(text []byte, lower string) bool {
	if len(text) != len(lower) {
		return false
	}
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func isHost(value []byte) bool {
	for _, c := range value {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return true
}

func isPrintable(value []byte) bool {
	for _, c := range value {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// decimal reads a number of up to four digits.
func decimal(digits []byte) (n int, ok bool) {
	if len(digits) == 0 || len(digits) > 4 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
