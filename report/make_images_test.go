package report_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/report/slides"
	"varde/study"
)

// A gallery is a memory with a drawn chest, whose nodules a model found.
type gallery struct {
	*memory
	frames map[study.UID]study.Frames
	broken error // of reading pixels
}

func (g *gallery) Range(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	b := g.objects[key]
	switch {
	case g.broken != nil:
		return nil, g.broken
	case n < 0:
		n = int64(len(b)) - off
	}
	return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
}

func (g *gallery) Frames(_ context.Context, uid study.UID) (study.Frames, error) {
	f, ok := g.frames[uid]
	if !ok {
		return f, study.ErrNotFound
	}
	return f, nil
}

func (g *gallery) Parts(context.Context, study.UID, int, study.ModelRef) ([]study.PartRow, error) {
	return nil, nil
}

func (g *gallery) Case(context.Context, study.UID) (study.Case, error) {
	shadow, running := g.sample.result, g.sample.result
	shadow.Shadow, shadow.Name = true, "A model in shadow"
	running.AI, running.Name = study.Running, "A model at work"
	return study.Case{Study: g.sample.study, Results: []study.Result{g.sample.result, shadow, running}}, nil
}

func newGallery(t *testing.T) *gallery {
	t.Helper()
	d, err := studytest.ChestCT(studytest.CT{Seed: 3, Nodules: true, Slices: 24, Size: 128})
	if err != nil {
		t.Fatal(err)
	}
	s := newSample("gallery", study.CT, "nodule-ct", "CT nodule candidates")
	g := &gallery{memory: &memory{objects: map[string][]byte{}}, frames: map[study.UID]study.Frames{}}
	for _, o := range d.Objects {
		h, err := dicom.Scan(bytes.NewReader(o.File), dicom.ScanOptions{Size: int64(len(o.File))})
		if err != nil {
			t.Fatal(err)
		}
		_, in, err := h.Describe()
		if err != nil {
			t.Fatal(err)
		}
		in.Key = "received/" + string(in.UID)
		g.objects[in.Key], g.frames[in.UID] = o.File, h.Frames
		s.instances = append(s.instances, in)
	}
	for n, m := range d.Marks {
		s.result.Findings = append(s.result.Findings, study.Finding{Number: n + 1, Tracking: study.DerivedUID("gallery", string(m.Instance)), What: nodule, Site: lung, Regions: []study.Region{{
			Instance: m.Instance, Class: dicom.CTImage, Frame: 1, Frames: 1, Shape: study.Circle, Points: []float64{m.X + 0.5, m.Y + 0.5, m.X + 8, m.Y + 0.5}}}})
	}
	s.result.Planned, s.result.Seen = 24, 24
	g.sample = s.answered()
	return g
}

func (g *gallery) slides() *report.Slides {
	return &report.Slides{Rows: g, Objects: g, Index: g, Layer: func(study.ModelRef) (slides.Layer, error) { return slides.Layer{}, study.ErrNotFound }}
}

func (g *gallery) writer() *report.Writer {
	return &report.Writer{Ledger: g, Objects: g, Lang: "nb", Location: time.UTC, Slides: g.slides(),
		Wants: []report.Want{{Destination: "PACS", Kinds: []string{"sc", "pdf", "pm"}, Lang: "da"}, {Destination: "RIS", Kinds: []string{"pdf"}}}}
}

// kept lists what was written, by kind with its language.
func (g *gallery) kept() map[string]study.Report {
	all := map[string]study.Report{}
	for _, r := range g.reports {
		all[strings.TrimSuffix(r.Kind+" "+r.Lang, " ")] = r
	}
	return all
}

func TestPicturesAndPaperGoToThoseWhoWantThem(t *testing.T) {
	g := newGallery(t)
	for range 2 { // a second time changes nothing
		if err := g.writer().Handle(t.Context(), job(g.sample)); err != nil {
			t.Fatal(err)
		}
		kept := g.kept()
		if got, want := slices.Sorted(maps.Keys(kept)), []string{"pdf da", "pdf nb", "sc da", "sc-2 da", "sc-3 da", "sr nb"}; !slices.Equal(got, want) {
			t.Fatalf("written: %q, want %q", got, want)
		}
		for kind, r := range kept {
			if strings.HasPrefix(kind, "sc") && (r.Series != kept["sc da"].Series || !slices.Equal(r.To, []string{"PACS"})) {
				t.Errorf("%s of series %s goes to %v", kind, r.Series, r.To)
			}
			h := header(t, g.objects[r.Key])
			if h.Text(dicom.SOPInstanceUID) != string(r.UID) || h.Text(dicom.SeriesInstanceUID) != string(r.Series) || h.Text(dicom.SOPClassUID) != string(r.Class) {
				t.Errorf("%s is recorded under another name", kind)
			}
		}
		if h := header(t, g.objects[kept["sc-2 da"].Key]); !h.Has(dicom.SourceImageSequence) || h.Text(dicom.SeriesDescription) != "AI-billeder (ikke verificeret)" {
			t.Error("no picture of an image, or not in Danish")
		}
	}
}

// TestPixelsThatCannotBeReadHoldUpNothing: a damaged image is made up for by a page
// of text, and a store that is away is asked again.
func TestPixelsThatCannotBeReadHoldUpNothing(t *testing.T) {
	g := newGallery(t)
	g.broken = study.ErrNotFound
	if err := g.writer().Handle(t.Context(), job(g.sample)); err != nil {
		t.Fatal(err)
	}
	if h := header(t, g.objects[g.kept()["sc da"].Key]); h.Has(dicom.SourceImageSequence) {
		t.Error("a picture of what can't be read")
	}
	g = newGallery(t)
	g.broken = errors.New("the store is away")
	if err := g.writer().Handle(t.Context(), job(g.sample)); err == nil || len(g.reports) > 0 {
		t.Errorf("%v, %d reports", err, len(g.reports))
	}
}

func TestOfEveryOutcomeThereIsAPictureAndAPage(t *testing.T) {
	for name, s := range map[string]sample{"failed": chestCT(2, 1).failed(), "outside": chestCT(2, 1).outside(), "nothing": chestCT(0, 0)} {
		g := newGallery(t)
		g.sample = s
		if err := g.writer().Handle(t.Context(), job(g.sample)); err != nil {
			t.Fatal(name, err)
		}
		if got, want := slices.Sorted(maps.Keys(g.kept())), []string{"pdf da", "pdf nb", "sc da", "sr nb"}; !slices.Equal(got, want) {
			t.Errorf("%s: written %q", name, got)
		}
	}
}

func TestEachSlideHasItsMap(t *testing.T) {
	m := newTray(t, pathologyCase(2, 2))
	w := m.writer()
	w.Wants = []report.Want{{Destination: "PACS", Kinds: []string{report.KindMap}}}
	if err := w.Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	all := m.written(report.KindMap)
	for _, r := range m.sample.result.Slides {
		if h := header(t, all[r.Series]); h.Text(dicom.SOPClassUID) != string(dicom.ParametricMap) || !h.Has(dicom.FloatPixelData) {
			t.Errorf("slide %s has no map", r.Series)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d maps", len(all))
	}
}

func TestStudyIsPrinted(t *testing.T) {
	g := newGallery(t)
	var stopped error
	p := &report.Prints{Files: g, Slides: g.slides(), Lang: "nb", Location: time.UTC, Allowed: func(study.ModelRef) error { return stopped }}
	print := func(lang string) string {
		t.Helper()
		b, err := p.Print(t.Context(), "2.25.1", lang)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "report.pdf")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), peers.Need(t, "pdftotext", "poppler-utils"), "-enc", "UTF-8", file, "-").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	text := print("")
	for _, want := range []string{"Ødegård, Bjørn Åge", "KI markerte", "CT nodule candidates", "serie 1, bilde"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if strings.Contains(text, "shadow") || strings.Contains(text, "at work") {
		t.Errorf("%q", text)
	}
	if text := print("da"); !strings.Contains(text, "AI markerede") {
		t.Errorf("in Danish: %q", text)
	}
	stopped = study.ErrWithheld
	if text := print("en"); !strings.Contains(text, "was stopped and gives no answer") || strings.Contains(text, "flagged") || strings.Contains(text, "odule,") {
		t.Errorf("of a model that was stopped: %q", text)
	}
}
