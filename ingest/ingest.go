// Package ingest takes studies in: it receives what the PACS and the scanners
// push, keeps it bit for bit, notices when a study is whole, and plans what the
// models are to see of it.
//
//	Receiver.Store     one C-STORE comes in (dicomweb: one part of a STOW request)
//	Receiver.Receive   the object is read once, kept, and recorded
//	Traffic            who is still sending, and what is still on its way
//	Settler.Run        looks for studies that are whole, and settles them
//	Notices            what modalities and archives tell of a study
//	Committer          answers for what is kept: storage commitment
//	Wait               how long a study must be quiet to be whole
//	Plan               which model sees which tiles, and why another does not
//
// An object is acknowledged only when its bytes and its record are both safe,
// for the sender may delete its own copy once it hears Success. A record without
// bytes would be a study that can never be scored; bytes without a record are
// found again when the sender, unanswered, sends once more.
//
// How a plan is made, the tissue of slides surveyed for it, is in the room plan; inquiry
// asks an archive what a study holds and which priors it has, and fetches what is
// missing. dicomweb, slidefile, upload and watch are further doors, retrieve gives back
// what was taken in, and orders hears what the hospital's systems say of it.
package ingest

import (
	"context"
	"io"

	"varde/ingest/plan"
	"varde/models"
	"varde/study"
)

// An Archive keeps the bytes of an instance for good.
type Archive interface {
	// PutOnce keeps r under key and returns when the bytes are durable. A taken
	// key is an error that wraps fs.ErrExist; the hash is then of what r held.
	// When r fails, nothing is kept and the error wraps r's.
	PutOnce(ctx context.Context, key string, r io.Reader, size int64) (study.Hash, error)
	// Range gives n bytes from off, or all to the end when n is negative.
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// Stat gives the size, or an error that wraps study.ErrNotFound.
	Stat(ctx context.Context, key string) (int64, error)
}

// A Housekeeper removes what lies in the archive on its way elsewhere, and knows
// how much room is left; ok is false when nobody can say.
type Housekeeper interface {
	Delete(ctx context.Context, key string) error
	Free(ctx context.Context) (bytes int64, ok bool)
}

// A Register records an arrival, durably, and says what it was found to be.
type Register interface {
	Receive(ctx context.Context, a study.Arrival) (study.Receipt, error)
}

// A Ledger is what settling asks of the ledger.
type Ledger interface {
	// Unsettled gives the studies that are receiving.
	Unsettled(ctx context.Context) ([]study.Study, error)
	// Instances gives what was received of a study.
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
	// Settle keeps a plan and sends the study on its way, in one step. A plan
	// that was made from other instances than are there is study.ErrIncomplete.
	Settle(ctx context.Context, p study.Plan) error
}

// A Teller says what peers have told of a study's objects, and how many of these
// are missing.
type Teller interface {
	Expected(ctx context.Context, uid study.UID) (told []study.Expectation, missing int, err error)
}

// An Asker asks an archive about studies; see [inquiry.Inquirer].
type Asker interface {
	// Over reports whether there is nothing more to hear of a study as it is now.
	// It may have the archive asked, and does not wait for it.
	Over(st study.Study) bool
}

// A PriorKeeper knows which studies are priors.
type PriorKeeper interface {
	// IsPrior reports whether a study is here only because we asked for it.
	IsPrior(ctx context.Context, uid study.UID) (bool, error)
}

// Models tells which models may be asked now.
type Models interface {
	Cards(ctx context.Context) ([]models.Entry, error)
}

// Plan says which model is to see which pixels of a study, by these facts alone. It is
// [plan.Plan], under the name by which the plan of the house calls it.
func Plan(f plan.Facts) study.Plan { return plan.Plan(f) }
