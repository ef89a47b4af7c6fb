package ingest

import (
	"context"

	"varde/study"
)

// An Elsewhere says where the frames of an object lie that holds no pixels
// itself: it stands for one level of a slide file, which is kept once and as it
// came.
type Elsewhere struct {
	Origin study.Origin
	Frames study.Frames // counted from the beginning of the file
	// Trouble says why the pixels must not be scored, in words that name no
	// patient; empty when they may.
	Trouble string
}

// put tells the ledger of the pixels what the object itself can't. The object's
// own trouble is that it has none.
func (e *Elsewhere) put(a *study.Arrival) {
	if e == nil || a.Instance.Image == nil {
		return
	}
	origin := e.Origin
	a.Instance.Image.Origin, a.Instance.Image.Trouble, a.Frames = &origin, e.Trouble, e.Frames
}

// Begin tells that something of a study is on its way, until end is called. A
// sender whose files become several objects says so, that the study is not taken
// for whole between two of them.
func (t *Traffic) Begin(uid study.UID, src Source) (end func()) { return t.begin(uid, src.Name()) }

// Room refuses, with an error that wraps [study.ErrBusy], when n more bytes would
// fill the archive past its mark.
func (r *Receiver) Room(ctx context.Context, n int64) error { return r.room(ctx, n) }
