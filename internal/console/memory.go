package console

// memory is what all visits share, so that many open pages cost little more
// than one.
type memory struct {
	summaries summaries
	activity  activity
}
