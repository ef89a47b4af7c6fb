package quality

import (
	"fmt"
	"math"
	"strings"

	"varde/internal/webui"
)

// A chart is a picture in the page's own colors: shapes carry what colors do, and a
// table beside it says the same. Positions are in its own units.
type chart struct {
	W, H        int
	Left, Right float64 // of the field
	Top, Bottom float64
	Title       string
	Band        string  // polygon: the control limits
	Line        string  // polyline through the dots
	Middle      float64 // a level line; 0: none
	Diagonal    bool
	Dots        []dot
	X, Y        []tick
	XName       string
	YName       string
}

// A dot is one value; Low and High are the ends of its interval, the same where it
// has none.
type dot struct {
	X, Y, Low, High float64
	Out             bool
	Text            string
}

type tick struct {
	At   float64
	Text string
}

// weekChart draws the share of flagged exams, week by week, with its control limits.
func weekChart(l webui.Lang, f Figures) chart {
	c := chart{W: 660, H: 220, Left: 46, Right: 622, Top: 12, Bottom: 180, Title: l.T("quality.week_chart"), YName: l.T("quality.flag_rate")}
	var weeks []Week
	top := f.Flag.Value()
	for _, w := range f.Weeks {
		if w.Flag.N > 0 {
			weeks = append(weeks, w)
			top = max(top, w.Flag.Value(), w.High)
		}
	}
	if len(weeks) < 2 {
		return chart{}
	}
	top = min(1, math.Ceil(top*10+0.01)/10)
	x := func(i int) float64 { return c.Left + 12 + (c.Right-c.Left-24)*float64(i)/float64(len(weeks)-1) }
	y := func(v float64) float64 { return c.Bottom - (c.Bottom-c.Top)*v/top }
	var line, high, low []string
	for i, w := range weeks {
		line = append(line, at(x(i), y(w.Flag.Value())))
		high = append(high, at(x(i), y(w.High)))
		low = append([]string{at(x(i), y(w.Low))}, low...)
		v := y(w.Flag.Value())
		c.Dots = append(c.Dots, dot{X: x(i), Y: v, Low: v, High: v, Out: w.Out, Text: l.Date(w.From) + ": " + rateWords(l, w.Flag)})
		if every := (len(weeks) + 5) / 6; i%every == 0 {
			c.X = append(c.X, tick{x(i), l.Date(w.From)})
		}
	}
	c.Line, c.Band, c.Middle = strings.Join(line, " "), strings.Join(append(high, low...), " "), y(f.Flag.Value())
	for i := range 3 {
		v := top * float64(i) / 2
		c.Y = append(c.Y, tick{y(v), hundredths(l, v) + " %"})
	}
	return c
}

// binChart draws the model's numbers against what readers saw.
func binChart(l webui.Lang, f Figures) chart {
	if len(f.Bins) == 0 {
		return chart{}
	}
	c := chart{W: 350, H: 320, Left: 50, Right: 325, Top: 10, Bottom: 270, Title: l.T("quality.bin_chart"), Diagonal: true, XName: l.T("quality.said"), YName: l.T("quality.seen")}
	x := func(v float64) float64 { return c.Left + (c.Right-c.Left)*v }
	y := func(v float64) float64 { return c.Bottom - (c.Bottom-c.Top)*v }
	var line []string
	for _, b := range f.Bins {
		low, high := Exact(b.Seen.K, b.Seen.N)
		line = append(line, at(x(b.Mean), y(b.Seen.Value())))
		c.Dots = append(c.Dots, dot{X: x(b.Mean), Y: y(b.Seen.Value()), Low: y(low), High: y(high), Text: hundredths(l, b.Mean) + " %: " + rateWords(l, b.Seen)})
	}
	c.Line = strings.Join(line, " ")
	for i := range 3 {
		v := float64(i) / 2
		c.X = append(c.X, tick{x(v), hundredths(l, v) + " %"})
		c.Y = append(c.Y, tick{y(v), hundredths(l, v) + " %"})
	}
	return c
}

func at(x, y float64) string { return fmt.Sprintf("%.1f,%.1f", x, y) }
