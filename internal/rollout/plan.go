package rollout

// A Plan says what a rollout would do, without doing it.
type Plan struct {
	Target  int      `json:"target"` // devices
	Budget  int      `json:"budget"` // devices that may be touched and unproven at a time
	Stages  []int    `json:"stages"` // devices of each stage, those of earlier ones included
	Cohorts []Cohort `json:"cohorts"`
	Refused string   `json:"refused"` // why it could not be created; empty: it could
}

// A Cohort is the devices of a target that are alike.
type Cohort struct {
	Version          string   `json:"version"` // that runs; empty: not a published one
	KeysetVersion    uint32   `json:"keyset_version"`
	HardwareRevision string   `json:"hardware_revision"`
	Level            string   `json:"level"`
	Verdict          Verdict  `json:"verdict"`
	Needs            string   `json:"needs"` // what has to come first
	Why              string   `json:"why"`
	Devices          int      `json:"devices"`
	Examples         []string `json:"examples"` // ids, at most maxExamples
}

// maxExamples is how many ids a cohort shows.
const maxExamples = 5

// A Verdict is what the devices of a cohort can do with a release.
type Verdict string

// The verdicts.
const (
	Fits    Verdict = "fits"
	Has     Verdict = "has it"      // or something newer
	Needs   Verdict = "needs first" // something that the server brings by itself, or can
	Cannot  Verdict = "cannot"
	Never   Verdict = "can never verify" // refuses the rollout
	Unknown Verdict = "unknown"          // never seen: what it holds is not known
)
