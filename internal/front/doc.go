// Package front answers on plain connections the one request that fills a
// server's day, the update check of a device with a key, and leaves everything
// else to net/http, which costs twice as much for it.
//
// A connection is answered here for as long as nothing else is asked on it. With
// the first request that is not in every byte what parse expects, it moves on to
// an http.Server, with all that was read of it: nothing is refused here, and
// nothing that two readers could take differently is answered.
package front
