package viewer

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"

	"varde/internal/slide"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// Heats tell what models have scored of a study's slides, also while they are at
// it.
type Heats interface {
	// Asked gives the models that a revision of a study was planned for, sorted.
	Asked(ctx context.Context, uid study.UID, rev int) ([]Asked, error)
	// Parts gives the parts of one model's work that are over, in their order.
	Parts(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.PartRow, error)
	// Part reads the part that lies under a key.
	Part(ctx context.Context, key string) (study.Part, error)
}

// An Asked is one model that is asked about the slides of a study.
type Asked struct {
	Name string // for people
	Plan study.ModelPlan
	Map  *Map // nil when the model gives no number of a patch
}

// A Map is the number of a patch that a heatmap shows.
type Map struct {
	Index       int     // in [study.Score]
	Probability bool    // it lies between 0 and 1
	Low, High   float64 // ends of the scale; both 0 leave them to what was seen
	Threshold   float64 // the model's own, from which on a patch is of note; 0 = none
}

// maxMaps bounds the maps whose parts are kept decoded: a slide of 20,000
// patches has 2 MB.
const maxMaps = 32

// An atlas keeps the maps that readers look at, so that one that grows is read
// once and not from its beginning for each new part.
type atlas struct {
	mu   sync.Mutex // held for a look, never for a read
	maps []*growing
}

// A growing map is what one model has scored of one revision so far.
type growing struct {
	study study.UID
	rev   int
	model study.ModelRef
	over  bool       // the model has come to its result, with which it may write its parts anew
	mu    sync.Mutex // whoever comes while the parts are read wants the same
	parts map[string]study.Part
	heats []slide.Heat
}

func (a *atlas) of(uid study.UID, rev int, m study.ModelRef, over bool) *growing {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.maps, func(g *growing) bool { return g.study == uid && g.rev == rev && g.model == m && g.over == over })
	if i >= 0 {
		g := a.maps[i]
		copy(a.maps[1:i+1], a.maps[:i])
		a.maps[0] = g
		return g
	}
	g := &growing{study: uid, rev: rev, model: m, over: over, parts: map[string]study.Part{}}
	a.maps = slices.Insert(a.maps, 0, g)
	a.maps = a.maps[:min(len(a.maps), maxMaps)]
	return g
}

// grow reads the parts that are new, and gives the map of each slide.
func (g *growing) grow(ctx context.Context, from Heats, index int) ([]slide.Heat, error) {
	rows, err := from.Parts(ctx, g.study, g.rev, g.model)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := g.heats == nil
	for _, row := range rows {
		if _, known := g.parts[row.Key]; known || row.Key == "" {
			continue
		}
		part, err := from.Part(ctx, row.Key)
		if err != nil {
			return nil, err
		}
		part.Candidates, part.Maps, part.Features = nil, nil, nil
		g.parts[row.Key], fresh = part, true
	}
	if !fresh {
		return g.heats, nil
	}
	all := make([]study.Part, 0, len(g.parts))
	for _, part := range g.parts {
		all = append(all, part)
	}
	if g.heats, err = slide.NewHeat(all, index); err != nil {
		return nil, fmt.Errorf("heat map of %s: %w", g.model, err)
	}
	return g.heats, nil
}

// heatOf gives the map of a slide, the one of most patches where a model looks at
// several levels; nil when nothing has been scored.
func (v *Viewer) heatOf(ctx context.Context, c study.Case, a Asked, series study.UID) (*slide.Heat, error) {
	_, over := resultBy(c, a.Plan.Model)
	heats, err := v.atlas.of(c.Study.UID, c.Study.Rev, a.Plan.Model, over).grow(ctx, v.Heats, a.Map.Index)
	if err != nil {
		return nil, err
	}
	var best *slide.Heat
	for i := range heats {
		if h := &heats[i]; h.Series == series && (best == nil || h.Seen() > best.Seen()) {
			best = h
		}
	}
	return best, nil
}

// asked gives the models that a reader may hear of the slides: those of no
// shadow.
func (v *Viewer) asked(ctx context.Context, s study.Study) ([]Asked, error) {
	if v.Heats == nil || s.Rev == 0 {
		return nil, nil
	}
	all, err := v.Heats.Asked(ctx, s.UID, s.Rev)
	if errors.Is(err, study.ErrNotFound) {
		return nil, nil
	}
	return slices.DeleteFunc(all, func(a Asked) bool { return a.Plan.Shadow }), err
}

// silent reports whether a model must not speak of a case: it was stopped before
// it came to a result.
func (v *Viewer) silent(c study.Case, m study.ModelRef) bool {
	for _, r := range c.Results {
		if r.Model == m {
			return r.Reason.Code == study.ReasonStopped || r.AI == study.OutOfScope
		}
	}
	return v.Veil.Stopped != nil && v.Veil.Stopped(m)
}

// heatHeader bears what the grid of a heat map is as JSON, so that the body is
// nothing but its cells.
const heatHeader = "Varde-Heat"

// A heatJSON places the cells of a heat map on a slide. X, Y, steps and sizes are
// pixels of the slide's finest level.
type heatJSON struct {
	Columns   int     `json:"columns"`
	Rows      int     `json:"rows"`
	X         float64 `json:"x"`
	Y         float64 `json:"y"`
	StepX     float64 `json:"step_x"`
	StepY     float64 `json:"step_y"`
	W         float64 `json:"w"` // of a patch
	H         float64 `json:"h"`
	Low       float64 `json:"low"` // ends of the scale
	High      float64 `json:"high"`
	Threshold float64 `json:"threshold"`
	Seen      int     `json:"seen"`
	Missed    int     `json:"missed"`
}

// The cells are little-endian 16-bit numbers: these two, and from there to
// 65,535 the scale from its low end to its high one.
const (
	cellUnseen = 0 // no patch there: not looked at
	cellMissed = 1 // asked for, and not seen
	cellLow    = 2
)

// heat sends the map of one model over one slide, 204 while there is none.
func (v *Viewer) heat(w http.ResponseWriter, r *http.Request) {
	c, s, a, err := v.heatIn(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	var h *slide.Heat
	if a.Map != nil && !v.silent(c.Case, a.Plan.Model) {
		if h, err = v.heatOf(r.Context(), c.Case, a, s.series); err != nil {
			v.site.Fail(w, r, err)
			return
		}
	}
	if h == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	g, cells, err := pack(*h, *a.Map, s.levels)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	head, err := json.Marshal(g)
	if err != nil {
		v.site.Fail(w, r, fmt.Errorf("describe a heat map: %w", err))
		return
	}
	w.Header().Set(heatHeader, string(head))
	w.Header().Set("Content-Type", "application/octet-stream")
	sendPacked(w, r, cells)
}

// heatIn reads which map is asked for.
func (v *Viewer) heatIn(r *http.Request) (c veil.Seen, s *openSlide, a Asked, err error) {
	if s, err = v.slideOf(r); err != nil {
		return c, s, a, err
	}
	c, err = v.Veil.OnPage(r.Context(), s.study)
	if err == nil && c.OwnFirst {
		err = fmt.Errorf("heat map of study %s: your own impression comes first: %w", s.study, study.ErrIncomplete)
	}
	if err != nil {
		return c, s, a, err
	}
	all, err := v.asked(r.Context(), c.Study)
	all = slices.DeleteFunc(all, func(a Asked) bool { return c.Bare(a.Plan.Model) })
	if err != nil {
		return c, s, a, err
	}
	key := r.URL.Query().Get("model")
	i := slices.IndexFunc(all, func(a Asked) bool { return modelKey(a.Plan.Model) == key })
	if i < 0 {
		return c, s, a, fmt.Errorf("model %q was not asked about study %s: %w", key, s.study, study.ErrNotFound)
	}
	return c, s, all[i], nil
}

// modelKey names a model in an address: version and content, for two of one name
// are two models.
func modelKey(m study.ModelRef) string { return m.String() + "+" + m.SHA256.Short() }

// pack makes the body of an answer, and says where its cells lie.
func pack(h slide.Heat, m Map, levels []slide.Level) (heatJSON, []byte, error) {
	i := slices.IndexFunc(levels, func(l slide.Level) bool {
		return slices.ContainsFunc(l.Instances, func(in study.Instance) bool { return in.UID == h.Level })
	})
	if i < 0 {
		return heatJSON{}, nil, fmt.Errorf("level %s of the heat map is no longer of the slide: %w", h.Level, study.ErrIncomplete)
	}
	sx := float64(levels[0].Columns) / float64(levels[i].Columns)
	sy := float64(levels[0].Rows) / float64(levels[i].Rows)
	low, high := scale(h, m)
	g := heatJSON{
		Columns: h.Columns, Rows: h.Rows, X: float64(h.X0) * sx, Y: float64(h.Y0) * sy,
		StepX: h.StepX * sx, StepY: h.StepY * sy, W: float64(h.TileW) * sx, H: float64(h.TileH) * sy,
		Low: low, High: high, Threshold: m.Threshold, Seen: h.Seen(), Missed: len(h.Missed),
	}
	cells := make([]byte, 2*len(h.Values))
	for i, v := range h.Values {
		if v == v {
			share := (float64(v) - low) / (high - low)
			n := cellLow + math.Round(min(1, max(0, share))*(math.MaxUint16-cellLow))
			binary.LittleEndian.PutUint16(cells[2*i:], uint16(n))
		}
	}
	for _, at := range h.Missed {
		binary.LittleEndian.PutUint16(cells[2*at:], cellMissed)
	}
	return g, cells, nil
}

// scale gives the ends of a map's colors. Without a scale of its own it begins at
// 0 or below, and ends at what was seen, but not before twice the threshold, so
// that a slide of low values does not look like one of high ones.
func scale(h slide.Heat, m Map) (low, high float64) {
	if m.Low < m.High {
		return m.Low, m.High
	}
	if m.Probability {
		return 0, 1
	}
	high = 2 * m.Threshold
	for _, v := range h.Values {
		if v == v {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
	}
	if high <= low {
		high = low + 1
	}
	return low, high
}

// slidesJSON answers GET /studies/{study}/slides: how far the models are with
// each slide, in the reader's language.
func (v *Viewer) slidesJSON(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	c, err := v.Veil.OnPage(r.Context(), uid)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	instances, err := v.Instances.Instances(r.Context(), uid)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	l := webui.VisitOf(r.Context()).Lang
	t, err := v.Tray(r.Context(), l, c, SeriesOf(l, instances))
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(t) // a visitor who has gone away needs no answer
}
