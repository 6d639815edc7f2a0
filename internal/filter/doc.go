// Package filter is the small language in which operators say which devices
// they mean, the same in the API, on the command line, in the console and in a
// rollout's target:
//
//	type=sensor_v1 and label.site=berlin and version<1.2.0 and not state=silent
//
// docs/filters.md describes it. A filter is parsed once, with everything
// refused that could not be meant (an unknown state, a version that is none,
// an order of texts), and then matched against any number of devices: in time
// that is bounded by its length, without memory and without I/O.
package filter
