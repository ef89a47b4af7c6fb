package quality

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"time"

	"varde/internal/webui"
	"varde/models"
	"varde/study"
)

const (
	// fewest is how many cases a percentage needs: of fewer the page says how many
	// of how many, and no more.
	fewest = 5
	// watchDays is how far back the page looks when nobody says how far, and
	// mostWatchDays how far it can.
	watchDays, mostWatchDays = 90, 731
	// mostWatched is how many exams are looked at, the latest ones.
	mostWatched = 100_000
	// mostDiscords bounds the list of each kind of disagreement.
	mostDiscords = 25
)

// A qualityView is what the template sees.
type qualityView struct {
	From, To string // days, as a form has them
	Spans    []link
	Models   []watchedModel
	Exams    string
	Cut      string // that there were more exams than are looked at
	One      *firstFigures
	Waits    []waitGroup
	CSV      string
}

type link struct {
	Href, Text string
	Here       bool
}

// A watchedModel is one line of the table of models.
type watchedModel struct {
	Href, Ref, Name, State, StateWord string
	Here, Shadow                      bool
	Exams, Answered, Flag, Agree      string
}

// firstFigures are the figures of the model that is looked at.
type firstFigures struct {
	watchedModel
	Facts      []fact
	Times      []fact
	Weeks      []weekLine
	WeekChart  chart
	Verdicts   []fact
	Faults     []fact
	Bins       []binLine
	BinChart   chart
	Groups     []groupLines
	Changes    []changedLine
	Turned     string
	Only       []discordLine
	Passed     []discordLine
	OnlyMore   int
	PassedMore int
}

type fact struct{ Name, Value, Note string }

type weekLine struct {
	Week, Exams, Flag, Limits string
	Out                       bool
}

type binLine struct{ Range, Mean, Seen string }

type groupLines struct {
	Kind  string
	ID    string
	Lines []groupLine
}

type groupLine struct{ Name, Exams, Flag, Wrong, Missed string }

type changedLine struct{ Own, AI, Agree, Changes, Against string }

type discordLine struct{ Study, At string }

type waitGroup struct {
	Kind  string
	ID    string
	Lines []waitLine
}

type waitLine struct{ Name, N, Median, P95, Most, Still, Oldest string }

// watched is the exams of the time that an address names, and that time.
type watched struct {
	exams    []study.Watched
	from, to time.Time // days, to included
	model    string
	silent   bool // while it was in shadow
}

// watch reads the address and asks the ledger.
func (p *pages) watch(r *http.Request) (w watched, err error) {
	q, now := r.URL.Query(), p.site.Now()
	w.to = time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	if text := q.Get("to"); text != "" {
		if w.to, err = time.ParseInLocation(time.DateOnly, text, now.Location()); err != nil {
			return w, fmt.Errorf("last day %q: write YYYY-MM-DD: %w", text, study.ErrInvalid)
		}
	}
	w.from = w.to.AddDate(0, 0, 1-watchDays)
	if text := q.Get("from"); text != "" {
		if w.from, err = time.ParseInLocation(time.DateOnly, text, now.Location()); err != nil {
			return w, fmt.Errorf("first day %q: write YYYY-MM-DD: %w", text, study.ErrInvalid)
		}
	}
	if w.from.After(w.to) || w.to.Sub(w.from) > mostWatchDays*24*time.Hour {
		return w, fmt.Errorf("from %s to %s: the first day comes first, and two years are the most: %w", w.from.Format(time.DateOnly), w.to.Format(time.DateOnly), study.ErrInvalid)
	}
	w.model, w.silent = q.Get("model"), q.Get("silent") == "1"
	w.exams, err = p.Watcher.Watched(r.Context(), study.WatchedSpan{From: w.from, To: w.to.AddDate(0, 0, 1), Limit: mostWatched})
	return w, err
}

func (w watched) address(path, model string, silent bool) string {
	q := url.Values{"from": {w.from.Format(time.DateOnly)}, "to": {w.to.Format(time.DateOnly)}}
	if model != "" {
		q.Set("model", model)
	}
	if silent {
		q.Set("silent", "1")
	}
	return path + "?" + q.Encode()
}

// models gives the figures of every model that was asked about an exam, apart for
// when readers saw it and when it was in shadow, and the
// index of the one that is looked at: the one of the address, else the busiest that
// speaks.
func (w watched) models(zone *time.Location) (all []Figures, at int, err error) {
	type one struct {
		ref    study.ModelRef
		shadow bool
	}
	asked := map[one]bool{}
	for _, e := range w.exams {
		for _, a := range e.Answers {
			asked[one{a.Model, a.Shadow}] = true
		}
	}
	for o := range asked {
		all = append(all, FirstFigures(o.ref, o.shadow, w.exams, zone))
	}
	slices.SortFunc(all, func(a, b Figures) int {
		return cmp.Or(boolRank(a.Shadow, b.Shadow), cmp.Compare(b.Exams, a.Exams), cmp.Compare(a.Model.String(), b.Model.String()), cmp.Compare(a.Model.SHA256.String(), b.Model.SHA256.String()))
	})
	if w.model == "" {
		return all, 0, nil
	}
	at = slices.IndexFunc(all, func(f Figures) bool { return f.Model.String() == w.model && f.Shadow == w.silent })
	if at < 0 { // it may have been in the other state alone
		at = slices.IndexFunc(all, func(f Figures) bool { return f.Model.String() == w.model })
	}
	if at < 0 {
		return nil, 0, fmt.Errorf("figures of model %s from %s to %s: %w", w.model, w.from.Format(time.DateOnly), w.to.Format(time.DateOnly), study.ErrNotFound)
	}
	return all, at, nil
}

func boolRank(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// quality shows the first figures.
func (p *pages) quality(r *http.Request) (webui.View, error) {
	l := webui.VisitOf(r.Context()).Lang
	w, err := p.watch(r)
	if err != nil {
		return webui.View{}, err
	}
	all, at, err := w.models(p.site.Zone())
	if err != nil {
		return webui.View{}, err
	}
	cards, err := p.Models.Cards(r.Context())
	if err != nil {
		return webui.View{}, err
	}
	v := qualityView{From: w.from.Format(time.DateOnly), To: w.to.Format(time.DateOnly), Exams: l.Number(len(w.exams)), Spans: p.spans(l, w)}
	if len(w.exams) >= mostWatched {
		v.Cut = l.T("quality.cut", mostWatched)
	}
	for i, f := range all {
		m := watchedOf(l, w, f, cards)
		m.Here = i == at
		v.Models = append(v.Models, m)
	}
	if len(all) > 0 {
		one := figuresOf(l, all[at], p.site.Zone())
		one.watchedModel = v.Models[at]
		if one.Only, one.OnlyMore, err = p.discords(r.Context(), l, all[at].Only); err != nil {
			return webui.View{}, err
		}
		if one.Passed, one.PassedMore, err = p.discords(r.Context(), l, all[at].Passed); err != nil {
			return webui.View{}, err
		}
		v.One, v.CSV = &one, w.address("/quality.csv", all[at].Model.String(), all[at].Shadow)
	}
	v.Waits = p.waitGroups(l, Waits(w.exams, p.site.Now()))
	return webui.View{Template: "quality", Title: l.T("quality.title"), Data: v}, nil
}

// spans are the times that are one click away.
func (p *pages) spans(l webui.Lang, w watched) (all []link) {
	now := p.site.Now()
	to := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	for _, days := range []int{7, 30, watchDays, 365} {
		o := watched{from: to.AddDate(0, 0, 1-days), to: to}
		all = append(all, link{o.address("/quality", w.model, w.silent), l.T("quality.days", days), o.from.Equal(w.from) && o.to.Equal(w.to)})
	}
	return all
}

func watchedOf(l webui.Lang, w watched, f Figures, cards []models.Entry) watchedModel {
	m := watchedModel{Href: w.address("/quality", f.Model.String(), f.Shadow), Ref: f.Model.String(), Name: f.Model.ID, Shadow: f.Shadow, Exams: l.Number(f.Exams),
		Answered: rateWords(l, Rate{f.Flag.N, f.Exams}), Flag: rateWords(l, f.Flag), Agree: "–"}
	for _, k := range cards {
		if k.Card.Ref() == f.Model {
			m.Name, m.State, m.StateWord = k.Card.Name, string(k.State), l.T("modelstate."+string(k.State))
		}
	}
	if n := f.Verdicts["agree"] + f.Verdicts["changes"] + f.Verdicts["disagree"]; n > 0 {
		m.Agree = rateWords(l, Rate{f.Verdicts["agree"], n})
	}
	return m
}

// discords lists exams on which readers and model differ, as far as whoever looks
// may be told what the AI says of them.
func (p *pages) discords(ctx context.Context, l webui.Lang, all []Discord) (lines []discordLine, more int, err error) {
	for i, d := range all {
		if len(lines) == mostDiscords {
			return lines, len(all) - i, nil
		}
		if p.Sees != nil {
			if ok, err := p.Sees(ctx, d.Study); err != nil || !ok {
				if err != nil {
					return nil, 0, err
				}
				continue
			}
		}
		lines = append(lines, discordLine{string(d.Study), l.Moment(d.At.In(p.site.Zone()))})
	}
	return lines, 0, nil
}

// rateWords writes a rate: how many of how many, and where these are enough the
// share with its exact interval.
func rateWords(l webui.Lang, r Rate) string {
	if r.N == 0 {
		return "–"
	}
	of := l.T("quality.of", r.K, r.N)
	if r.N < fewest {
		return of
	}
	low, high := Exact(r.K, r.N)
	return l.T("quality.share", hundredths(l, r.Value()), hundredths(l, low), hundredths(l, high), of)
}

// hundredths writes a share in per cent, to a tenth, without the sign.
func hundredths(l webui.Lang, v float64) string { return l.Decimal(math.Round(v*1000) / 10) }
