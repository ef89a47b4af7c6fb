package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// TestHeatOfASlideIsFoundFetchedAndExported scores a drawn slide and finds the
// region that was drawn on it: in the heatmap that other viewers fetch, in the
// file that QuPath opens, and in the table.
func TestHeatOfASlideIsFoundFetchedAndExported(t *testing.T) {
	s := newService(t).start()
	d := smallSM(t, 7, true)
	s.stow(d)
	v := s.reported(d.Study, len(d.Objects))
	kinds := map[string]study.UID{}
	for _, r := range v.Reports {
		kinds[r.Kind] = r.UID
	}
	if v.Reports[0].Kind != "sr" || len(kinds) != 3 || len(v.Reports) != 3 {
		t.Fatalf("%+v", v.Reports)
	}
	mark := d.Marks[0]
	radius := mark.DiameterMM / 2 / 0.0005 // pixels of 0.5 µm
	inside := func(x, y float64) bool { return math.Hypot(x-mark.X, y-mark.Y) < 1.4*radius }

	t.Run("by QIDO and WADO", func(t *testing.T) {
		s := s.in(t)
		for kind, modality := range map[string]string{"seg": "SEG", "ann": "ANN"} {
			var rows []map[string]struct{ Value []any }
			if err := json.Unmarshal(s.get("/dicom-web/studies/"+string(d.Study)+"/instances?Modality="+modality, "application/dicom+json"), &rows); err != nil ||
				len(rows) != 1 || fmt.Sprint(rows[0]["00080018"].Value[0]) != string(kinds[kind]) {
				t.Errorf("%s: QIDO finds %v, %v", kind, rows, err)
			}
		}
		checkHeatmap(t, d, s.fetch(d.Study, kinds["seg"]), inside)
		if b := s.fetch(d.Study, kinds["sr"]); !bytes.Contains(b, []byte(kinds["seg"])) || !bytes.Contains(b, []byte(kinds["ann"])) {
			t.Error("the report does not say what stands beside it")
		}
	})
	model := fmt.Sprintf("%s@%s", v.Results[0].Model, v.Results[0].Version)
	series := s.seriesOf(t, d)
	t.Run("by the API", func(t *testing.T) {
		s := s.in(t)
		base := "/api/v1/studies/" + string(d.Study) + "/results/" + model + "/slides/" + string(series)
		checkGeoJSON(t, s.get(base+".geojson", "application/geo+json"), inside)
		checkTable(t, s.get(base+".csv", "text/csv"), inside)
		if a, err := s.askAs("", "GET", base+".csv", "text/csv", "", nil); err != nil || a.code != 401 {
			t.Errorf("a stranger gets %d, %v", a.code, err)
		}
		if a, err := s.ask("GET", "/api/v1/studies/"+string(d.Study)+"/results/"+model+"/slides/2.25.1.csv", "text/csv", "", nil); err != nil || a.code != 404 {
			t.Errorf("a slide that is not there: %d, %v", a.code, err)
		}
	})
	t.Run("by the command line", func(t *testing.T) {
		s := s.in(t)
		to := filepath.Join(t.TempDir(), "heat.geojson.gz")
		says(t, s.verb("result", "export", string(d.Study), "--out", to), `heat.geojson.gz written`)
		b, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
		checkGeoJSON(t, b, inside)
		e := s.verb("result", "export", "--form", "csv", "--model", model, "--slide", string(series), string(d.Study))
		checkTable(t, []byte(e.must(t)), inside)
		if e := s.verb("result", "export", "--form", "svg", string(d.Study)); e.code == 0 || !strings.Contains(e.stderr, "neither geojson nor csv") {
			t.Errorf("an unknown form ends with %d: %s", e.code, e.stderr)
		}
	})
	s.rememberAll(d)
	s.discreet()
}

// seriesOf reads the slide's series from its own header.
func (s *service) seriesOf(t *testing.T, d studytest.Drawn) study.UID {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(d.Objects[0].File), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return study.UID(h.Data.Text(dicom.SeriesInstanceUID))
}

// checkHeatmap goes from the hottest pixel over the glass to the drawn region, by
// what the two headers say.
func checkHeatmap(t *testing.T, d studytest.Drawn, file []byte, inside func(x, y float64) bool) {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slide, err := dicom.Scan(bytes.NewReader(d.Objects[0].File), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spans, err := h.Frames.Frame(0)
	if err != nil {
		t.Fatal(err)
	}
	frame := file[spans[0].Off:][:spans[0].Len]
	columns, _ := h.Data.Int(dicom.Columns)
	hot := 0
	for i, v := range frame {
		if v > frame[hot] {
			hot = i
		}
	}
	place := func(d *dicom.Dataset) (x, y float64) {
		o := d.Item(dicom.TotalPixelMatrixOriginSequence)
		x, _ = o.Float(dicom.XOffsetInSlideCoordinateSystem)
		y, _ = o.Float(dicom.YOffsetInSlideCoordinateSystem)
		return x, y
	}
	measures := h.Data.Item(dicom.SharedFunctionalGroupsSequence).Item(dicom.PixelMeasuresSequence).Floats(dicom.PixelSpacing)
	// The drawn slides lie with columns along −y and rows along −x.
	x0, y0 := place(slide.Data)
	mx, my := place(h.Data)
	my -= float64(hot%columns) * measures[1]
	mx -= float64(hot/columns) * measures[0]
	x, y := (y0-my)/0.0005+0.5, (x0-mx)/0.0005+0.5
	if !inside(x, y) || frame[hot] < 128 {
		t.Errorf("the hottest pixel, %d, is at (%.0f, %.0f), and the region at (%.0f, %.0f)", frame[hot], x, y, d.Marks[0].X, d.Marks[0].Y)
	}
	if a, b := h.Data.Text(dicom.FrameOfReferenceUID), slide.Data.Text(dicom.FrameOfReferenceUID); a != b {
		t.Errorf("frame of reference %s, not %s", a, b)
	}
}

func checkGeoJSON(t *testing.T, b []byte, inside func(x, y float64) bool) {
	t.Helper()
	var c struct {
		Features []struct {
			Geometry   struct{ Coordinates [][][2]float64 }
			Properties struct {
				ObjectType   string
				Measurements map[string]float64
			}
		}
		Varde struct {
			SHA256 string `json:"model_sha256"`
		}
	}
	if err := json.Unmarshal(b, &c); err != nil || len(c.Varde.SHA256) != 64 {
		t.Fatalf("%v: %.300s", err, b)
	}
	objects := map[string]int{}
	for _, f := range c.Features {
		objects[f.Properties.ObjectType]++
		p := f.Geometry.Coordinates[0]
		if x, y := (p[0][0]+p[2][0])/2, (p[0][1]+p[2][1])/2; f.Properties.ObjectType == "annotation" && !inside(x, y) {
			t.Errorf("a finding at (%.0f, %.0f)", x, y)
		}
	}
	if objects["annotation"] == 0 || objects["tile"] < 10 {
		t.Errorf("%v", objects)
	}
}

func checkTable(t *testing.T, b []byte, inside func(x, y float64) bool) {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(lines) < 10 {
		t.Fatalf("%v: %.300s", err, b)
	}
	best, at := -1.0, []string{}
	for _, l := range lines[1:] {
		if v, err := strconv.ParseFloat(l[5], 64); err != nil || v > best {
			best, at = v, l
		}
	}
	x, _ := strconv.ParseFloat(at[0], 64)
	y, _ := strconv.ParseFloat(at[1], 64)
	if !inside(x+128, y+128) {
		t.Errorf("the highest number is at (%.0f, %.0f)", x, y)
	}
}

// TestHeatOfASlideFileIsSound sends a slide that is no DICOM, and has what is
// written of it checked.
func TestHeatOfASlideFileIsSound(t *testing.T) {
	s := newService(t).start()
	file, err := studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 2048, Rows: 1536, Cellular: true}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	code, uid, text := s.sendSlide(`{"patient_id":"P-4711","patient_name":"Ødegård^Åse","accession":"A-17","study_date":"2026-01-05"}`, file)
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, text)
	}
	v := s.await(uid, "reported", func(v studyView) bool { return v.Status == "reported" && len(v.Reports) > 0 })
	kinds := map[string]int{}
	for _, r := range v.Reports {
		kinds[r.Kind]++
		b := s.fetch(uid, r.UID)
		path := filepath.Join(t.TempDir(), r.Kind+".dcm")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		e := runProgram(t, peers.Need(t, "dciodvfy", "dicom3tools"), "-new", path)
		for line := range strings.Lines(e.stdout + e.stderr) {
			// Said of all annotations in two dimensions, of which none has it.
			if strings.HasPrefix(line, "Error") && !strings.Contains(line, "CommonZCoordinateValue") {
				t.Errorf("%s: %s", r.Kind, line)
			}
		}
		h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != "sr" && h.Data.Item(dicom.SpecimenDescriptionSequence).Text(dicom.SpecimenUID) == "" {
			t.Errorf("%s names no specimen", r.Kind)
		}
		if r.Kind == "sr" && !bytes.Contains(b, []byte("SCOORD3D")) {
			t.Error("no region of the report is on the glass")
		}
	}
	if kinds["sr"] != 1 || kinds["seg"] != 1 || kinds["ann"] != 1 {
		t.Errorf("%v", kinds)
	}
}
