package quality

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"varde/study"
)

// close sorts what was gathered and gives it its figures.
func (w *Wait) close() {
	slices.Sort(w.durations)
	w.N = len(w.durations)
	if w.N > 0 {
		w.Median, w.P95, w.Most = quantile(w.durations, 50), quantile(w.durations, 95), w.durations[w.N-1]
	}
	w.durations = nil
}

// quantile gives the value below which per cent of the sorted values lie, by the
// nearest rank.
func quantile(sorted []time.Duration, percent int) time.Duration {
	rank := (percent*len(sorted) + 99) / 100
	return sorted[max(0, min(len(sorted), rank)-1)]
}

// Waits tells how long exams waited until a reader opened them, all and by class of
// the worklist, by what the AI said, by scanner, by sex and by age: whoever waits
// longer than others is to be seen here. An exam on which no model has spoken stands
// by itself and among no others.
func Waits(exams []study.Watched, now time.Time) []Wait {
	groups := map[[2]string]*Wait{}
	for _, w := range exams {
		until := w.OpenedAt
		if until.IsZero() || !w.ReadAt.IsZero() && w.ReadAt.Before(until) {
			until = w.ReadAt
		}
		for _, key := range [][2]string{{"all", ""}, {"class", strconv.Itoa(w.Class)}, {"ai", string(saidOf(w))}, {"site", w.Sender}, {"sex", sexOf(w.Sex)}, {"age", AgeBand(w.Age)}} {
			g := groups[key]
			if g == nil {
				g = &Wait{Kind: key[0], Name: key[1]}
				groups[key] = g
			}
			switch {
			case !until.IsZero():
				g.durations = append(g.durations, until.Sub(w.ReceivedAt))
			case w.Waiting:
				g.Still++
				g.Oldest = max(g.Oldest, now.Sub(w.ReceivedAt))
			}
		}
	}
	var all []Wait
	for _, key := range slices.SortedFunc(maps.Keys(groups), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(kindRank(a[0]), kindRank(b[0])), cmp.Compare(bandRank(a), bandRank(b)), cmp.Compare(a[1], b[1]))
	}) {
		groups[key].close()
		all = append(all, *groups[key])
	}
	return all
}

// bandRank orders what the AI said, worst first.
func bandRank(key [2]string) int {
	if key[0] != "ai" {
		return 0
	}
	return slices.Index([]study.AIState{study.Flagged, study.Uncertain, study.NotFlagged, study.Running, study.Failed, study.OutOfScope}, study.AIState(key[1]))
}

// saidOf is what the AI says of an exam, as its readers are told.
func saidOf(w study.Watched) study.AIState {
	var results []study.Result
	for _, a := range w.Answers {
		results = append(results, study.Result{AI: a.AI, Shadow: a.Shadow})
	}
	return study.Worst(results, study.OutOfScope)
}
