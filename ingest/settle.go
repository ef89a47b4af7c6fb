package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/ingest/plan"
	"varde/internal/slide"
	"varde/study"
)

// A Settler watches the studies that are being received. One that is whole gets
// its plan, and the ledger sends it on.
type Settler struct {
	Ledger Ledger
	Models Models
	Slides *slide.Reader // for the tissue of slides
	// Pictures keeps mask and thumbnail of the slides; nil keeps none.
	Pictures slide.Shelf
	Traffic  *Traffic
	Log      *slog.Logger
	// Decodes says whether this build decodes a transfer syntax.
	Decodes func(study.UID) bool
	// GPU says whether a living worker has a GPU. nil: none has.
	GPU func(context.Context) (bool, error)
	// Told says what peers have told of a study's objects. nil knows nothing.
	Told Teller
	// Archive is asked whether a study that seems whole is. nil asks nobody.
	Archive Asker
	// Priors knows which studies are priors that we fetched. No model is asked about
	// these, unless ScorePriors; then they wait for all others. nil knows none.
	Priors      PriorKeeper
	ScorePriors bool
	// Memory keeps what is learned of senders over a restart. nil forgets.
	Memory Memory
	// Wake is called after a study was settled, so that its jobs wait for no
	// timer. nil wakes nobody.
	Wake func()
	// Cap bounds the wait for a study of which nothing else tells that it is
	// whole; 0 stands for a minute.
	Cap time.Duration

	started time.Time
	mu      sync.Mutex // held for a few map accesses
	senders map[string]*sender
	watched map[study.UID]*watch
}

// A watch is what is remembered of one study. Guarded by Settler.mu.
type watch struct {
	busy      bool      // being settled just now
	failed    int       // settlings in a row that went wrong
	retryAt   time.Time // after failures
	last      time.Time // LastInstanceAt when expect was asked
	complete  bool
	lacking   bool
	settled   bool      // once at least
	settledAt time.Time // LastInstanceAt then
	ended     bool      // its sender had ended when it was last found whole
	wasEnded  bool      // … when it was last settled
	seen      time.Time
	asked     time.Time // when Told was
	told      told
	asker     bool // the Archive had no more to say when it was last asked
}

// A told is what peers have told of a study.
type told struct {
	objects, missing int
	unfinished       bool
}

const (
	// lookEvery is how often the ledger is asked: often enough to add nothing
	// that a person would notice.
	lookEvery = 200 * time.Millisecond
	// askEvery is how often it is asked what peers have told of a study.
	askEvery = 2 * lookEvery
	// settlings is how many studies are settled at once: a slide whose tissue
	// takes seconds to find must not hold up a chest.
	settlings = 4
	// maxSenders bounds what is learned.
	maxSenders = 1024
	// forgetAfter is when a study that is settled is no longer watched for late
	// objects to learn from.
	forgetAfter = 10 * time.Minute
	// longestRetry bounds the pause after failures.
	longestRetry = time.Minute
)

// Run settles studies until ctx ends. It returns nil when those in hand are done.
func (s *Settler) Run(ctx context.Context) error {
	s.started = time.Now()
	s.remember(ctx)
	defer func() { s.keep(context.WithoutCancel(ctx)) }()
	var g errgroup.Group
	g.SetLimit(settlings)
	tick, kept := time.NewTicker(lookEvery), time.Now()
	defer tick.Stop()
	for {
		if time.Since(kept) > keepEvery {
			s.keep(ctx)
			kept = time.Now()
		}
		if err := s.look(ctx, &g); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "unsettled studies not read", "err", err)
		}
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-tick.C:
		}
	}
}

// look starts to settle every study that is whole, the most urgent ones first.
func (s *Settler) look(ctx context.Context, g *errgroup.Group) error {
	open, err := s.Ledger.Unsettled(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(open, func(a, b study.Study) int {
		return cmp.Or(cmp.Compare(a.Priority.Lane(), b.Priority.Lane()), a.LastInstanceAt.Compare(b.LastInstanceAt), cmp.Compare(a.UID, b.UID))
	})
	now := time.Now()
	for _, st := range open {
		if !s.whole(ctx, st, now) {
			continue
		}
		if !g.TryGo(func() error { s.one(ctx, st); return nil }) {
			s.with(st.UID, func(w *watch) { w.busy = false })
			break
		}
	}
	s.forget(now)
	return nil
}

// whole reports whether a study is to be settled now, and marks it as busy.
func (s *Settler) whole(ctx context.Context, st study.Study, now time.Time) bool {
	var w watch
	s.with(st.UID, func(at *watch) { at.seen, w = now, *at })
	if w.busy || now.Before(w.retryAt) || s.Traffic.underway(st.UID) {
		return false
	}
	quiet := now.Sub(st.LastInstanceAt)
	if quiet < shortGap {
		return false
	}
	if (st.Modality == study.MG || st.Modality == study.SM) && !w.last.Equal(st.LastInstanceAt) {
		instances, err := s.Ledger.Instances(ctx, st.UID)
		if err != nil {
			return false // the settling will say why
		}
		w.last = st.LastInstanceAt
		w.complete, w.lacking = expect(st.Modality, instances)
	}
	s.hear(ctx, st.UID, &w, now)
	signs := Signs{Complete: w.complete, Lacking: w.lacking, Cap: s.Cap,
		Told: w.told.objects, Missing: w.told.missing, Unfinished: w.told.unfinished,
		Ended: st.LastInstanceAt.Before(s.started) || s.Traffic.endedSince(st.Sender, st.UID, st.LastInstanceAt)}
	s.mu.Lock()
	known := s.sender(st.Sender)
	signs.Gap, signs.EndedGap = known.within.pause(rhythmLeast), known.ended.pause(1)
	s.mu.Unlock()
	ready := quiet >= Wait(signs) && s.confirmed(st, signs, quiet, &w)
	s.with(st.UID, func(at *watch) {
		at.last, at.complete, at.lacking, at.busy = w.last, w.complete, w.lacking, ready
		at.asked, at.told, at.asker = w.asked, w.told, w.asker
		if ready {
			at.ended = signs.Ended
		}
	})
	return ready
}

// confirmed reports whether an archive has no more to say of a study, which it need
// not be asked of one that is complete, and is waited for no longer than the cap.
// What it has told is heard before the study counts as whole.
func (s *Settler) confirmed(st study.Study, signs Signs, quiet time.Duration, w *watch) bool {
	if s.Archive == nil || signs.Complete || quiet >= cmp.Or(s.Cap, defaultCap) {
		return true
	}
	before := w.asker
	if w.asker = s.Archive.Over(st); !w.asker || !before {
		w.asked = time.Time{}
		return false
	}
	return true
}

// hear asks what peers have told of a study, unless it was asked a moment ago.
func (s *Settler) hear(ctx context.Context, uid study.UID, w *watch, now time.Time) {
	if s.Told == nil || now.Sub(w.asked) < askEvery {
		return
	}
	all, missing, err := s.Told.Expected(ctx, uid)
	if err != nil {
		return // what was told before stands
	}
	w.asked, w.told = now, told{missing: missing}
	for _, e := range all {
		w.told.objects += len(e.Objects)
		w.told.unfinished = w.told.unfinished || !e.Over
	}
}

// with calls f with what is remembered of a study.
func (s *Settler) with(uid study.UID, f func(*watch)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.watch(uid))
}

// watch finds or begins what is remembered of a study; mu is held.
func (s *Settler) watch(uid study.UID) *watch {
	w := s.watched[uid]
	if w == nil {
		if s.watched == nil {
			s.watched = map[study.UID]*watch{}
		}
		w = &watch{seen: time.Now()}
		s.watched[uid] = w
	}
	return w
}

// forget drops what has not been unsettled for a while.
func (s *Settler) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uid, w := range s.watched {
		if !w.busy && now.Sub(w.seen) > forgetAfter {
			delete(s.watched, uid)
		}
	}
}

// one settles a study, or remembers when to try again.
func (s *Settler) one(ctx context.Context, st study.Study) {
	err := s.Settle(ctx, st)
	s.with(st.UID, func(w *watch) {
		w.busy = false
		switch {
		case err == nil, errors.Is(err, study.ErrIncomplete): // another object came meanwhile
			w.failed, w.retryAt = 0, time.Time{}
		default:
			w.failed++
			w.retryAt = time.Now().Add(min(time.Second<<min(w.failed, 10), longestRetry))
		}
	})
	if err != nil && !errors.Is(err, study.ErrIncomplete) && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "study not settled", "study", st.UID, "err", err)
	}
}

// doubt lets a study that holds no images stay on the worklist while peers have told of
// objects that are missing: they may be the images.
func (s *Settler) doubt(ctx context.Context, p *study.Plan) error {
	if p.Note.Code != study.ReasonNoImages || s.Told == nil {
		return nil
	}
	_, missing, err := s.Told.Expected(ctx, p.Study)
	if missing > 0 {
		p.Note = study.Reason{Code: study.ReasonNoModel}
	}
	return err
}

// Settle plans one study as it is now and has the ledger send it on.
func (s *Settler) Settle(ctx context.Context, st study.Study) error {
	began := time.Now()
	instances, err := s.Ledger.Instances(ctx, st.UID)
	if err != nil {
		return fmt.Errorf("settle study %s: %w", st.UID, err)
	}
	entries, err := s.Models.Cards(ctx)
	if err != nil {
		return fmt.Errorf("settle study %s: %w", st.UID, err)
	}
	f := plan.Facts{Study: st, Instances: instances, Decodes: s.Decodes}
	if s.GPU != nil {
		if f.GPU, err = s.GPU(ctx); err != nil {
			return fmt.Errorf("settle study %s: %w", st.UID, err)
		}
	}
	for _, e := range entries {
		if e.State.Runs() {
			f.Models = append(f.Models, plan.Asked{Card: e.Card, Shadow: e.State == study.ModelShadow, Share: e.Share, Beside: e.Beside})
		}
	}
	prior := false
	if s.Priors != nil {
		if prior, err = s.Priors.IsPrior(ctx, st.UID); err != nil {
			return fmt.Errorf("settle study %s: %w", st.UID, err)
		}
	}
	if prior && !s.ScorePriors {
		f.Models = nil
	}
	if f.Tissue, err = (plan.Surveyor{Slides: s.Slides, Pictures: s.Pictures}).Survey(ctx, f); err != nil {
		return fmt.Errorf("settle study %s: %w", st.UID, err)
	}
	p := Plan(f)
	switch {
	case prior && !s.ScorePriors:
		p.Note = study.Reason{Code: study.ReasonPrior}
	case prior:
		p.Lane = study.Backfill
	}
	if err := s.doubt(ctx, &p); err != nil {
		return fmt.Errorf("settle study %s: %w", st.UID, err)
	}
	if err := s.Ledger.Settle(ctx, p); err != nil {
		return fmt.Errorf("settle study %s: %w", st.UID, err)
	}
	s.learn(st, instances)
	jobs := 0
	for _, m := range p.Models {
		jobs += len(m.Blocks)
		if len(m.Blocks) == 0 {
			s.Log.InfoContext(ctx, "model not asked", "study", st.UID, "model", m.Model.String(), "state", m.State, "reason", m.Reason.String())
		}
	}
	s.Log.InfoContext(ctx, "study settled", "study", st.UID, "rev", p.Rev, "instances", len(instances), "models", len(p.Models),
		"jobs", jobs, "waited", began.Sub(st.LastInstanceAt).Round(time.Millisecond), "took", time.Since(began).Round(time.Millisecond))
	if s.Wake != nil {
		s.Wake()
	}
	return nil
}
