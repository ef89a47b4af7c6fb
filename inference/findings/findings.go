// Package findings draws one model's result from what was scored: findings,
// measurements, and one word. It reads nothing and runs nothing.
//
//	Facts      all that a result depends on
//	Conclude   the parts of a study make one result, a case of slides its worst slide's
//
// Candidates that go on from one block into the next are made whole (seam, whole),
// what was detected twice counts once (single), and masks are measured in the
// patient's own millimeters (lesion). None of it depends on how a study was cut
// into blocks, or on the order in which they come. The last step, where the site
// has one, is its calibration.
package findings

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"varde/models/calibration"
	"varde/models/modelcard"
	"varde/study"
)

// Facts is all that a result depends on.
type Facts struct {
	Card  modelcard.Card
	Study study.UID
	Rev   int
	// Plan is what was asked; its blocks are not needed. Without a plan the parts
	// are all that was asked.
	Plan      study.ModelPlan
	Parts     []study.Part    // those that were scored, in any order
	Lost      []study.PartRow // those that failed
	Instances []study.Instance
	// Judgments are what the second network said, slide by slide, where the card
	// names one.
	Judgments []Judgment
	// Calibration is what the site made of the number that decides; nil: nothing.
	Calibration *calibration.File
	Stopped     bool // the model was stopped, and must not speak
	At          time.Time
}

// Conclude draws one model's result from its parts. It decides by its argument
// alone and gives the same result for the same facts in any order.
//
// A model that was stopped has failed, and so has one that saw nothing. What was
// seen in part is never not_flagged: it is flagged when what was seen is enough
// for that, and else uncertain.
//
// Images that the input gate turns away are out of scope: nothing of what a
// network said of them is given out.
//
// A case of slides is concluded slide by slide: the result is that of the worst
// one, names it, and lists all. A slide that could not be scored makes the result
// partial, and is never passed over.
func Conclude(f Facts) study.Result {
	f.Parts = slices.Clone(f.Parts)
	slices.SortFunc(f.Parts, func(a, b study.Part) int { return cmp.Compare(a.Index, b.Index) })
	r := study.Result{
		Study: f.Study, Rev: f.Rev, Model: f.Card.Ref(), Name: f.Card.Name, CE: f.Card.Device.Marked(), Shadow: f.Plan.Shadow,
		Findings: []study.Finding{}, Measurements: []study.Measurement{}, Terms: f.Card.Terms(),
		Planned: f.Plan.Planned, Parameters: Parameters(f.Card), At: f.At.UTC().Truncate(time.Millisecond),
	}
	planned := 0
	for _, p := range f.Parts {
		planned += p.Block.Planned()
		r.Seen += p.Block.Planned() - len(p.Missed)
		r.Seconds += p.Seconds
	}
	r.Planned = max(r.Planned, planned)
	r.Seconds = math.Round(r.Seconds*1000) / 1000
	r.Ran = ran(f)
	if r.Partial() || r.Seen == 0 {
		r.Reason = f.unseen()
	}
	out := f.gated()
	switch {
	case f.Stopped:
		r.AI, r.Reason = study.Failed, study.Reason{Code: study.ReasonStopped}
		return r
	case !out.Zero():
		r.AI, r.Reason = study.OutOfScope, out
		return r
	case r.Seen <= 0:
		r.AI = study.Failed
		return r
	}
	if f.Card.Input.Kind == study.Patches {
		return f.concludeCase(r)
	}
	d := f.decide(r.Partial(), r.Reason)
	r.AI, r.Reason = d.ai, d.reason
	if r.AI == study.Failed {
		return r
	}
	r.Findings = f.report(d.all)
	r.Unlisted = len(d.all) - len(r.Findings)
	r.Measurements, r.Probability, r.Labels = d.measurements, d.probability, d.labels
	f.calibrate(&r, d.number)
	return r
}

// A decision is what is said of a study, or of one slide of it.
type decision struct {
	ai           study.AIState
	reason       study.Reason
	number       float64 // that decided
	all          []found
	measurements []study.Measurement
	labels       []study.Label
	probability  *float64
	hotspot      *study.Hotspot
}

// decide draws the numbers and the findings of a study from its parts, and one
// word from them.
func (f Facts) decide(partial bool, why study.Reason) decision {
	values := f.aggregate()
	all, err := f.findings()
	if err != nil {
		return decision{ai: study.Failed, reason: study.Reason{Code: study.ReasonInternal, Detail: "findings"}}
	}
	d := decision{reason: why, all: all, measurements: []study.Measurement{}}
	counted, err := f.count(&d)
	if err != nil {
		return decision{ai: study.Failed, reason: study.Reason{Code: study.ReasonInternal, Detail: "count"}}
	}
	d.labels = f.labels(partial)
	if d.judge(f.Card, append(values, counted...), partial); d.ai == study.Failed {
		return d
	}
	d.probability = chance(f.Card, d.labels)
	for _, v := range append(values, counted...) {
		if !v.known {
			continue
		}
		if !v.out.Measure.Zero() {
			d.measurements = append(d.measurements, study.Measurement{Name: v.out.Measure, Value: v.inUnit(), Unit: v.out.Unit, Chance: v.out.Probability})
		}
		if v.out.Probability && (d.probability == nil || v.out.Name == f.Card.Flag.By) {
			d.probability = share(v.value)
		}
	}
	return d
}

// judge turns the numbers into one word.
func (d *decision) judge(card modelcard.Card, values []value, partial bool) {
	known := card.Find != nil || card.Lesions()
	d.number = float64(len(d.all))
	if i := slices.IndexFunc(d.labels, func(l study.Label) bool { return l.Name == card.Flag.By }); i >= 0 {
		known, d.number = true, d.labels[i].Value
	} else if card.Flag.By != modelcard.FlagFindings {
		i := slices.IndexFunc(values, func(v value) bool { return v.out.Name == card.Flag.By })
		if known = i >= 0 && values[i].known; known {
			d.number = values[i].value
		}
	}
	if card.Flag.By == modelcard.FlagLabels {
		d.byLabels(card, partial)
		return
	}
	switch {
	case !known: // the number that decides could not be made: no weight, no score
		d.ai, d.reason = study.Failed, study.Reason{Code: study.ReasonInternal, Detail: card.Flag.By}
	case d.number >= card.Flag.Flagged:
		d.ai = study.Flagged
	case card.Flag.Uncertain != 0 && d.number >= card.Flag.Uncertain, partial:
		d.ai = study.Uncertain
	default:
		d.ai = study.NotFlagged
	}
}

// byLabels takes the worst of the labels' own words. A label that could not be
// made leaves the study without an answer.
func (d *decision) byLabels(card modelcard.Card, partial bool) {
	if len(d.labels) < len(card.Label) {
		d.ai, d.reason = study.Failed, study.Reason{Code: study.ReasonInternal, Detail: card.Flag.By}
		return
	}
	d.ai = study.NotFlagged
	for _, l := range d.labels {
		if rank(l.AI) < rank(d.ai) {
			d.ai = l.AI
		}
	}
	if partial && d.ai == study.NotFlagged {
		d.ai = study.Uncertain
	}
}

// unseen says why something went unseen: the first reason that there is.
func (f Facts) unseen() study.Reason {
	for _, p := range f.Parts {
		for _, m := range p.Missed {
			if !m.Reason.Zero() {
				return m.Reason
			}
		}
	}
	for _, row := range f.Lost {
		if !row.Reason.Zero() {
			return row.Reason
		}
	}
	if !f.Plan.Reason.Zero() {
		return f.Plan.Reason
	}
	return study.Reason{Code: study.ReasonInternal}
}

// ran puts together what ran in the parts. Where two differ both are named.
func ran(f Facts) study.Provenance {
	var all study.Provenance
	join := func(have *string, v string) {
		if v != "" && !slices.Contains(strings.Split(*have, ", "), v) {
			*have = strings.TrimPrefix(*have+", "+v, ", ")
		}
	}
	for _, p := range f.Parts {
		join(&all.Runtime, p.Ran.Runtime)
		join(&all.Route, p.Ran.Route)
		join(&all.Provider, p.Ran.Provider)
		join(&all.Fallback, p.Ran.Fallback)
		join(&all.Varde, p.Ran.Varde)
		join(&all.CPU, p.Ran.CPU)
		if all.Library == (study.Hash{}) {
			all.Library = p.Ran.Library
		}
		all.Decoders = append(all.Decoders, p.Ran.Decoders...)
	}
	slices.Sort(all.Decoders)
	all.Decoders = slices.Compact(all.Decoders)
	all.Card, all.Objects = f.Card.Hash, digestOf(f.Parts)
	if f.Card.MIL != nil {
		all.MIL = f.Card.MIL.SHA256
	}
	return all
}

// share gives a probability between 0 and 1.
func share(v float64) *float64 {
	v = min(max(v, 0), 1)
	return &v
}

// Parameters says what thresholds were in force, in the card's own words, for
// the Algorithm Parameters of a report (DCM 111002).
func Parameters(card modelcard.Card) string {
	var all []string
	add := func(name string, v float64) {
		if v != 0 {
			all = append(all, fmt.Sprintf("%s=%g", name, v))
		}
	}
	if f := card.Find; f != nil {
		way := cond(f.Map != "", "map", cond(f.Scalar != "", "scalar", "objects"))
		all = append(all, fmt.Sprintf("find.%s=%s", way, cmp.Or(f.Map, f.Scalar, f.Objects)), fmt.Sprintf("find.threshold=%g", f.Threshold))
		if f.Class != nil {
			all = append(all, fmt.Sprintf("find.class=%d", *f.Class))
		}
		add("find.same", f.Same)
		add("find.same_um", f.SameUM)
		add("find.min_mm", f.MinMM)
		add("find.max_mm", f.MaxMM)
		add("find.min_volume", f.MinVolume)
		add("find.min_cluster", float64(f.MinCluster))
		add("find.cluster_mm", f.ClusterMM)
		add("find.max", float64(f.Max))
	}
	for _, o := range card.Output {
		if o.Aggregate == "area" || o.Aggregate == "share" {
			all = append(all, fmt.Sprintf("%s.above=%g", o.Name, o.Above))
		}
		add(o.Name+".top", float64(o.Top))
	}
	for _, l := range card.Label {
		add(l.Name+".flagged", l.Flagged)
		add(l.Name+".uncertain", l.Uncertain)
	}
	for _, s := range card.Segment {
		add(s.Name+".threshold", s.Threshold)
		add(s.Name+".min_mm", s.MinMM)
		add(s.Name+".min_volume", s.MinVolume)
	}
	if card.Count != nil {
		add("count.window_mm2", card.Count.WindowMM2)
	}
	if card.MIL != nil {
		all = append(all, "mil.sha256="+card.MIL.SHA256.Short())
	}
	if card.Flag.By != "" {
		all = append(all, "flag.by="+card.Flag.By, fmt.Sprintf("flag.flagged=%g", card.Flag.Flagged))
		add("flag.uncertain", card.Flag.Uncertain)
	}
	return strings.Join(all, "; ")
}

func cond(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
