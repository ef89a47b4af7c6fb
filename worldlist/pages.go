package worldlist

import (
	"fmt"
	"net/http"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// pages are the handlers of one site.
type pages struct {
	Pages
	site    *webui.Site
	counter *counter
	lists   chan struct{} // one token for each list that listens
	shelf   shelf
	memo    memo
	headers drawer
	drawn   portfolio
	atlas   atlas
	board   board
	keepers keepers
}

const (
	defaultTick = 5 * time.Second
	// maxListening bounds the lists that listen for new studies at once. One
	// more is told to come back, and works without.
	maxListening = 500
)

// Add puts the readers' pages, their images and the JSON API on a site that was
// made with [Part].
func (p Pages) Add(site *webui.Site) {
	if p.Tick == 0 {
		p.Tick = defaultTick
	}
	if p.Idle == 0 {
		p.Idle = defaultIdle
	}
	if p.Veil.Planned == nil && p.Heats != nil {
		p.Veil.Planned = plannedBy(p.Heats)
	}
	p.Veil.Screenings = p.Screenings
	h := &pages{Pages: p, site: site, lists: make(chan struct{}, maxListening), board: board{mu: make(chan struct{}, 1)}}
	h.counter = &counter{ask: p.Counter.Counts, now: time.Now, mu: make(chan struct{}, 1)}
	site.Page("GET /{$}", webui.SeeStudies, h.list)
	site.Handle("GET /events", webui.SeeStudies, http.HandlerFunc(h.events))
	site.Page("GET /studies/{study}", webui.SeeStudies, h.study)
	site.Page("GET /studies/{study}/patient", webui.SeeStudies, h.patient)
	site.Page("GET /studies/{study}/case", webui.SeeStudies, h.onCase)
	site.Handle("GET /studies/{study}/report", webui.SeeStudies, http.HandlerFunc(h.report))
	site.Handle("POST /studies/{study}/verdict", webui.ReadStudies, http.HandlerFunc(h.verdict))
	site.Handle("POST /studies/{study}/own", webui.ReadStudies, http.HandlerFunc(h.own))
	site.Handle("POST /studies/{study}/addendum", webui.ReadStudies, http.HandlerFunc(h.addendum))
	site.Handle("POST /studies/{study}/skip", webui.ReadStudies, http.HandlerFunc(h.skip))
	site.Handle("POST /studies/{study}/claim", webui.SeeStudies, http.HandlerFunc(h.claim))
	site.Handle("POST /next", webui.ReadStudies, http.HandlerFunc(h.takeNext))
	site.Handle("GET /studies/{study}/frames/{instance}/{frame}", webui.SeeStudies, http.HandlerFunc(h.frame))
	site.Handle("GET /studies/{study}/frames/{instance}/{frame}/quick", webui.SeeStudies, http.HandlerFunc(h.quick))
	site.Handle("GET /studies/{study}/frames/{instance}/{frame}/tables/{table}", webui.SeeStudies, http.HandlerFunc(h.table))
	site.Handle("GET /studies/{study}/frames/{instance}/{frame}/masks", webui.SeeStudies, http.HandlerFunc(h.pieces))
	site.Handle("GET /studies/{study}/masks", webui.SeeStudies, http.HandlerFunc(h.layers))
	site.Handle("GET /studies/{study}/priors", webui.SeeStudies, http.HandlerFunc(h.priors))
	site.Handle("GET /studies/{study}/slides/{series}/thumb", webui.SeeStudies, http.HandlerFunc(h.thumb))
	site.Handle("GET /studies/{study}/slides/{series}/mask", webui.SeeStudies, http.HandlerFunc(h.mask))
	site.Page("GET /studies/{study}/slides/{series}", webui.SeeStudies, h.study)
	site.Handle("GET /studies/{study}/slides", webui.SeeStudies, http.HandlerFunc(h.slidesJSON))
	site.Handle("GET /studies/{study}/slides/{series}/tiles/{level}/{column}/{row}", webui.SeeStudies, http.HandlerFunc(h.tile))
	site.Handle("GET /studies/{study}/slides/{series}/heat", webui.SeeStudies, http.HandlerFunc(h.heat))
	h.addAPI()
	h.addReadingAPI()
	h.addScreenings()
	h.addLab()
}

// uidIn reads a UID from the path.
func uidIn(r *http.Request, name string) (study.UID, error) {
	uid, err := study.ParseUID(r.PathValue(name))
	if err != nil {
		return "", fmt.Errorf("%s in the address: %w", name, err)
	}
	return uid, nil
}

// events tells an open list how many studies have come since it was shown. It
// never sends a row: nothing moves under the reader's eyes.
func (p *pages) events(w http.ResponseWriter, r *http.Request) {
	select {
	case p.lists <- struct{}{}:
		defer func() { <-p.lists }()
	default:
		w.Header().Set("Retry-After", "60")
		p.site.Fail(w, r, fmt.Errorf("%d lists listen already: %w", maxListening, study.ErrBusy))
		return
	}
	known, err := whole(r, "total", 0)
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
	if c.Flush() != nil {
		return
	}
	l := webui.VisitOf(r.Context()).Lang
	tick := time.NewTicker(p.Tick)
	defer tick.Stop()
	told := "{}"
	for said := 0; ; {
		total, _, err := p.counter.counts(r.Context())
		if held, fault := p.claimsEvent(r.Context()); fault == nil && held != told {
			told = held
			fmt.Fprintf(w, "event: claims\ndata: %s\n\n", held)
		}
		switch n := total - known; {
		case err != nil:
			return // the browser comes back
		case n > said:
			said = n
			fmt.Fprintf(w, "event: new\ndata: %s\n\n", l.T("list.new", n))
		default:
			fmt.Fprint(w, ": still here\n\n")
		}
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
	}
}
