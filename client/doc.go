// Package client is the device side of the native protocol
// (docs/spec/device-protocol.md): it asks the server for an update, verifies
// what it is given, writes it into the inactive one of two slots, has it booted
// on trial, confirms it or goes back, and reports what became of it.
//
// What it guarantees:
//
//   - An image is started only if the release threshold of the held keyset
//     signed a manifest for this vendor, type and hardware, and the slot, read
//     back, hashes to it. A device with a key also needs a MAC'ed answer to its
//     own question that names that very manifest. It never falls back to less.
//   - No power cut and no failed write leaves a device that cannot boot the old
//     image or the new one, or that uses a nonce twice.
//   - What was confirmed raises the security floor; nothing else does.
//
// What it does not do: hold private keys, or defend against somebody who can
// write the device's storage.
//
// Update does all of it. The steps are there one by one, too: Check,
// FetchKeysets, FetchManifest, InstallFirmware (Download is its middle), Boot,
// ConfirmFirmware or RejectFirmware, Report. All input and output goes through
// the Ops and the Loader of the Config.
package client
