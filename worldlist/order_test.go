package worldlist_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
)

// A line is what waits, and whether models answer. The department has read six an hour
// from 8 to 16 on the working days of the last four weeks.
type line struct {
	waiting []study.Waiting
	layer   study.AILayer
}

func (l line) Line(context.Context) ([]study.Waiting, error)  { return l.waiting, nil }
func (l line) AILayer(context.Context) (study.AILayer, error) { return l.layer, nil }
func (l line) ReadsSince(context.Context, time.Time) (all []study.Reads, err error) {
	monday := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for d := 1; d <= 28; d++ {
		day := monday.AddDate(0, 0, -d)
		if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			continue
		}
		for h := 8; h < 16; h++ {
			all = append(all, study.Reads{Modality: study.CT, Hour: day.Add(time.Duration(h) * time.Hour), Count: 6})
		}
	}
	return all, nil
}

// onPathway makes a ward with one study whose deadline is a pathway's and at risk,
// and of whose patient an order says that there is to be no more imaging. A line of
// sixty studies waits.
func onPathway(layer study.AILayer) *ward {
	w := newWard()
	arrived, now := today.Add(-3*time.Hour), today
	c := one("2.25.120", "Strand^Siri", "Mammography, clinical", study.MG, arrived, study.PriorityPathway, time.Time{}, ran(calc, study.NotFlagged, 2, 2))
	s := &c.Study
	due := now.Add(20 * time.Hour)
	clock := study.Clock{Pathway: "NO-BREAST", Name: study.Names{EN: "Pathway for breast cancer", NB: "Pakkeforløp for brystkreft", DA: "Pakkeforløb for brystkræft"},
		Step: "workup", StepName: study.Names{EN: "work-up to decision", NB: "utredning til beslutning", DA: "udredning til beslutning"},
		By: "order", From: "referral", Since: now.AddDate(0, 0, -18), Due: due, Table: "0a1b2c3d4e5f"}
	old := s.Place
	s.Place = order.Place(study.PlaceFacts{ArrivedAt: arrived, Now: now, Priority: study.PriorityPathway, Deadline: due, Clock: clock,
		Needed: 26 * time.Hour, Results: c.Results, Old: &old})
	s.Remarks = []study.Remark{{Kind: "palliative", Name: study.Names{EN: "Palliative phase", NB: "Palliativ fase", DA: "Palliativ fase"}, Code: "Z51.5"}}
	w.cases[s.UID] = &c
	deadlines := map[int]time.Time{0: now.Add(-time.Hour), 3: now.Add(time.Hour), 59: now.Add(7 * time.Hour)}
	l := line{layer: layer}
	for i := range 60 {
		l.waiting = append(l.waiting, study.Waiting{Study: study.UID("CT." + string(rune('0'+i%10))), Modality: study.CT, Class: order.ClassRoutine, Deadline: deadlines[i]})
	}
	w.outlook = order.NewOutlook(l, func() time.Time { return now }, time.UTC)
	return w
}

func TestRowTellsThePathwayTheRiskAndTheRemark(t *testing.T) {
	server, _ := serve(t, onPathway(study.AIUp), webui.Reader)
	for lang, want := range map[string][]string{
		"en": {"At risk | 1 day", "Palliative phase Mammography, clinical", "deadline at risk: 26 h needed at the present pace, 20 h left", "Pathway for breast cancer: work-up to decision"},
		"nb": {"Frist i fare | 1 dag", "Palliativ fase", "frist i fare: trenger 26 t i dagens tempo, 20 t igjen", "Pakkeforløp for brystkreft: utredning til beslutning"},
		"da": {"Frist i fare | 1 dag", "Palliativ fase", "frist i fare: kræver 26 t i det nuværende tempo, 20 t tilbage", "Pakkeforløb for brystkræft: udredning til beslutning"},
	} {
		_, page := ask(t, http.MethodGet, server.URL+"/", webui.Reader, lang, nil)
		row := ""
		for l := range strings.SplitSeq(words(page), "\n") {
			if strings.Contains(l, "Strand") {
				row = l
			}
		}
		for _, must := range want {
			if !strings.Contains(row, must) {
				t.Errorf("%s: %q is not in %q", lang, must, row)
			}
		}
		if !strings.Contains(page, `<li class="soft">`+webui.Lang(lang).T("list.rule", order.Rule)+`</li>`) {
			t.Errorf("%s: a row does not name its rule", lang)
		}
	}
	_, page := get(t, server.URL+"/studies/2.25.120", webui.Reader)
	for _, must := range []string{"<b>Palliative phase</b>", "counts from the referral", "pathway named by the order (tables 0a1b2c3d4e5f)", "Palliative phase (code Z51.5); it does not change the order"} {
		if !strings.Contains(page, must) {
			t.Errorf("the study's page does not say %q", must)
		}
	}
}

func TestListSaysWhatThePaceMeansAndThatAIIsDown(t *testing.T) {
	down, _ := serve(t, onPathway(study.AIDown), webui.Reader)
	up, _ := serve(t, onPathway(study.AIUp), webui.Reader)
	for _, l := range webui.Langs {
		_, page := ask(t, http.MethodGet, down.URL+"/", webui.Reader, string(l), nil)
		if !strings.Contains(page, l.T("outlook.ai_down")) || !strings.Contains(words(page), l.T("outlook.label")) {
			t.Errorf("%s: the list does not say that nobody answers", l)
		}
		if _, page := ask(t, http.MethodGet, up.URL+"/", webui.Reader, string(l), nil); strings.Contains(page, l.T("outlook.ai_down")) {
			t.Errorf("%s: it says so though models answer", l)
		}
	}
	if _, page := get(t, down.URL+"/", webui.Reader); !strings.Contains(words(page), "Deadlines: 1 passed · 1 at risk · at the present pace 1 will pass today and 1 this week") {
		t.Errorf("the list does not tell of the deadlines:\n%s", words(page))
	}
	a, body := get(t, down.URL+"/api/v1/worklist", webui.Reader)
	if got := a.Header.Get("Varde-Ai-Layer"); got != "down" {
		t.Errorf("the API's head says %q", got)
	}
	var rows []struct {
		UID     string `json:"study_uid"`
		Class   int
		Rule    string
		Clock   *study.Clock
		Remarks []string
	}
	if err := json.Unmarshal([]byte(body), &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Rule == "" {
			t.Errorf("%s names no rule", r.UID)
		}
		if r.UID == "2.25.120" && (r.Class != order.ClassAtRisk || r.Clock == nil || r.Clock.Step != "workup" || len(r.Remarks) != 1) {
			t.Errorf("%+v", r)
		}
	}
	_, body = get(t, down.URL+"/api/v1/worklist/forecast", webui.Reader)
	var f order.Forecast
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		t.Fatal(err, body)
	}
	if f.AILayer != study.AIDown || f.Deadlines != 3 || f.Overdue != 1 || f.AtRisk != 1 || f.BreachToday != 1 || f.Rule != order.Rule {
		t.Errorf("%+v", f)
	}
	if a, _ := get(t, down.URL+"/api/v1/worklist/forecast", webui.Auditor); a.StatusCode != 403 {
		t.Errorf("an auditor has it: %s", a.Status)
	}
}
