package words_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/words"
	"varde/study"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ptr[T any](v T) *T { return &v }

// A telling is a study with a result, and what a report of it depends on besides.
type telling struct {
	study   study.Study
	result  study.Result
	options words.TellOptions
}

func sct(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

func ucum(value string) study.Code { return study.Code{Value: value, Scheme: "UCUM", Meaning: value} }

// chest is a CT of 40 slices in two series, with findings in the second.
func chest(findings int) telling {
	t := telling{
		study: study.Study{UID: "2.25.1", Modality: study.CT},
		result: study.Result{
			Study: "2.25.1", Rev: 1, AI: study.NotFlagged, Name: "CT nodule candidates", Planned: 40, Seen: 40,
			Model: study.ModelRef{ID: "nodule-ct", Version: "1.2.0", SHA256: study.Hash{1, 2, 3}},
		},
	}
	for n := range 41 {
		series, number := study.UID("2.25.1.2"), n
		if n == 0 {
			series, number = "2.25.1.1", 1 // a scout
		}
		t.options.Instances = append(t.options.Instances, study.Instance{UID: series + study.UID("."+string(rune('A'+n))), Series: series, SeriesNumber: len(series) % 7, Number: number,
			Image: &study.Image{Frames: 1}})
	}
	for n := range findings {
		f := study.Finding{Number: n + 1, What: sct("27925004", "Nodule"), Site: sct("39607008", "Lung"), Laterality: sct("7771000", "Left"),
			Measurements: []study.Measurement{{Name: sct("103339001", "Long axis"), Value: 8.4, Unit: ucum("mm")}, {Name: sct("118565006", "Volume"), Value: 1310.12, Unit: ucum("mm3")}},
			Probability:  ptr(0.875)}
		for k := range 3 - n%2*2 {
			f.Regions = append(f.Regions, study.Region{Instance: t.options.Instances[10+n+k].UID, Frame: 1, Frames: 1})
		}
		t.result.Findings = append(t.result.Findings, f)
	}
	if findings > 0 {
		t.result.AI = study.Flagged
	}
	return t
}

// breast is a mammogram of four views.
func breast() telling {
	t := chest(0)
	t.study.Modality, t.result.Planned, t.result.Seen = study.MG, 4, 4
	t.result.Name, t.result.Model.ID = "Microcalcification candidates", "calc-mg"
	t.options.Instances = nil
	for n, view := range []string{"R CC", "L CC", "R MLO", "L MLO"} {
		t.options.Instances = append(t.options.Instances, study.Instance{UID: study.UID("2.25.3." + string(rune('1'+n))), Series: "2.25.3", Number: n + 1,
			Image: &study.Image{Frames: 1, Laterality: view[:1], View: view[2:]}})
	}
	t.result.AI = study.Flagged
	t.result.Findings = []study.Finding{{Number: 1, What: sct("129769006", "Calcification Cluster"), Site: sct("76752008", "Breast"), Laterality: sct("7771000", "Left"),
		Measurements: []study.Measurement{{Name: sct("103339001", "Long axis"), Value: 11, Unit: ucum("mm")}},
		Regions:      []study.Region{{Instance: "2.25.3.4", Frame: 1, Frames: 1}}}}
	return t
}

// slides is a case of three slides, of which the last could not be read.
func slides() telling {
	t := chest(0)
	t.study.Modality, t.options.Instances, t.options.Heatmap = study.SM, nil, true
	r := &t.result
	r.Name, r.Model.ID, r.AI, r.Planned, r.Seen, r.Slide = "H&E nuclear density", "nuclei-he", study.Flagged, 769, 512, "2.25.9.1"
	r.Reason = study.Reason{Code: study.ReasonPositions}
	for n, ai := range []study.AIState{study.Flagged, study.NotFlagged, study.Failed} {
		r.Slides = append(r.Slides, study.SlideResult{Series: study.UID("2.25.9." + string(rune('1'+n))), Container: "S-" + string(rune('1'+n)), AI: ai, Planned: 256, Seen: 256})
	}
	r.Slides[2].Container, r.Slides[2].Seen, r.Slides[2].Planned, r.Slides[2].Reason = "", 0, 1, r.Reason
	r.Slides[1].Seen = 200
	r.Findings = []study.Finding{{Number: 1, Slide: "2.25.9.1", What: study.Code{Value: "NUCDENSE", Scheme: "99VARDE", Meaning: "Region of high nuclear density"},
		Measurements: []study.Measurement{{Name: study.Code{Value: "NUCCOUNT", Scheme: "99VARDE", Meaning: "Number of nuclei"}, Value: 5120, Unit: ucum("1")}}}}
	r.Measurements = []study.Measurement{{Name: study.Code{Value: "NUCAREA", Scheme: "99VARDE", Meaning: "Nuclear area fraction"}, Value: 31.25, Unit: ucum("%")}}
	return t
}

// calibrated gives a telling what the site's own cases say.
func (t telling) calibrated() telling {
	t.result.Calibrated, t.result.Probability = true, ptr(0.31)
	t.result.Frequency = &study.Frequency{
		Like:  study.Rate{Share: 0.31, Low: 0.2341, High: 0.3978, N: 120},
		Wrong: &study.Rate{Share: 0.6904, Low: 0.6611, High: 0.7188, N: 1012}, Missed: &study.Rate{Share: 0.00391, Low: 0.0021, High: 0.0068, N: 3320},
		Cases: 1204, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC), Place: "Nordre sykehus",
	}
	for i := range t.result.Findings {
		t.result.Findings[i].Probability = nil
	}
	return t
}

func (t telling) alter(f func(*study.Result)) telling {
	f(&t.result)
	return t
}

// alike is a mask that says nothing but where: of 15 findings 9 are listed, and all
// but the fourth and the sixth say the same.
func alike() telling {
	t := chest(9)
	for i := range t.result.Findings {
		f := &t.result.Findings[i]
		f.Measurements, f.Probability, f.Regions = nil, nil, t.result.Findings[0].Regions
		if i == 3 || i == 5 {
			f.Laterality = sct("24028007", "Right")
		}
	}
	return t.alter(func(r *study.Result) { r.Unlisted = 6 })
}

// outcomes are all that a result can come to.
func outcomes() map[string]telling {
	labeled := chest(1).alter(func(r *study.Result) {
		r.Labels = []study.Label{
			{What: sct("36118008", "Pneumothorax"), AI: study.Flagged, Value: 0.91, Probability: ptr(0.91)},
			{What: sct("60046008", "Pleural effusion"), AI: study.Uncertain},
			{What: sct("19242006", "Pulmonary edema"), AI: study.NotFlagged},
			{What: sct("1", "Some thing"), AI: study.NotFlagged, Grade: &study.Code{Value: "2", Scheme: "99X", Meaning: "Grade 2"}},
		}
		r.CE = "MDR IIa, 2797"
	})
	replacing := chest(2)
	replacing.options.Replaces = true
	bare := chest(2).calibrated()
	bare.options.Bare = true
	whole := slides().alter(func(r *study.Result) {
		r.Slides, r.Planned, r.Seen, r.Reason = r.Slides[:1], 256, 256, study.Reason{}
	})
	return map[string]telling{
		"flagged":            replacing,
		"flagged-calibrated": chest(1).calibrated(),
		"flagged-rare": chest(1).calibrated().alter(func(r *study.Result) {
			r.Frequency.Like, r.Frequency.Wrong = study.Rate{Share: 0.0002, Low: 0, High: 0.0311, N: 120}, &study.Rate{Share: 0.999, Low: 0.97, High: 1, N: 120}
			r.Frequency.From, r.Frequency.To = r.Frequency.From.AddDate(-1, 3, 0), r.Frequency.To.AddDate(0, 0, -3)
		}),
		"flagged-nowhere": chest(0).alter(func(r *study.Result) { r.AI, r.Planned, r.Seen = study.Flagged, 1, 1 }),
		"flagged-many":    chest(23),
		"flagged-most":    chest(10).alter(func(r *study.Result) { r.Unlisted = 14 }),
		"flagged-alike":   alike(),
		"flagged-breast":  breast(),
		"flagged-labels":  labeled,
		"flagged-undated": chest(1).alter(func(r *study.Result) { r.Calibrated, r.Probability = true, ptr(0.31) }),
		"uncertain":       chest(0).alter(func(r *study.Result) { r.AI = study.Uncertain }),
		"nothing":         chest(0),
		"flagged-bare":    bare,
		"nothing-calibrated": chest(0).calibrated().alter(func(r *study.Result) {
			r.Frequency.From, r.Frequency.To = r.Frequency.From.AddDate(-1, 0, 0), r.Frequency.From.AddDate(0, 0, -1)
		}),
		"partial": chest(0).alter(func(r *study.Result) {
			r.AI, r.Seen, r.Reason = study.Uncertain, 37, study.Reason{Code: study.ReasonDamaged}
		}),
		"partial-flagged": chest(1).alter(func(r *study.Result) { r.Seen, r.Reason = 37, study.Reason{Code: study.ReasonBlur} }),
		"failed": chest(0).alter(func(r *study.Result) {
			r.AI, r.Seen, r.Reason = study.Failed, 0, study.Reason{Code: study.ReasonInternal}
		}),
		"stopped": chest(0).alter(func(r *study.Result) { r.AI, r.Reason = study.Failed, study.Reason{Code: study.ReasonStopped} }),
		"outside": chest(0).alter(func(r *study.Result) {
			r.AI, r.Seen, r.Planned, r.Reason = study.OutOfScope, 0, 0, study.Reason{Code: study.ReasonSpacing, Detail: "2.5 mm"}
		}),
		"running": chest(0).alter(func(r *study.Result) { r.AI, r.Seen = study.Running, 3 }),
		"case":    slides(),
		"case-unscored": slides().alter(func(r *study.Result) {
			r.AI, r.Slide, r.Findings, r.Seen = study.Failed, "", nil, 0
			r.Slides = r.Slides[2:]
			r.Slides = append(r.Slides, r.Slides[0])
		}),
		"one-slide": whole,
	}
}

func TestResultsAreToldAsAgreed(t *testing.T) {
	for name, one := range outcomes() {
		for _, l := range words.Langs {
			told := words.Tell(l, one.study, one.result, one.options)
			got := told.Headline + "\n\n" + strings.Join(told.Lines(), "\n") + "\n"
			path := filepath.Join("testdata", name+"."+string(l)+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s has changed; if that is right: go test ./internal/words -update\n%s", path, got)
			}
		}
	}
}

// TestEverySentenceOfResultsIsSaid holds the catalog against the outcomes: what no
// outcome says is a sentence that nobody has read in its place.
func TestEverySentenceOfResultsIsSaid(t *testing.T) {
	pages := []string{"ai.partial", "ai.receiving", "ai.receiving.one", "ai.none.says"} // of lists and of studies without a result
	others := regexp.MustCompile(`^(code|month)\.|^result\.(series|at\.)`)
	hole := regexp.MustCompile(`\{\d\}`)
	for _, l := range words.Langs {
		b, err := os.ReadFile("locale/" + string(l) + "/result.json")
		if err != nil {
			t.Fatal(err)
		}
		var catalog map[string]string
		if err := json.Unmarshal(b, &catalog); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		all := outcomes()
		all["one more"] = chest(21)
		all["one field"] = slides().alter(func(r *study.Result) { r.Slides, r.Planned, r.Seen = r.Slides[:1], 1, 1 })
		for _, one := range all {
			told := words.Tell(l, one.study, one.result, one.options)
			said.WriteString(strings.ToLower(told.Headline+"\n"+strings.Join(told.Lines(), "\n")) + "\n")
		}
		for key, text := range catalog {
			if slices.Contains(pages, key) || others.MatchString(key) {
				continue
			}
			for _, part := range hole.Split(strings.ToLower(text), -1) {
				if !strings.Contains(said.String(), part) {
					t.Errorf("%s: %s is said of no outcome: %q", l, key, part)
				}
			}
		}
	}
}

// TestNoPercentageWithoutNumbersAndInterval tells every outcome with a probability
// of 0.4321 and looks for it.
func TestNoPercentageWithoutNumbersAndInterval(t *testing.T) {
	for name, one := range outcomes() {
		one.result.Probability = ptr(0.4321)
		one.result.Raw = ptr(0.4321)
		one.result.Measurements = append(slices.Clone(one.result.Measurements),
			study.Measurement{Name: study.Code{Value: "P", Scheme: "99VARDE", Meaning: "Probability"}, Value: 43.21, Unit: ucum("%"), Chance: true})
		for _, l := range words.Langs {
			for _, line := range words.Tell(l, one.study, one.result, one.options).Lines() {
				if strings.Contains(line, "43") {
					t.Errorf("%s, %s: %s", name, l, line)
				}
				if strings.Contains(line, "%") && !strings.Contains(line, "95 %") && !strings.Contains(line, "31") {
					t.Errorf("%s, %s: a percentage without an interval: %s", name, l, line)
				}
				if strings.Contains(line, "95 %") != strings.Contains(line, "n = ") {
					t.Errorf("%s, %s: an interval without n: %s", name, l, line)
				}
			}
		}
	}
}

// TestWhatWasNotSeenIsSaidBeforeAnyNumber keeps a partial result from reading like
// a whole one, and what did not run from reading like a negative.
func TestWhatWasNotSeenIsSaidBeforeAnyNumber(t *testing.T) {
	for name, one := range outcomes() {
		for _, l := range words.Langs {
			told := words.Tell(l, one.study, one.result, one.options)
			lines := told.Lines()
			r := one.result
			if unseen := r.Partial() || !words.Answered(r); unseen && r.AI != study.Running && r.Reason.Code != study.ReasonStopped && lines[1] != told.NotLooked {
				t.Errorf("%s, %s: %q", name, l, lines)
			}
			if !words.Answered(r) && (told.Looked != "" || told.Frequency != "" || len(told.Findings) > 0 || strings.Contains(told.Summary, l.T("result.nothing"))) {
				t.Errorf("%s, %s: what gave no answer says %+v", name, l, told)
			}
			if last := lines[len(lines)-1]; last != told.Disclaimer || !strings.HasPrefix(last, l.T("bar.support")) {
				t.Errorf("%s, %s: ends with %q", name, l, last)
			}
			if !strings.Contains(told.Model, r.Model.SHA256.String()) || !strings.Contains(told.Model, r.Model.String()) {
				t.Errorf("%s, %s: %q does not name the model", name, l, told.Model)
			}
		}
	}
}

// TestModelsOwnCodesAreToldInTheReadersLanguage has a finding, a number, a unit and a
// label of which only the model's card has words. What the catalog knows is told by the
// catalog, and what nobody has translated in the words of the code.
func TestModelsOwnCodesAreToldInTheReadersLanguage(t *testing.T) {
	own := func(value, meaning string) study.Code {
		return study.Code{Value: value, Scheme: "99X", Meaning: meaning}
	}
	c := chest(1)
	c.result.AI = study.Flagged
	c.result.Findings[0].What = own("ODD", "Odd spot")
	c.result.Findings[0].Measurements = []study.Measurement{{Name: own("N", "Nuclei"), Value: 12, Unit: ucum("{nuclei}/mm2")}}
	grade := own("G2", "Second degree")
	c.result.Labels = []study.Label{{Name: "degree", What: own("G", "Degree"), Grade: &grade}}
	for _, x := range []study.Code{own("ODD", "sær plet"), own("N", "kerner"), {Value: "{nuclei}/mm2", Scheme: "UCUM", Meaning: "kerner/mm²"}, own("G", "grad"), own("G2", "anden grad"),
		{Value: "39607008", Scheme: "SCT", Meaning: "lap"}} {
		c.result.Terms = append(c.result.Terms, study.Term{Lang: "da", Code: x})
	}
	for l, want := range map[words.Lang][]string{
		words.Danish:  {"Sær plet", "lunge, venstre", "kerner 12\u00a0kerner/mm²", "Grad: anden grad."},
		words.Bokmal:  {"Odd spot", "lunge, venstre", "nuclei 12\u00a0nuclei/mm²", "Degree: second degree."},
		words.English: {"Odd spot", "lung, left", "nuclei 12\u00a0nuclei/mm²", "Degree: second degree."},
	} {
		told := words.Tell(l, c.study, c.result, c.options)
		f := told.Findings[0]
		if f.What != want[0] || !strings.HasPrefix(f.Where, want[1]) || f.Sizes != want[2] || !slices.Equal(told.Labels, want[3:]) {
			t.Errorf("%s: %q, %q, %q, %q", l, f.What, f.Where, f.Sizes, told.Labels)
		}
	}
}

// TestDetailsOfReasonsAreInTheLanguage: words and numbers are, codes and UIDs are not.
func TestDetailsOfReasonsAreInTheLanguage(t *testing.T) {
	for detail, want := range map[string]string{
		"gap 5.00 mm, step 2.50 mm": "spring 5,00 mm, afstand 2,50 mm",
		"tilt 12.5°":                "hældning 12,5°",
		"0.123 < 0.2":               "0,123 < 0,2",
		"1.2.840.10008.5.1.4.1.1.2": "1.2.840.10008.5.1.4.1.1.2",
		"orientation 2.25.1":        "orientering 2.25.1",
		"(0018,0015) –":             "(0018,0015) –",
		"4 < 8":                     "4 < 8",
	} {
		if got := words.Danish.Reason(study.Reason{Code: "x", Detail: detail}); got != "x ("+want+")" {
			t.Errorf("%q in Danish is %q", detail, got)
		}
		if got := words.English.Reason(study.Reason{Code: "x", Detail: detail}); got != "x ("+detail+")" {
			t.Errorf("%q in English is %q", detail, got)
		}
	}
}

// TestCodesOfTheStandardsAreTranslatedOnce holds what reports of ours use, and the
// parts of the body that cards ask for, against the catalog.
func TestCodesOfTheStandardsAreTranslatedOnce(t *testing.T) {
	for _, value := range []string{"27925004", "4147007", "108369006", "129769006", "129770007", "129788004", "129792006", "75913005", "129748002",
		"39607008", "76752008", "80248007", "73056007", "64033007", "10200004", "12738006", "80891009", "15776009", "41216001", "59441001", "71854001",
		"7771000", "24028007", "51440002", "66459002", "42798000", "118565006", "103339001", "103340004", "52101004", "60022001", "47492008"} {
		for _, l := range words.Langs {
			if c := sct(value, "?"); !l.Knows(c) || l.Code(c) == "?" || l.Code(c) == "" {
				t.Errorf("%s: no word for SCT:%s", l, value)
			}
		}
	}
	for _, l := range words.Langs {
		if c := (study.Code{Value: "L0JK", Scheme: "IBSI", Meaning: "?"}); l.Code(c) == "?" {
			t.Errorf("%s: no word for the longest diameter of a lesion", l)
		}
	}
	for unit, known := range map[string]bool{"mm2": true, "%": true, "1": true, "{ratio}": true, "{nuclei}/mm2": false} {
		if words.Danish.Knows(ucum(unit)) != known {
			t.Errorf("unit %s: known is not %v", unit, known)
		}
	}
	if words.English.Title(study.Code{}) != "" {
		t.Error("no code has a title")
	}
}
