// Package blob keeps firmware images on files, named by their SHA-256.
//
// What it guarantees: under a digest stand exactly the bytes that hash to it,
// or nothing; a nil error means that they survive a power cut; an image never
// stands in memory as a whole. Two writers of one digest do not disturb each
// other.
//
//	sha256/ab34…        a blob, complete and verified when it appeared
//	uploads/ab34….part  the bytes of an upload so far
//	uploads/ab34….state how many of them are durable
//	uploads/lock        held by the one process that takes uploads
//
// A blob arrives in one stream (Put) or in pieces that survive restarts on
// either side (Upload, Append, Finish). It says nothing about what is
// published: that is decided by who calls it, in a database.
package blob
