package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"varde/study"
	"varde/worldlist/rehearsal"
	"varde/worldlist/screening"
)

// printScreening tells of each program what it would have done.
func (d *desk) printScreening(all []screening.Replay, days int) {
	for _, r := range all {
		d.print(nil, "%s: %d exams in %d days", r.Program, r.Exams, days)
		d.print(nil, "  read once            %d (%.1f %%)", r.Once, percent(r.Once, r.Exams))
		d.print(nil, "  readings             %d, and %d with two readers each (%+.1f %%)", r.Reads, r.Twice, percent(r.Reads-r.Twice, r.Twice))
		d.print(nil, "  decided by readers   %d, recalled %d; of these read once at first: %d", r.Decided, r.Recalled, r.OnceRecalled)
		d.print(nil, "  the AI alone         %d of those that nobody recalled", r.AIOnly)
		for _, why := range study.ScreeningWhys {
			if n := r.Why[why]; n > 0 {
				d.print(nil, "  by %-18s%d", why, n)
			}
		}
	}
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// printTrial writes a table for each group of exams: a line for each rule.
func (d *desk) printTrial(c rehearsal.Comparison) error {
	d.print(nil, "%s: %d exams in %.0f days, %d passes, rule %s; models: %s; waits in minutes", c.Source, c.Exams, c.Days, c.Passes, c.Rule, strings.Join(c.Models, ", "))
	if c.Source == "history" {
		d.print(nil, "reading times known of %d exams; the others are drawn", c.Known)
	}
	if c.Few() {
		d.print(nil, "TOO LITTLE HISTORY: fewer than 20 reading times, so the pace is guessed. These waits are not this department's: try --profile")
	}
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "exams\trule\tn\tmean (95 %)\tp50\tp95\tp99\tmax\tlate\tpassed by\t")
	for _, g := range c.Rules[0].Groups {
		for _, o := range c.Rules {
			line, ok := o.Group(g.Name)
			if !ok {
				continue
			}
			late := "–"
			if line.Late != nil {
				late = fmt.Sprintf("%.2f %%", 100*line.Late.Value)
			}
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%.1f (%.1f–%.1f)\t%.1f\t%.1f\t%.1f\t%.0f\t%s\t%.0f\t\n", g.Name, o.Rule, line.Exams,
				line.Mean.Value, line.Mean.Low, line.Mean.High, line.Median.Value, line.P95.Value, line.P99.Value, line.Max, late, line.PassedBy)
		}
	}
	return w.Flush()
}
