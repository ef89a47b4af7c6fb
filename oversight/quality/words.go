package quality

import (
	"strconv"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// figuresOf puts figures into words.
func figuresOf(l webui.Lang, f Figures, zone *time.Location) firstFigures {
	var one firstFigures
	for _, s := range []study.AIState{study.Flagged, study.Uncertain, study.NotFlagged, study.Failed, study.OutOfScope, study.Running} {
		if f.States[s] > 0 {
			one.Facts = append(one.Facts, fact{Name: l.T("ai." + string(s)), Value: l.Number(f.States[s])})
		}
	}
	for _, w := range f.Weeks {
		line := weekLine{Week: l.Date(w.From.In(zone)), Exams: l.Number(w.Exams), Flag: rateWords(l, w.Flag), Limits: "–", Out: w.Out}
		if w.Flag.N >= fewest {
			line.Limits = l.T("quality.between", hundredths(l, w.Low), hundredths(l, w.High))
		}
		one.Weeks = append(one.Weeks, line)
	}
	one.WeekChart = weekChart(l, f)
	n := f.Verdicts["agree"] + f.Verdicts["changes"] + f.Verdicts["disagree"]
	for _, v := range study.Verdicts {
		if n > 0 {
			one.Verdicts = append(one.Verdicts, fact{Name: l.T("verdict." + v), Value: rateWords(l, Rate{f.Verdicts[v], n})})
		}
	}
	for _, x := range study.Wrongs {
		if f.Faults[x] > 0 {
			one.Faults = append(one.Faults, fact{Name: l.T("wrong." + x), Value: l.Number(f.Faults[x])})
		}
	}
	if f.Wrong.N > 0 {
		one.Facts = append(one.Facts, fact{Name: l.T("quality.wrong"), Value: rateWords(l, f.Wrong), Note: l.T("quality.wrong_says")})
	}
	if f.Missed.N > 0 {
		one.Facts = append(one.Facts, fact{Name: l.T("quality.missed"), Value: rateWords(l, f.Missed), Note: l.T("quality.missed_says")})
	}
	for _, w := range []struct {
		name string
		Wait
	}{{l.T("quality.read_flagged"), f.Read}, {l.T("quality.read_other"), f.ReadOther}} {
		if w.N > 0 {
			one.Times = append(one.Times, fact{Name: w.name, Value: l.T("quality.wait", w.N, l.Span(w.Median), l.Span(w.P95))})
		}
	}
	for _, b := range f.Bins {
		one.Bins = append(one.Bins, binLine{l.T("quality.between", hundredths(l, b.From), hundredths(l, b.To)), hundredths(l, b.Mean) + " %", rateWords(l, b.Seen)})
	}
	one.BinChart = binChart(l, f)
	one.Groups = groupsOf(l, f.Groups)
	for _, c := range f.Changes {
		one.Changes = append(one.Changes, changedLine{l.T("impression." + c.Own), l.T("ai." + c.AI), l.Number(c.Agree), l.Number(c.Changes), l.Number(c.Against)})
	}
	if over, stood := f.Turned(); over+stood > 0 {
		one.Turned = l.T("quality.turned", over, over+stood)
	}
	return one
}

func groupsOf(l webui.Lang, all []Group) (out []groupLines) {
	for _, g := range all {
		if len(out) == 0 || out[len(out)-1].ID != g.Kind {
			out = append(out, groupLines{Kind: l.T("quality.by_" + g.Kind), ID: g.Kind})
		}
		last := &out[len(out)-1]
		last.Lines = append(last.Lines, groupLine{nameOf(l, g.Kind, g.Name), l.Number(g.Exams), rateWords(l, g.Flag), rateWords(l, g.Wrong), rateWords(l, g.Missed)})
	}
	return out
}

// nameOf names a group of a kind.
func nameOf(l webui.Lang, kind, name string) string {
	switch {
	case kind == "all":
		return l.T("quality.all")
	case name == "":
		return l.T("quality.untold")
	case kind == "sex":
		return l.T("quality.sex_" + name)
	}
	return name
}

func (p *pages) waitGroups(l webui.Lang, all []Wait) (out []waitGroup) {
	for _, w := range all {
		if len(out) == 0 || out[len(out)-1].ID != w.Kind {
			heading := ""
			if w.Kind != "all" {
				heading = l.T("quality.by_" + w.Kind)
			}
			out = append(out, waitGroup{Kind: heading, ID: w.Kind})
		}
		name := nameOf(l, w.Kind, w.Name)
		switch w.Kind {
		case "class":
			name = p.classWords(l, w.Name)
		case "ai":
			name = l.T("ai." + w.Name)
		}
		line := waitLine{Name: name, N: l.Number(w.N), Still: l.Number(w.Still), Median: "–", P95: "–", Most: "–", Oldest: "–"}
		if w.N > 0 {
			line.Median, line.Most = l.Span(w.Median), l.Span(w.Most)
		}
		if w.N >= fewest {
			line.P95 = l.Span(w.P95)
		}
		if w.Still > 0 {
			line.Oldest = l.Span(w.Oldest)
		}
		last := &out[len(out)-1]
		last.Lines = append(last.Lines, line)
	}
	return out
}

// classWords names a class of the worklist.
func (p *pages) classWords(l webui.Lang, number string) string {
	n, err := strconv.Atoi(number)
	if err != nil || p.Class == nil {
		return number
	}
	return l.T("class." + p.Class(n))
}
