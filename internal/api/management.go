package api

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// Management is everything an operator can do with a server. Errors are found
// with errors.Is, whichever implementation they come from: the sentinels of
// Code, and the reasons of package trust.
type Management interface {
	RolloutManagement

	// Info says what the server is. Any role.
	Info(ctx context.Context) (Info, error)

	// Upload stores an image under its digest. It continues where an earlier,
	// broken upload stopped, reads image from there on, and is done at once if
	// the server has the image. progress, if not nil, is called with bytes
	// stored and bytes in all. Publisher.
	Upload(ctx context.Context, digest manifest.Digest, size int64, image io.ReadSeeker, progress func(done, total int64)) error
	// CheckRelease says whether the release of a bundle could be published,
	// before its image travels. Publisher.
	CheckRelease(ctx context.Context, bundle trust.Bundle) error
	// AddRelease publishes the release of a bundle, whose image is uploaded.
	// Publisher.
	AddRelease(ctx context.Context, bundle trust.Bundle) (Release, error)
	// Releases lists releases of a device type, of all types if it is empty,
	// the newest first. Viewer.
	Releases(ctx context.Context, deviceType string) ([]Release, error)
	// Release finds one by the identity of its manifest. Viewer.
	Release(ctx context.Context, identity manifest.Digest) (Release, error)
	// WithdrawRelease ends offering a release. Administrator.
	WithdrawRelease(ctx context.Context, identity manifest.Digest, why string) error

	KeysetManagement

	// AddDevice adds a device and returns its secrets, which are shown this
	// once. Administrator.
	AddDevice(ctx context.Context, d fleet.NewDevice) (fleet.Provisioning, error)
	// AddEnrolmentCode makes a one-time code, which is shown this once.
	// Administrator.
	AddEnrolmentCode(ctx context.Context, c fleet.NewCode) (EnrolmentCode, error)
	// Devices lists devices in the order of type and id. Viewer.
	Devices(ctx context.Context, q DeviceQuery) ([]Device, error)
	// Device finds one. Viewer.
	Device(ctx context.Context, ref fleet.Ref) (Device, error)
	FleetManagement
	SBOMManagement

	// RevokeDevice shuts a device out for good. Administrator.
	RevokeDevice(ctx context.Context, ref fleet.Ref, why string) error
	// RetryDevice tells a device to try again what it rejected or reverted.
	// Administrator.
	RetryDevice(ctx context.Context, ref fleet.Ref) error

	// AuditRecords lists records of the audit log. Viewer.
	AuditRecords(ctx context.Context, f audit.Filter) ([]audit.Record, error)
	// AuditCheckpoint signs the present head of the audit log: a COSE_Sign
	// that proves later what the log held now, to be kept elsewhere. Viewer.
	AuditCheckpoint(ctx context.Context) (Checkpoint, error)
	// VerifyAudit recomputes the whole log and holds it against the stored
	// checkpoints and those given. Viewer.
	VerifyAudit(ctx context.Context, checkpoints [][]byte) (AuditState, error)

	// AddToken makes an operator's token, which is shown this once.
	// Administrator.
	AddToken(ctx context.Context, t auth.NewOperator) (auth.Token, error)
	// Tokens lists the operators' tokens, without their secrets.
	// Administrator.
	Tokens(ctx context.Context) ([]auth.Operator, error)
	// RotateToken replaces the secret of a token, which ends the old one at
	// once. Administrator.
	RotateToken(ctx context.Context, name string) (auth.Token, error)
	// RevokeToken ends a token. Administrator.
	RevokeToken(ctx context.Context, name string) error
}

// Info says what a server is.
type Info struct {
	Vendor      string    `json:"vendor"`
	PublicURL   string    `json:"public_url"`        // under which devices reach it; empty: not set
	Fingerprint string    `json:"fingerprint"`       // SHA-256 of the TLS certificate, in hex; empty: unknown here
	DeviceTypes []string  `json:"device_types"`      // that who asks may see
	Devices     int       `json:"devices"`           // of those
	Role        auth.Role `json:"role"`              // of who asks
	Actions     []string  `json:"actions,omitempty"` // that who asks is bound to; none: his role alone bounds him
	AuditKey    []byte    `json:"audit_key"`         // COSE_Key that verifies checkpoints; empty: none here
}

// Release is a published release.
type Release struct {
	Identity        manifest.Digest        `json:"identity"`      // SHA-256 of the manifest's payload
	ManifestHash    manifest.Digest        `json:"manifest_hash"` // SHA-256 of the signed manifest
	Vendor          string                 `json:"vendor"`
	DeviceType      string                 `json:"device_type"`
	Hardware        []string               `json:"hardware_revisions"` // that may install it; none: all
	Component       string                 `json:"component"`
	Version         version.Version        `json:"version"`
	Sequence        manifest.Sequence      `json:"sequence"`
	SecurityCounter uint32                 `json:"security_counter"`
	KeysetVersion   uint32                 `json:"keyset_version"` // lowest that a device must hold
	ImageDigest     manifest.Digest        `json:"image_digest"`
	ImageSize       int64                  `json:"image_size"`          // bytes
	Expires         time.Time              `json:"expires_at,omitzero"` // zero: never
	Downgrade       bool                   `json:"downgrade"`
	DowngradeFrom   []manifest.Sequence    `json:"downgrade_from"` // installed sequences that a downgrade applies to
	OldestReturn    manifest.Sequence      `json:"oldest_return"`  // to which a device may return by itself; 0.0: none
	Security        bool                   `json:"security"`
	Document        *manifest.Document     `json:"document,omitempty"`
	PublishedAt     time.Time              `json:"published_at"`
	PublishedBy     string                 `json:"published_by"`
	Withdrawal      *repository.Withdrawal `json:"withdrawal"` // null: it is on offer
}

// EnrolmentCode is a new one-time code.
type EnrolmentCode struct {
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

// Device is a device as operators see it.
type Device struct {
	fleet.Ref
	Vendor           string            `json:"vendor"`
	Level            fleet.Level       `json:"level"`
	Generation       uint32            `json:"generation"`
	Revoked          bool              `json:"revoked"`
	HardwareRevision string            `json:"hardware_revision"`
	Labels           map[string]string `json:"labels"`
	Note             string            `json:"note"`       // the operators' own words
	Hold             bool              `json:"hold"`       // nothing is offered to it
	Pin              string            `json:"pin"`        // the only version that is offered; empty: any
	UpdateNow        bool              `json:"update_now"` // rollouts do not make it wait
	State            string            `json:"state"`      // one word for people; see fleet.State
	Version          string            `json:"version"`
	Installed        fleet.Running     `json:"installed"`
	Confirmed        fleet.Running     `json:"confirmed"`
	KeysetVersion    uint32            `json:"keyset_version"`
	Boot             string            `json:"boot"`
	LastError        trust.Reason      `json:"last_error"`
	LastErrorText    string            `json:"last_error_text"`
	LastEvent        string            `json:"last_event"`
	LastEventAt      time.Time         `json:"last_event_at,omitzero"`
	LastDetail       string            `json:"last_detail"`
	Rejected         []manifest.Digest `json:"rejected"`
	RetryRejected    bool              `json:"retry_rejected"`
	Offer            *Offer            `json:"offer"` // null: none is open
	Why              string            `json:"why"`   // a newer release is not offered; empty: there is none
	AddedAt          time.Time         `json:"added_at"`
	LastSeen         time.Time         `json:"last_seen,omitzero"`
}

// Offer is a release that a device was told to install.
type Offer struct {
	Manifest  manifest.Digest `json:"manifest"`
	Image     manifest.Digest `json:"image"`
	Version   string          `json:"version"`
	At        time.Time       `json:"at"`
	StartedAt time.Time       `json:"started_at,omitzero"`
}

// Checkpoint is a signed statement of what the audit log's newest record was.
type Checkpoint struct {
	Seq    int64      `json:"seq"`
	Hash   audit.Hash `json:"hash"`
	Signed []byte     `json:"signed"` // COSE_Sign
}

// AuditState says what verifying the audit log has shown.
type AuditState struct {
	Records     int64      `json:"records"`
	Head        audit.Hash `json:"head"`
	Checkpoints int        `json:"checkpoints"` // that matched
	Confirmed   int64      `json:"confirmed"`   // seq of the newest record that one of them confirms
}

// DeviceQuery asks for a page of devices.
type DeviceQuery struct {
	DeviceType string    // empty: all
	Filter     string    // docs/filters.md; empty: all
	Sort       string    // id, seen, added, version, keyset or state, with "-" before it the other way round; empty: id
	After      fleet.Ref // the last one of the page before; zero: from the first
	AfterKey   string    // what Sort compares of that one; see Next
	Limit      int       // 0: MaxPage
}

// Next returns the query for the page after one that is full.
func (q DeviceQuery) Next(page []Device) DeviceQuery {
	last := page[len(page)-1]
	q.After = last.Ref
	switch strings.TrimPrefix(q.Sort, "-") {
	case string(fleet.BySeen):
		q.AfterKey = instant(last.LastSeen)
	case string(fleet.ByAdded):
		q.AfterKey = instant(last.AddedAt)
	case string(fleet.ByVersion):
		q.AfterKey = last.Version
	case string(fleet.ByKeyset):
		q.AfterKey = strconv.FormatUint(uint64(last.KeysetVersion), 10)
	case string(fleet.ByState):
		q.AfterKey = last.State
	}
	return q
}

// MaxPage is the most entries of one answer.
const MaxPage = 1000
