// Package simulate is a fleet of up to a million devices that speak the device
// protocol with real MACs, to see what a server and a rollout do under them: for
// capacity planning and for benchmarks.
//
// A simulated device checks, downloads, reports and restarts as a real one
// does, and by given rates loses answers, has a slow link, fails, reverts or
// never comes back. It does not verify signatures, which cost the device and
// not the server, and it has no image: of a download it keeps nothing.
//
// What the devices do depends on the seed alone; when they do it depends on the
// machine as well.
package simulate
