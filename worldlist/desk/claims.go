package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// Claims are who has which study in hand.
type Claims interface {
	// MoveClaim takes a study up, keeps it, puts it down, asks for it or gives it
	// on. Where somebody else has it, that is a [study.HeldError] with the claim.
	MoveClaim(ctx context.Context, m study.ClaimMove) (study.Claim, error)
	// Claims gives what is in somebody's hands and has not been idle for longer.
	Claims(ctx context.Context, idle time.Duration) ([]study.Claim, error)
}

const (
	// defaultIdle is after how long without a sign of its holder a claim is over.
	defaultIdle = 20 * time.Minute
	// keepEvery bounds how often looking at images renews a claim.
	keepEvery = time.Minute
)

// move does one thing with the claim of a study for the visitor.
func (d *Desk) move(ctx context.Context, uid study.UID, kind, reason, to string) (study.Claim, error) {
	reason, to = study.Said(reason), study.Said(to)
	if len([]rune(reason)) > maxReason || len([]rune(to)) > 200 {
		return study.Claim{}, fmt.Errorf("claim of study %s: too long: %w", uid, study.ErrInvalid)
	}
	who := webui.VisitOf(ctx).Who.Name
	if kind == study.ClaimGive && to != "" {
		name, err := d.colleague(ctx, uid, who, to)
		if err != nil {
			return study.Claim{}, err
		}
		to = name
	}
	claim, err := d.Claims.MoveClaim(ctx, study.ClaimMove{Study: uid, Kind: kind, By: who, To: to, Reason: reason, Idle: d.Idle})
	if err == nil && kind != study.ClaimKeep {
		d.board.forget(ctx)
	}
	return claim, err
}

// keepers remember who kept a claim a moment ago.
type keepers struct {
	mu   sync.Mutex // held for a look
	last map[string]time.Time
}

// Touch renews the visitor's claim of a study, if they have one: whoever looks at
// its images is at work on it.
func (d *Desk) Touch(r *http.Request, uid study.UID) {
	who := webui.VisitOf(r.Context()).Who
	if !who.May(webui.ReadStudies) {
		return
	}
	key, now := who.Name+"\x00"+string(uid), d.site.Now()
	d.keepers.mu.Lock()
	due := now.Sub(d.keepers.last[key]) >= keepEvery
	if due {
		if d.keepers.last == nil || len(d.keepers.last) > 10_000 {
			d.keepers.last = map[string]time.Time{}
		}
		d.keepers.last[key] = now
	}
	d.keepers.mu.Unlock()
	if due {
		_, _ = d.move(r.Context(), uid, study.ClaimKeep, "", "") // who does not have it keeps nothing, and may look
	}
}

// A board is the claims as every open list sees them, asked for at most every other
// second.
type board struct {
	mu     chan struct{} // one slot: held while the ledger is asked
	at     time.Time     // guarded by mu
	claims []study.Claim // guarded by mu
}

// forget lets the next who looks ask the ledger: something was moved here.
func (b *board) forget(ctx context.Context) {
	select {
	case b.mu <- struct{}{}:
		b.at = time.Time{}
		<-b.mu
	case <-ctx.Done(): // nobody waits; others hear of it with the next tick
	}
}

// answer keeps steps of the visitor's. One of them may put a study down.
func (d *Desk) answer(ctx context.Context, steps ...study.ReadingStep) error {
	err := d.Veil.Answers.Answer(ctx, steps...)
	if err == nil {
		d.board.forget(ctx)
	}
	return err
}

// Board gives what is in somebody's hands.
func (d *Desk) Board(ctx context.Context) ([]study.Claim, error) {
	select {
	case d.board.mu <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-d.board.mu }()
	if now := time.Now(); d.board.at.IsZero() || now.Sub(d.board.at) >= d.Tick {
		all, err := d.Claims.Claims(ctx, d.Idle)
		if err != nil {
			return nil, err
		}
		d.board.claims, d.board.at = all, now
	}
	return d.board.claims, nil
}

// ClaimOf finds the claim of a study.
func ClaimOf(all []study.Claim, uid study.UID) study.Claim {
	i, ok := slices.BinarySearchFunc(all, uid, func(c study.Claim, u study.UID) int { return strings.Compare(string(c.Study), string(u)) })
	if !ok {
		return study.Claim{}
	}
	return all[i]
}

// ClaimWords says who has a study in hand and since when.
func ClaimWords(l webui.Lang, c study.Claim, who string, now time.Time) string {
	switch {
	case c.By == "":
		return ""
	case study.SamePerson(c.By, who):
		return l.T("claim.mine")
	}
	return l.T("claim.by", c.By, l.Short(c.Since.In(now.Location()), now))
}

// BoardEvent is what an open list is told of claims: by study, the words of its
// row.
func (d *Desk) BoardEvent(ctx context.Context) (string, error) {
	all, err := d.Board(ctx)
	if err != nil {
		return "", err
	}
	v, now := webui.VisitOf(ctx), d.site.Now()
	said := map[study.UID]string{}
	for _, c := range all {
		said[c.Study] = ClaimWords(v.Lang, c, v.Who.Name, now)
	}
	b, err := json.Marshal(said)
	return string(b), err
}

// claim does what a form asks with the claim of a study.
func (d *Desk) claim(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	kind := r.PostFormValue("do")
	if !slices.Contains([]string{study.ClaimTake, study.ClaimRelease, study.ClaimAsk, study.ClaimGive}, kind) {
		d.site.Fail(w, r, fmt.Errorf("claim of study %s: %q is nothing to do with it: %w", uid, kind, study.ErrInvalid))
		return
	}
	if err := d.mayMove(r.Context(), kind); err != nil {
		d.site.Fail(w, r, err)
		return
	}
	back := "/studies/" + string(uid)
	_, err = d.move(r.Context(), uid, kind, r.PostFormValue("reason"), r.PostFormValue("to"))
	var refused *handoverError
	if errors.As(err, &refused) { // said where the name was typed
		http.Redirect(w, r, back+"?to="+refused.why+"#giveto", http.StatusSeeOther)
		return
	}
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	switch kind {
	case study.ClaimRelease:
		back = "/"
	case study.ClaimAsk, study.ClaimGive:
		back += "?look=1"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// mayMove lets readers do anything, and those who run the queue free a study.
func (d *Desk) mayMove(ctx context.Context, kind string) error {
	who := webui.VisitOf(ctx).Who
	if who.May(webui.ReadStudies) || kind == study.ClaimRelease && who.May(webui.RunQueue) {
		return nil
	}
	return fmt.Errorf("only readers take studies up: %w", study.ErrRefused)
}

// skip passes a study over, with a reason.
func (d *Desk) skip(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := d.skipped(r.Context(), uid, r.PostFormValue("reason")); err != nil {
		d.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// skipped notes that the visitor passes a study over. Its place stays as it is.
func (d *Desk) skipped(ctx context.Context, uid study.UID, reason string) error {
	return d.answer(ctx, study.ReadingStep{Study: uid, By: webui.VisitOf(ctx).Who.Name, Step: study.StepSkipped, Text: study.Said(reason)})
}

// takeNext opens the first study that nobody has in hand.
func (d *Desk) takeNext(w http.ResponseWriter, r *http.Request) {
	s, err := d.Next(r.Context(), study.WorklistFilter{})
	switch {
	case errors.Is(err, study.ErrNotFound):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case err != nil:
		d.site.Fail(w, r, err)
	default:
		http.Redirect(w, r, "/studies/"+string(s.Study.UID), http.StatusSeeOther)
	}
}

const (
	// nextRows is how many rows are looked at together for a free one, and maxNext
	// how many at most.
	nextRows = 100
	maxNext  = 1000
)

// Next takes up the first study of the visitor's list that nobody has in hand,
// whose images are all here, and that the visitor has not passed over.
func (d *Desk) Next(ctx context.Context, f study.WorklistFilter) (veil.Seen, error) {
	who := webui.VisitOf(ctx).Who.Name
	f.Limit, f.Reader = nextRows, d.Reader(ctx)
	held, err := d.Claims.Claims(ctx, d.Idle)
	if err != nil {
		return veil.Seen{}, err
	}
	for tried := 0; tried < maxNext; {
		rows, next, err := d.Veil.InOrder(ctx, f)
		if err != nil {
			return veil.Seen{}, err
		}
		turns, err := d.Turns(ctx, veil.StudiesOf(rows)...)
		if err != nil {
			return veil.Seen{}, err
		}
		waits, err := d.Waits(ctx, veil.StudiesOf(rows)...)
		if err != nil {
			return veil.Seen{}, err
		}
		for i, s := range rows {
			tried++
			if !turns[i].Zero() && !turns[i].Due(who) || waiting(waits[i]) {
				continue
			}
			if s.Study.Status == study.Receiving || s.Study.Status == study.Refused || ClaimOf(held, s.Study.UID).By != "" {
				continue
			}
			steps, err := d.Veil.Answers.Steps(ctx, s.Study.UID)
			if err != nil {
				return veil.Seen{}, err
			}
			if slices.ContainsFunc(steps, func(t study.ReadingStep) bool {
				return t.Rev == s.Study.Rev && t.By == who && (t.Step == study.StepSkipped || t.Step == study.StepFinal)
			}) {
				continue
			}
			_, err = d.move(ctx, s.Study.UID, study.ClaimTake, "", "")
			var held *study.HeldError
			switch {
			case err == nil:
				return s, nil
			case !errors.As(err, &held):
				return veil.Seen{}, err
			}
		}
		if next.Zero() {
			break
		}
		f.After = next
	}
	return veil.Seen{}, fmt.Errorf("no study is waiting that nobody has in hand: %w", study.ErrNotFound)
}

// mine makes sure that the visitor has a study in hand before they say something of
// it, and has not answered yet.
func (d *Desk) mine(ctx context.Context, uid study.UID) error {
	s, err := d.Veil.Study(ctx, uid)
	if err != nil {
		return err
	}
	steps, err := d.Veil.Answers.Steps(ctx, uid)
	if err != nil {
		return err
	}
	who := webui.VisitOf(ctx).Who.Name
	if slices.ContainsFunc(steps, func(t study.ReadingStep) bool {
		return t.Step == study.StepFinal && t.By == who && t.Rev == s.Rev
	}) {
		return fmt.Errorf("%s has answered on study %s already; what is to be said now is an addendum: %w", who, uid, study.ErrRefused)
	}
	_, err = d.move(ctx, uid, study.ClaimTake, "", "")
	return err
}
