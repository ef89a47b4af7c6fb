package foreign

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/internal/words"
	"varde/study"
)

// An Exam is a study with the documents of others that may be shown of it.
type Exam struct {
	UID  study.UID
	Date string // as DICOM writes it
	Docs []Document
}

// A Growth is one quantity of one finding that was measured on several dates.
type Growth struct {
	Track  study.UID
	What   string // the finding
	Name   string // the quantity
	Values []GrowthValue
	// Changes are from the first to the last value of one maker, in percent; with the
	// maker, where there are several.
	Changes []string
}

// A GrowthValue is one of its values.
type GrowthValue struct {
	UID         study.UID // of the exam
	Date, Value string
	Who         string // the maker, where there are several
	Beside      bool   // it is of the same date as the one before
	at          string
	number      float64
}

// maxGrowth bounds how many are told.
const maxGrowth = 100

// Grow follows what has the same tracking UID from exam to exam: the same quantity in
// the same unit, measured in exams of different dates, the earliest first. Of several
// documents of one maker on one date the latest counts, and none that another one
// replaces.
func Grow(l words.Lang, exams []Exam) (all []Growth) {
	at := map[string]int{}
	exams = slices.Clone(exams)
	slices.SortStableFunc(exams, func(a, b Exam) int { return cmp.Compare(b.Date, a.Date) })
	for _, e := range exams {
		for _, d := range e.Docs {
			for _, f := range d.Findings {
				if f.TrackingUID == "" || e.Date == "" || d.Replaced || f.Unshown {
					continue
				}
				for _, m := range f.Measurements {
					if !m.Measured {
						continue
					}
					key := fmt.Sprint(f.TrackingUID, m.What.Scheme, m.What.Value, measureName(l, m), m.Unit.Value)
					i, known := at[key]
					if !known {
						if len(all) == maxGrowth {
							continue
						}
						i = len(all)
						at[key] = i
						all = append(all, Growth{Track: f.TrackingUID, What: whatOf(l, f), Name: measureName(l, m)})
					}
					g := &all[i]
					who := strings.Join(full(d.Source.Maker, d.Source.Model), " ")
					if !slices.ContainsFunc(g.Values, func(v GrowthValue) bool { return v.at == e.Date && v.Who == who }) {
						g.Values = append(g.Values, GrowthValue{UID: e.UID, Date: day(l, e.Date), Value: measured(l, m), Who: who, at: e.Date, number: m.Value})
					}
				}
			}
		}
	}
	all = slices.DeleteFunc(all, func(g Growth) bool {
		return !slices.ContainsFunc(g.Values, func(v GrowthValue) bool { return v.at != g.Values[0].at })
	})
	for i := range all {
		all[i].compare(l)
	}
	return all
}

// compare puts the values in order and says by how much each maker's have changed.
func (g *Growth) compare(l words.Lang) {
	slices.SortStableFunc(g.Values, func(a, b GrowthValue) int { return cmp.Compare(a.at, b.at) })
	var makers []string
	for _, v := range g.Values {
		if !slices.Contains(makers, v.Who) {
			makers = append(makers, v.Who)
		}
	}
	for _, who := range makers {
		var own []float64
		for _, v := range g.Values {
			if v.Who == who {
				own = append(own, v.number)
			}
		}
		text := change(l, own[0], own[len(own)-1])
		if text != "" && len(makers) > 1 {
			text = who + " " + text
		}
		if text != "" {
			g.Changes = append(g.Changes, text)
		}
	}
	for i := range g.Values {
		g.Values[i].Beside = i > 0 && g.Values[i].at == g.Values[i-1].at
		if len(makers) == 1 {
			g.Values[i].Who = ""
		}
	}
}

func day(l words.Lang, date string) string {
	t, err := time.Parse("20060102", date)
	if err != nil {
		return date
	}
	return l.Date(t)
}

// change says by how much a value has changed, in percent of the first.
func change(l words.Lang, first, last float64) string {
	if first <= 0 || first == last {
		return ""
	}
	percent := (last - first) / first * 100
	text := l.Decimal(percent) + " %"
	if percent > 0 {
		text = "+" + text
	}
	return text
}

// maxTold bounds what is told of one exam on a line of time.
const maxTold = 12

// Told puts into one line each what was measured in an exam, or found without being
// measured: "Acme LungTool: Nodule, Long axis 14 mm".
func Told(l words.Lang, docs []Document) (all []string) {
	for _, d := range docs {
		who := strings.Join(full(d.Source.Maker, d.Source.Model), " ")
		if who == "" {
			who = titleOf(l, d)
		}
		var found []string
		for _, f := range d.Findings {
			if f.Unshown || d.Replaced {
				continue
			}
			line := full(whatOf(l, f), sitesOf(l, f.Sites))
			for _, m := range f.Measurements {
				if m.Measured {
					line = append(line, measureName(l, m)+" "+measured(l, m))
				}
			}
			found = append(found, strings.Join(line, ", "))
		}
		if d.Segments != nil {
			for _, s := range d.Segments.Segments {
				found = append(found, segmentText(l, s))
			}
		}
		for _, text := range full(found...) {
			if len(all) == maxTold {
				return all
			}
			all = append(all, l.T("foreign.measured", who, cut(text)))
		}
	}
	return all
}
