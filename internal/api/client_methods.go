package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// Info implements Management.
func (c *Client) Info(ctx context.Context) (Info, error) {
	return get[Info](ctx, c, "/api/v1/info", nil)
}

// CheckRelease implements Management.
func (c *Client) CheckRelease(ctx context.Context, bundle trust.Bundle) error {
	raw, err := bundle.Encode()
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/api/v1/releases/check", typeBundle, raw, nil)
}

// AddRelease implements Management.
func (c *Client) AddRelease(ctx context.Context, bundle trust.Bundle) (Release, error) {
	raw, err := bundle.Encode()
	if err != nil {
		return Release{}, err
	}
	return post[Release](ctx, c, "/api/v1/releases", typeBundle, raw)
}

// Releases implements Management.
func (c *Client) Releases(ctx context.Context, deviceType string) ([]Release, error) {
	return get[[]Release](ctx, c, "/api/v1/releases", query("device_type", deviceType))
}

// Release implements Management.
func (c *Client) Release(ctx context.Context, identity manifest.Digest) (Release, error) {
	return get[Release](ctx, c, "/api/v1/releases/"+identity.String(), nil)
}

// WithdrawRelease implements Management.
func (c *Client) WithdrawRelease(ctx context.Context, identity manifest.Digest, why string) error {
	return c.order(ctx, "/api/v1/releases/"+identity.String()+"/withdraw", whyJSON{why})
}

// AddKeyset implements Management.
func (c *Client) AddKeyset(ctx context.Context, bundle trust.Bundle) (Keyset, error) {
	raw, err := bundle.Encode()
	if err != nil {
		return Keyset{}, err
	}
	return post[Keyset](ctx, c, "/api/v1/keysets", typeBundle, raw)
}

// CheckKeyset implements Management.
func (c *Client) CheckKeyset(ctx context.Context, bundle trust.Bundle) (KeysetPlan, error) {
	raw, err := bundle.Encode()
	if err != nil {
		return KeysetPlan{}, err
	}
	return post[KeysetPlan](ctx, c, "/api/v1/keysets/check", typeBundle, raw)
}

// Keysets implements Management.
func (c *Client) Keysets(ctx context.Context, deviceType string) ([]Keyset, error) {
	return get[[]Keyset](ctx, c, "/api/v1/keysets", query("device_type", deviceType))
}

// AddDevice implements Management.
func (c *Client) AddDevice(ctx context.Context, d fleet.NewDevice) (fleet.Provisioning, error) {
	if d.Level == 0 {
		d.Level = fleet.Keyed
	}
	return postJSON[fleet.Provisioning](ctx, c, "/api/v1/devices", d)
}

// AddEnrolmentCode implements Management.
func (c *Client) AddEnrolmentCode(ctx context.Context, n fleet.NewCode) (EnrolmentCode, error) {
	return postJSON[EnrolmentCode](ctx, c, "/api/v1/enrolment-codes", codeJSON{
		DeviceType: n.DeviceType, Device: n.Device, Again: n.Again, ValidSeconds: int64(n.Valid / time.Second),
	})
}

// Devices implements Management.
func (c *Client) Devices(ctx context.Context, q DeviceQuery) ([]Device, error) {
	return get[[]Device](ctx, c, "/api/v1/devices", query("device_type", q.DeviceType, "filter", q.Filter, "sort", q.Sort,
		"after_type", q.After.DeviceType, "after", q.After.ID, "after_key", q.AfterKey, "limit", decimal(int64(q.Limit))))
}

// Device implements Management.
func (c *Client) Device(ctx context.Context, ref fleet.Ref) (Device, error) {
	path, err := devicePath(ref)
	if err != nil {
		return Device{}, err
	}
	return get[Device](ctx, c, path, nil)
}

// RevokeDevice implements Management.
func (c *Client) RevokeDevice(ctx context.Context, ref fleet.Ref, why string) error {
	path, err := devicePath(ref)
	if err != nil {
		return err
	}
	return c.order(ctx, path+"/revoke", whyJSON{why})
}

// RetryDevice implements Management.
func (c *Client) RetryDevice(ctx context.Context, ref fleet.Ref) error {
	path, err := devicePath(ref)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path+"/retry", "", nil, nil)
}

// AuditRecords implements Management.
func (c *Client) AuditRecords(ctx context.Context, f audit.Filter) ([]audit.Record, error) {
	order := ""
	if f.Oldest {
		order = "oldest"
	}
	return get[[]audit.Record](ctx, c, "/api/v1/audit", query("actor", f.Actor, "action", f.Action, "object", f.Object,
		"since", instant(f.Since), "until", instant(f.Until), "after", decimal(f.After), "before", decimal(f.Before),
		"order", order, "limit", decimal(int64(f.Limit))))
}

// AuditCheckpoint implements Management.
func (c *Client) AuditCheckpoint(ctx context.Context) (Checkpoint, error) {
	return get[Checkpoint](ctx, c, "/api/v1/audit/checkpoint", nil)
}

// VerifyAudit implements Management.
func (c *Client) VerifyAudit(ctx context.Context, checkpoints [][]byte) (AuditState, error) {
	return postJSON[AuditState](ctx, c, "/api/v1/audit/verify", verifyJSON{checkpoints})
}

// AddToken implements Management.
func (c *Client) AddToken(ctx context.Context, t auth.NewOperator) (auth.Token, error) {
	body := newTokenJSON{Name: t.Name, Role: t.Role, Forever: t.Valid == auth.Forever, Scope: t.Scope}
	if !body.Forever {
		body.ValidSeconds = int64(t.Valid / time.Second)
	}
	made, err := postJSON[tokenJSON](ctx, c, "/api/v1/tokens", body)
	return auth.Token(made.Token), err
}

// RotateToken implements Management.
func (c *Client) RotateToken(ctx context.Context, name string) (auth.Token, error) {
	made, err := post[tokenJSON](ctx, c, "/api/v1/tokens/"+url.PathEscape(name)+"/rotate", "", nil)
	return auth.Token(made.Token), err
}

// Tokens implements Management.
func (c *Client) Tokens(ctx context.Context) ([]auth.Operator, error) {
	return get[[]auth.Operator](ctx, c, "/api/v1/tokens", nil)
}

// RevokeToken implements Management.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(name), "", nil, nil)
}

// devicePath refuses names that would lead to another path.
func devicePath(ref fleet.Ref) (string, error) {
	if err := (trust.DeviceID{DeviceType: ref.DeviceType, ID: ref.ID}).Validate(); err != nil {
		return "", fmt.Errorf("device %q: %w: %w", ref, ErrNotFound, err)
	}
	return "/api/v1/devices/" + ref.DeviceType + "/" + ref.ID, nil
}

// query joins names and values, without those that are empty.
func query(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}

func decimal(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
