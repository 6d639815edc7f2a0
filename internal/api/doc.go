// Package api is how operators manage a server: one interface, Management,
// with a local implementation (Service) and one that speaks HTTPS to a server
// (Client), so that a command works the same on a data directory and on a
// running server. docs/spec/management-api.md is its wire form.
//
// Who asks is part of a Service (Service.As), so that no method can forget
// authorisation or the audit record.
package api
