// Package queue carries jobs from the ledger to the workers. The ledger is the
// queue of record; the conveyor in front of the workers, which is asynq over
// Redis, holds about two jobs for each slot and may be lost at any moment.
//
//	Dispatcher.Run   claims the best jobs and keeps the conveyor filled
//	Server.Run       takes jobs off the conveyor and hands them to a handler
//	Sweeper.Run      finds what was lost on the way and gives it back
//	Gate.Run         lets only so many runs at a model at once, and watches them
//	Breaker          stops the feeding while the stores are away
//	Speeds           learns how fast a worker scores with each model
//
// On the conveyor lies a job's ID and the number of its attempt, and nothing
// else: who sees Redis sees no patient. The attempt is the fence. Whatever is
// delivered twice, late, or from a Redis that was restored, bears an attempt that
// the ledger no longer counts, and is dropped.
//
// A lane of a pool is one queue of asynq, and the lanes are strict: all of a lane
// is served before the next. Order inside a lane is the ledger's.
package queue

import (
	"context"
	"time"

	"varde/study"
)

// A Line is the ledger's line of jobs.
type Line interface {
	// Claim takes the best k jobs of a pool that are of lane worst or better and
	// marks them enqueued, each with a new attempt. They come best first.
	Claim(ctx context.Context, pool string, k int, worst study.Lane) ([]study.Job, error)
	// InFlight tells how many of a pool are enqueued, and how many of these are stat.
	InFlight(ctx context.Context, pool string) (all, stat int, err error)
	// JobsMoved gives a channel that is closed when next a job becomes ready or
	// leaves its worker.
	JobsMoved() <-chan struct{}
}

// Epochs tell a conveyor that is new, or has lost what it held, from the one
// that was filled.
type Epochs interface {
	Epoch(ctx context.Context) (string, error)
	// SetEpoch gives all that was enqueued back to the line, but for what living
	// workers have in hand.
	SetEpoch(ctx context.Context, epoch string) error
}

// A Crew knows the workers.
type Crew interface {
	// Beat says that a worker is alive, and what it tells of itself.
	Beat(ctx context.Context, w study.Worker) error
	// Leave strikes off a worker that takes its leave.
	Leave(ctx context.Context, worker, pool string) error
	// Slots tells how many jobs of a pool the living workers do at once.
	Slots(ctx context.Context, pool string) (int, error)
}

// A Chair is held by one process of several.
type Chair interface {
	// Lead asks for the lead in what for a while, 0 to give it up, and reports
	// whether who has it.
	Lead(ctx context.Context, what, who string, hold time.Duration) (bool, error)
}

// Attempts are what becomes of one job in a worker's hands. All but Job fail with
// an error of kind [study.ErrRefused] when the attempt no longer counts.
type Attempts interface {
	Job(ctx context.Context, id string) (j study.Job, state string, err error)
	Started(ctx context.Context, id string, attempt int, worker string) error
	// Fail counts a failure of the job's own. It goes back to the line for
	// another try unless it has had too many, or is hopeless.
	Fail(ctx context.Context, id string, attempt int, cause error, hopeless bool) error
}

// Returns are how jobs come back that nobody works on.
type Returns interface {
	// Release gives a job back to the line as if it had never been taken.
	Release(ctx context.Context, id string, attempt int) error
	// Lose gives back a job whose worker is gone, and counts that.
	Lose(ctx context.Context, id string, attempt int) error
}

// A Watch finds what is stuck.
type Watch interface {
	// Gone gives the jobs whose worker has not been seen for that long.
	Gone(ctx context.Context, after time.Duration) ([]study.Job, error)
	// Enqueued gives the jobs that were enqueued longer ago than that and that no
	// worker has begun.
	Enqueued(ctx context.Context, olderThan time.Duration) ([]study.Job, error)
	// Sweep sets studies going again on which nothing is under way.
	Sweep(ctx context.Context) error
}

// A Ledger is all that carrying jobs asks of it.
type Ledger interface {
	Line
	Epochs
	Crew
	Chair
	Attempts
	Returns
	Watch
}

// A Handler does one job and records in the ledger that it is done. Then it
// returns nil. An error is recorded by the server: of kind [study.ErrBusy], or
// after ctx has ended, the job goes back to the line uncounted; of kind
// [study.ErrInvalid], [study.ErrNotFound], [study.ErrRefused],
// [study.ErrUnsupported] or [study.ErrWithheld] it has failed for good; any other
// is counted and tried again. That another attempt owns the job, which the
// ledger's own methods say with an error of kind [study.ErrRefused], is found
// out by the server.
//
// The context ends when the worker must leave.
type Handler func(ctx context.Context, j study.Job) error

const (
	// beatEvery is how often a worker says that it is alive.
	beatEvery = 2 * time.Second
	// goneAfter is how long a worker may be unseen: three beats.
	goneAfter = 3 * beatEvery
)
