package inference_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"varde/inference/scores"
	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/internal/slide/format"
	"varde/internal/studytest"
	"varde/study"
)

// A fileShelf reads one slide file where it lies.
type fileShelf struct {
	path      string
	instances []study.Instance
	frames    map[study.UID]study.Frames
}

func (s *fileShelf) Range(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}, nil
}

func (s *fileShelf) Frames(_ context.Context, uid study.UID) (study.Frames, error) {
	return s.frames[uid], nil
}

// layOut writes a slide behind a hole of 5 GiB and shelves its levels.
func layOut(t *testing.T, side int) *fileShelf {
	t.Helper()
	s := &fileShelf{path: filepath.Join(t.TempDir(), "slide.tiff"), frames: map[study.UID]study.Frames{}}
	f, err := os.Create(s.path)
	if err != nil {
		t.Fatal(err)
	}
	size, err := studytest.SlideFile{Columns: side, Rows: side, Seed: 4, BigTIFF: true, Sparse: true, Share: true, Gap: 5 << 30}.WriteTo(f)
	if err != nil || f.Close() != nil || size < 5<<30 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	file, err := format.Open(t.Context(), format.File{Objects: s, Key: "slide", Size: size})
	if err != nil {
		t.Fatal(err)
	}
	for n, l := range file.Levels {
		image := l.Image
		image.Origin.Key = "slide"
		in := study.Instance{UID: study.UID(fmt.Sprintf("2.25.7.%d", n+1)), Series: "2.25.7", Study: "2.25.1", Class: smClass, Modality: study.SM,
			TransferSyntax: l.TransferSyntax, Number: n + 1, Image: &image}
		s.instances, s.frames[in.UID] = append(s.instances, in), l.Frames
	}
	return s
}

// peak gives how much more memory is in use at the worst while f runs.
func peak(f func()) int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, worst := m.HeapAlloc, uint64(0)
	done, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		for {
			runtime.ReadMemStats(&m)
			worst = max(worst, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-looked
	return int64(worst - min(before, worst))
}

// TestMemoryDoesNotGrowWithTheSlide plans two slides whose tiles lie beyond
// 4 GiB, of 0.6 and of 14 gigapixels, and scores a block from the middle of each.
func TestMemoryDoesNotGrowWithTheSlide(t *testing.T) {
	var planning, scoring [2]int64
	for i, side := range []int{25000, 120000} {
		s := layOut(t, side)
		card := smCard()
		card.Input.Width, card.Input.Height, card.Input.MinTissue = 256, 256, 0.5
		f := plan.Facts{Study: study.Study{UID: "2.25.1"}, Instances: s.instances, Models: []plan.Asked{{Card: card}}, Decodes: codec.Supported}
		var made study.Plan
		planning[i] = peak(func() {
			var err error
			if f.Tissue, err = plan.Survey(t.Context(), &slide.Reader{Objects: s, Frames: s.Frames}, f); err != nil {
				t.Fatal(err)
			}
			made = plan.Plan(f)
		})
		if len(made.Models) != 1 || made.Models[0].State != study.Running {
			t.Fatalf("%+v", made)
		}
		blocks := made.Models[0].Blocks
		if n := made.Models[0].Planned; float64(n) < 0.3*float64(side/256)*float64(side/256) {
			t.Fatalf("%d patches", n)
		}
		scoring[i] = peak(func() {
			part, err := (&scores.Scorer{Objects: s, Index: s}).Score(t.Context(), scores.Question{Card: card, Instances: s.instances,
				Session: network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) { return bright(in) }), Block: blocks[len(blocks)/2]})
			if err != nil || len(part.Scores) < 64 || len(part.Missed) > 0 {
				t.Errorf("%d scored, %d missed, %v", len(part.Scores), len(part.Missed), err)
			}
		})
	}
	t.Logf("planning takes %d and %d MB, a block %d and %d MB", planning[0]>>20, planning[1]>>20, scoring[0]>>20, scoring[1]>>20)
	// A tile costs 36 bytes of index, and a patch as many in the plan: no pixel is
	// kept.
	if scoring[1] > scoring[0]+64<<20 || scoring[1] > 256<<20 {
		t.Errorf("a block takes %d MB of a small slide and %d MB of a large one", scoring[0]>>20, scoring[1]>>20)
	}
	if planning[1] > 640<<20 {
		t.Errorf("planning the large slide takes %d MB", planning[1]>>20)
	}
}
