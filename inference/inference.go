// Package inference runs models over the pixels of a study and draws findings
// from what they answer.
//
//	Worker.Handle   one job: a block to score, or a result to conclude
//	Scorer.Score    one block: read, decode, prepare, run, take down
//	Pool            one session a model, shared by all who run it
//	Conclude        the parts of a study make one result, a case of slides its worst slide's
//	ScoreFiles      the same from files, with no service at all
//	Replayer.Replay a result anew from what is stored, held against what was recorded
//
// Whether the model may still speak is asked before every batch, so that a stop
// is felt within a second. A tile whose pixels can't be had is written down as
// missed: nothing is guessed, and a study of which a part went unseen is never
// called negative.
//
// Images are looked at before a network is asked: what is no picture that a model
// should judge is out of scope (gate). A network that sees windows is shown one
// after the other (sliding), and what it draws is measured in the patient's own
// millimeters (regions) and kept beside the part.
//
// Of a slide a model may give scores, a map, boxes, or features that a second
// network judges. Maps are put together on one grid (mosaic), what was detected
// twice counts once (single), and neither depends on how the slide was cut into
// blocks.
package inference

import (
	"context"
	"io"

	"varde/internal/pixel"
	"varde/models"
	"varde/study"
)

// A Ledger is where a worker records what it did. Both records are fenced by the
// job's attempt: when a newer attempt owns the job nothing is kept.
type Ledger interface {
	// FinishPart records that a block was scored, of planned tiles how many were
	// seen, and where the part lies.
	FinishPart(ctx context.Context, job study.Job, key string, planned, seen int, seconds float64) error
	// Conclude records a result.
	Conclude(ctx context.Context, job study.Job, r study.Result) error
}

// Records tell what a study consists of, where its frames lie, what was planned
// and what has been scored.
type Records interface {
	Instances(ctx context.Context, study study.UID) ([]study.Instance, error)
	ModelPlan(ctx context.Context, study study.UID, rev int, model study.ModelRef) (study.ModelPlan, error)
	Parts(ctx context.Context, study study.UID, rev int, model study.ModelRef) ([]study.PartRow, error)
}

// An Index tells where the frames of a stored object lie.
type Index interface {
	Frames(ctx context.Context, instance study.UID) (study.Frames, error)
}

// Models gives cards, and says whether a model may speak.
type Models interface {
	Card(ref study.ModelRef) (models.Card, error)
	// Allowed is nil while the model may run, and else wraps study.ErrWithheld.
	// It is asked before every batch.
	Allowed(ref study.ModelRef) error
}

// Sessions hands out networks in memory. Release must be called once the session
// is no longer used.
type Sessions interface {
	Acquire(ctx context.Context, card models.Card) (s Session, release func(), err error)
}

// A Session is a network in memory. Many may run it at once; it keeps nothing of
// what it is given.
type Session interface {
	Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error)
}

// Objects is where pixels are read and parts are written.
type Objects interface {
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	Put(ctx context.Context, key string, r io.Reader, size int64) error
}

// A Gate limits how many networks run at once, lets the best lane go first, and
// watches over each run. It tells f how many threads it may use: more than one
// only when the turn asks for them.
type Gate interface {
	Run(ctx context.Context, turn study.Turn, f func(threads int) error) error
}
