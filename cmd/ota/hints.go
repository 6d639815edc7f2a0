package main

import (
	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/backup"
	"github.com/secure-ota/secure-ota/internal/cli/hint"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/internal/inventory"
	"github.com/secure-ota/secure-ota/internal/report"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/internal/s3"
	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
)

// firstKeyset is what to do for a device type that a server does not know.
const firstKeyset = "publish the type's first keyset: ota keyset publish TYPE; for a type that the home does not know yet: " +
	"ota key generate release-TYPE-1 --purpose release --device-type TYPE, ota keyset new TYPE --add-release release-TYPE-1, ota keyset sign TYPE"

// onlineHints says what to do about the refusals of servers and repositories.
// The first that fits wins.
func onlineHints() []hint.Entry {
	return []hint.Entry{
		{Err: errNotPublishedHere, Hint: "run it in the home that published the version; ota release list shows what there is"},
		{Err: errInterrupted, Hint: "run the same command again; an upload goes on where it broke off"},
		{Err: errForeignCheckpoint, Hint: "it is of another server, or the audit key was replaced: ota inspect FILE shows whose it is"},
		{Err: errJump, Hint: "if it is true, say which number comes next: --sequence EPOCH.NUMBER"},
		{Err: s3.ErrCredentials, Hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file in the location: &credentials=FILE"},
		{Err: repository.ErrUnavailable, Hint: "see that the server is running and reachable, and that its address is right; what was not acknowledged did not happen: try again"},
		{Err: repository.ErrNotEmpty, Hint: "migrate into an empty database: make a new one, or a new schema (?search_path=NAME)"},
		{Err: repository.ErrIncomplete, Hint: "run the same ota migrate again: it goes on where it broke off"},
		{Err: repository.ErrMoved, Hint: "end the servers of the source, make a new empty target, and migrate again"},
		{Err: auth.ErrOtherSecret, Hint: "copy the directory secrets of a replica that works, with its modes: docs/operations-storage.md"},
		{Err: errUnsound, Hint: "put the published file in the place of a damaged image: ota fsck --image FILE; what else is damaged comes from a backup"},
		{Err: errNoImage, Hint: "give the very file that was published: ota fsck names the damaged image by its SHA-256"},
		{Err: errElsewhere, Hint: "server.json of the home or OTA_DATABASE says so: back it up with pg_dump and a copy of secrets, or by ota migrate into a directory"},
		{Err: errNoDatabase, Hint: "correct --data; a server on PostgreSQL is backed up with pg_dump and a copy of its secrets, or by ota migrate into a directory"},
		{Err: backup.ErrIncomplete, Hint: "it was cut off while it was made or carried: use another backup; nothing was restored"},
		{Err: backup.ErrDamaged, Hint: "use another backup; nothing was restored"},
		{Err: backup.ErrUnsound, Hint: "use another backup, or unpack this one (tar xf) and ask ota fsck what is wrong; nothing was restored"},
		{Err: backup.ErrPassphrase, Hint: "it was made with another passphrase; age -d opens secrets.tar.age, too"},
		{Err: backup.ErrNeedsOne, Hint: "set OTA_PASSPHRASE, or give --passphrase-file"},
		{Err: backup.ErrOccupied, Hint: "name a directory that is empty or not there; nothing was changed"},
		{Err: errUnwell, Hint: "do what stands in the last column, then run ota doctor again"},
		{Err: home.ErrNoServer, Hint: "ota login URL --fingerprint HEX stores a token; OTA_TOKEN is used without it"},
		{Err: api.ErrFingerprint, Hint: "compare with what ota serve prints; if the server did not change, somebody is in between: do not go on"},
		{Err: auth.ErrUnauthorized, Hint: "the token was revoked, has expired, or is another server's: ota login URL"},
		{Err: auth.ErrForbidden, Hint: "ask an administrator, or for a token with that role: ota token add NAME --role ROLE"},
		{Err: auth.ErrNoMaster, Hint: "restore the file from a backup; without it the keyed devices of the type must be provisioned again"},
		{Err: auth.ErrPermissions, Hint: "others may have read it; if you are sure they have not, chmod 600 the file that the message names"},
		{Err: api.ErrTooMany, Hint: "wait a little, then try again"},
		{Err: api.ErrAuditBroken, Hint: "the log was changed after it was written: keep a copy as evidence, and look at who can write to the data directory"},
		{Err: api.ErrNoAuditKey, Hint: "ota serve makes the audit key at its first start: secrets/audit.pem in the data directory"},
		{Err: repository.ErrUnknownType, Hint: "as an administrator, " + firstKeyset},
		{Err: fleet.ErrNoKeyset, Hint: firstKeyset},
		{Err: repository.ErrUnsigned, Hint: "sign it: ota publish --key KEY, or ota manifest sign"},
		{Err: repository.ErrWrongTypeKey, Hint: "sign with a release key of that device type: ota keyset show TYPE"},
		{Err: repository.ErrRevokedKey, Hint: "sign with the current release key: ota keyset show TYPE"},
		{Err: repository.ErrVersion, Hint: "rollback protection: the version must rise; to go back on purpose: ota release downgrade"},
		{Err: repository.ErrSequence, Hint: "rollback protection: sequences only rise; leave --sequence out"},
		{Err: repository.ErrBelowFloor, Hint: "rollback protection: give --security-counter at least the floor that ota keyset show TYPE prints"},
		{Err: repository.ErrImage, Hint: "the firmware was modified after its manifest was signed: take the original, or make a new manifest"},
		{Err: repository.ErrWithdrawn, Hint: "a release that was withdrawn stays so: publish it under a new version"},
		{Err: repository.ErrNoImage, Hint: "its image was removed or never uploaded: ota publish FILE uploads it"},
		{Err: repository.ErrTooOpen, Hint: "run the chmod that the message names; whoever can write there can replace the database"},
		{Err: repository.ErrMissing, Hint: "ota serve or ota publish --to DIR makes a data directory; otherwise correct --data"},
		{Err: repository.ErrDamaged, Hint: "ota fsck says what is damaged; restore it from a backup"},
		{Err: filter.ErrInvalid, Hint: "docs/filters.md has all fields and examples; put the filter in single quotes"},
		{Err: errNoLog, Hint: "give it: --log FILE, as ota audit export writes it"},
		{Err: report.ErrMismatch, Hint: "the report was changed after it was made, or by a program that reads the log otherwise: make it again from the log and compare"},
		{Err: report.ErrMalformed, Hint: "want the JSON form of ota report; an HTML page is for reading"},
		{Err: errUnconfirmed, Hint: "if these are the devices you mean, add --yes"},
		{Err: errImportRefused, Hint: "correct the file where it says; --dry-run tries it again"},
		{Err: inventory.ErrMalformed, Hint: "docs/fleet.md describes the columns; ota device export writes such a file"},
		{Err: sbom.ErrInvalid, Hint: "want CycloneDX 1.2 to 1.7, SPDX 2.2, 2.3 or 3.0, as JSON: most tools convert XML and tag-value files"},
		{Err: repository.ErrDocument, Hint: "give the files from which the manifest was made: FILE.release, and the SBOM files that it names"},
		{Err: fleet.ErrTooManyDevices, Hint: "narrow the filter, or say that there may be so many: --limit N"},
		{Err: fleet.ErrNoRelease, Hint: "ota release list TYPE shows the versions; one that was withdrawn is not on offer"},
		{Err: fleet.ErrExists, Hint: "it exists; to give it new keys: ota device add TYPE ID --enrol --again, for a microcontroller ota device provision TYPE ID --rotate-key"},
		{Err: auth.ErrExists, Hint: "choose another name, or revoke it first: ota token revoke NAME"},
		{Err: fleet.ErrNotFound, Hint: "ota device list shows the devices"},
		{Err: repository.ErrNotFound, Hint: "ota release list and ota device list show what there is"},
		{Err: rollout.ErrOffer, Hint: "ota type set TYPE --offer rollouts; until then every release is offered to all devices"},
		{Err: rollout.ErrActive, Hint: "end them first: ota rollout abort NAME"},
		{Err: rollout.ErrState, Hint: "ota rollout show NAME says where it stands"},
		{Err: rollout.ErrAuthor, Hint: "somebody else with the role approver: ota rollout approve NAME"},
		{Err: rollout.ErrCohort, Hint: "ota rollout plan shows all cohorts; --filter keeps those out that cannot follow"},
		{Err: rollout.ErrExists, Hint: "choose another name, or delete the draft: ota rollout delete NAME"},
		{Err: rollout.ErrNotFound, Hint: "ota rollout list shows the rollouts"},
		{Err: errStopped, Hint: "ota rollout devices NAME shows what became of each device"},
		{Err: server.ErrConfig, Hint: "see: ota serve --help, and server.json of the home"},
	}
}
