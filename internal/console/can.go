package console

import "github.com/secure-ota/secure-ota/internal/auth"

// A door is what an action needs of an operator.
type door struct {
	role auth.Role
	wide bool // it is about all device types
	bare bool // no scope may narrow who does it: it could widen one
}

// doors mirror the API's rules, so that pages show nobody what he may not do.
// It is the API that refuses.
var doors = map[string]door{
	"audit.list":       {auth.Viewer, true, false},
	"audit.verify":     {auth.Viewer, true, false},
	"audit.checkpoint": {auth.Viewer, true, false},
	"rollout.list":     {auth.Viewer, false, false},
	"type.list":        {auth.Viewer, false, false},
	"release.publish":  {auth.Publisher, false, false},
	"keyset.add":       {auth.Publisher, false, false},
	"rollout.create":   {auth.Publisher, false, false},
	"rollout.delete":   {auth.Publisher, false, false},
	"device.edit":      {auth.Approver, false, false},
	"rollout.start":    {auth.Approver, false, false},
	"rollout.approve":  {auth.Approver, false, false},
	"rollout.pause":    {auth.Approver, false, false},
	"rollout.resume":   {auth.Approver, false, false},
	"rollout.advance":  {auth.Approver, false, false},
	"rollout.halt":     {auth.Approver, false, false},
	"rollout.abort":    {auth.Approver, false, false},
	"device.import":    {auth.Administrator, false, false},
	"device.revoke":    {auth.Administrator, false, false},
	"device.retry":     {auth.Administrator, false, false},
	"release.withdraw": {auth.Administrator, false, false},
	"enrolment.add":    {auth.Administrator, false, false},
	"type.set":         {auth.Administrator, false, false},
	"token.list":       {auth.Administrator, true, true},
	"token.add":        {auth.Administrator, true, true},
	"token.rotate":     {auth.Administrator, true, true},
	"token.revoke":     {auth.Administrator, true, true},
}

// can reports whether an actor may do something to device types; to any, if
// none is named.
func can(actor auth.Actor, action string, deviceTypes ...string) bool {
	d, ok := doors[action]
	switch {
	case !ok || actor.Role < d.role || !actor.Scope.Permits(action):
		return false
	case d.bare && !actor.Scope.IsZero(), d.wide && len(actor.Scope.DeviceTypes) > 0:
		return false
	}
	return len(deviceTypes) == 0 || actor.Scope.Covers(deviceTypes...)
}

// Can is can for templates.
func (p *page) Can(action string, deviceTypes ...string) bool {
	return can(p.actor, action, deviceTypes...)
}

func (v *visit) can(action string, deviceTypes ...string) bool {
	return can(v.actor, action, deviceTypes...)
}
