package crashfs

// Mode says what a power cut does to changes that were not synced.
type Mode int

// The modes. The seed of [FS.Reboot] matters to Prefix and Scattered alone.
const (
	Lost      Mode = iota // all unsynced changes are gone
	Kept                  // all are there, as if the cache had just been written back
	NamesOnly             // directory changes are there, file data is not: the renamed file is empty
	DataOnly              // file data is there, directory changes are not
	Zeros                 // directory changes and file lengths are there, file data reads as zeros
	Prefix                // the oldest few directory changes are there, and the first few sectors of each file
	Scattered             // each directory change is there or not; each file is lost, kept, zeros or torn
	modes
)

var modeNames = [modes]string{"Lost", "Kept", "NamesOnly", "DataOnly", "Zeros", "Prefix", "Scattered"}

func (m Mode) String() string { return modeNames[m] }

// Modes returns all modes.
func Modes() []Mode {
	all := make([]Mode, modes)
	for i := range all {
		all[i] = Mode(i)
	}
	return all
}

// seeds is how many outcomes of a mode differ enough to be tried by [Sweep].
func (m Mode) seeds() uint64 {
	if m == Prefix || m == Scattered {
		return 4
	}
	return 1
}

// Cut says where in an operation the power fails.
type Cut int

// The cuts. During leaves writes and syncs half done; of the other operations, which are
// atomic, the seed decides whether they happened.
const (
	Before Cut = iota // the operation did nothing
	During
	After // the operation did all, but its caller never learned of it
	cuts
)

var cutNames = [cuts]string{"before", "during", "after"}

// seeds is how many outcomes of a cut differ enough to be tried by [Sweep].
func (c Cut) seeds() uint64 {
	if c == During {
		return 3
	}
	return 1
}

func (c Cut) String() string { return cutNames[c] }
