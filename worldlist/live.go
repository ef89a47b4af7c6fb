package worldlist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// Moves tell what was done, so that an open page learns that it has become old.
type Moves interface {
	// AuditRows gives the rows of the audit before row number before, newest first;
	// before 0 is from the newest on.
	AuditRows(ctx context.Context, before int64, limit int) ([]study.AuditRow, error)
}

const (
	// maxWatching bounds the pages of studies that listen at once. One more is told to
	// come back, and learns by its form.
	maxWatching = 1000
	// maxMoves is how many rows of the audit are looked at together. Where more were
	// written all pages look whether they are old.
	maxMoves = 500
	// maxMoved bounds how many studies are remembered as having moved.
	maxMoved = 10_000
	// lookAgain is how often a page is made sure of although nothing was written of
	// its study: a card may be taken away, and no ledger is told.
	lookAgain = 30 * time.Second
)

// A pulse is what has moved in the ledger. However many pages listen, it asks for the
// newest row of the audit once in a tick, and for others where there are any.
type pulse struct {
	moves Moves
	every time.Duration
	now   func() time.Time

	mu    chan struct{}    // one slot: held while the ledger is asked
	at    time.Time        // guarded by mu
	n     int64            // the newest row that was seen; guarded by mu
	all   int64            // the newest row that may have to do with every study; guarded by mu
	moved map[string]int64 // the newest row of each study; guarded by mu
}

// since reports whether anything was done, after row n, that may have to do with any
// of the entities, and gives the newest row.
func (p *pulse) since(ctx context.Context, n int64, entities []string) (moved bool, newest int64, err error) {
	select {
	case p.mu <- struct{}{}:
	case <-ctx.Done():
		return false, n, ctx.Err()
	}
	defer func() { <-p.mu }()
	if now := p.now(); p.at.IsZero() || now.Sub(p.at) >= p.every {
		if err := p.look(ctx); err != nil {
			return false, n, err
		}
		p.at = now
	}
	moved = p.all > n || slices.ContainsFunc(entities, func(e string) bool { return p.moved[e] > n })
	return moved, p.n, nil
}

// look asks what was done since it looked last. mu is held.
func (p *pulse) look(ctx context.Context) error {
	rows, err := p.moves.AuditRows(ctx, 0, 1)
	if err != nil || len(rows) == 0 || rows[0].N == p.n {
		return err
	}
	if more := rows[0].N - p.n; p.n > 0 && more > 1 {
		if rows, err = p.moves.AuditRows(ctx, 0, int(min(more, maxMoves))); err != nil || len(rows) == 0 {
			return err
		}
	}
	newest := rows[0].N
	if rows[len(rows)-1].N > p.n+1 || len(p.moved) > maxMoved {
		p.all, p.moved = newest, nil
	}
	if p.moved == nil {
		p.moved = map[string]int64{}
	}
	for _, r := range rows {
		if strings.HasPrefix(r.Entity, "study ") {
			p.moved[r.Entity] = max(p.moved[r.Entity], r.N)
		} else if strings.HasPrefix(r.Entity, "model ") || r.Entity == "ledger" {
			p.all = max(p.all, r.N)
		}
	}
	p.n = newest
	return nil
}

// A pageState is what a page shows now: of one study, or of all of a case.
type pageState struct {
	shown   []string // of each of its studies
	studies []veil.Seen
}

// stateOf tells what the page of a study shows to the visitor, or that of its case.
func (p *pages) stateOf(ctx context.Context, uid study.UID, wholeCase bool) (s pageState, err error) {
	all := []study.UID{uid}
	if wholeCase {
		exams, err := p.casesOf(ctx, uid)
		if err != nil {
			return s, err
		}
		all = nil
		for _, e := range exams {
			all = append(all, e.UID)
		}
	}
	for _, one := range all {
		seen, err := p.Veil.OnPage(ctx, one)
		if err != nil {
			return s, err
		}
		s.add(p.Veil, seen)
	}
	return s, nil
}

func (s *pageState) add(v *veil.Veil, seen veil.Seen) {
	s.studies, s.shown = append(s.studies, seen), append(s.shown, string(v.ShownOf(seen)))
}

// String is what a page carries of it.
func (s pageState) String() string { return strings.Join(s.shown, ".") }

// old reports whether a page that carries was shows something else than would be
// shown now.
func (s pageState) old(v *veil.Veil, was string) bool {
	parts := strings.Split(was, ".")
	if len(parts) != len(s.studies) {
		return true
	}
	for i, seen := range s.studies {
		if !v.StillShown(veil.Shown(parts[i]), seen) {
			return true
		}
	}
	return false
}

// stopped names the models on the page that have been stopped.
func (s pageState) stopped(v *veil.Veil, was string) []string {
	all := []string{}
	parts := strings.Split(was, ".")
	for i, seen := range s.studies {
		if i >= len(parts) {
			break // a study that came since
		}
		for _, r := range v.StoppedIn(veil.Shown(parts[i]), seen) {
			if m := r.Model.String(); !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// entities are what the audit calls the studies of the page.
func (s pageState) entities() (all []string) {
	for _, seen := range s.studies {
		all = append(all, "study "+string(seen.Study.UID))
	}
	return all
}

// changes tells an open page of a study, once, that it shows what no longer holds, and
// which of the models on it have been stopped; nothing of what is new. What a page
// shows is what the veil lets its visitor see, so that one which hides the AI hears
// nothing of it.
func (p *pages) changes(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	select {
	case p.watching <- struct{}{}:
		defer func() { <-p.watching }()
	default:
		w.Header().Set("Retry-After", "60")
		p.site.Fail(w, r, fmt.Errorf("%d pages listen already: %w", maxWatching, study.ErrBusy))
		return
	}
	watch := watch{pages: p, uid: uid, wholeCase: r.URL.Query().Get("page") == "case", was: r.URL.Query().Get("shown")}
	first, err := watch.look(r.Context())
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{}) // a test's recorder has none
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	fmt.Fprint(w, "retry: 15000\n\n")
	tick := time.NewTicker(p.Tick)
	defer tick.Stop()
	for say := first; ; {
		fmt.Fprint(w, say)
		if c.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-p.site.Ending():
			return // the browser comes back to the next process
		case <-r.Context().Done():
			return
		}
		if say, err = watch.look(r.Context()); err != nil {
			return // the browser comes back
		}
	}
}

// A watch is one open page.
type watch struct {
	*pages
	uid       study.UID
	wholeCase bool
	was       string // what the page shows
	told      string // what it was told last
	n         int64  // the newest row of the audit that was heeded
	due       int    // how many looks are still to be taken at what moved
	at        time.Time
	entities  []string
}

// nothing is said to a page that is as it was.
const nothing = ": still here\n\n"

// look says what the page is to be told now. After something moved it looks twice, for
// another process may have stopped a model a moment before this one hears of it.
func (w *watch) look(ctx context.Context) (string, error) {
	moved, n, err := w.pulse.since(ctx, w.n, w.entities)
	if err != nil {
		return "", err
	}
	w.n = n
	if moved || w.entities == nil {
		w.due = 2
	}
	now := w.site.Now()
	if w.due == 0 && now.Sub(w.at) < lookAgain {
		return nothing, nil
	}
	w.due, w.at = max(0, w.due-1), now
	s, err := w.stateOf(ctx, w.uid, w.wholeCase)
	if errors.Is(err, study.ErrNotFound) && w.entities != nil {
		return w.say([]string{}), nil // it was taken away under the page
	}
	if err != nil {
		return "", err
	}
	w.entities = s.entities()
	if !s.old(w.Veil, w.was) {
		return nothing, nil
	}
	return w.say(s.stopped(w.Veil, w.was)), nil
}

// say tells what was not told yet.
func (w *watch) say(stopped []string) string {
	b, err := json.Marshal(map[string][]string{"stopped": stopped})
	if err != nil || string(b) == w.told {
		return nothing
	}
	w.told = string(b)
	return "event: changed\ndata: " + w.told + "\n\n"
}
