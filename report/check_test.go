package report_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/studytest/shared"
	"varde/report"
	"varde/study"
)

func TestEveryReportPassesItsTemplate(t *testing.T) {
	for name, s := range kinds {
		for _, lang := range langs {
			d := report.Build(s.study, s.instances, s.result, report.Options{Lang: lang, Location: time.UTC, Objects: s.beside, Segments: s.drawn})
			if err := report.Check(encode(t, d)); err != nil {
				t.Errorf("%s, %s: %v", name, lang, err)
			}
		}
	}
}

// TestTreeIsReadAsItWasWritten makes the check trustworthy: what it looks at is
// what was meant.
func TestTreeIsReadAsItWasWritten(t *testing.T) {
	for name, s := range kinds {
		d := report.Build(s.study, s.instances, s.result, report.Options{Location: time.UTC, Objects: s.beside, Segments: s.drawn})
		h, err := dicom.Scan(bytes.NewReader(encode(t, d)), dicom.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tree.Read(h.Data)
		want := single(d.Root)
		if err != nil || got.String() != want.String() {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// single gives the tree with the precision of its coordinates, which are 32 bits
// in a file.
func single(i tree.Item) tree.Item {
	i.Points, i.Items = slices.Clone(i.Points), slices.Clone(i.Items)
	for k, v := range i.Points {
		i.Points[k] = float64(float32(v))
	}
	for k := range i.Items {
		i.Items[k] = single(i.Items[k])
	}
	return i
}

// edit changes the first item of a concept, wherever it stands.
func edit(i *tree.Item, concept string, do func(*tree.Item)) bool {
	for k := range i.Items {
		if i.Items[k].Name.Value == concept {
			do(&i.Items[k])
			return true
		}
		if edit(&i.Items[k], concept, do) {
			return true
		}
	}
	return false
}

// drop takes the first item of a concept away.
func drop(i *tree.Item, concept string) bool {
	for k := range i.Items {
		if i.Items[k].Name.Value == concept {
			i.Items = slices.Delete(slices.Clone(i.Items), k, k+1)
			return true
		}
		if drop(&i.Items[k], concept) {
			return true
		}
	}
	return false
}

func TestFaultyReportIsHeld(t *testing.T) {
	dcm := func(v string) study.Code { return study.Code{Value: v, Scheme: "DCM", Meaning: "x"} }
	for _, tt := range []struct {
		name, kind string
		do         func(*report.Document) bool
		words      string
	}{
		{"without the model's hash", "CT flagged, volumes", func(d *report.Document) bool {
			return edit(&d.Root, "111003", func(i *tree.Item) { i.Text = "1.2.0" })
		}, "hash"},
		{"without the model", "CT flagged, volumes", func(d *report.Document) bool { return drop(&d.Root, "111001") }, "Algorithm Name"},
		{"with a hash of nothing", "CT flagged, volumes", func(d *report.Document) bool {
			return edit(&d.Root, "111003", func(i *tree.Item) { i.Text = "1.2.0+sha256:" + strings.Repeat("0", 64) })
		}, "hash"},
		{"without a language", "CT nothing found", func(d *report.Document) bool { return drop(&d.Root, "121049") }, "Language"},
		{"in a language that is none of ours", "CT nothing found", func(d *report.Document) bool {
			return edit(&d.Root, "121049", func(i *tree.Item) { i.Code.Value = "xx" })
		}, "value set"},
		{"without a disclaimer", "CT nothing found", func(d *report.Document) bool {
			for drop(&d.Root, "121106") {
			}
			return true
		}, "Comment"},
		{"failed, called negative", "MG failed", func(d *report.Document) bool {
			return edit(&d.Root, "C0034375", func(i *tree.Item) {
				i.Items = append(slices.Clone(i.Items), tree.Code(tree.Contains, study.Code{Value: "363713009", Scheme: "SCT", Meaning: "Has interpretation"},
					study.Code{Value: "260385009", Scheme: "SCT", Meaning: "Negative"}))
			})
		}, "did not answer"},
		{"failed, called succeeded", "MG failed", func(d *report.Document) bool {
			return edit(&d.Root, "111064", func(i *tree.Item) { i.Code = study.Code{Value: "111222", Scheme: "DCM", Meaning: "Succeeded"} })
		}, "contradict"},
		{"not run, called without findings", "SM out of scope", func(d *report.Document) bool {
			return edit(&d.Root, "111017", func(i *tree.Item) {
				i.Code = study.Code{Value: "111241", Scheme: "DCM", Meaning: "All algorithms succeeded; without findings"}
			})
		}, "contradict"},
		{"flagged, called without findings", "MG flagged", func(d *report.Document) bool {
			return edit(&d.Root, "111017", func(i *tree.Item) {
				i.Code = study.Code{Value: "111241", Scheme: "DCM", Meaning: "All algorithms succeeded; without findings"}
			})
		}, "10828004"},
		{"partial, called negative", "CT partial, uncertain", func(d *report.Document) bool {
			return edit(&d.Root, "363713009", func(i *tree.Item) { i.Code = study.Code{Value: "260385009", Scheme: "SCT", Meaning: "Negative"} })
		}, "a part only"},
		{"with an open outline", "MG flagged", func(d *report.Document) bool {
			return edit(&d.Root, "111030", func(i *tree.Item) { i.Points = i.Points[:len(i.Points)-2] })
		}, "closed"},
		{"with a region of no image", "MG flagged", func(d *report.Document) bool {
			return edit(&d.Root, "111030", func(i *tree.Item) { i.Items = nil })
		}, "which image"},
		{"with a number without a unit", "CT flagged, volumes", func(d *report.Document) bool {
			return edit(&d.Root, "103339001", func(i *tree.Item) { i.Unit = dcm("1") })
		}, "UCUM"},
		{"with a probability beyond 100 %", "CT flagged, volumes", func(d *report.Document) bool {
			return edit(&d.Root, "SCORE", func(i *tree.Item) {
				i.Name, i.Number = study.Code{Value: "111012", Scheme: "DCM", Meaning: "Certainty of Finding"}, 140
				i.Unit = study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}
			})
		}, "100 %"},
		{"with a score that passes for a percentage", "CT flagged, volumes", func(d *report.Document) bool {
			return edit(&d.Root, "SCORE", func(i *tree.Item) { i.Number = 87.5 })
		}, "score"},
		{"with two groups of one tracking UID", "MG flagged", func(d *report.Document) bool {
			return edit(&d.Root, "126010", func(i *tree.Item) { i.Items = append(slices.Clone(i.Items), i.Items[0]) })
		}, "tracking UID"},
		{"with an item that no template has", "CT nothing found", func(d *report.Document) bool {
			d.Root.Items = append(slices.Clone(d.Root.Items), tree.Text(tree.Contains, dcm("121060"), "history"))
			return true
		}, "not in its template"},
		{"with a segment beside outlines", "CT drawn", func(d *report.Document) bool {
			return edit(&d.Root, "125007", func(i *tree.Item) {
				outline := tree.SCoord(tree.Contains, dcm("111030"), study.Point, []float64{1, 2}, false, tree.Reference{Class: dicom.CTImage, Instance: d.Evidence[0].UID})
				i.Items = append(slices.Clone(i.Items), outline)
			})
		}, "one of the other"},
		{"with a segment of nobody knows which series", "CT drawn", func(d *report.Document) bool { return drop(&d.Root, "121232") }, "of which series"},
		{"with a segment of another series", "CT drawn", func(d *report.Document) bool {
			return edit(&d.Root, "121232", func(i *tree.Item) { i.Text = "2.25.4711" })
		}, "not in the evidence"},
		{"with a segment of an image", "CT drawn", func(d *report.Document) bool {
			return edit(&d.Root, "121191", func(i *tree.Item) { i.Image = tree.Reference{Class: dicom.CTImage, Instance: d.Evidence[0].UID} })
		}, "no segmentation"},
		{"with a segment of number 0", "CT drawn", func(d *report.Document) bool {
			return edit(&d.Root, "121191", func(i *tree.Item) { i.Segments = []int{0} })
		}, "by number"},
		{"with two segments of one finding", "CT drawn", func(d *report.Document) bool {
			return edit(&d.Root, "125007", func(i *tree.Item) {
				n := slices.IndexFunc(i.Items, func(x tree.Item) bool { return x.Name.Value == "121191" })
				i.Items = slices.Insert(slices.Clone(i.Items), n, i.Items[n])
			})
		}, "Referenced Segment"},
		{"volume in a single plane", "CT flagged, volumes", func(d *report.Document) bool {
			return edit(&d.Root, "125007", func(i *tree.Item) {
				for range 2 {
					n := slices.IndexFunc(i.Items, func(x tree.Item) bool { return x.Name.Value == "111030" })
					i.Items = slices.Delete(slices.Clone(i.Items), n, n+1)
				}
			})
		}, "several of the one"},
		{"drawn, and of no finding", "CT drawn", func(d *report.Document) bool { return drop(&d.Root, "121071") }, "no finding"},
		{"with a map that is an image", "case flagged", func(d *report.Document) bool {
			return edit(&d.Root, "121112", func(i *tree.Item) {
				i.Image = tree.Reference{Class: dicom.WholeSlideImage, Instance: d.Evidence[0].UID}
			})
		}, "no segmentation"},
		{"with a group of an unknown template", "MG flagged", func(d *report.Document) bool {
			return edit(&d.Root, "125007", func(i *tree.Item) { i.Template = "9999" })
		}, "9999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, ok := kinds[tt.kind]
			if !ok {
				t.Fatalf("no sample %q", tt.kind)
			}
			d := report.Build(s.study, s.instances, s.result, report.Options{Location: time.UTC, Objects: s.beside, Segments: s.drawn})
			if !tt.do(&d) {
				t.Fatal("nothing was changed")
			}
			err := report.Check(encode(t, d))
			if !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want %q", err, tt.words)
			}
		})
	}
	if err := report.Check([]byte("no report")); err == nil {
		t.Error("what is no object passes")
	}
}

// TestReportsOfOthersAreRead reads what other makers wrote: every item that a page
// would show must be there, and nothing may make the reader fall.
func TestReportsOfOthersAreRead(t *testing.T) {
	dir, entries := shared.Manifest(t)
	read := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "dicom/object/") && !strings.HasPrefix(e.Path, "dicom/odd/reportsi") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
		if err != nil || !h.Data.Has(dicom.ContentSequence) {
			continue
		}
		root, err := tree.Read(h.Data)
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		read++
		items, values := 0, 0
		var count func(tree.Item)
		count = func(i tree.Item) {
			items++
			if i.Text != "" || i.Code.Value != "" || i.Measured || i.Image.Instance != "" || len(i.Points) > 0 || i.Type == tree.TypeContainer {
				values++
			}
			if math.IsNaN(i.Number) {
				t.Errorf("%s: a number that is none", e.Path)
			}
			for _, c := range i.Items {
				count(c)
			}
		}
		count(root)
		if top := len(h.Data.Items(dicom.ContentSequence)); len(root.Items) > top || items < 2 || values == 0 {
			t.Errorf("%s: %d items, %d with a value, %d of %d at the top", e.Path, items, values, len(root.Items), top)
		}
		t.Logf("%s: %d items, %d with a value", e.Path, items, values)
	}
	if read < 5 {
		t.Errorf("%d reports were read; there are at least five", read)
	}
}
