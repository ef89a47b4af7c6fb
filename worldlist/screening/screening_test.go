package screening_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"varde/study"
	"varde/worldlist/screening"
)

const mammo = `
[[program]]
code = "mammo"
name = { en = "Breast screening", nb = "Mammografiprogrammet", da = "Brystscreening" }
descriptions = ["*screening*"]
modalities = ["MG"]
models = ["mg-*"]
least = 1
look_above = 0.9
  [[program.band]]
  below = 0.05
  readers = 1
`

func programs(t *testing.T, text string) *screening.Programs {
	t.Helper()
	p, err := screening.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func exam(description string, results ...study.Result) study.ScreeningFacts {
	return study.ScreeningFacts{Study: study.Study{UID: "1.2", Modality: study.MG, Description: description}, Results: results}
}

func said(model string, p float64, more ...func(*study.Result)) study.Result {
	r := study.Result{Model: study.ModelRef{ID: model, Version: "1"}, AI: study.NotFlagged, Probability: &p, Calibrated: true, Planned: 4, Seen: 4}
	for _, do := range more {
		do(&r)
	}
	return r
}

// TestHowManyReadByEveryKindOfResult is the table of the rule that matters: only a
// whole, calibrated number in a band of one reader takes a reader away.
func TestHowManyReadByEveryKindOfResult(t *testing.T) {
	as := func(ai study.AIState) func(*study.Result) { return func(r *study.Result) { r.AI = ai } }
	raw := func(r *study.Result) { r.Calibrated = false }
	some := func(r *study.Result) { r.Seen = 3 }
	none := func(r *study.Result) { r.Probability = nil }
	shadow := func(r *study.Result) { r.Shadow = true }
	stopped := func(r *study.Result) {
		*r = study.Result{Model: r.Model, AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}}
	}
	for _, tt := range []struct {
		name     string
		results  []study.Result
		readers  int
		why      string
		positive bool
	}{
		{"no result", nil, 2, "no_ai", false},
		{"low", []study.Result{said("mg-a", 0.01)}, 1, "band", false},
		{"at the bound", []study.Result{said("mg-a", 0.05)}, 2, "band", false},
		{"high", []study.Result{said("mg-a", 0.95, as(study.Flagged))}, 2, "band", true},
		{"flagged below the look", []study.Result{said("mg-a", 0.5, as(study.Flagged))}, 2, "band", false},
		{"failed", []study.Result{said("mg-a", 0.01, as(study.Failed))}, 2, "failed", false},
		{"out of scope", []study.Result{said("mg-a", 0.01, as(study.OutOfScope))}, 2, "out_of_scope", false},
		{"running", []study.Result{said("mg-a", 0.01, as(study.Running))}, 2, "running", false},
		{"stopped", []study.Result{said("mg-a", 0.01, stopped)}, 2, "stopped", false},
		{"partial", []study.Result{said("mg-a", 0.01, some)}, 2, "partial", false},
		{"partial and high", []study.Result{said("mg-a", 0.95, some)}, 2, "partial", true},
		{"not calibrated", []study.Result{said("mg-a", 0.01, raw)}, 2, "uncalibrated", false},
		{"not calibrated and flagged", []study.Result{said("mg-a", 0.95, raw, as(study.Flagged))}, 2, "uncalibrated", true},
		{"no number", []study.Result{said("mg-a", 0, none)}, 2, "no_score", false},
		{"in shadow alone", []study.Result{said("mg-a", 0.01, shadow)}, 2, "no_ai", false},
		{"of another model", []study.Result{said("ct-a", 0.01)}, 2, "no_ai", false},
		{"the highest counts", []study.Result{said("mg-a", 0.01), said("mg-b", 0.2)}, 2, "band", false},
		{"both low", []study.Result{said("mg-a", 0.01), said("mg-b", 0.02)}, 1, "band", false},
		{"one low, one failed", []study.Result{said("mg-a", 0.01), said("mg-b", 0.01, as(study.Failed))}, 2, "failed", false},
		{"one low, another not meant for it", []study.Result{said("mg-a", 0.01), said("ct-a", 0.01, as(study.OutOfScope))}, 1, "band", false},
	} {
		got := programs(t, mammo).Plan(exam("Mammography screening", tt.results...))
		if got.Readers != tt.readers || got.Why != tt.why || got.Positive != tt.positive || got.Program != "mammo" {
			t.Errorf("%s: %d read (%s), second look %v; want %d (%s), %v", tt.name, got.Readers, got.Why, got.Positive, tt.readers, tt.why, tt.positive)
		}
	}
}

func TestTheLeastIsNeverLowered(t *testing.T) {
	two := programs(t, strings.Replace(mammo, "least = 1", "least = 2", 1))
	if got := two.Plan(exam("screening", said("mg-a", 0.01))); got.Readers != 2 || got.Why != "floor" || got.Score == nil {
		t.Error(got)
	}
	none := programs(t, mammo[:strings.Index(mammo, "  [[program.band]]")])
	if got := none.Plan(exam("screening", said("mg-a", 0.01))); got.Readers != 2 && got.Why != "floor" {
		t.Error("without bands:", got)
	}
}

func TestAProgramHasTheExaminationsThatFitAllItsLists(t *testing.T) {
	p := programs(t, mammo+`
[[program]]
code = "lung"
name.en = "Lung screening"
pathways = ["lung-*"]
codes = ["LDCT"]
`)
	lung := exam("CT thorax")
	lung.Study.Place.Clock.Pathway, lung.Codes = "lung-screen", []study.Code{{Value: "X1"}, {Value: "ldct"}}
	other := lung
	other.Codes = nil
	diagnostic, ct := exam("Mammography both sides"), exam("Lung screening")
	ct.Study.Modality = study.CT
	for n, tt := range []struct {
		f    study.ScreeningFacts
		want string
	}{{exam("MX SCREENING 2 planes"), "mammo"}, {diagnostic, ""}, {ct, ""}, {lung, "lung"}, {other, ""}} {
		if got := p.Plan(tt.f); got.Program != tt.want || tt.want == "" && got != (study.ScreeningPlan{}) {
			t.Errorf("%d: %q, want %q", n, got.Program, tt.want)
		}
	}
}

func TestModelsOwnNumber(t *testing.T) {
	p := programs(t, strings.NewReplacer("least = 1", "least = 1\nby = \"score\"", "below = 0.05", "below = 5", "look_above = 0.9", "look_above = 9").Replace(mammo))
	raw := func(v float64) func(*study.Result) {
		return func(r *study.Result) { r.Raw, r.Calibrated = &v, false }
	}
	for v, want := range map[float64]int{4.5: 1, 5: 2, 9.5: 2} {
		got := p.Plan(exam("screening", said("mg-a", 0.01, raw(v))))
		if got.Readers != want || *got.Score != v || got.Positive != (v > 9) {
			t.Error(v, got)
		}
	}
}

func TestAllFaultsOfAFileAreTold(t *testing.T) {
	_, err := screening.Parse(`
[[program]]
code = "a"
modalities = ["MG"]
by = "luck"
consensus = "dice"
alone = "never"
  [[program.band]]
  below = 0.5
  readers = 1
  [[program.band]]
  below = 0.2
  readers = 3
[[program]]
code = "a"
name.en = "A"
pathways = ["[", "x"]
look_above = 0.01
least = 1
  [[program.band]]
  below = 1.5
  readers = 1
`)
	if !errors.Is(err, study.ErrInvalid) {
		t.Fatal(err)
	}
	for _, want := range []string{"no name", "modality alone", `by "luck"`, `consensus "dice"`, `alone "never"`, "least = 1", "below 0.2", "3 readers",
		"there twice", `"[" is no pattern`, "look_above 0.01", "of no probability"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %s in\n%v", want, err)
		}
	}
	for _, text := range []string{"[[program]]\ncolor = 1", "program = 3", "[[program"} {
		if _, err := screening.Parse(text); !errors.Is(err, study.ErrInvalid) {
			t.Error(text, err)
		}
	}
	if p, err := screening.Load(""); err != nil || len(p.All) != 0 || p.Plan(exam("screening")) != (study.ScreeningPlan{}) {
		t.Error("no file:", err)
	}
	if _, err := screening.Load(fmt.Sprint(t.TempDir(), "/none")); err == nil {
		t.Error("a file that is not there")
	}
}

func TestTheExampleIsSound(t *testing.T) {
	p, err := screening.Load("../../docs/screening.toml")
	if err != nil || len(p.All) != 1 {
		t.Fatal(err)
	}
	if got := p.Plan(exam("Screening", said("mg-calc", 0.01))); got.Readers != 2 || got.Why != "floor" {
		t.Error("as it stands the example lets the AI take a reader away:", got)
	}
}
