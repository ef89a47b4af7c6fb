package fhir_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"varde/internal/studytest/shared"
	"varde/internal/words"
	"varde/report/fhir"
	"varde/study"
)

// tree reads JSON with its numbers as they stand.
func tree(t *testing.T, b []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func written(t *testing.T, v fhir.Version, r fhir.Resource) map[string]any {
	t.Helper()
	b, err := fhir.Write(v, r)
	if err != nil {
		t.Fatal(err)
	}
	return tree(t, b)
}

// TestOutcomesKeepTheirWord reads of every outcome what a record would show, and
// whether it could be taken for a negative.
func TestOutcomesKeepTheirWord(t *testing.T) {
	for _, o := range outcomes {
		for _, l := range words.Langs {
			report, task, absent := "", "", ""
			value := false
			for _, r := range work(l, o.name).Resources() {
				m := written(t, fhir.R4, r)
				switch r := r.(type) {
				case *fhir.DiagnosticReport:
					if strings.Count(r.ID, "-") == 1 {
						report, _ = m["status"].(string)
					}
					if r.Conclusion == "" || !strings.Contains(r.Conclusion, "nodule-ct@2.1.0") || r.Conclusion != strings.TrimSpace(r.Conclusion) {
						t.Errorf("%s %s: concludes %q", o.name, l, r.Conclusion)
					}
				case *fhir.Task:
					task = r.Status
				case *fhir.Observation:
					if strings.Count(r.ID, "-") == 1 { // of the study as a whole
						value = r.Value != nil
						if r.Absent != nil {
							absent = r.Absent.Coding[0].Code
						}
					}
					if r.Value != nil && r.Absent != nil {
						t.Errorf("%s %s: a value, and a reason why there is none", o.name, l)
					}
				}
			}
			if report != o.report || task != o.task || absent != o.absent {
				t.Errorf("%s %s: report %q, task %q, absent %q; want %q, %q, %q", o.name, l, report, task, absent, o.report, o.task, o.absent)
			}
			if want := o.report != "" && o.absent == "" && !strings.Contains(o.name, "withdrawn") && !strings.Contains(o.name, "disagreed"); value != want {
				t.Errorf("%s %s: has a value: %v", o.name, l, value)
			}
		}
	}
}

// TestNobodyIsNamed looks for the patient's name, and for what people wrote of the
// study, in everything that is written.
func TestNobodyIsNamed(t *testing.T) {
	for _, o := range outcomes {
		for _, v := range fhir.Versions {
			b, err := work(words.English, o.name).Bundle(v)
			if err != nil {
				t.Fatal(err)
			}
			var texts strings.Builder
			texts.Write(b)
			for _, e := range tree(t, b)["entry"].([]any) {
				forms, _ := e.(map[string]any)["resource"].(map[string]any)["presentedForm"].([]any)
				for _, f := range forms {
					text, err := base64.StdEncoding.DecodeString(f.(map[string]any)["data"].(string))
					if err != nil {
						t.Fatal(err)
					}
					texts.Write(text)
				}
			}
			for _, bad := range []string{"Everywoman", "EVERYWOMAN", "THORAX", "19500101", "1950-01-01"} {
				if strings.Contains(texts.String(), bad) {
					t.Errorf("%s, %s: %q stands in it", o.name, v, bad)
				}
			}
		}
	}
}

func TestSameResultIsSameBytes(t *testing.T) {
	for _, o := range outcomes {
		for _, v := range fhir.Versions {
			a, err := work(words.Danish, o.name).Bundle(v)
			b, err2 := work(words.Danish, o.name).Bundle(v)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) || !bytes.HasPrefix(a, []byte(`{"resourceType":"Bundle",`)) {
				t.Errorf("%s, %s: written twice, two bundles", o.name, v)
			}
		}
	}
}

// TestWhatANewResultDropsIsTakenBack corrects a result of two findings by one of the
// second alone.
func TestWhatANewResultDropsIsTakenBack(t *testing.T) {
	w := base()
	old := w.Result
	w.Replaces, w.Old = true, &old
	w.Result.Rev = 2
	w.Result.Findings = w.Result.Findings[1:]
	status := map[string]int{}
	for _, r := range told(words.English, w).Resources() {
		if o, ok := r.(*fhir.Observation); ok {
			status[o.Status]++
			if o.Status == "entered-in-error" && (o.Value != nil || len(o.Component) > 0) {
				t.Error("what is taken back still says something")
			}
		}
	}
	if status["preliminary"] != 2 || status["entered-in-error"] != 1 {
		t.Errorf("%v", status)
	}
}

// TestProbabilityNeedsItsCalibration shows a percentage of the study alone, and only
// where the site's own cases were held against it; and no number of the model's
// without a word on how it is to be taken.
func TestProbabilityNeedsItsCalibration(t *testing.T) {
	for _, calibrated := range []bool{true, false} {
		w := base()
		w.Result.Calibrated = calibrated
		w = told(words.English, w)
		shown := 0
		for _, r := range w.Resources() {
			o, ok := r.(*fhir.Observation)
			if !ok {
				continue
			}
			b, err := json.Marshal(o.Note)
			if err != nil {
				t.Fatal(err)
			}
			caution, err := json.Marshal(w.Told.Probability)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range o.Component {
				if c.Quantity == nil || c.Quantity.Code != "%" {
					continue
				}
				if shown++; !bytes.Contains(b, caution) {
					t.Errorf("%s %% without a word on it", c.Quantity.Value)
				}
			}
		}
		if want := map[bool]int{true: 1}[calibrated]; shown != want {
			t.Errorf("calibrated %v: %d percentages, and not %d", calibrated, shown, want)
		}
		w.Told.Probability = ""
		for _, r := range w.Resources() {
			if b, err := fhir.Write(fhir.R5, r); err != nil || bytes.Contains(b, []byte(`"code":"%"`)) {
				t.Errorf("a percentage that nobody explains: %v %s", err, b)
			}
		}
	}
}

func TestVersionsDifferWhereTheStandardDoes(t *testing.T) {
	all := map[string]fhir.Resource{}
	w := work(words.English, "failed")
	for _, r := range w.Resources() {
		all[fhir.TypeOf(r)] = r
	}
	all["Device"] = w.Algorithm()
	at := func(m map[string]any, path string) any {
		var v any = m
		for step := range strings.SplitSeq(path, ".") {
			if l, ok := v.([]any); ok {
				v = l[0]
			}
			v = v.(map[string]any)[step]
		}
		return v
	}
	for _, tt := range []struct{ kind, r4, r5 string }{
		{"DiagnosticReport", "imagingStudy.type", "study.type"},
		{"ImagingStudy", "modality.code", "modality.coding.code"},
		{"ImagingStudy", "series.modality.code", "series.modality.coding.code"},
		{"Device", "deviceName.name", "name.value"},
		{"Device", "type.text", "type.coding.code"},
		{"Task", "statusReason.text", "statusReason.concept.text"},
		{"Endpoint", "connectionType.code", "connectionType.coding.code"},
		{"Endpoint", "payloadType.text", "payload.type.text"},
	} {
		four, five := written(t, fhir.R4, all[tt.kind]), written(t, fhir.R5, all[tt.kind])
		if tt.r4 != "type.text" && at(four, tt.r4) == nil || at(five, tt.r5) == nil {
			t.Errorf("%s: R4 %s is %v, R5 %s is %v", tt.kind, tt.r4, at(four, tt.r4), tt.r5, at(five, tt.r5))
		}
		if _, isList := four["type"].([]any); tt.kind == "Device" && isList {
			t.Error("a device of R4 has one type")
		}
	}
}

// TestBothVersionsAreReadBack reads what was written of every outcome, and writes it
// again.
func TestBothVersionsAreReadBack(t *testing.T) {
	for _, o := range outcomes {
		for _, v := range fhir.Versions {
			for _, r := range work(words.Bokmal, o.name).Resources() {
				b, err := fhir.Write(v, r)
				if err != nil {
					t.Fatal(err)
				}
				back, err := fhir.Read(v, b)
				if err != nil {
					t.Fatalf("%s, %s %s: %v", o.name, v, fhir.TypeOf(r), err)
				}
				if again, err := fhir.Write(v, back); err != nil || !bytes.Equal(again, b) {
					t.Errorf("%s, %s %s: read back, it is another: %v\n%s\n%s", o.name, v, fhir.TypeOf(r), err, b, again)
				}
			}
		}
	}
}

// TestOthersResourcesAreReadWithoutLoss reads the examples of HL7 and writes them
// again: nothing is lost, in R4 nor on the way through R5.
func TestOthersResourcesAreReadWithoutLoss(t *testing.T) {
	dir, _ := shared.Manifest(t)
	files, err := filepath.Glob(filepath.Join(dir, "fhir", "*.json"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fhir.Read(fhir.R4, b)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
			continue
		}
		if got, want := written(t, fhir.R4, r), tree(t, b); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is another:\n%v\n%v", filepath.Base(f), got, want)
		}
		five, err := fhir.Write(fhir.R5, r)
		if err != nil {
			t.Fatal(err)
		}
		if err := judge(fhir.R5, five); err != nil {
			t.Errorf("%s as R5: %v", filepath.Base(f), err)
		}
		again, err := fhir.Read(fhir.R5, five)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := written(t, fhir.R4, again), tree(t, b); !reflect.DeepEqual(got, want) {
			t.Errorf("%s through R5 is another", filepath.Base(f))
		}
	}
}

func TestIDNamesItsStudy(t *testing.T) {
	for _, uid := range []study.UID{"1.2", "0.1.2", "1.2.840.0.00.10008", study.UID("1." + strings.Repeat("9", 62)), study.UID(strings.Repeat("9", 64)), study.DerivedUID("x")} {
		for _, id := range []fhir.ID{{Study: uid}, {Study: uid, Model: "000000abc"}, {Study: uid, Model: "zzzzzzzzz", Item: "012345678"}} {
			text := id.String()
			back, err := fhir.ParseID(text)
			if err != nil || back != id || len(text) > 64 {
				t.Errorf("%+v: %s, %d characters, %+v %v", id, text, len(text), back, err)
			}
		}
	}
	for _, bad := range []string{"", "-", "1", "z-", "a--", "A", "1_0", "+5", "-5", strings.Repeat("z", 65), "abc-short", fhir.ID{Study: "1.2"}.String() + "-000000000-000000000-000000000", "x y", "1e9999"} {
		if id, err := fhir.ParseID(bad); !errors.Is(err, study.ErrNotFound) && err != nil || err == nil && id.String() != bad {
			t.Errorf("%q: %+v, %v", bad, id, err)
		}
	}
}

func TestBrokenResourceIsRefused(t *testing.T) {
	for bad, kind := range map[string]error{
		``:                                    study.ErrInvalid,
		`[]`:                                  study.ErrInvalid,
		`{`:                                   study.ErrInvalid,
		`{"resourceType":"Task"`:              study.ErrInvalid,
		`{"resourceType":7}`:                  study.ErrUnsupported,
		`{"resourceType":"Spam"}`:             study.ErrUnsupported,
		`{"resourceType":"Task","status":[]}`: study.ErrInvalid,
		strings.Repeat(`[`, 100_000):          study.ErrInvalid,
		`{"resourceType":"ImagingStudy","modality":{"coding":1},"series":[7]}`: study.ErrInvalid,
	} {
		for _, v := range fhir.Versions {
			if _, err := fhir.Read(v, []byte(bad)); !errors.Is(err, kind) {
				t.Errorf("%s %.60s: %v", v, bad, err)
			}
		}
	}
}

// FuzzRead holds that no bytes of a stranger break the reader.
func FuzzRead(f *testing.F) {
	for _, v := range fhir.Versions {
		for _, r := range work(words.English, "slides").Resources() {
			b, err := fhir.Write(v, r)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(v), b)
		}
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		v, err := fhir.ParseVersion(name)
		if err != nil {
			t.Skip()
		}
		r, err := fhir.Read(v, b)
		if err != nil {
			if !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		if _, err := fhir.Write(v, r); err != nil {
			t.Fatal(fmt.Errorf("read, and not written: %w", err))
		}
	})
}
