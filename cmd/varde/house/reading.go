package house

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// newVeil says what of the AI each reader may see, by the models' cards and by the
// site's own protocols, which can only be stricter.
func (h *House) newVeil() (*veil.Veil, error) {
	site, err := veil.ParseProtocols(h.Protocols)
	if err != nil {
		return nil, err
	}
	h.rules = remembered(2*time.Second, func() study.Rules { return h.strictest(site) })
	return &veil.Veil{Answers: h.Ledger, Cases: h.Ledger, Arrivals: h.Ledger, Asked: h.Ledger.ModelsAsked, Stalls: h.Ledger.Stalls, Audit: h.Ledger.AuditEach, Blinds: func() bool { return h.rules().Blind },
		Protocols: func(m study.ModelRef, pathway string) []study.Protocol {
			all := []study.Protocol{study.SecondLook}
			if c, err := h.Registry.Card(m); err == nil {
				all[0] = c.Reading()
			}
			for _, p := range site {
				if p.Fits(m, pathway) {
					all = append(all, p.Protocol)
				}
			}
			return all
		}}, nil
}

// remembered asks at most once in a while.
func remembered[T any](while time.Duration, ask func() T) func() T {
	var mu sync.Mutex // held while it is asked: whoever comes then wants the same
	var at time.Time
	var last T
	return func() T {
		mu.Lock()
		defer mu.Unlock()
		if at.IsZero() || time.Since(at) > while {
			last, at = ask(), time.Now()
		}
		return last
	}
}

// strictest is what any model asks for anywhere. One that is stopped counts too:
// its results are still there.
func (h *House) strictest(site []veil.SiteProtocol) study.Rules {
	var r study.Rules
	for _, p := range site {
		r = r.And(study.RulesOf(p.Protocol))
	}
	entries, err := h.Registry.Cards(context.Background())
	if err != nil {
		return study.Rules{Blind: true, OwnFirst: true, NoDetail: true}
	}
	for _, e := range entries {
		r = r.And(study.RulesOf(e.Card.Reading()))
	}
	return r
}

// mask gives DICOMweb the objects of a study that whoever asks may see, where they
// may not see all: those that came, and none that we wrote or, while they are blind,
// that a machine of another maker did; none of another maker where their own answer
// is to come before anybody's. all is true where nothing is to be kept back.
func (h *House) mask(ctx context.Context, uid study.UID) (seen map[study.UID]bool, all bool, err error) {
	if r := h.rules(); !r.Blind && !r.NoDetail && h.screenings() == nil {
		return nil, true, nil
	}
	hidden, err := h.veil.Hidden(ctx, uid)
	if err != nil {
		return nil, false, err
	}
	c, err := h.veil.Case(ctx, uid)
	if errors.Is(err, study.ErrNotFound) || err == nil && !hidden && !c.People {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	instances, err := h.Ledger.Instances(ctx, uid)
	if err != nil {
		return nil, false, err
	}
	seen = map[study.UID]bool{}
	for _, in := range instances {
		seen[in.UID] = true
	}
	for _, r := range c.Reports {
		seen[r.UID] = !hidden && !(c.Alone && r.Purpose == study.PurposeVerified) // which tells what another reader said
	}
	s := c.Sight
	if s.Others = s.Blind || s.People; s.Others {
		for in := range h.others.Hides(ctx, s, instances) {
			delete(seen, in)
		}
	}
	return seen, false, nil
}

// veiled keeps what was written of a study from those who may not see it yet. The
// handler's address names the study.
func (h *House) veiled(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, err := study.ParseUID(r.PathValue("study"))
		if err != nil || webui.VisitOf(r.Context()).Who.Role != webui.Reader {
			next.ServeHTTP(w, r) // who is no reader is noted where the case is shown
			return
		}
		hidden, err := h.veil.Hidden(r.Context(), uid)
		if err == nil && hidden {
			err = fmt.Errorf("files of study %s: your own answer comes first: %w", uid, study.ErrIncomplete)
		}
		if err != nil {
			h.Site.Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sees reports whether whoever a request belongs to may be told what the AI says of
// a study, and notes it where a reader would not be.
func (h *House) sees(ctx context.Context, uid study.UID) (bool, error) {
	s, err := h.veil.Case(ctx, uid)
	return err == nil && !s.OwnFirst, err
}
