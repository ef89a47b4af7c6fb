package inference_test

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"varde/inference"
	"varde/study"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestHeaviestPatchesAreOutlined: the places of a slide's findings are its tiles.
func TestHeaviestPatchesAreOutlined(t *testing.T) {
	s := newShelf()
	tiles := s.slide(4, 2, func(x, y int) uint8 { return uint8(x) })
	r := conclude(t, s, smCard(), bright, []study.Block{{Kind: study.Patches, Series: "2.25.1.4", Tiles: tiles}})
	if len(r.Findings) != 3 || r.AI != study.NotFlagged && r.AI != study.Flagged {
		t.Fatalf("%d findings", len(r.Findings))
	}
	if r.Unlisted != r.Slides[0].Findings-3 {
		t.Errorf("%d are not listed of %d", r.Unlisted, r.Slides[0].Findings)
	}
	want := study.Region{Instance: "2.25.1.4.1", Class: smClass, Frame: 1, Frames: 8, Shape: study.Outline, Total: true,
		Points: []float64{112, 0, 128, 0, 128, 16, 112, 16, 112, 0}}
	if got := r.Findings[0].Regions[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("region %+v, want %+v", got, want)
	}
}

// TestConcludeDecidesByItsArguments: the same facts in another order, twice.
func TestConcludeDecidesByItsArguments(t *testing.T) {
	s := newShelf()
	tiles := s.ct(30, 32, balls(ball(10, 10, 8, 4), ball(20, 20, 20, 5), ball(8, 24, 15, 3)))
	f := inference.Facts{Card: ctCard(), Study: "2.25.1", Rev: 1, Instances: s.instances, At: time.UnixMilli(1234)}
	for i, b := range cut(tiles, 5, 2) {
		p := score(t, s, ctCard(), bright, b)
		p.Index = i
		f.Parts = append(f.Parts, p)
	}
	want := inference.Conclude(f)
	for range 10 {
		rand.Shuffle(len(f.Parts), func(i, k int) { f.Parts[i], f.Parts[k] = f.Parts[k], f.Parts[i] })
		rand.Shuffle(len(f.Instances), func(i, k int) { f.Instances[i], f.Instances[k] = f.Instances[k], f.Instances[i] })
		if got := inference.Conclude(f); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
	}
}

// TestResultIsAsBefore holds a whole result against a golden file; go test
// ./inference -run TestResultIsAsBefore -update writes it anew.
func TestResultIsAsBefore(t *testing.T) {
	s := newShelf()
	tiles := s.ct(30, 32, balls(ball(10, 10, 8, 4), ball(20, 20, 16, 6)))
	s.instances[27].TransferSyntax = jpegXL
	r := conclude(t, s, ctCard(), thick, cut(tiles, 2, 2))
	got, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "result.golden.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(want)) != string(got) {
		t.Errorf("the result changed; look at it, and run with -update if it is right:\n%s", got)
	}
}
