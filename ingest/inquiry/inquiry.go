// Package inquiry asks archives: what a study that seems whole holds, and which
// earlier ones its patient has. What is missing here it has sent.
//
//	Inquirer.Over    whether there is nothing more to hear of a study; it does not wait
//	Inquirer.Run     asks, keeps what is listed as an expectation, and fetches what is missing
//	Judge            what follows from an archive's numbers
//	Historian.Run    finds and fetches priors
//	ChoosePriors     which of the listed studies are priors, and on what evidence
//
// It receives nothing itself: what comes by C-GET goes to a [dimse.Handler], and what
// comes by C-MOVE through the front door.
package inquiry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/internal/dimse"
	"varde/study"
)

const (
	// inquireEvery is how soon an inquiry begins that was asked for.
	inquireEvery = 20 * time.Millisecond
	// inquiries is how many studies are asked about at once.
	inquiries = 8
	// inquiryTries is how often an archive is asked about a study while it has
	// what we lack.
	inquiryTries = 3
	// askLimit bounds one asking, and inquiryLimit all of an inquiry with what is
	// fetched.
	askLimit     = 10 * time.Second
	inquiryLimit = 5 * time.Minute
	// inquiryPause is for how long an archive that did not answer is left alone.
	inquiryPause = time.Minute
	// inquireAgain is after how long an archive is asked about a study again while
	// something is missing.
	inquireAgain = 2 * time.Second
	// mostWaiting is how many studies wait for an inquiry; more settle by what else
	// is known.
	mostWaiting = 4096
	// forgetAfter is when a study of which nobody asks any more is forgotten.
	forgetAfter = 10 * time.Minute
)

// An Inventory is what an inquiry asks of the ledger, and tells it.
type Inventory interface {
	// ObjectsOf gives what was received of a study and our own reports about it.
	ObjectsOf(ctx context.Context, uid, series study.UID) ([]study.Instance, error)
	// Instances gives what was received.
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
	// Expect keeps what the archive says that a study has.
	Expect(ctx context.Context, expected []study.Expectation) error
}

// Traffic is told what an archive was asked to send.
type Traffic interface {
	// BeginMove tells that an archive is asked to send us a study, until end is
	// called. Not all archives say in each object who asked for it.
	BeginMove(from string, uid study.UID) (end func())
	// StudiesEnded tells that a request which brought objects of these studies is
	// over.
	StudiesEnded(uids ...study.UID)
}

// An Inquirer asks an archive what a study holds, once it seems to be whole, and
// fetches what is missing. What the archive lists is kept as an expectation, so
// that it is known how long to wait. An archive that is silent or refuses holds nothing up: the
// study settles by what else is known. The fields must be set.
type Inquirer struct {
	Ledger   Inventory
	Receiver dimse.Handler // of what comes by C-GET because we asked
	Traffic  Traffic
	AET      string // of the archive
	// Own is our AE title, to which an archive without C-GET sends by C-MOVE. Empty
	// asks for no C-MOVE.
	Own string
	// Dial opens an association with the archive. nil asks none.
	Dial Dialing
	// Sender says how whoever sent a study is asked about it, once and before the
	// archive; nil where it can't be. A nil Sender asks none.
	Sender func(ae string) Dialing
	Log    *slog.Logger

	mu      sync.Mutex // held for a few map accesses
	known   map[study.UID]*inquiry
	waiting []study.UID
	pause   time.Time // until when the archive is left alone
	failing bool      // it did not answer last time
}

// Dialing opens an association with a peer.
type Dialing func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error)

// An inquiry is one asking about a revision of a study. Guarded by Inquirer.mu.
type inquiry struct {
	rev    int
	over   bool
	seen   time.Time
	sender string
}

// Over reports whether there is nothing more to hear of a study's present
// revision. The first call for a revision has the archive asked. It does not
// wait.
func (q *Inquirer) Over(st study.Study) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if a := q.known[st.UID]; a != nil && (a.rev == st.Rev || !a.over) {
		a.rev, a.seen = st.Rev, now
		return a.over
	}
	if now.Before(q.pause) || len(q.waiting) >= mostWaiting {
		return true
	}
	if q.known == nil {
		q.known = map[study.UID]*inquiry{}
	}
	q.known[st.UID] = &inquiry{rev: st.Rev, seen: now, sender: st.Sender}
	q.waiting = append(q.waiting, st.UID)
	return false
}

// Run makes the inquiries that Over asks for, until ctx ends.
func (q *Inquirer) Run(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(inquiries)
	tick := time.NewTicker(inquireEvery)
	defer tick.Stop()
	for {
		for q.begin(ctx, &g) {
		}
		q.forget(time.Now())
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-tick.C:
		}
	}
}

// begin makes the inquiry that has waited longest, unless there is none or too
// many are under way.
func (q *Inquirer) begin(ctx context.Context, g *errgroup.Group) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return false
	}
	uid, sender := q.waiting[0], ""
	if a := q.known[q.waiting[0]]; a != nil {
		sender = a.sender
	}
	if !g.TryGo(func() error { q.inquire(ctx, uid, sender); return nil }) {
		return false
	}
	q.waiting = q.waiting[1:]
	return true
}

// forget drops what nobody has asked for in a while.
func (q *Inquirer) forget(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for uid, a := range q.known {
		if a.over && now.Sub(a.seen) > forgetAfter {
			delete(q.known, uid)
		}
	}
}

// inquire asks about a study and fetches what is missing: of its sender, and then of
// the archive, again after a pause while something still is.
func (q *Inquirer) inquire(ctx context.Context, uid study.UID, sender string) {
	ctx, cancel := context.WithTimeout(ctx, inquiryLimit)
	defer cancel()
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if a := q.known[uid]; a != nil {
			a.over = true
		}
	}()
	q.askSender(ctx, uid, sender)
	for try := 1; q.Dial != nil; try++ {
		missing, err := q.round(ctx, uid)
		if missing == 0 || errors.Is(ctx.Err(), context.Canceled) {
			return // whole, nothing was learned, or we stop
		}
		if try == inquiryTries || ctx.Err() != nil {
			q.Log.WarnContext(ctx, "archive has objects that could not be fetched", "study", uid, "ae", q.AET, "missing", missing, "tries", try, "err", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(inquireAgain):
		}
	}
}

// askSender asks whoever sent a study, once, where that can be.
func (q *Inquirer) askSender(ctx context.Context, uid study.UID, ae string) {
	if q.Sender == nil || ae == q.AET {
		return
	}
	dial := q.Sender(ae)
	if dial == nil {
		return
	}
	of := &Inquirer{Ledger: q.Ledger, Receiver: q.Receiver, Traffic: q.Traffic, AET: ae, Own: q.Own, Dial: dial, Log: q.Log}
	if missing, err := of.round(ctx, uid); missing > 0 && ctx.Err() == nil {
		q.Log.WarnContext(ctx, "sender has objects that could not be fetched", "study", uid, "ae", ae, "missing", missing, "err", err)
	}
}

// round asks once, keeps what is listed, and fetches what is missing. missing is
// how much still is then, 0 where nothing was learned; err says why.
func (q *Inquirer) round(ctx context.Context, uid study.UID) (missing int, err error) {
	had, err := q.holding(ctx, uid)
	if err != nil {
		q.Log.ErrorContext(ctx, "archive not asked", "study", uid, "err", err)
		return 0, err
	}
	listed, err := q.list(ctx, uid, had)
	q.answered(ctx, uid, err)
	if err != nil || len(listed) == 0 {
		return 0, err
	}
	e := study.Expectation{ID: study.DerivedUID("inquiry", q.AET, string(uid)), Study: uid, Source: "find", Over: true}
	for _, o := range listed {
		e.Objects = append(e.Objects, o.instance)
	}
	if err := q.Ledger.Expect(ctx, []study.Expectation{e}); err != nil {
		q.Log.ErrorContext(ctx, "answer of the archive not kept", "study", uid, "err", err)
		return 0, err
	}
	lacking := had.lacks(listed)
	if len(lacking) == 0 {
		return 0, nil
	}
	how, err := q.fetch(ctx, uid, had, lacking)
	has, again := q.holding(ctx, uid)
	if again != nil {
		return len(lacking), again
	}
	missing = len(has.lacks(listed))
	q.Log.InfoContext(ctx, "missing objects fetched", "study", uid, "ae", q.AET, "how", how, "listed", len(listed), "fetched", len(lacking)-missing, "missing", missing)
	return missing, err
}

// answered remembers whether the archive answers. Silence is told once.
func (q *Inquirer) answered(ctx context.Context, uid study.UID, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // we stop
	}
	q.mu.Lock()
	was := q.failing
	q.failing = err != nil
	if err != nil {
		q.pause = time.Now().Add(inquiryPause)
	}
	q.mu.Unlock()
	switch {
	case err != nil && !was:
		q.Log.WarnContext(ctx, "archive does not say what studies hold; they settle without it", "study", uid, "ae", q.AET, "err", err)
	case err == nil && was:
		q.Log.InfoContext(ctx, "archive says again what studies hold", "ae", q.AET)
	}
}

// A Holding is what is here of a study.
type Holding struct {
	Instances, Series int // received
	Own               int // reports of ours, which an archive may have and count
}

// A Count is what an archive says of a study by numbers; below zero where it does
// not say.
type Count struct {
	Found             bool
	Instances, Series int
}

// A Verdict is what follows from numbers.
type Verdict int

// The verdicts.
const (
	// Enough: the archive has nothing that isn't here, or doesn't know the study.
	Enough Verdict = iota
	// Unclear: it does not say how many objects there are; its series may.
	Unclear
	// Differs: it has more, or what counts can't tell apart; it must list them.
	Differs
)

// Judge holds the numbers of an archive against what is here. Once we have written
// reports, numbers tell nothing: the archive may have got some, and counts them.
func Judge(here Holding, there Count) Verdict {
	switch {
	case !there.Found:
		return Enough
	case here.Own > 0, there.Instances > here.Instances, there.Series > here.Series:
		return Differs
	case there.Instances < 0:
		return Unclear
	}
	return Enough
}

// A holding is a Holding with its objects.
type holding struct {
	Holding
	objects map[study.UID]bool
	own     map[study.UID]bool
	classes map[study.UID]study.UID // by series: the class of one of its objects
	class   study.UID               // of one of the study's
}

// holding reads what is here of a study.
func (q *Inquirer) holding(ctx context.Context, uid study.UID) (holding, error) {
	h := holding{objects: map[study.UID]bool{}, own: map[study.UID]bool{}, classes: map[study.UID]study.UID{}}
	all, err := q.Ledger.ObjectsOf(ctx, uid, "")
	if err != nil {
		return h, fmt.Errorf("what is here of study %s: %w", uid, err)
	}
	received, err := q.Ledger.Instances(ctx, uid)
	if err != nil {
		return h, fmt.Errorf("what is here of study %s: %w", uid, err)
	}
	for _, in := range received {
		h.objects[in.UID], h.classes[in.Series], h.class = true, in.Class, in.Class
	}
	for _, in := range all {
		if !h.objects[in.UID] {
			h.own[in.UID] = true
		}
	}
	h.Holding = Holding{Instances: len(received), Series: len(h.classes), Own: len(h.own)}
	return h, nil
}

// lacks gives those of some objects that are not here.
func (h holding) lacks(listed []remote) (lacking []remote) {
	for _, o := range listed {
		if !h.objects[o.instance] {
			lacking = append(lacking, o)
		}
	}
	return lacking
}
