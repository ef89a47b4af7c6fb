package rehearsal

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/simulation"
)

//go:embed templates static
var files embed.FS

// Part gives the page's template and style to a site, and its place in the navigation.
func Part() webui.Part {
	return webui.Part{Templates: folder("templates"), Static: folder("static"),
		Nav: []webui.Nav{{Path: "/simulation", Label: "simulation.title", Right: webui.StopModels}}}
}

// folder is one of the embedded ones, which are known to be there.
func folder(name string) fs.FS {
	f, err := fs.Sub(files, name)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return f
}

// A Page is the one on which a department sees what the order does with its own exams
// before a model or a rule is switched on.
type Page struct {
	History Historian
}

// Add puts the page on a site. One simulation runs at a time: it takes all
// processors for some seconds.
func (s Page) Add(site *webui.Site) {
	h := &simulator{Page: s, site: site, turn: make(chan struct{}, 1)}
	site.Page("GET /simulation", webui.StopModels, h.show)
}

type simulator struct {
	Page
	site *webui.Site
	turn chan struct{} // held by the one that runs
}

// A trialSheet is what the template sees.
type trialSheet struct {
	Days, Passes    int
	Readers, Models string
	Done            bool
	Empty           bool
	Few             string // that there is too little history, and why that matters
	Says            []string
	Groups          []trialGroup
}

// A trialGroup is one set of exams, a line for each rule.
type trialGroup struct {
	ID, Name, Exams string
	Due             bool
	Lines           []trialLine
}

type trialLine struct {
	Rule, Mean, Between, Median, P95, P99, Max, Late, Passed string
	Ours                                                     bool
}

func (s *simulator) show(r *http.Request) (webui.View, error) {
	l := webui.VisitOf(r.Context()).Lang
	q := r.URL.Query()
	t, sheet, err := trialOf(q)
	if err != nil {
		return webui.View{}, err
	}
	view := webui.View{Template: "simulation", Title: l.T("simulation.title")}
	if !q.Has("days") {
		view.Data = sheet
		return view, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return webui.View{}, fmt.Errorf("a simulation is running already; try again in a moment: %w", study.ErrBusy)
	}
	c, err := t.Run(r.Context(), s.History, s.site.Now())
	switch {
	case errors.Is(err, study.ErrNotFound):
		sheet.Empty = true
	case err != nil:
		return webui.View{}, err
	default:
		sheet.Done = true
		sheet.Says = trialWords(l, c)
		if c.Few() {
			sheet.Few = l.T("simulation.few", c.Known, c.Exams)
		}
		sheet.Groups = trialGroups(l, c)
	}
	view.Data = sheet
	return view, nil
}

// trialOf reads the form.
func trialOf(q url.Values) (t Trial, s trialSheet, err error) {
	s = trialSheet{Days: defaultDays, Passes: defaultPasses, Readers: strings.TrimSpace(q.Get("readers")), Models: strings.TrimSpace(q.Get("models"))}
	for name, to := range map[string]*int{"days": &s.Days, "passes": &s.Passes} {
		if text := q.Get(name); text != "" {
			if *to, err = strconv.Atoi(text); err != nil {
				return t, s, fmt.Errorf("%s %q is no number: %w", name, text, study.ErrInvalid)
			}
		}
	}
	for _, word := range strings.FieldsFunc(s.Readers, func(c rune) bool { return c == ',' || c == ' ' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return t, s, fmt.Errorf("readers %q is no number: %w", word, study.ErrInvalid)
		}
		t.Readers = append(t.Readers, n)
	}
	t.Models = strings.FieldsFunc(s.Models, func(c rune) bool { return c == ',' || c == ' ' })
	t.Days, t.Passes, t.Seed = s.Days, s.Passes, 1
	return t, s, nil
}

// trialWords says what was simulated.
func trialWords(l webui.Lang, c Comparison) []string {
	models := strings.Join(c.Models, ", ")
	if models == "" {
		models = l.T("simulation.no_models")
	}
	if c.Few() {
		return []string{
			l.T("simulation.from", l.Date(c.From), c.Exams, c.Passes),
			l.T("simulation.models", models),
			l.T("simulation.rule", c.Rule),
		}
	}
	return []string{
		l.T("simulation.from", l.Date(c.From), c.Exams, c.Passes),
		l.T("simulation.models", models),
		l.T("simulation.known", c.Known, c.Exams),
		l.T("simulation.rule", c.Rule),
	}
}

func trialGroups(l webui.Lang, c Comparison) []trialGroup {
	var out []trialGroup
	for i, g := range c.Rules[0].Groups {
		t := trialGroup{ID: "g" + strconv.Itoa(i), Name: groupWords(l, g.Name), Exams: l.Number(int(g.Exams + 0.5)), Due: g.Late != nil}
		for _, o := range c.Rules {
			if line, ok := o.Group(g.Name); ok {
				t.Lines = append(t.Lines, trialLineOf(l, o.Rule, line))
			}
		}
		out = append(out, t)
	}
	return out
}

func trialLineOf(l webui.Lang, rule string, g simulation.Group) trialLine {
	line := trialLine{Rule: l.T("simulation.rule_" + rule), Ours: rule == Ours,
		Mean: minutes(l, g.Mean.Value), Between: minutes(l, g.Mean.Low) + " – " + minutes(l, g.Mean.High),
		Median: minutes(l, g.Median.Value), P95: minutes(l, g.P95.Value), P99: minutes(l, g.P99.Value), Max: minutes(l, g.Max), Passed: minutes(l, g.PassedBy)}
	if g.Late != nil {
		line.Late = l.Decimal(100*g.Late.Value) + " %"
	}
	return line
}

// groupWords names a set of exams.
func groupWords(l webui.Lang, name string) string {
	kind, of, _ := strings.Cut(name, "_")
	switch kind {
	case "priority":
		return l.T("simulation.priority", l.T("simulation.priority_"+of))
	case "ai":
		return l.T("simulation.ai", l.T("ai."+of))
	case "stream":
		return of
	}
	return l.T("simulation.exams_" + name)
}

// minutes writes a wait.
func minutes(l webui.Lang, m float64) string {
	if m < 1 {
		return l.T("simulation.min", l.Decimal(float64(int(m*10+0.5))/10))
	}
	if m < 120 {
		return l.T("simulation.min", l.Number(int(m+0.5)))
	}
	if m < 48*60 {
		return l.T("simulation.hours", l.Decimal(float64(int(m/6+0.5))/10))
	}
	return l.T("simulation.days", l.Decimal(float64(int(m/144+0.5))/10))
}
