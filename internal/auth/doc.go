// Package auth says who may ask: operators and devices by bearer tokens, of
// which only hashes are kept, and devices by keys derived from a fleet master,
// which stands in a file of its own and never in the database.
package auth
