package api

import (
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// Bodies that exist on the wire only; docs/spec/management-api.md has them.

type whyJSON struct {
	Why string `json:"why"`
}

type uploadJSON struct {
	Offset   int64 `json:"offset"` // bytes that are stored
	Complete bool  `json:"complete"`
}

type codeJSON struct {
	DeviceType   string `json:"device_type"`
	Device       string `json:"device"`
	Again        bool   `json:"again"`
	ValidSeconds int64  `json:"valid_seconds"`
}

type verifyJSON struct {
	Checkpoints [][]byte `json:"checkpoints"` // signed, beside those that are stored
}

type newTokenJSON struct {
	Name         string    `json:"name"`
	Role         auth.Role `json:"role"`
	ValidSeconds int64     `json:"valid_seconds"` // 0: auth.DefaultTokenLife
	Forever      bool      `json:"forever"`
	auth.Scope
}

type tokenJSON struct {
	Token string `json:"token"`
}

type editJSON struct {
	fleet.Edit
	Why string `json:"why,omitempty"`
}
