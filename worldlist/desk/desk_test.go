package desk_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/veil"
)

// A ledger has the rows of a list and one claim, and notes what is asked of that.
type ledger struct {
	claim study.Claim
	asked []study.ClaimMove
	rows  []study.Case
}

var now = time.Date(2026, 11, 24, 14, 30, 0, 0, time.UTC)

func (l *ledger) MoveClaim(_ context.Context, m study.ClaimMove) (study.Claim, error) {
	l.asked = append(l.asked, m)
	next, err := l.claim.After(m, now)
	if err == nil {
		l.claim = next
	}
	return next, err
}

func (l *ledger) Claims(context.Context, time.Duration) ([]study.Claim, error) {
	if l.claim.By == "" {
		return nil, nil
	}
	return []study.Claim{l.claim}, nil
}

func (l *ledger) Worklist(context.Context, study.WorklistFilter) ([]study.Case, study.Cursor, error) {
	return l.rows, study.Cursor{}, nil
}

func (l *ledger) Cases(context.Context, study.CaseFilter) ([]study.Case, error) { return l.rows, nil }

func (l *ledger) Case(context.Context, study.UID) (study.Case, error) {
	return study.Case{}, study.ErrNotFound
}

func (l *ledger) Answer(context.Context, ...study.ReadingStep) error { return nil }

func (l *ledger) Locked(context.Context, string, []study.UID) ([]study.UID, error) { return nil, nil }

func (l *ledger) Steps(context.Context, study.UID) ([]study.ReadingStep, error) { return nil, nil }

// anna is a reader, whatever her token.
type anna struct{}

func (anna) TokenRole(context.Context, study.Hash) (string, string, error) {
	return webui.Reader, "anna", nil
}

// next asks a desk that stands on a site alone for the next study, and says where the
// form leads.
func next(t *testing.T, l *ledger) string {
	t.Helper()
	site, err := webui.New(webui.Options{Tokens: anna{}, Version: "test", Zone: time.UTC, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk.Desk{Veil: &veil.Veil{Cases: l, Answers: l, Blinds: func() bool { return false }}, Claims: l}
	d.Veil.Protocols = func(study.ModelRef, string) []study.Protocol { return []study.Protocol{study.Concurrent} }
	d.Add(site)
	q := httptest.NewRequest(http.MethodPost, "/next", nil)
	q.Header.Set("Authorization", "Bearer K")
	a := httptest.NewRecorder()
	site.ServeHTTP(a, q)
	if a.Code != http.StatusSeeOther {
		t.Fatal(a.Code, a.Body)
	}
	return a.Header().Get("Location")
}

func TestNextPassesOverWhatCannotBeRead(t *testing.T) {
	row := func(uid study.UID, s study.Status) study.Case {
		return study.Case{Study: study.Study{UID: uid, Status: s, Rev: 1, Modality: study.CT}}
	}
	all := []study.Case{row("1.2.1", study.Receiving), row("1.2.2", study.Reported), row("1.2.3", study.Reported)}
	held := study.Claim{Study: "1.2.2", By: "bo", Since: now, Seen: now}
	for _, tt := range []struct {
		name  string
		claim study.Claim
		rows  []study.Case
		want  string
	}{
		{"images of the first are still coming", study.Claim{}, all, "/studies/1.2.2"},
		{"bo has the second", held, []study.Case{all[1]}, "/"},
		{"nothing is whole", study.Claim{}, all[:1], "/"},
	} {
		l := &ledger{claim: tt.claim, rows: tt.rows}
		if got := next(t, l); got != tt.want || len(l.asked) != strings.Count(tt.want, "studies") {
			t.Errorf("%s: %s, asked %v", tt.name, got, l.asked)
		}
	}
}

func TestRowsSayWhoHasAStudy(t *testing.T) {
	c := study.Claim{Study: "1.2.3", By: "bo", Since: now.Add(-time.Hour)}
	if got := desk.ClaimWords(webui.English, c, "anna", now); !strings.Contains(got, "bo") || !strings.Contains(got, "13:30") {
		t.Errorf("of somebody else's: %q", got)
	}
	if got := desk.ClaimWords(webui.English, c, "bo", now); got == "" || strings.Contains(got, "bo") {
		t.Errorf("of one's own: %q", got)
	}
	if got := desk.ClaimWords(webui.English, study.Claim{}, "bo", now); got != "" {
		t.Errorf("of nobody's: %q", got)
	}
}

// TestTurnTellsNobodysAnswer: while a screening waits for a reader, its row is the same
// whatever the reader before said.
func TestTurnTellsNobodysAnswer(t *testing.T) {
	for _, l := range webui.Langs {
		said := map[string]bool{}
		for _, recall := range []bool{true, false} {
			s := study.Screening{Study: "1.2.3", State: study.ScreeningSecond, Reads: []study.ScreeningRead{{Turn: study.TurnFirst, By: "bo", Recall: recall}}}
			s.Plan.Program = "mammography"
			said[desk.TurnWord(l, s)] = true
		}
		if len(said) != 1 || said[""] {
			t.Errorf("%s: %v", l, said)
		}
	}
}
