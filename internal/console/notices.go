package console

// doneParameter says after a form what was done. Its words stand here: what a
// link could bring along is not shown.
const doneParameter = "done"

var notices = map[string]string{
	"revoked":   "The device is revoked.",
	"edited":    "It is changed.",
	"bulk":      "The devices are changed.",
	"retry":     "The device will be told to try again what it rejected.",
	"published": "The release is published.",
	"keyset":    "The keyset is published. Devices take it at their next check.",
	"withdrawn": "The release is withdrawn.",
	"drafted":   "The draft is there. It does nothing until it is started.",
	"deleted":   "The draft is deleted.",
	"settings":  "The settings are changed.",
	"token":     "The token is revoked.",
}
