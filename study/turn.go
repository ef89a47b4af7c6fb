package study

// A Turn is one run of a network that waits for a processor.
type Turn struct {
	What string // names the run in the log
	Lane Lane
	// Threads is how many processors the run could use together if nobody else
	// wanted them; 0 and 1 are one.
	Threads int
}
