package quality

import (
	"net/http"
	"strconv"
	"time"

	"varde/oversight/table"
	"varde/study"
)

// qualityCSV gives the figures of the page as a file: a line for each, with its
// count, what it is of, and where that is at least five the share with its exact
// 95 % interval. Waits are in seconds.
func (p *pages) qualityCSV(w http.ResponseWriter, r *http.Request) {
	seen, err := p.watch(r)
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	all, _, err := seen.models(p.site.Zone())
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	out := table.Begin(w, "quality-"+seen.from.Format(time.DateOnly)+"-"+seen.to.Format(time.DateOnly)+".csv",
		"model", "model_sha256", "shadow", "figure", "group", "name", "count", "of", "share", "low", "high", "median_s", "p95_s", "max_s", "waiting")
	for _, f := range all {
		if seen.model == "" || f.Model.String() == seen.model { // in both states: a column tells them apart
			f.write(func(figure, group, name string, r Rate) {
				share, low, high := "", "", ""
				if r.N >= fewest {
					a, b := Exact(r.K, r.N)
					share, low, high = decimal(r.Value()), decimal(a), decimal(b)
				}
				_ = out.Write([]string{f.Model.String(), f.Model.SHA256.String(), strconv.FormatBool(f.Shadow), figure, group, table.Cell(name),
					strconv.Itoa(r.K), strconv.Itoa(r.N), share, low, high, "", "", "", ""})
			})
		}
	}
	for _, g := range Waits(seen.exams, p.site.Now()) {
		name := g.Name
		if n, err := strconv.Atoi(name); err == nil && g.Kind == "class" && p.Class != nil {
			name = p.Class(n)
		}
		_ = out.Write([]string{"", "", "", "wait", g.Kind, table.Cell(name), strconv.Itoa(g.N), "", "", "", "", seconds(g.Median), seconds(g.P95), seconds(g.Most), strconv.Itoa(g.Still)})
	}
	out.Flush()
}

// write tells each figure.
func (f Figures) write(line func(figure, group, name string, r Rate)) {
	for _, s := range []study.AIState{study.Flagged, study.Uncertain, study.NotFlagged, study.Failed, study.OutOfScope, study.Running} {
		line("state", "", string(s), Rate{f.States[s], f.Exams})
	}
	line("flagged", "", "", f.Flag)
	for _, w := range f.Weeks {
		line("flagged", "week", w.From.Format(time.DateOnly), w.Flag)
	}
	n := f.Verdicts["agree"] + f.Verdicts["changes"] + f.Verdicts["disagree"]
	for _, v := range study.Verdicts {
		line("verdict", "", v, Rate{f.Verdicts[v], n})
	}
	for _, x := range study.Wrongs {
		line("fault", "", x, Rate{f.Faults[x], 0})
	}
	line("false_discovery", "", "", f.Wrong)
	line("false_omission", "", "", f.Missed)
	for _, b := range f.Bins {
		line("reliability", "number", decimal(b.From)+"–"+decimal(b.To), b.Seen)
	}
	for _, g := range f.Groups {
		line("flagged", g.Kind, g.Name, g.Flag)
		line("false_discovery", g.Kind, g.Name, g.Wrong)
		line("false_omission", g.Kind, g.Name, g.Missed)
	}
	for _, c := range f.Changes {
		n := c.Agree + c.Changes + c.Against
		line("after_shown", c.Own+"/"+c.AI, "agree", Rate{c.Agree, n})
		line("after_shown", c.Own+"/"+c.AI, "changes", Rate{c.Changes, n})
		line("after_shown", c.Own+"/"+c.AI, "disagree", Rate{c.Against, n})
	}
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
