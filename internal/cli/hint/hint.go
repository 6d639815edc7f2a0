// Package hint is the table that tells people what to do next when a
// command refuses or fails. It stands at the edge: errors say what happened,
// by their types; here is what helps.
package hint

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/offline/inspect"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/cli/secret"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// An Entry says what to do about an error.
type Entry struct {
	Err  error
	Hint string // {file} is the file that the error is about
}

// table returns the hints that need no server. The first that fits wins, so
// what is more special stands before what is more general.
func table() []Entry {
	return []Entry{
		// Bare signatures.
		{offline.ErrModified, "the key fits, the file does not: fetch the file and its signature again from the same place; if they come from you, sign the file again"},
		{offline.ErrOtherKey, "check that the public key belongs to the signing key (openssl pkey -in private_key.pem -pubout prints the right one) and that the signature was transferred in binary"},
		{offline.ErrSalt, "sign again with -sigopt rsa_pss_saltlen:32 (OpenSSL's default for signing is the longest salt)"},
		{offline.ErrPKCS1, "sign again with -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"},
		{trust.ErrBareSize, "the signature file is damaged, or is none: a bare signature has 256 bytes, in binary, not in base64 or hex"},
		{trust.ErrBareKey, "bare signatures are RSA-2048; larger keys, P-256 and Ed25519 sign manifests: ota manifest FILE --key KEY"},
		{trust.ErrLookalike, "such a file is never signed or verified bare, because the signature would also be one of a manifest; if it really is firmware, put it in a manifest: ota manifest"},
		{signing.ErrOneUse, "make a key of its own for bare files: ota sign FILE --key-out private_key.pem; for devices with a keyset: ota manifest FILE --key KEY"},

		// Keys and passphrases.
		{signing.ErrNoPassphrase, "the key is encrypted: set OTA_PASSPHRASE, give --passphrase-file, or run it on a terminal"},
		{signing.ErrPassphrase, "the passphrase is wrong, or the key file is damaged; openssl pkey -in {file} -noout tries it, too"},
		{signing.ErrPermissions, "others may have read the key; if you are sure they have not: chmod 600 {file}"},
		{secret.ErrPermissions, "others may have read it; if you are sure they have not: chmod 600 {file}"},
		{passphrase.ErrNone, "set OTA_PASSPHRASE, give --passphrase-file, or say --no-passphrase if the key is to lie unencrypted"},
		{passphrase.ErrMismatch, "nothing was made; try again"},
		{signing.ErrNotPrivate, "want a PEM private key: PKCS#8, or what OpenSSL writes; ota inspect {file} says what it is"},
		{signing.ErrExternalTimeout, "check that the signer works by itself: it reads the message from stdin and writes the signature to stdout"},
		{trust.ErrKeyPolicy, "want RSA of 2048, 3072 or 4096 bits with exponent 65537, P-256 or Ed25519"},
		{offline.ErrMACKey, "make one: (umask 077; openssl rand -hex 32 > mac.key)"},

		{env.ErrTooLarge, "no object of ours is that large; firmware is checked with: ota verify FILE --public-key PEM --signature SIG, or described by its manifest: ota inspect FILE.manifest"},

		// The home.
		{home.ErrNoHome, "make one: ota init --vendor NAME --device-type TYPE; or name it: --home DIR, OTA_HOME"},
		{home.ErrNotEmpty, "choose another directory; if an ota init was killed here (there is no home.json), remove it first"},
		{home.ErrNoKey, "ota key list shows the keys of the home"},
		{home.ErrNoPrivate, "run this on the machine that has the private key; for root keys: ota keyset request"},
		{home.ErrNoKeyset, "ota keyset list shows the device types; for a new type: ota keyset new TYPE --add-release KEY"},
		{home.ErrOtherRequest, "finish it (ota keyset sign, ota keyset import) or forget it: ota keyset discard TYPE"},
		{home.ErrDamaged, "nothing was changed; restore the home from a backup"},
		{offline.ErrNoRequest, "ota keyset new or ota key rotate makes one"},
		{offline.ErrUnsigned, "say who signs it: --key KEY, a release key of the device type (ota key list shows their names); or publish what was signed elsewhere: --manifest FILE"},
		{offline.ErrNotReleaseKey, "ota keyset show TYPE lists the release keys of the type"},
		{offline.ErrWrongPurpose, "ota key list shows what each key is for; ota keyset show TYPE which keys a keyset names"},
		{offline.ErrUnknownRoots, "compare these key ids with what the holders of the roots say, then give --trust-roots"},

		// Objects.
		{inspect.ErrUnknown, "the file may be damaged or cut short; keys are PEM, objects binary, not base64 or hex"},
		{version.ErrInvalid, "versions are x.y.z: 2.1.0, 2.1.0-rc.1; not v2.1.0, 2.1 or 2.01.0"},
		{trust.ErrBadSignature, "something was changed after it was signed, or the public key is not the signer's: fetch it again, or sign it again"},
		{trust.ErrBadMAC, "the key is another one, or the content was changed"},
		{trust.ErrNotEnoughSigners, "more of the keys that the keyset names have to sign: --key may be repeated; ota manifest sign and ota keyset sign add signatures"},
		{trust.ErrWrongEpoch, "sign with the release key of that epoch: ota keyset show TYPE"},
		{trust.ErrWrongVendor, "it is for another vendor: check --home and who made it"},
		{trust.ErrWrongType, "it is for another device type: check --device-type and --key"},
		{trust.ErrKeysetTooOld, "import the newer keyset first: ota keyset import"},
		{trust.ErrKeysetNotNewer, "a newer keyset is held already; make the next one: ota keyset new TYPE"},
		{trust.ErrOldSequence, "rollback protection: sequences only rise; leave --sequence out, or use the release key of the newest epoch"},
		{trust.ErrOldVersion, "rollback protection: the version must rise; to go back on purpose: ota release downgrade"},
		{trust.ErrNotApplicable, "rollback protection: this downgrade was signed for other installed releases"},
		{trust.ErrBelowFloor, "rollback protection: the security floor never falls; release the old code again as a new version with a higher --security-counter"},
		{trust.ErrOutsideWindow, "rollback protection: the installed release does not allow to return that far"},
		{trust.ErrImageSize, "an image has 1 byte to 4 GiB - 1"},
		{trust.ErrImageDigest, "the firmware was modified after its manifest was signed: take the original, or make a new manifest"},
		{trust.ErrTooLarge, "it is over a limit of docs/spec/objects.md"},
		{trust.ErrMalformed, "the file is damaged, cut short, or no object of ours: ota inspect FILE"},

		// Files and disks.
		{syscall.ENOSPC, "the disk is full: free some space; what was there before is unchanged"},
		{syscall.EDQUOT, "the disk quota is used up; what was there before is unchanged"},
		{syscall.EFBIG, "the file size limit is reached (ulimit -f); what was there before is unchanged"},
		{syscall.EROFS, "the file system is read-only: choose another place"},
		{syscall.EADDRINUSE, "another program listens there: ota serve --listen HOST:PORT, or stop it"},
		{syscall.ECONNREFUSED, "start the server there (ota serve), or correct the URL"},
		{syscall.EADDRNOTAVAIL, "this machine does not have that address: ota serve --listen HOST:PORT, or :PORT for all addresses"},
		{context.DeadlineExceeded, "the other side did not answer in time: check network and firewall"},
		{syscall.EISDIR, "that is a directory: name a file in it"},
		{syscall.ENOTDIR, "something on the way there is a file and no directory: correct the path"},
		{syscall.ELOOP, "symbolic links go round in a circle there: ls -l shows them"},
		{env.ErrTerminal, "say where it goes: -o FILE, or redirect the output"},
		{fs.ErrInvalid, "name a regular file, or - for standard output"},
		{fs.ErrExist, "nothing was overwritten: choose another name, or move the file away if it is not needed"},
		{fs.ErrPermission, "check who owns the file and its directory, and whether they are writable: ls -ld"},
		{fs.ErrNotExist, "check the path; directories for output must exist"},
	}
}

// For returns what to do about an error, "" if nothing is known. It looks in
// more before its own table: the refusals of servers, which carry the reasons of
// that table, too.
func For(err error, more []Entry) string {
	if h := forSystem(err); h != "" {
		return h
	}
	for _, e := range append(more, table()...) {
		if errors.Is(err, e.Err) {
			return strings.ReplaceAll(e.Hint, "{file}", fileOf(err))
		}
	}
	var unknownCA x509.UnknownAuthorityError
	if errors.As(err, &unknownCA) {
		return "no CA that this machine knows vouches for the server: pin its certificate by the fingerprint that ota serve prints: ota login URL --fingerprint HEX, or OTA_FINGERPRINT"
	}
	var usage *exit.UsageError
	if errors.As(err, &usage) {
		return fmt.Sprintf("see: %s --help; usage: %s", usage.Command, usage.Usage)
	}
	return ""
}

// forSystem tells errors apart that have the same number and need other help.
func forSystem(err error) string {
	var path *fs.PathError
	var network *net.OpError
	switch {
	case errors.As(err, &path) && path.Op == "mkdir" && errors.Is(err, fs.ErrNotExist):
		return "no directory can be made there: choose another place"
	case errors.As(err, &network) && network.Op == "listen" && errors.Is(err, fs.ErrPermission):
		return "ports below 1024 need a privilege: ota serve --listen HOST:PORT with a higher one"
	}
	return ""
}

// fileOf returns the file that an error is about, fit for a command line.
func fileOf(err error) string {
	var about *env.FileError
	var path *fs.PathError
	name := "FILE"
	switch {
	case errors.As(err, &about):
		name = about.Name
	case errors.As(err, &path):
		name = path.Path
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || strings.ContainsRune("\"'`$\\&|;<>()*?[]{}!#~", r) }) {
		name = "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}
