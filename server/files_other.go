//go:build !unix

package server

// maxOpenFiles does not know: there is no such limit.
func maxOpenFiles() (n int, known bool) { return 0, false }
