package capture_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/report/capture"
	"varde/report/identity"
	"varde/study"
)

func TestMain(m *testing.M) {
	if codec.ServeChild() {
		return
	}
	m.Run()
}

var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// shelf holds drawn objects by their instance.
type shelf map[string][]byte

func (s shelf) Range(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	b := s[key]
	if n < 0 {
		n = int64(len(b)) - off
	}
	return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
}

// A sample is a drawn study with a result and the pictures of its views.
type sample struct {
	work     capture.Work
	frames   map[study.UID]study.Frames
	objects  shelf
	views    []capture.View
	pictures []capture.Picture
}

// newSample finds what was planted in a drawn study.
func newSample(t *testing.T, d studytest.Drawn, what study.Code) sample {
	t.Helper()
	s := sample{frames: map[study.UID]study.Frames{}, objects: shelf{}}
	var st study.Study
	for _, o := range d.Objects {
		h, err := dicom.Scan(bytes.NewReader(o.File), dicom.ScanOptions{Size: int64(len(o.File))})
		if err != nil {
			t.Fatal(err)
		}
		about, in, err := h.Describe()
		if err != nil {
			t.Fatal(err)
		}
		in.Key, in.Bytes, st = string(in.UID), int64(len(o.File)), about
		s.objects[in.Key], s.frames[in.UID] = o.File, h.Frames
		s.work.Instances = append(s.work.Instances, in)
	}
	st.Accession, st.Date = "A-1001", "20260314"
	st.Patient = study.NewPatient(study.Person{ID: "010190-12345", Name: "Ødegård^Bjørn^Åge", Birth: "19900101", Sex: "M"})
	r := study.Result{Study: st.UID, Rev: 1, Name: "Test model for planted things", AI: study.NotFlagged, At: at, Planned: 40, Seen: 40, Calibrated: true,
		Model: study.ModelRef{ID: "planted", Version: "1.2.0", SHA256: study.Hash{0xa1, 0xb2, 0xc3}}}
	for n, m := range d.Marks {
		in := s.instance(m.Instance)
		g := study.Region{Instance: in.UID, Class: in.Class, Frame: 1, Frames: in.Image.Frames, Shape: study.Circle, Total: d.Modality == study.SM}
		radius := m.DiameterMM / 2
		switch mm := in.Image.SpacingMM[0]; {
		case g.Total:
			radius *= 1000 / in.Image.Slide.MicronsPerPixel[0]
		case mm > 0:
			radius /= mm
		}
		g.Points = []float64{m.X + 0.5, m.Y + 0.5, m.X + 0.5 + radius, m.Y + 0.5}
		r.AI, r.Probability = study.Flagged, ptr(0.87)
		r.Findings = append(r.Findings, study.Finding{Number: n + 1, What: what, Regions: []study.Region{g}, Probability: ptr(0.9 - 0.1*float64(n)),
			Measurements: []study.Measurement{{Name: study.Code{Value: "103339001", Scheme: "SCT", Meaning: "Long axis"}, Value: m.DiameterMM, Unit: study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}}}})
		if g.Total {
			r.Findings[n].Slide = in.Series
		}
	}
	s.work.Result = r
	s.work.Identity = identity.Identity{Study: st, Device: identity.Device{Version: "test"}.Filled(), At: at}
	s.work.Name = func(n int) (object, series study.UID) {
		return study.DerivedUID(string(st.UID), "sc", fmt.Sprint(n)), study.DerivedUID(string(st.UID), "sc series")
	}
	return s
}

func (s sample) instance(uid study.UID) study.Instance {
	for _, in := range s.work.Instances {
		if in.UID == uid {
			return in
		}
	}
	return study.Instance{}
}

// seen reads the pictures of the views.
func (s sample) seen(t *testing.T) sample {
	t.Helper()
	s.views, s.pictures = capture.Views(s.work.Instances, s.work.Result), nil
	for _, v := range s.views {
		p, err := s.picture(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		s.pictures = append(s.pictures, p)
	}
	return s
}

func (s sample) picture(ctx context.Context, v capture.View) (capture.Picture, error) {
	if !v.Slide() {
		f, err := codec.ReadFrame(ctx, s.objects, v.Instance, s.frames[v.Instance.UID], v.Frame-1)
		if err != nil {
			return capture.Picture{}, err
		}
		return capture.NewPicture(v.Instance, f)
	}
	r := &slide.Reader{Objects: s.objects, Frames: func(_ context.Context, uid study.UID) (study.Frames, error) { return s.frames[uid], nil }}
	return capture.Overview(ctx, r, s.work.Instances, v)
}

func chest(t *testing.T) sample {
	d, err := studytest.ChestCT(studytest.CT{Seed: 1, Nodules: true, Slices: 40, Size: 256})
	if err != nil {
		t.Fatal(err)
	}
	return newSample(t, d, study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"})
}

func breast(t *testing.T) sample {
	d, err := studytest.Mammogram(studytest.MG{Seed: 1, Calcifications: true, Rows: 768, Columns: 576})
	if err != nil {
		t.Fatal(err)
	}
	return newSample(t, d, study.Code{Value: "129769006", Scheme: "SCT", Meaning: "Cluster of calcifications"})
}

func tissue(t *testing.T) sample {
	d, err := studytest.Slide(studytest.SM{Seed: 1, Cellular: true, Columns: 2048, Rows: 1536})
	if err != nil {
		t.Fatal(err)
	}
	return newSample(t, d, study.Code{Value: "NUCDENSE", Scheme: "99VARDE", Meaning: "Region of high nuclear density"})
}
