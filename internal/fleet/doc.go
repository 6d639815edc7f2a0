// Package fleet knows the devices and decides what each may have.
//
// An update check is answered from memory: from the devices, which are written
// through to the store, and from an immutable snapshot of what is published,
// which is replaced as a whole when that changes. A check that finds nothing
// new touches no database. What has an effect (an offer, a report, a change of
// a device's state) commits together with its audit record or does not happen.
//
// It knows no wire format: the protocols bring requests whose authenticity
// they have checked with the keys from here.
package fleet
