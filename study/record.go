package study

import "time"

// The states of a job in the ledger. Of an enqueued one the conveyor holds a
// note; once a worker has begun it, lists and counts call it running.
const (
	JobReady    = "ready"
	JobEnqueued = "enqueued"
	JobRunning  = "running"
	JobDone     = "done"
	JobFailed   = "failed"   // tried again and again, or hopeless
	JobCanceled = "canceled" // a newer revision of its study took its place
)

// A PartRow is what the ledger knows of one part that is over: the [Part] itself
// lies in the object store under Key.
type PartRow struct {
	Job     string
	Part    int
	State   string // [JobDone] or [JobFailed]
	Key     string // empty when the part failed
	Planned int    // tiles of its block
	Seen    int    // 0 when the part failed
	Seconds float64
	Reason  Reason // why it failed
}

// An AuditRow tells who did what to what, and when. Rows are never changed: each
// carries the hash of the one before it, so that a change would show. It holds
// UIDs, model names and the names of staff, never a patient.
type AuditRow struct {
	N      int64 // from 1, without gaps
	At     time.Time
	Actor  string // a user's name, or the part of Varde that acted
	Action string // settled, result, report, delivered, opened, read, model …
	Entity string // what it was done to: "study 1.2.3", "model ct@1"
	Detail string
	Prev   Hash // of row N−1; zero for the first
	Hash   Hash
}

// A Token lets its bearer in. Only its hash is ever kept.
type Token struct {
	Hash    Hash
	Role    string
	Name    string    // of the person or the machine that bears it
	Expires time.Time // zero: never
	MadeAt  time.Time
}

// A Reading is that a physician has read a study, and what they said of the AI.
type Reading struct {
	Study   UID
	Rev     int
	By      string
	Verdict string
	At      time.Time
}

// A Worker is a process that takes jobs of one pool.
type Worker struct {
	Name   string
	Pool   string
	Slots  int // jobs that it does at once; 0 once it takes no more
	SeenAt time.Time
	Told   WorkerFacts
}

// WorkerFacts are what a worker tells of itself with each of its beats.
type WorkerFacts struct {
	Host      string    `json:"host,omitempty"`
	Version   string    `json:"version,omitempty"` // of Varde
	Runtime   string    `json:"runtime,omitempty"` // version of ONNX Runtime; empty when it runs no networks
	StartedAt time.Time `json:"started_at,omitzero"`
	// Leaving says that it has been asked to stop: it ends what it has in hand and
	// takes no more.
	Leaving bool          `json:"leaving,omitempty"`
	InHand  int           `json:"in_hand"` // jobs
	Devices []Device      `json:"devices,omitempty"`
	Models  []WorkerModel `json:"models,omitempty"` // by name
}

// A Device is something that networks run on.
type Device struct {
	Name     string `json:"name"`     // as "cpu" or "cuda:0"
	Provider string `json:"provider"` // of ONNX Runtime
	Runners  int    `json:"runners"`  // networks that run on it at once
}

// A WorkerModel is a model that a worker has run, and how fast it did.
type WorkerModel struct {
	Model string `json:"model"` // id@version
	Hash  Hash   `json:"model_sha256"`
	Tiles int64  `json:"tiles"` // since it started
	// PerSecond is how many tiles it scored lately in each second in which it had a
	// job of this model in hand; reading, decoding and recording are in it.
	PerSecond float64 `json:"tiles_per_second"`
}
