// Package inference runs models over the pixels of a study and draws findings
// from what they answer.
//
//	Worker.Handle   one job: a block to score, or a result to conclude
//	Conclude        the parts of a study make one result
//	ScoreFiles      the same from files, with no service at all
//	Replayer.Replay a result anew from what is stored, held against what was recorded
//	Measure         the whole way held against the bare network
//
// The rooms, each of which knows those below it only:
//
//	findings        what was scored becomes a result: no network, no store
//	scores          one block: read, decode, prepare, run, take down
//	sessions        networks in the memory of processors and devices, shared by all
//	outputs         what a network gave, as its card says
//	gate            is that a picture that the model should judge?
//	sliding         a network that sees windows is shown one after the other
//	place           where a tile and what lies in it are
//	regions         what is drawn, measured in the patient's own millimeters
//
// What is kept beside a part (masks, features, the probabilities of voxels) is
// written here, and read back where a result is drawn from it. Here too a second
// network is asked of all patches of a slide.
//
// Whether the model may still speak is asked before every batch, so that a stop
// is felt within a second. A tile whose pixels can't be had is written down as
// missed: nothing is guessed, and a study of which a part went unseen is never
// called negative.
package inference

import (
	"context"
	"io"

	"varde/inference/findings"
	"varde/inference/sessions"
	"varde/models/modelcard"
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

// Models gives cards, and says whether a model may speak.
type Models interface {
	Card(ref study.ModelRef) (modelcard.Card, error)
	// Allowed is nil while the model may run, and else wraps study.ErrWithheld.
	// It is asked before every batch.
	Allowed(ref study.ModelRef) error
}

// Sessions hands out networks in memory. Release must be called once the session
// is no longer used.
type Sessions interface {
	Acquire(ctx context.Context, card modelcard.Card) (s sessions.Session, release func(), err error)
}

// Objects is where pixels are read and parts are written.
type Objects interface {
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	Put(ctx context.Context, key string, r io.Reader, size int64) error
}

// Facts is all that a result depends on.
type Facts = findings.Facts

// Conclude draws one model's result from its parts: [findings.Conclude]. It decides
// by its argument alone.
func Conclude(f Facts) study.Result { return findings.Conclude(f) }
