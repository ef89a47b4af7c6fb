package study

import (
	"fmt"
	"slices"
	"time"
)

// EveryLane and an empty pool say of a [Pause] that it is of all of them.
const EveryLane Lane = -1

// ParseLane reads a lane's name. The empty text and "all" are [EveryLane].
func ParseLane(name string) (Lane, error) {
	if name == "" || name == "all" {
		return EveryLane, nil
	}
	if i := slices.Index(laneNames[:], name); i >= 0 {
		return Lane(i), nil
	}
	return 0, fmt.Errorf("lane %q; there are %v: %w", name, laneNames, ErrInvalid)
}

// A Pause keeps jobs from workers until somebody resumes them: those of a lane, of
// a pool, or all. What runs already ends. A study whose jobs are paused has no
// result of AI, which is not to say that nothing was found.
type Pause struct {
	Pool   string // empty: every pool
	Lane   Lane   // [EveryLane]: every lane
	By     string // who asked for it
	Reason string
	At     time.Time
}

// Covers reports whether the pause keeps jobs of a lane of a pool from workers.
func (p Pause) Covers(pool string, lane Lane) bool {
	return (p.Pool == "" || p.Pool == pool) && (p.Lane == EveryLane || p.Lane == lane)
}

// A Stall is why no model is at work on a study that waits for one. The study then has
// no result, which is not to say that nothing was found.
type Stall string

// The stalls. The empty one is that work goes on, or that none is to be done.
const (
	StallPaused   Stall = "paused"    // somebody has paused the work; see [Pause]
	StallNoWorker Stall = "no_worker" // no worker that could do it is there
)

// A Backlog is the work of one model that waits in a lane of a pool or is under
// way there.
type Backlog struct {
	Pool    string
	Lane    Lane
	Model   ModelRef
	Jobs    int
	Tiles   int
	Work    time.Duration // what it takes a worker that does one job at a time
	Learned bool          // told by what the model's last blocks took in this pool, not by its card
	Overdue int           // jobs that wait though their time has come
	Oldest  time.Time     // when the oldest job was made
}

// A Pace is how fast a model's last blocks were scored in a pool, the latest
// counting most.
type Pace struct {
	Pool           string
	Model          ModelRef
	TilesPerSecond float64 // of one job; a worker does as many at once as it has slots
	At             time.Time
}

// A Queue is what waits for workers, and who they are.
type Queue struct {
	Backlogs []Backlog // by pool, lane and model
	Paces    []Pace    // by pool and model
	Pauses   []Pause   // by pool and lane
	Workers  []Worker  // that are alive, by pool and name
}

// A JobRow is a job with what became of it, for operators.
type JobRow struct {
	Job
	State  string
	Worker string    // who has it in hand
	Since  time.Time // when it was handed to a worker last; zero when never
	Error  string    // of its last try, in words without a patient
}

// A JobFilter picks jobs, the oldest first. What is empty lets all pass.
type JobFilter struct {
	State string // [JobReady], [JobEnqueued], [JobRunning] or [JobFailed]; empty: all of these
	Study UID
	Limit int // 0 = 100
}

// UnderWay is a study on which models are at work, or wait to be.
type UnderWay struct {
	Study   UID
	Lane    Lane
	Waiting int // jobs
	Running int
	Oldest  time.Time // when the oldest of them was made
}
