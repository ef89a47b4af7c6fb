package inference

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"varde/models"
	"varde/study"
)

// Facts is all that a result depends on.
type Facts struct {
	Card  models.Card
	Study study.UID
	Rev   int
	// Plan is what was asked; its blocks are not needed. Without a plan the parts
	// are all that was asked.
	Plan      study.ModelPlan
	Parts     []study.Part    // those that were scored, in any order
	Lost      []study.PartRow // those that failed
	Instances []study.Instance
	Stopped   bool // the model was stopped, and must not speak
	At        time.Time
}

// Conclude draws one model's result from its parts. It decides by its argument
// alone and gives the same result for the same facts in any order.
//
// A model that was stopped has failed, and so has one that saw nothing. What was
// seen in part is never not_flagged: it is flagged when what was seen is enough
// for that, and else uncertain.
func Conclude(f Facts) study.Result {
	f.Parts = slices.Clone(f.Parts)
	slices.SortFunc(f.Parts, func(a, b study.Part) int { return cmp.Compare(a.Index, b.Index) })
	r := study.Result{
		Study: f.Study, Rev: f.Rev, Model: f.Card.Ref(), Name: f.Card.Name, Shadow: f.Plan.Shadow,
		Findings: []study.Finding{}, Measurements: []study.Measurement{},
		Planned: f.Plan.Planned, Parameters: parameters(f.Card), At: f.At.UTC().Truncate(time.Millisecond),
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
	switch {
	case f.Stopped:
		r.AI, r.Reason = study.Failed, study.Reason{Code: study.ReasonStopped}
		return r
	case r.Seen <= 0:
		r.AI = study.Failed
		return r
	}
	values := aggregate(f.Card, f.Parts)
	all := f.findings()
	r.AI, r.Reason = judge(f.Card, values, len(all), r)
	if r.AI == study.Failed {
		return r
	}
	r.Findings = f.report(all)
	for _, v := range values {
		if !v.known {
			continue
		}
		if !v.out.Measure.Zero() {
			r.Measurements = append(r.Measurements, study.Measurement{Name: v.out.Measure, Value: v.inUnit(), Unit: v.out.Unit})
		}
		if v.out.Probability && (r.Probability == nil || v.out.Name == f.Card.Flag.By) {
			r.Probability = share(v.value)
		}
	}
	return r
}

// judge turns the study's numbers into one word.
func judge(card models.Card, values []value, findings int, r study.Result) (study.AIState, study.Reason) {
	number, known := float64(findings), card.Find != nil
	if card.Flag.By != models.FlagFindings {
		i := slices.IndexFunc(values, func(v value) bool { return v.out.Name == card.Flag.By })
		known = i >= 0 && values[i].known
		if known {
			number = values[i].value
		}
	}
	switch {
	case !known: // the number that decides could not be made: no weight, no score
		return study.Failed, study.Reason{Code: study.ReasonInternal, Detail: card.Flag.By}
	case number >= card.Flag.Flagged:
		return study.Flagged, r.Reason
	case card.Flag.Uncertain != 0 && number >= card.Flag.Uncertain, r.Partial():
		return study.Uncertain, r.Reason
	}
	return study.NotFlagged, r.Reason
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
		join(&all.Varde, p.Ran.Varde)
		if all.Library == (study.Hash{}) {
			all.Library = p.Ran.Library
		}
		all.Decoders = append(all.Decoders, p.Ran.Decoders...)
	}
	slices.Sort(all.Decoders)
	all.Decoders = slices.Compact(all.Decoders)
	all.Card = f.Card.Hash
	return all
}

// share gives a probability between 0 and 1.
func share(v float64) *float64 {
	v = min(max(v, 0), 1)
	return &v
}

// parameters says what thresholds were in force, in the card's own words, for
// the Algorithm Parameters of a report (DCM 111002).
func parameters(card models.Card) string {
	var all []string
	add := func(name string, v float64) {
		if v != 0 {
			all = append(all, fmt.Sprintf("%s=%g", name, v))
		}
	}
	if f := card.Find; f != nil {
		all = append(all, fmt.Sprintf("find.%s=%s", cond(f.Map != "", "map", "scalar"), cmp.Or(f.Map, f.Scalar)), fmt.Sprintf("find.threshold=%g", f.Threshold))
		add("find.min_mm", f.MinMM)
		add("find.max_mm", f.MaxMM)
		add("find.min_volume", f.MinVolume)
		add("find.min_cluster", float64(f.MinCluster))
		add("find.cluster_mm", f.ClusterMM)
		add("find.max", float64(f.Max))
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
