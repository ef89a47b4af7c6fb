package worldlist

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/foreign"
	"varde/worldlist/viewer"
)

// pages are the handlers of one site.
type pages struct {
	Pages
	site     *webui.Site
	counter  *counter
	lists    chan struct{} // one token for each list that listens
	watching chan struct{} // one for each page of a study that does
	pulse    *pulse        // nil: pages of studies hear nothing
	desk     *desk.Desk
	viewer   *viewer.Viewer
	others   *foreign.Room // nil: nothing of others is shown
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
	p.drawVeil(site)
	h := &pages{Pages: p, site: site, lists: make(chan struct{}, maxListening), watching: make(chan struct{}, maxWatching)}
	h.counter = &counter{ask: p.Counter.Counts, now: time.Now, mu: make(chan struct{}, 1)}
	h.desk = &desk.Desk{Veil: p.Veil, Claims: p.Desk, Readings: p.Readings, Instances: p.Instances, Staff: p.Staff, Screenings: p.Screenings, Lab: p.Lab,
		Judged: p.Judged, Idle: p.Idle, Tick: p.Tick, Build: p.Build}
	h.desk.Add(site)
	if p.Others != nil {
		h.others = &foreign.Room{Veil: p.Veil, Instances: p.Instances, Library: p.Others}
		h.others.Add(site)
		if p.Veil.Others == nil {
			p.Veil.Others = h.others.Machines
		}
	}
	h.viewer = &viewer.Viewer{Others: h.others, Veil: p.Veil, Instances: p.Instances, Frames: p.Frames, Slides: p.Slides, Touch: h.desk.Touch, Objects: p.Objects,
		Heats: p.Heats, Headers: p.Headers, Segments: p.Segments}
	h.viewer.Add(site)
	site.Page("GET /{$}", webui.SeeStudies, h.list)
	site.Handle("GET /events", webui.SeeStudies, http.HandlerFunc(h.events))
	site.Page("GET /studies/{study}", webui.SeeStudies, h.study)
	site.Page("GET /studies/{study}/patient", webui.SeeStudies, h.patient)
	site.Page("GET /studies/{study}/case", webui.SeeStudies, h.onCase)
	site.Handle("GET /studies/{study}/report", webui.SeeStudies, http.HandlerFunc(h.report))
	site.Page("GET /studies/{study}/slides/{series}", webui.SeeStudies, h.study)
	if p.Moves != nil {
		h.pulse = &pulse{moves: p.Moves, every: p.Tick, now: time.Now, mu: make(chan struct{}, 1)}
		site.Handle("GET /studies/{study}/changes", webui.SeeStudies, http.HandlerFunc(h.changes))
	}
	h.addAPI()
}

// drawVeil tells the veil what the pages know and it does not yet: who must be asked
// whether a model has been stopped, and whose turn it is.
func (p Pages) drawVeil(site *webui.Site) {
	v := p.Veil
	if v.Stopped == nil && p.About != nil {
		v.Stopped = func(m study.ModelRef) bool {
			about, known := p.About(webui.English, m)
			return known && about.Withheld
		}
	}
	if v.Zone == nil {
		v.Zone = site.Zone()
	}
	v.Screenings = p.Screenings
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
		if held, fault := p.desk.BoardEvent(r.Context()); fault == nil && held != told {
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

// whole reads a whole number from the query.
func whole(r *http.Request, name string, missing int) (int, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %q: %w", name, s, study.ErrInvalid)
	}
	return n, nil
}
