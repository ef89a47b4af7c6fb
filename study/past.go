package study

import "time"

// A Past is one exam as the department had it: when it came, how urgent it was,
// what models said of it and when, and when somebody read it. It bears no patient.
// Whole months of them are what a simulation is made from.
type Past struct {
	Study      UID
	Modality   Modality
	Priority   Priority
	ReceivedAt time.Time
	Deadline   time.Time // zero when none was known
	OpenedAt   time.Time // zero until a reader opened it
	ReadAt     time.Time // zero until it was read
	Results    []Result  // of its last revision, those of models in shadow too; sorted by model
	Verdict    string    // the last reader's on the AI: agree, changes, disagree; empty where none was given
}
