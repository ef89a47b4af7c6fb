package upload_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/study"
)

const hers = `{"patient_id":"P-4711","patient_name":"Ødegård^Åse","birth_date":"1961-02-03","sex":"F","accession":"A-17","container_id":"C1","stain":"H&E"}`

// drawnSlide is a small slide file.
func drawnSlide(t *testing.T) []byte {
	t.Helper()
	b, err := studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 700, Rows: 500}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parts makes a form of fields and files: name and value in turn. A name that
// begins with @ is a file.
func parts(t *testing.T, pairs ...string) (string, io.Reader) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		var w io.Writer
		var err error
		if name, ok := strings.CutPrefix(pairs[i], "@"); ok {
			w, err = m.CreateFormFile(name, "Ødegård Åse.svs")
		} else {
			w, err = m.CreateFormField(pairs[i])
		}
		if err == nil {
			_, err = io.WriteString(w, pairs[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), &b
}

func TestSlideFileComesByTheAPI(t *testing.T) {
	slide := string(drawnSlide(t))
	for name, pairs := range map[string][]string{
		"identifiers first": {"identifiers", hers, "@file", slide},
		"file first":        {"@file", slide, "identifiers", hers},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			kind, body := parts(t, pairs...)
			code, text := d.at(t, http.MethodPost, "/api/v1/slides", webui.Operator, "en", kind, body)
			var got struct {
				Study   study.UID `json:"study_uid"`
				Series  study.UID `json:"series_uid"`
				Outcome string
				Levels  int
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil || code != http.StatusCreated || got.Outcome != "stored" || got.Levels == 0 {
				t.Fatalf("%d %s", code, text)
			}
			all, err := d.ledger.Instances(t.Context(), got.Study)
			if err != nil || len(all) != got.Levels || all[0].Series != got.Series {
				t.Errorf("%d instances: %v", len(all), err)
			}
			kind, body = parts(t, pairs...)
			if code, text := d.at(t, http.MethodPost, "/api/v1/slides", webui.Operator, "en", kind, body); code != http.StatusOK || !strings.Contains(text, "duplicate") {
				t.Errorf("again: %d %s", code, text)
			}
			for key, err := range d.objects.List(t.Context(), "slides/incoming/") {
				t.Error("left aside: ", key, err)
			}
			if log := d.log.String(); strings.Contains(log, "degård") || strings.Contains(log, "4711") {
				t.Error("the log names a person: ", log)
			}
		})
	}
}

func TestWrongFormsForSlidesAreToldWhatIsMissing(t *testing.T) {
	slide := string(drawnSlide(t))
	for _, tt := range []struct {
		name  string
		pairs []string
		code  int
		says  string
	}{
		{"no identifiers", []string{"@file", slide}, 400, "no identifiers"},
		{"no file", []string{"identifiers", hers}, 400, "no file"},
		{"no patient", []string{"identifiers", `{"patient_name":"A^B"}`, "@file", slide}, 400, "patient_id is missing"},
		{"misspelled", []string{"identifiers", `{"patient_id":"1","sexx":"F"}`, "@file", slide}, 400, "sexx"},
		{"two files", []string{"identifiers", hers, "@file", slide, "@file", slide}, 400, "a part too many"},
		{"no slide", []string{"identifiers", hers, "@file", "nothing of the kind"}, 415, "have the scanner export DICOM"},
		{"damaged", []string{"identifiers", hers, "@file", slide[:len(slide)/2]}, 400, "slide file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			kind, body := parts(t, tt.pairs...)
			code, text := d.at(t, http.MethodPost, "/api/v1/slides", webui.Operator, "en", kind, body)
			if code != tt.code || !strings.Contains(text, tt.says) || !strings.Contains(text, `"detail"`) || strings.Contains(text, "A^B") {
				t.Errorf("%d %s", code, text)
			}
			for key, err := range d.objects.List(t.Context(), "slides/incoming/") {
				t.Error("left aside: ", key, err)
			}
		})
	}
	d := newDesk(t)
	kind, body := parts(t, "identifiers", hers, "@file", slide)
	if code, _ := d.at(t, http.MethodPost, "/api/v1/slides", webui.Reader, "en", kind, body); code != http.StatusForbidden {
		t.Errorf("a reader may send slides: %d", code)
	}
	if code, _ := d.at(t, http.MethodPost, "/api/v1/slides", webui.Operator, "en", "application/json", strings.NewReader(hers)); code != http.StatusBadRequest {
		t.Errorf("no form: %d", code)
	}
}

func TestPageTakesSlideFilesOfThePatientItNames(t *testing.T) {
	d := newDesk(t)
	ct, err := studytest.ChestCT(studytest.CT{Seed: 5, Slices: 1, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	slide := string(drawnSlide(t))
	kind, body := parts(t, "patient_id", "P-4711", "patient_name", "Ødegård^Åse", "birth_date", "1961-02-03", "sex", "",
		"@files", slide, "@files", string(ct.Objects[0].File))
	code, page := d.ask(t, http.MethodPost, webui.Operator, "en", kind, body)
	if code != 200 || !strings.Contains(page, "2 of 2 files taken in") || !strings.Contains(page, `name="patient_id"`) {
		t.Errorf("%d %s", code, page)
	}
	if found, err := d.ledger.FindStudies(t.Context(), study.Query{Modality: "SM", Limit: 9}); err != nil || len(found) != 1 ||
		found[0].Study.Patient.Reveal().ID != "P-4711" {
		t.Errorf("%d slides: %v", len(found), err)
	}
	kind, body = parts(t, "@files", slide)
	if code, page := d.ask(t, http.MethodPost, webui.Operator, "en", kind, body); code != 422 || !strings.Contains(page, "patient_id is missing") {
		t.Errorf("nobody's slide: %d %s", code, page)
	}
}
