package marks_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/report/marks"
	"varde/study"
)

// written is what stands on one frame.
type written struct {
	rings, texts [][4]float64 // left, top, right, bottom
	words        []string
	layers       map[string]int // annotations
}

func readMarks(t *testing.T, b []byte) written {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	w := written{layers: map[string]int{}}
	for a := range h.Data.Each(dicom.GraphicAnnotationSequence) {
		w.layers[a.Text(dicom.GraphicLayer)]++
		for g := range a.Each(dicom.GraphicObjectSequence) {
			p := g.Floats(dicom.GraphicData)
			r := math.Hypot(p[2]-p[0], p[3]-p[1])
			w.rings = append(w.rings, [4]float64{p[0] - r, p[1] - r, p[0] + r, p[1] + r})
		}
		for o := range a.Each(dicom.TextObjectSequence) {
			from, to := o.Floats(dicom.BoundingBoxTopLeftHandCorner), o.Floats(dicom.BoundingBoxBottomRightHandCorner)
			w.texts = append(w.texts, [4]float64{from[0], from[1], to[0], to[1]})
			w.words = append(w.words, o.Text(dicom.UnformattedTextValue))
		}
	}
	return w
}

func ringed(lang string, size int, rings ...[3]float64) []byte {
	w := work(lang)
	w.Instances[1].Image.Rows, w.Instances[1].Image.Columns = size, size
	w.Result.Findings = nil
	for n, r := range rings {
		w.Result.Findings = append(w.Result.Findings, study.Finding{Number: n + 1, What: study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"},
			Measurements: []study.Measurement{{Name: study.Code{Value: "103339001", Scheme: "SCT", Meaning: "Long axis"}, Value: 8.4, Unit: study.Code{Value: "mm", Scheme: "UCUM"}}},
			Regions:      []study.Region{{Instance: w.Instances[1].UID, Frame: 1, Frames: 1, Shape: study.Circle, Points: []float64{r[0], r[1], r[0] + r[2], r[1]}}}})
	}
	all, err := w.Presentations()
	if err != nil || len(all) != 1 {
		panic(fmt.Sprint(len(all), err))
	}
	return all[0]
}

func over(a, b [4]float64) bool {
	const slack = 0.2 // of rounding
	return min(a[2], b[2])-max(a[0], b[0]) > slack && min(a[3], b[3])-max(a[1], b[1]) > slack
}

// TestWordsCoverNoRing puts rings anywhere: the words beside them and the banner
// cover neither a ring nor each other, and stand on the image.
func TestWordsCoverNoRing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		var rings [][3]float64
		for range 1 + round%5 {
			rings = append(rings, [3]float64{20 + 472*random.Float64(), 20 + 472*random.Float64(), 5 + 15*random.Float64()})
		}
		w := readMarks(t, ringed("nb", 512, rings...))
		if len(w.rings) != len(rings) || len(w.texts) != len(rings)+1 {
			t.Fatalf("%d rings and %d texts for %d findings", len(w.rings), len(w.texts), len(rings))
		}
		for i, a := range w.texts {
			if a[0] < 0 || a[1] < 0 || a[2] > 512 || a[3] > 512 || a[2]-a[0] < 1 {
				t.Errorf("round %d: %q stands at %v", round, w.words[i], a)
			}
			for _, b := range w.rings {
				if over(a, b) {
					t.Errorf("round %d: %q at %v covers the ring %v", round, w.words[i], a, b)
				}
			}
			for k, b := range w.texts[:i] {
				if over(a, b) {
					t.Errorf("round %d: %q covers %q", round, w.words[i], w.words[k])
				}
			}
		}
	}
}

// TestBannerSaysWhatAndWho in every language, in layers that can be switched off
// by themselves.
func TestBannerSaysWhatAndWho(t *testing.T) {
	for lang, says := range map[string][]string{
		"en": {"AI: Flagged", "Nodules, version 1.2", "not for primary diagnosis", "1 Nodule", "long axis 8.4 mm"},
		"nb": {"KI: Markert", "Nodules, versjon 1.2", "ikke for primærdiagnostikk", "1 Nodulus", "lengste akse 8,4 mm"},
		"da": {"AI: ", "Nodules, version 1.2", "ikke til primærdiagnostik", "1 ", "8,4 mm"},
	} {
		w := readMarks(t, ringed(lang, 512, [3]float64{100, 100, 20}))
		all := strings.Join(strings.Fields(strings.Join(w.words, " ")), " ")
		for _, one := range says {
			if !strings.Contains(all, one) {
				t.Errorf("%s: no %q in %q", lang, one, all)
			}
		}
		if w.layers["AI_RINGS"] != 1 || w.layers["AI_TEXT"] != 1 || w.layers["AI_BANNER"] != 1 {
			t.Errorf("%s: layers %v", lang, w.layers)
		}
	}
}

// TestArchiveKeepsWhatIsWritten stores every kind in Orthanc and gets back the same
// bytes.
func TestArchiveKeepsWhatIsWritten(t *testing.T) {
	o := peers.StartOrthanc(t, nil)
	w := work("nb")
	all, err := w.Presentations()
	if err != nil {
		t.Fatal(err)
	}
	w.Name = func(int) (object, series study.UID) { return "2.25.31", "2.25.32" }
	keys, err := w.Keys()
	if err != nil {
		t.Fatal(err)
	}
	note, err := rejection("nb", marks.ForSafety).Note()
	if err != nil {
		t.Fatal(err)
	}
	for n, b := range append(all, keys, note) {
		var kept struct{ ID string }
		o.Post(t, "/instances", string(b), &kept)
		if got := o.Call(t, "GET", "/instances/"+kept.ID+"/file", nil); !bytes.Equal(got, b) {
			t.Errorf("object %d: %d bytes come back as %d", n+1, len(b), len(got))
		}
	}
}
