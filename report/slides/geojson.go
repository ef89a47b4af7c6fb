package slides

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"

	"varde/internal/slide"
	"varde/study"
)

// The colors of classifications in QuPath.
var (
	findingColor = []int{200, 0, 60}
	patchColor   = []int{90, 110, 200}
	unseenColor  = []int{150, 150, 150}
)

// A feature is one object as QuPath reads it.
type feature struct {
	Type       string     `json:"type"` // Feature
	ID         string     `json:"id,omitempty"`
	Geometry   geometry   `json:"geometry"`
	Properties properties `json:"properties"`
}

type geometry struct {
	Type        string `json:"type"`
	Coordinates any    `json:"coordinates"` // [x, y], or rings of them
}

type properties struct {
	ObjectType     string             `json:"objectType"` // annotation, detection, tile
	Name           string             `json:"name,omitempty"`
	IsLocked       bool               `json:"isLocked"`
	Classification classification     `json:"classification"`
	Measurements   map[string]float64 `json:"measurements,omitempty"`
}

type classification struct {
	Name  string `json:"name"`
	Color []int  `json:"color"`
}

// origin says in a file what it came from. Readers of GeoJSON pass it over.
type origin struct {
	Model      string        `json:"model"`
	Version    string        `json:"version"`
	SHA256     study.Hash    `json:"model_sha256"`
	Name       string        `json:"name"`
	Study      study.UID     `json:"study_uid"`
	Series     study.UID     `json:"series_uid"`
	AI         study.AIState `json:"ai_state"`
	Partial    bool          `json:"partial"`
	Planned    int           `json:"tiles_planned"`
	Seen       int           `json:"tiles_scored"`
	Coverage   string        `json:"coverage"`
	Disclaimer string        `json:"disclaimer"`
}

func (w Work) origin(s Slide) origin {
	r := w.Result
	o := origin{Model: r.Model.ID, Version: r.Model.Version, SHA256: r.Model.SHA256, Name: w.name(), Study: r.Study, Series: s.Series(),
		AI: r.AI, Partial: r.Partial(), Planned: r.Planned, Seen: r.Seen, Coverage: w.coverage(s.Series()), Disclaimer: tongue(w.Lang).disclaimer}
	for _, x := range r.Slides {
		if x.Series == s.Series() {
			o.AI, o.Partial, o.Planned, o.Seen = x.AI, x.Partial(), x.Planned, x.Seen
		}
	}
	return o
}

// WriteGeoJSON writes a slide's findings as locked annotations and its patches as
// tiles with their number, in pixels of the full resolution, as QuPath opens them.
// A patch that was asked for and not seen is there under a class of its own and
// has no number; where there is no patch, none was asked for.
func (w Work) WriteGeoJSON(to io.Writer, s Slide) error {
	out := bufio.NewWriter(to)
	head, err := json.Marshal(w.origin(s))
	if err != nil {
		return err
	}
	if _, err := out.WriteString(`{"type":"FeatureCollection","varde":` + string(head) + `,"features":[`); err != nil {
		return err
	}
	first := true
	put := func(f feature) error {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if !first {
			b = append([]byte(",\n"), b...)
		}
		first = false
		_, err = out.Write(b)
		return err
	}
	for _, f := range w.findings(s) {
		if err := put(f); err != nil {
			return err
		}
	}
	if err := s.eachPatch(func(p patch) error { return put(w.tile(s, p)) }); err != nil {
		return err
	}
	if _, err := out.WriteString("]}\n"); err != nil {
		return err
	}
	return out.Flush()
}

// findings makes a feature of each region of a finding.
func (w Work) findings(s Slide) []feature {
	var all []feature
	for _, f := range w.Result.Findings {
		for _, g := range f.Regions {
			l, ok := levelOf(s.Levels, g.Instance)
			if !ok || !g.Total {
				continue
			}
			sx, sy := s.full(l)
			shape, ok := outline(g, sx, sy)
			if !ok {
				continue
			}
			p := properties{ObjectType: "annotation", Name: w.Result.Model.ID + " #" + strconv.Itoa(f.Number), IsLocked: true,
				Classification: classification{w.voice().Title(orFinding(f.What)), findingColor}, Measurements: map[string]float64{}}
			if f.Probability != nil && finite(*f.Probability) {
				p.Measurements["probability"] = micro(*f.Probability)
			}
			for _, m := range f.Measurements {
				if finite(m.Value) {
					p.Measurements[named(m)] = m.Value
				}
			}
			all = append(all, feature{Type: "Feature", ID: uuid(f.Tracking, len(all)), Geometry: shape, Properties: p})
		}
	}
	return all
}

// uuid makes the identifier by which QuPath knows an object, from a finding's own.
func uuid(tracking study.UID, n int) string {
	sum := sha256.Sum256([]byte(string(tracking) + "/" + strconv.Itoa(n)))
	h := hex.EncodeToString(sum[:])
	return h[:8] + "-" + h[8:12] + "-8" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

func named(m study.Measurement) string {
	if m.Unit.Zero() || m.Unit.Value == "1" {
		return m.Name.Meaning
	}
	return m.Name.Meaning + " " + m.Unit.Value
}

// full gives how many pixels of the full resolution one of a level stands for.
func (s Slide) full(l slide.Level) (x, y float64) {
	return float64(s.Levels[0].Columns) / float64(l.Columns), float64(s.Levels[0].Rows) / float64(l.Rows)
}

// outline turns a region into a geometry.
func outline(g study.Region, sx, sy float64) (geometry, bool) {
	at := func(x, y float64) [2]float64 { return [2]float64{micro(x * sx), micro(y * sy)} }
	p := g.Points
	var ring [][2]float64
	switch {
	case g.Shape == study.Point && len(p) == 2:
		return geometry{"Point", at(p[0], p[1])}, true
	case g.Shape == study.Circle && len(p) == 4:
		const corners = 32
		for n := range corners {
			sin, cos := math.Sincos(2 * math.Pi * float64(n) / corners)
			ring = append(ring, at(p[0]+cos*distance(p), p[1]+sin*distance(p)))
		}
	case g.Shape == study.Outline && len(p) >= 6 && len(p)%2 == 0:
		for c := range slices.Chunk(p, 2) {
			ring = append(ring, at(c[0], c[1]))
		}
	default:
		return geometry{}, false
	}
	if ring[0] != ring[len(ring)-1] {
		ring = append(ring, ring[0]) // RFC 7946 §3.1.6 wants it closed
	}
	return geometry{"Polygon", [][][2]float64{ring}}, true
}

// A patch is a cell of the heat map in pixels of the full resolution.
type patch struct {
	x, y, w, h float64
	value      float32
	seen       bool
}

// eachPatch gives the patches that were asked for row by row, cut to the slide. A
// slide without a map has none.
func (s Slide) eachPatch(f func(patch) error) error {
	if len(s.Heat.Values) == 0 {
		return nil
	}
	level, err := s.level()
	if err != nil {
		return err
	}
	sx, sy := s.full(level)
	for i, v := range s.Heat.Values {
		_, missed := slices.BinarySearch(s.Heat.Missed, i)
		if v != v && !missed {
			continue
		}
		r := s.Heat.Rect(i%s.Heat.Columns, i/s.Heat.Columns)
		x1, y1 := min(r.X+r.W, level.Columns), min(r.Y+r.H, level.Rows)
		p := patch{micro(float64(r.X) * sx), micro(float64(r.Y) * sy), micro(float64(x1-r.X) * sx), micro(float64(y1-r.Y) * sy), v, v == v}
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

func (w Work) tile(s Slide, p patch) feature {
	x1, y1 := micro(p.x+p.w), micro(p.y+p.h)
	f := feature{Type: "Feature",
		Geometry: geometry{"Polygon", [][][2]float64{{{p.x, p.y}, {x1, p.y}, {x1, y1}, {p.x, y1}, {p.x, p.y}}}},
		Properties: properties{ObjectType: "tile", IsLocked: true,
			Classification: classification{w.voice().Title(s.Layer.what()), patchColor}}}
	if p.seen {
		f.Properties.Measurements = map[string]float64{s.Layer.column(): float32to64(p.value)}
	} else {
		f.Properties.Classification = classification{tongue(w.Lang).notSeen, unseenColor}
	}
	return f
}

// column names the numbers of a layer in a table.
func (l Layer) column() string {
	if l.Probability {
		return "prob_" + l.Name
	}
	return l.Name
}

// float32to64 gives the number that a float32 is written as, without the tail that
// widening it lays bare.
func float32to64(v float32) float64 {
	f, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	if err != nil {
		return float64(v)
	}
	return f
}
