// Package agent is the daemon around package client on a Linux device: it reads
// the configuration, polls the server, judges an image on trial by a health
// command, starts the device's program where there is no other that does, feeds
// the watchdogs, and takes orders from the command line.
//
// It decides when things happen. What happens, and that it survives a power cut
// at any moment, is package client's.
package agent
