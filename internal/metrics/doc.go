// Package metrics is what a server counts, in the form that Prometheus reads.
//
// What happens often is counted where it happens, by counters that were looked
// up beforehand: an update check pays an atomic addition, every sixteenth is
// timed as well, and nothing is allocated. What stands somewhere else already,
// such as the devices' states, is read when somebody asks (Sources).
//
// Labels have few values: device types, states, reasons, routes. No device, no
// operator, no address and no secret is ever a label. All methods of a nil
// *Metrics do nothing, so that nobody has to ask whether there is one.
package metrics
