package worldlist_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/codec"
	"varde/internal/slide"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist"
	"varde/worldlist/foreign"
	"varde/worldlist/order"
	"varde/worldlist/veil"
	"varde/worldlist/viewer"
)

// A ward is a ledger in memory: studies, their readers, and images drawn when
// they are asked for.
type ward struct {
	outlook   *order.Outlook
	mu        sync.Mutex
	cases     map[study.UID]*study.Case
	instances map[study.UID][]study.Instance
	opened    []string
	readings  []study.Reading
	counts    map[study.Status]int
	objects   map[string][]byte          // slides, drawn when they are first asked for
	frames    map[study.UID]study.Frames // of those
	withheld  study.ModelRef             // stopped since
	asked     map[study.UID][]viewer.Asked
	parts     map[string]study.Part // by key
	done      map[study.UID][]study.PartRow
	claims    map[study.UID]study.Claim
	steps     []study.ReadingStep
	staff     []string // who reads here
	stalls    map[study.UID]study.Stall
	noted     []string // who was shown what a reader would not have been
	// protocols are those of every model; concurrent where none is named.
	protocols []study.Protocol
}

// MoveClaim does what the ledger does.
func (w *ward) MoveClaim(_ context.Context, m study.ClaimMove) (study.Claim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.claims[m.Study]
	was.Study = m.Study
	next, err := was.After(m, today)
	if err != nil {
		return was, err
	}
	if w.claims == nil {
		w.claims = map[study.UID]study.Claim{}
	}
	w.claims[m.Study] = next
	return next, nil
}

func (w *ward) Claims(_ context.Context, idle time.Duration) ([]study.Claim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []study.Claim
	for _, uid := range slices.Sorted(maps.Keys(w.claims)) {
		if c := w.claims[uid]; c.HeldBy(today, idle) != "" {
			all = append(all, c)
		}
	}
	return all, nil
}

// KnownReaders tells who reads here.
func (w *ward) KnownReaders(context.Context, []string, time.Time) ([]string, error) {
	return slices.Clone(w.staff), nil
}

// Stalls tells on which studies nobody is at work.
func (w *ward) Stalls(_ context.Context, studies []study.Study) (map[study.UID]study.Stall, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[study.UID]study.Stall{}
	for _, s := range studies {
		all[s.UID] = w.stalls[s.UID]
	}
	return all, nil
}

// Answer keeps steps as the ledger does.
func (w *ward) Answer(ctx context.Context, steps ...study.ReadingStep) error {
	for _, s := range steps {
		if err := s.Sound(); err != nil {
			return err
		}
	}
	for _, s := range steps {
		w.mu.Lock()
		c, ok := w.cases[s.Study]
		if !ok {
			w.mu.Unlock()
			return study.ErrNotFound
		}
		if s.Rev != 0 && s.Rev != c.Study.Rev {
			w.mu.Unlock()
			return fmt.Errorf("images came: %w", study.ErrRefused)
		}
		once := s.Step == study.StepOwn || s.Step == study.StepFinal
		if once && slices.ContainsFunc(w.steps, func(o study.ReadingStep) bool {
			return o.Study == s.Study && o.By == s.By && o.Rev == c.Study.Rev && o.Step == s.Step
		}) {
			w.mu.Unlock()
			return fmt.Errorf("%s again: %w", s.Step, study.ErrRefused)
		}
		s.N, s.Rev, s.At = int64(len(w.steps)+1), c.Study.Rev, today
		w.steps = append(w.steps, s)
		if s.Step == study.StepFinal || s.Step == study.StepSkipped {
			delete(w.claims, s.Study)
		}
		w.mu.Unlock()
		if s.Step == study.StepFinal {
			verdict := s.Verdict
			if s.Text != "" {
				verdict += ": " + s.Text
			}
			if err := w.MarkRead(ctx, s.Study, s.By, verdict); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *ward) Steps(_ context.Context, uid study.UID) ([]study.ReadingStep, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []study.ReadingStep
	for _, s := range w.steps {
		if s.Study == uid {
			all = append(all, s)
		}
	}
	return all, nil
}

func (w *ward) Locked(_ context.Context, by string, studies []study.UID) ([]study.UID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []study.UID
	for _, s := range w.steps {
		if s.By == by && (s.Step == study.StepOwn || s.Step == study.StepFinal) && slices.Contains(studies, s.Study) && s.Rev == w.cases[s.Study].Study.Rev {
			all = append(all, s.Study)
		}
	}
	return all, nil
}

// veil is the ward's.
func (w *ward) veil() *veil.Veil {
	return &veil.Veil{Answers: w, Cases: w, Stalls: w.Stalls,
		Asked: func(ctx context.Context, studies []study.UID) (map[study.UID][]study.ModelRef, error) {
			all := map[study.UID][]study.ModelRef{}
			for _, uid := range studies {
				asked, err := w.Asked(ctx, uid, 1)
				if err != nil {
					return nil, err
				}
				for _, a := range asked {
					if !a.Plan.Shadow {
						all[uid] = append(all[uid], a.Plan.Model)
					}
				}
			}
			return all, nil
		},
		Protocols: func(study.ModelRef, string) []study.Protocol {
			if w.protocols == nil {
				return []study.Protocol{study.Concurrent}
			}
			return w.protocols
		},
		Audit: func(_ context.Context, actor, action string, entities []string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range entities {
				w.noted = append(w.noted, actor+" "+action+" "+e)
			}
			return nil
		}}
}

func (w *ward) Worklist(_ context.Context, f study.WorklistFilter) ([]study.Case, study.Cursor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var entries []order.Entry
	for _, c := range w.cases {
		s := c.Study
		person := s.Patient.Reveal()
		text := strings.ToLower(person.Name + " " + person.ID + " " + s.Accession)
		waiting := s.Status != study.Read && s.Status != study.Refused
		if f.Status == "" && !waiting || f.Status != "" && s.Status != f.Status ||
			f.Modality != "" && s.Modality != f.Modality || !strings.Contains(text, strings.ToLower(f.Text)) {
			continue
		}
		entries = append(entries, order.Entry{Study: s.UID, ArrivedAt: s.ReceivedAt, Place: s.Place})
	}
	var all []study.Case
	for _, e := range worldlist.Order(entries) {
		all = append(all, *w.cases[e.Study])
	}
	if f.Last {
		return all[max(0, len(all)-f.Limit):], study.Cursor{}, nil
	}
	if !f.After.Zero() {
		i := slices.IndexFunc(all, func(c study.Case) bool { return c.Study.UID == f.After.UID })
		all = all[i+1:]
	}
	if len(all) <= f.Limit {
		return all, study.Cursor{}, nil
	}
	last := all[f.Limit-1].Study
	return all[:f.Limit], last.Place.Cursor(last.UID), nil
}

func (w *ward) Cases(_ context.Context, f study.CaseFilter) ([]study.Case, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []study.Case
	for _, c := range w.cases {
		if (f.Status == "" || c.Study.Status == f.Status) && (f.Accession == "" || c.Study.Accession == f.Accession) &&
			(f.PatientID == "" || c.Study.Patient.Reveal().ID == f.PatientID) {
			all = append(all, *c)
		}
	}
	slices.SortFunc(all, func(a, b study.Case) int { return b.Study.ReceivedAt.Compare(a.Study.ReceivedAt) })
	return all[:min(len(all), f.Limit)], nil
}

func (w *ward) Case(_ context.Context, uid study.UID) (study.Case, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.cases[uid]; ok {
		return *c, nil
	}
	return study.Case{}, fmt.Errorf("study %s: %w", uid, study.ErrNotFound)
}

func (w *ward) MarkOpened(_ context.Context, uid study.UID, by string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cases[uid].Study.Opened = true
	w.opened = append(w.opened, string(uid)+" by "+by)
	return nil
}

func (w *ward) MarkRead(_ context.Context, uid study.UID, by, verdict string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.cases[uid]
	if !ok {
		return fmt.Errorf("study %s: %w", uid, study.ErrNotFound)
	}
	c.Study.Status = study.Read
	w.readings = append(w.readings, study.Reading{Study: uid, Rev: c.Study.Rev, By: by, Verdict: verdict, At: today})
	return nil
}

func (w *ward) Readings(_ context.Context, uid study.UID) ([]study.Reading, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []study.Reading
	for _, r := range w.readings {
		if r.Study == uid {
			all = append(all, r)
		}
	}
	return all, nil
}

func (w *ward) Instances(_ context.Context, uid study.UID) ([]study.Instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.instances[uid]), nil
}

func (w *ward) Instance(_ context.Context, uid study.UID) (study.Instance, error) {
	for _, all := range w.instances {
		for _, in := range all {
			if in.UID == uid {
				return in, nil
			}
		}
	}
	return study.Instance{}, fmt.Errorf("instance %s: %w", uid, study.ErrNotFound)
}

func (w *ward) Counts(context.Context) (study.Counts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[study.Status]int{}
	for s, k := range w.counts {
		n[s] = k
	}
	for _, c := range w.cases {
		n[c.Study.Status]++
	}
	return study.Counts{Studies: n}, nil
}

// come lets n more studies arrive, seen by the counts only.
func (w *ward) come(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[study.Receiving] += n
}

// The phantom of the CT: a chest with two lungs, and in the left one a nodule at
// slice 12 of 24.
const (
	ctSide            = 256
	ctSlices          = 24
	noduleAt          = 12
	noduleX, noduleY  = 172.5, 112.5
	noduleR           = 5.0
	slideColumns      = 4096
	slideRows         = 3072
	spotX, spotY      = 2600, 1100
	spotR             = 420
	mammogramColumns  = 400
	mammogramRows     = 512
	clusterX, clusteY = 150, 260
)

// Frame draws a frame.
func (w *ward) Frame(_ context.Context, in study.Instance, n int) (codec.Frame, error) {
	img := in.Image
	f := codec.Frame{Rows: img.Rows, Columns: img.Columns, Samples: 1, Bits: 16, Stored: 12, Signed: img.Signed, Color: codec.Gray}
	switch in.Modality {
	case study.CT:
		f.Data = chest(in.Number)
	case study.MG:
		f.Data = breast()
	case "OT":
		f = codec.Frame{Rows: img.Rows, Columns: img.Columns, Samples: 3, Bits: 8, Stored: 8, Color: codec.RGB, Data: stained(0, 0, img.Columns, img.Rows, 8)}
	default:
		return f, fmt.Errorf("frame %d of %s: %w", n, in.UID, study.ErrUnsupported)
	}
	return f, nil
}

func chest(number int) []byte {
	b := make([]byte, 2*ctSide*ctSide)
	for y := range ctSide {
		for x := range ctSide {
			dx, dy := float64(x)-128, float64(y)-128
			in := func(cx, cy, rx, ry float64) bool {
				return (dx-cx)*(dx-cx)/(rx*rx)+(dy-cy)*(dy-cy)/(ry*ry) < 1
			}
			hu := -1000.0
			switch {
			case in(0, 88, 13, 12):
				hu = 480 // vertebra
			case in(-46, -6, 34, 62), in(46, -6, 34, 62):
				hu = -860 + 60*math.Sin(float64(x)/9+float64(number)/5)*math.Cos(float64(y)/11)
			case in(0, 0, 112, 92):
				hu = 40
			}
			ex, ey, ez := float64(x)+.5-noduleX, float64(y)+.5-noduleY, 2*float64(number-noduleAt)
			if ex*ex+ey*ey+ez*ez < noduleR*noduleR {
				hu = 60
			}
			hu += 14 * math.Sin(float64(x*7919+y*104729+number*31)) // grain
			binary.LittleEndian.PutUint16(b[2*(y*ctSide+x):], uint16(int16(hu+1024)))
		}
	}
	return b
}

func breast() []byte {
	b := make([]byte, 2*mammogramColumns*mammogramRows)
	for y := range mammogramRows {
		for x := range mammogramColumns {
			d := math.Hypot(float64(x)/250, (float64(y)-256)/230)
			v := 200.0
			if d < 1 {
				v = 1500 + 1500*(1-d) + 300*math.Sin(float64(x)/17)*math.Sin(float64(y)/23)
			}
			for _, p := range [][2]int{{0, 0}, {9, 4}, {4, 11}, {-7, 6}} {
				if math.Hypot(float64(x-clusterX-p[0]), float64(y-clusteY-p[1])) < 1.6 {
					v = 4000
				}
			}
			binary.LittleEndian.PutUint16(b[2*(y*mammogramColumns+x):], uint16(v))
		}
	}
	return b
}

// stained draws tissue with nuclei, denser in one spot.
func stained(x0, y0, cols, rows, step int) []byte {
	rgb := make([]byte, 3*cols*rows)
	for j := range rows {
		for i := range cols {
			x, y := float64(x0+i*step), float64(y0+j*step)
			c := [3]float64{243, 240, 244}
			edge := 1 + 0.08*math.Sin(x/310)*math.Cos(y/270)
			if math.Hypot((x-2050)/1800, (y-1500)/1250) < edge {
				c = [3]float64{232, 178 + 16*math.Sin(x/63)*math.Sin(y/71), 206}
				pitch := 44.0
				if math.Hypot(x-spotX, y-spotY) < spotR {
					pitch = 17
				}
				gx, gy := math.Mod(x+9*math.Sin(y/37), pitch)-pitch/2, math.Mod(y+9*math.Sin(x/41), pitch)-pitch/2
				if math.Hypot(gx, gy) < 6 {
					c = [3]float64{94, 62, 142}
				} else if step > 4 {
					blend := min(0.6, 110/(pitch*pitch))
					for k, v := range [3]float64{94, 62, 142} {
						c[k] += (v - c[k]) * blend
					}
				}
			}
			for k := range c {
				rgb[3*(j*cols+i)+k] = byte(c[k])
			}
		}
	}
	return rgb
}

// today is the ward's clock.
var today = time.Date(2026, 11, 24, 14, 30, 0, 0, time.UTC)

// serve puts a ward on a site and gives a browser's first address: a link that
// signs in as role.
func serve(t *testing.T, w *ward, role string) (server *httptest.Server, entry string) {
	t.Helper()
	site := siteOf(t, w, w)
	server = httptest.NewServer(site)
	t.Cleanup(server.Close)
	return server, server.URL + site.Invite(webui.Identity{Name: "K. Hansen", Role: role}, time.Hour)
}

func siteOf(t *testing.T, w *ward, f viewer.Frames, change ...func(*worldlist.Pages)) *webui.Site {
	t.Helper()
	site, err := webui.New(webui.Options{
		Tokens: tokens{}, Version: "test", Zone: time.UTC, Now: func() time.Time { return today },
	}, worldlist.Parts()...)
	if err != nil {
		t.Fatal(err)
	}
	pages := worldlist.Pages{
		Readings: w, Instances: w, Frames: f, Counter: w, Heats: w, Desk: w, Staff: w, Veil: w.veil(), Build: "test",
		Slides: &slide.Reader{Objects: w, Frames: w.index}, Objects: w, Others: &foreign.Library{Objects: w, Index: w.index},
		Hint: "VARDE at 127.0.0.1:11112", Tick: 50 * time.Millisecond, About: w.about, Print: w.print, Outlook: w.outlook,
	}
	for _, c := range change {
		c(&pages)
	}
	pages.Add(site)
	return site
}

// tokens are named after the role that they bear.
type tokens struct{}

func (tokens) TokenRole(_ context.Context, h study.Hash) (string, string, error) {
	for _, role := range webui.Roles {
		if h == hash(role) {
			return role, "machine " + role, nil
		}
	}
	return "", "", study.ErrNotFound
}

func (w *ward) about(l webui.Lang, m study.ModelRef) (worldlist.About, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, known := about(l, m)
	a.Withheld = a.Withheld || m == w.withheld
	return a, known
}

func about(_ webui.Lang, m study.ModelRef) (worldlist.About, bool) {
	return worldlist.About{
		Regulatory: "Reference model. Not a medical device.",
		Use:        "To show where " + m.ID + " finds candidates, on synthetic data.",
		NotFor:     []string{"diagnosis", "triage of patients"},
		Limits:     "Written by hand from published image processing; has seen no patient.",
	}, m.ID != "unknown"
}
