package worldlist

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
)

// Desk is who has which study in hand.
type Desk interface {
	// MoveClaim takes a study up, keeps it, puts it down, asks for it or gives it
	// on. Where somebody else has it, that is a [study.HeldError] with the claim.
	MoveClaim(ctx context.Context, m study.ClaimMove) (study.Claim, error)
	// Claims gives what is in somebody's hands and has not been idle for longer.
	Claims(ctx context.Context, idle time.Duration) ([]study.Claim, error)
}

const (
	defaultIdle = 20 * time.Minute
	// keepEvery bounds how often looking at images renews a claim.
	keepEvery = time.Minute
)

// move does one thing with the claim of a study for the visitor.
func (p *pages) move(ctx context.Context, uid study.UID, kind, reason, to string) (study.Claim, error) {
	reason, to = strings.TrimSpace(reason), strings.TrimSpace(to)
	if len([]rune(reason)) > maxReason || len([]rune(to)) > 200 {
		return study.Claim{}, fmt.Errorf("claim of study %s: too long: %w", uid, study.ErrInvalid)
	}
	return p.Desk.MoveClaim(ctx, study.ClaimMove{Study: uid, Kind: kind, By: webui.VisitOf(ctx).Who.Name, To: to, Reason: reason, Idle: p.Idle})
}

// keepers remember who kept a claim a moment ago.
type keepers struct {
	mu   sync.Mutex // held for a look
	last map[string]time.Time
}

// touch renews the visitor's claim of a study, if they have one: whoever looks at
// its images is at work on it.
func (p *pages) touch(r *http.Request, uid study.UID) {
	who := webui.VisitOf(r.Context()).Who
	if !who.May(webui.ReadStudies) {
		return
	}
	key, now := who.Name+"\x00"+string(uid), p.site.Now()
	p.keepers.mu.Lock()
	due := now.Sub(p.keepers.last[key]) >= keepEvery
	if due {
		if p.keepers.last == nil || len(p.keepers.last) > 10_000 {
			p.keepers.last = map[string]time.Time{}
		}
		p.keepers.last[key] = now
	}
	p.keepers.mu.Unlock()
	if due {
		_, _ = p.move(r.Context(), uid, study.ClaimKeep, "", "") // who does not have it keeps nothing, and may look
	}
}

// A board is the claims as every open list sees them, asked for at most every other
// second.
type board struct {
	mu     chan struct{} // one slot: held while the ledger is asked
	at     time.Time     // guarded by mu
	claims []study.Claim // guarded by mu
}

// claims gives what is in somebody's hands.
func (p *pages) claims(ctx context.Context) ([]study.Claim, error) {
	select {
	case p.board.mu <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.board.mu }()
	if now := p.counter.now(); p.board.at.IsZero() || now.Sub(p.board.at) >= p.Tick {
		all, err := p.Desk.Claims(ctx, p.Idle)
		if err != nil {
			return nil, err
		}
		p.board.claims, p.board.at = all, now
	}
	return p.board.claims, nil
}

// claimOf finds the claim of a study.
func claimOf(all []study.Claim, uid study.UID) study.Claim {
	i, ok := slices.BinarySearchFunc(all, uid, func(c study.Claim, u study.UID) int { return strings.Compare(string(c.Study), string(u)) })
	if !ok {
		return study.Claim{}
	}
	return all[i]
}

// claimWords says who has a study in hand and since when.
func claimWords(l webui.Lang, c study.Claim, who string, now time.Time) string {
	switch {
	case c.By == "":
		return ""
	case study.SamePerson(c.By, who):
		return l.T("claim.mine")
	}
	return l.T("claim.by", c.By, l.Short(c.Since.In(now.Location()), now))
}

// claimsEvent is what an open list is told of claims: by study, the words of its
// row.
func (p *pages) claimsEvent(ctx context.Context) (string, error) {
	all, err := p.claims(ctx)
	if err != nil {
		return "", err
	}
	v, now := webui.VisitOf(ctx), p.site.Now()
	said := map[study.UID]string{}
	for _, c := range all {
		said[c.Study] = claimWords(v.Lang, c, v.Who.Name, now)
	}
	b, err := json.Marshal(said)
	return string(b), err
}

// claim does what a form asks with the claim of a study.
func (p *pages) claim(w http.ResponseWriter, r *http.Request) {
	uid, err := uidIn(r, "study")
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	kind := r.PostFormValue("do")
	if !slices.Contains([]string{study.ClaimTake, study.ClaimRelease, study.ClaimAsk, study.ClaimGive}, kind) {
		p.site.Fail(w, r, fmt.Errorf("claim of study %s: %q is nothing to do with it: %w", uid, kind, study.ErrInvalid))
		return
	}
	if err := p.mayMove(r.Context(), kind); err != nil {
		p.site.Fail(w, r, err)
		return
	}
	if _, err := p.move(r.Context(), uid, kind, r.PostFormValue("reason"), r.PostFormValue("to")); err != nil {
		p.site.Fail(w, r, err)
		return
	}
	back := "/studies/" + string(uid)
	switch kind {
	case study.ClaimRelease:
		back = "/"
	case study.ClaimAsk, study.ClaimGive:
		back += "?look=1"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// mayMove lets readers do anything, and those who run the queue free a study.
func (p *pages) mayMove(ctx context.Context, kind string) error {
	who := webui.VisitOf(ctx).Who
	if who.May(webui.ReadStudies) || kind == study.ClaimRelease && who.May(webui.RunQueue) {
		return nil
	}
	return fmt.Errorf("only readers take studies up: %w", study.ErrRefused)
}

// skip passes a study over, with a reason.
func (p *pages) skip(w http.ResponseWriter, r *http.Request) {
	uid, err := uidIn(r, "study")
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := p.skipped(r.Context(), uid, r.PostFormValue("reason")); err != nil {
		p.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// skipped notes that the visitor passes a study over. Its place stays as it is.
func (p *pages) skipped(ctx context.Context, uid study.UID, reason string) error {
	return p.Veil.Answers.Answer(ctx, study.ReadingStep{Study: uid, By: webui.VisitOf(ctx).Who.Name, Step: study.StepSkipped, Text: strings.TrimSpace(reason)})
}

// takeNext opens the first study that nobody has in hand.
func (p *pages) takeNext(w http.ResponseWriter, r *http.Request) {
	s, err := p.nextFree(r.Context(), study.WorklistFilter{})
	switch {
	case errors.Is(err, study.ErrNotFound):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case err != nil:
		p.site.Fail(w, r, err)
	default:
		http.Redirect(w, r, "/studies/"+string(s.Study.UID), http.StatusSeeOther)
	}
}

// maxNext bounds the rows that are tried for a free one.
const maxNext = 1000

// nextFree takes up the first study of the visitor's list that nobody has in hand,
// whose images are all here, and that the visitor has not passed over.
func (p *pages) nextFree(ctx context.Context, f study.WorklistFilter) (seenCase, error) {
	who := webui.VisitOf(ctx).Who.Name
	f.Limit, f.Reader = pageRows, p.readerOf(ctx)
	held, err := p.Desk.Claims(ctx, p.Idle)
	if err != nil {
		return seenCase{}, err
	}
	for tried := 0; tried < maxNext; {
		rows, next, err := p.inOrder(ctx, f)
		if err != nil {
			return seenCase{}, err
		}
		turns, err := p.screeningsOf(ctx, casesOf(rows)...)
		if err != nil {
			return seenCase{}, err
		}
		waits, err := p.waitsOf(ctx, casesOf(rows)...)
		if err != nil {
			return seenCase{}, err
		}
		for i, s := range rows {
			tried++
			if !turns[i].Zero() && !turns[i].Due(who) || waiting(waits[i]) {
				continue
			}
			if s.Study.Status == study.Receiving || s.Study.Status == study.Refused || claimOf(held, s.Study.UID).By != "" {
				continue
			}
			steps, err := p.Veil.Answers.Steps(ctx, s.Study.UID)
			if err != nil {
				return seenCase{}, err
			}
			if slices.ContainsFunc(steps, func(t study.ReadingStep) bool {
				return t.Rev == s.Study.Rev && t.By == who && (t.Step == study.StepSkipped || t.Step == study.StepFinal)
			}) {
				continue
			}
			_, err = p.move(ctx, s.Study.UID, study.ClaimTake, "", "")
			var held *study.HeldError
			switch {
			case err == nil:
				return s, nil
			case !errors.As(err, &held):
				return seenCase{}, err
			}
		}
		if next.Zero() {
			break
		}
		f.After = next
	}
	return seenCase{}, fmt.Errorf("no study is waiting that nobody has in hand: %w", study.ErrNotFound)
}

// mine makes sure that the visitor has a study in hand before they say something of
// it, and has not answered yet.
func (p *pages) mine(ctx context.Context, uid study.UID) error {
	c, err := p.Cases.Case(ctx, uid)
	if err != nil {
		return err
	}
	steps, err := p.Veil.Answers.Steps(ctx, uid)
	if err != nil {
		return err
	}
	who := webui.VisitOf(ctx).Who.Name
	if slices.ContainsFunc(steps, func(s study.ReadingStep) bool {
		return s.Step == study.StepFinal && s.By == who && s.Rev == c.Study.Rev
	}) {
		return fmt.Errorf("%s has answered on study %s already; what is to be said now is an addendum: %w", who, uid, study.ErrRefused)
	}
	_, err = p.move(ctx, uid, study.ClaimTake, "", "")
	return err
}
