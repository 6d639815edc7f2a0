package rollout

import "time"

// A Rollout is a rollout as operators see it.
type Rollout struct {
	Spec
	ID              string `json:"id"`
	Version         string `json:"version"`                    // of the release
	SendBackVersion string `json:"send_back_version,omitzero"` // of SendBack
	State           State  `json:"state"`
	Stage           int    `json:"stage"` // the open one, from 1; 0: none yet

	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
	ApprovedAt time.Time `json:"approved_at,omitzero"`
	ApprovedBy string    `json:"approved_by,omitzero"`
	StartedAt  time.Time `json:"started_at,omitzero"` // its first stage opened
	StartedBy  string    `json:"started_by,omitzero"`
	ChangedAt  time.Time `json:"changed_at"` // its state
	ChangedBy  string    `json:"changed_by"`
	Why        string    `json:"why"` // of the last change of state

	Actions  []Action `json:"actions"` // that its state allows
	Progress Progress `json:"progress"`
}

// Progress is how far a rollout has come.
type Progress struct {
	Counts
	Target   int             `json:"target"`   // devices that it is for: touched and waiting
	Blocked  int             `json:"blocked"`  // that are held, pinned, or cannot take the release; no part of Target
	Budget   int             `json:"budget"`   // devices that may be touched and unproven; 0: not started
	Unproven int             `json:"unproven"` // that are, those of before a resume apart
	Touched  int             `json:"touched"`  // devices that were ever offered the release
	Stages   []StageProgress `json:"stages"`
	Waits    string          `json:"waits"` // why nobody else is offered the release now; empty: somebody is, or it is over
	ETA      time.Time       `json:"eta,omitzero"`
	AsOf     time.Time       `json:"as_of"` // when Target and the stages' devices were counted
}

// StageProgress is how far one stage has come. Counts are of the devices that
// were touched while it was the open stage.
type StageProgress struct {
	Stage
	Counts
	Target   int       `json:"target"`  // devices of the stage, those of earlier stages included
	Present  int       `json:"present"` // of them, were here since the stage opened
	Updated  int       `json:"updated"` // of those, run the release, confirmed
	OpenedAt time.Time `json:"opened_at,omitzero"`
	Waits    string    `json:"waits"` // what the next stage waits for; empty: nothing, or the stage is not open
}

// Counts are devices by what is known of them.
type Counts struct {
	Waiting     int `json:"waiting"` // of the target, not touched and not updated
	Offered     int `json:"offered"`
	Downloading int `json:"downloading"`
	Installed   int `json:"installed"` // written, not yet booted
	Trial       int `json:"trial"`
	Confirmed   int `json:"confirmed"` // the sum of the next three
	ByReport    int `json:"confirmed_by_report"`
	ByCheck     int `json:"confirmed_by_check"`
	ByToken     int `json:"confirmed_by_token_device"`
	Retrying    int `json:"retrying"` // failed or timed out, and will be offered it again
	Failed      int `json:"failed"`
	Reverted    int `json:"reverted"`
	Refused     int `json:"refused"`
	TimedOut    int `json:"timed_out"`
	Left        int `json:"left"`      // another rollout has taken them over
	SentBack    int `json:"sent_back"` // run the approved downgrade, after a halt
}

// Evidence is what a device's success rests on.
type Evidence string

// The kinds of evidence, the strongest first.
const (
	NoEvidence  Evidence = ""
	ByReport    Evidence = "report"       // its own report under its device key: the image read back from flash is confirmed
	ByCheck     Evidence = "check"        // its own update check under its device key: that image runs, confirmed
	ByTokenWord Evidence = "token device" // the word of a device that has a bearer token only
)

// A DeviceState is what is known of a device in a rollout.
type DeviceState string

// The states of a touched device.
const (
	Offered     DeviceState = "offered"
	Downloading DeviceState = "downloading"
	Installed   DeviceState = "installed"
	Trial       DeviceState = "trial"
	Confirmed   DeviceState = "confirmed"
	Retrying    DeviceState = "retrying"
	Failed      DeviceState = "failed"
	Reverted    DeviceState = "reverted"
	Refused     DeviceState = "refused"
	TimedOut    DeviceState = "timed out"
	Left        DeviceState = "left"
)

// DeviceStates are all states of touched devices.
var DeviceStates = []DeviceState{Offered, Downloading, Installed, Trial, Confirmed, Retrying, Failed, Reverted, Refused, TimedOut, Left}

// open reports whether the device was offered the release and nothing has come
// of it yet.
func (s DeviceState) open() bool {
	return s == Offered || s == Downloading || s == Installed || s == Trial
}

// ended reports whether the device failed and is offered the release no more.
func (s DeviceState) ended() bool {
	return s == Failed || s == Reverted || s == Refused || s == TimedOut
}

// unproven reports whether the device counts against the budget.
func (s DeviceState) unproven() bool { return s.open() || s.ended() || s == Retrying }

// A Device is a touched device of a rollout.
type Device struct {
	ID        string      `json:"device"`
	Stage     int         `json:"stage"` // that was open when it was first offered the release, from 1
	State     DeviceState `json:"state"`
	Evidence  Evidence    `json:"evidence"` // of a confirmed one
	Attempts  int         `json:"attempts"`
	Excused   bool        `json:"excused"` // it failed before the rollout was resumed
	SentBack  bool        `json:"sent_back"`
	OfferedAt time.Time   `json:"offered_at"` // the last time
	ChangedAt time.Time   `json:"changed_at"`
	Reason    string      `json:"reason"` // of a failure, in the device's or the server's words
}
