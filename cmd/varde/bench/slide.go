package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"varde/inference"
	"varde/inference/scores"
	"varde/ingest/plan"
	"varde/internal/onnx"
	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/models/modelcard"
	"varde/study"
)

// The limits that a slide is held against.
const (
	openLimit  = 100.0  // ms, from the ledger to levels and frame indexes
	maskLimit  = 3.0    // s, mask, thumbnail and plan
	firstLimit = 5.0    // s, from settling to the first patches of the heat map
	slideMB    = 1500.0 // MB resident while a slide is scored
	busyLimit  = 0.9    // share of the time that networks run
)

// A slideBench is one run of the benchmark: a drawn slide of 50,000 × 50,000
// pixels, kept in a store of its own, and a network of the size of ResNet-18.
type slideBench struct {
	side, blocks int
	workers      int
	show         func(Figure)
	file         string // the slide as OpenSlide opens it
	line         *slideLine
	card         modelcard.Card
	session      *onnx.Session
	plan         study.Plan
	instances    []study.Instance
}

// benchSlide measures a slide's whole way. Decoding is measured on all of its
// patches, the network on as many blocks as --blocks says.
func benchSlide(ctx context.Context, ask Options, show func(Figure)) error {
	b := &slideBench{show: show, workers: runtime.GOMAXPROCS(0)}
	b.side, b.blocks = ask.SlideSide, ask.Blocks
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.prepare(ctx, dir); err != nil {
		return err
	}
	defer b.session.Close()
	defer b.line.close()
	for _, measure := range []func(context.Context, int) error{b.open, b.survey, b.decode, b.besideOpenSlide, b.endToEnd} {
		if err := measure(ctx, max(1, ask.Rounds)); err != nil {
			return err
		}
	}
	return nil
}

// prepare draws the slide, takes it in as a slide file that is handed in, and
// loads the network.
func (b *slideBench) prepare(ctx context.Context, dir string) error {
	b.file = filepath.Join(dir, "slide.svs")
	f, err := os.Create(b.file)
	if err != nil {
		return err
	}
	_, err = studytest.SlideFile{Kind: studytest.AperioSVS, Columns: b.side, Rows: b.side, Seed: 7, Cellular: true, BigTIFF: true,
		Varied: 256, Grain: 8}.WriteTo(f) // tiles of 18 kB, as a scanner's
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("draw the slide: %w", err)
	}
	rt, err := onnx.Open(onnx.Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
	if err != nil {
		return err
	}
	network, err := graph.ResNet18(1)
	if err != nil {
		return err
	}
	if b.session, err = rt.Session(network, onnx.SessionOptions{}); err != nil {
		return err
	}
	sum := b.session.Summary()
	b.card = patchCard(sum.Inputs[0].Name, sum.Outputs[0].Name)
	if b.line, err = openSlideLine(ctx, filepath.Join(dir, "house"), b.card); err != nil {
		return err
	}
	b.instances, err = b.line.takeIn(ctx, b.file)
	return err
}

// patchCard is the card of a network of 224 × 224 patches at 0.5 µm.
func patchCard(input, output string) modelcard.Card {
	return modelcard.Card{ID: "bench", Version: "1", Name: "bench", SHA256: study.Hash{1}, Hash: study.Hash{2},
		Use: modelcard.Use{Modality: []study.Modality{study.SM}},
		Input: modelcard.Input{Name: input, Kind: study.Patches, Type: modelcard.TypeFloat32, Layout: modelcard.LayoutNCHW, Values: modelcard.ValuesRGB,
			Width: 224, Height: 224, MicronsPerPixel: 0.5, MinTissue: 0.5, Scale: 1.0 / 255,
			Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}},
		Output: []modelcard.Output{{Name: output, Role: modelcard.RoleScalar, Activation: "softmax", Aggregate: "mean"}},
		Flag:   modelcard.Flag{By: output, Flagged: 1},
	}
}

// open measures how long it takes from the ledger until any tile can be read.
func (b *slideBench) open(ctx context.Context, rounds int) error {
	var took []float64
	for range rounds {
		began := time.Now()
		instances, err := b.line.ledger.Instances(ctx, b.instances[0].Study)
		if err != nil {
			return err
		}
		levels, err := slide.Levels(instances)
		if err != nil {
			return err
		}
		for _, l := range levels {
			if _, err := b.line.ledger.Frames(ctx, l.Key()); err != nil {
				return err
			}
		}
		took = append(took, time.Since(began).Seconds()*1000)
	}
	b.show(lower("slide.open_ms", median(took), "ms", "limit", openLimit))
	return nil
}

// survey measures mask, thumbnail and plan, and keeps the plan.
func (b *slideBench) survey(ctx context.Context, rounds int) error {
	var took []float64
	for range rounds {
		began := time.Now()
		made, err := b.line.plan(ctx, b.instances)
		if err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds())
		b.plan = made
	}
	if len(b.plan.Models) != 1 || len(b.plan.Models[0].Blocks) == 0 {
		return fmt.Errorf("plan of the drawn slide has no block: %w", study.ErrIncomplete)
	}
	b.show(lower("slide.mask_s", median(took), "s", "limit", maskLimit))
	b.show(Figure{Name: "slide.patches", Value: float64(b.plan.Models[0].Planned), Unit: "patches"})
	return nil
}

// decode measures the whole way of every patch of the slide but for the network,
// on all cores.
func (b *slideBench) decode(ctx context.Context, _ int) error {
	blocks := b.plan.Models[0].Blocks
	began, cpu := time.Now(), inference.ProcessorTime()
	seen, err := b.without(ctx, blocks)
	if err != nil {
		return err
	}
	wall, spent := time.Since(began).Seconds(), (inference.ProcessorTime() - cpu).Seconds()
	b.show(Figure{Name: "slide.decode_patches_per_s", Value: float64(seen) / wall, Unit: "patches/s"})
	b.show(Figure{Name: "slide.decode_patches_per_cpu_s", Value: float64(seen) / spent, Unit: "patches/CPU-s"})
	return nil
}

// without scores blocks with a network that takes no time, and gives how many
// patches it was shown.
func (b *slideBench) without(ctx context.Context, blocks []study.Block) (int, error) {
	scorer := &scores.Scorer{Objects: b.line.objects, Index: b.line.ledger}
	counts := make([]int, len(blocks))
	err := inParallel(ctx, b.workers, len(blocks), func(ctx context.Context, i int) error {
		part, err := scorer.Score(ctx, scores.Question{Card: b.card, Session: noNetwork{b.card}, Instances: b.instances, Block: blocks[i]})
		counts[i] = len(part.Scores)
		return err
	})
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum, err
}

// noNetwork answers at once.
type noNetwork struct{ card modelcard.Card }

// Run gives one number a patch.
func (n noNetwork) Run(_ context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	batch := in[n.card.Input.Name].Shape[0]
	return map[string]pixel.Tensor{n.card.Output[0].Name: {Shape: []int64{batch, 1}, Data: make([]float32, batch)}}, nil
}

// fullest is a block of as many patches as there are in one.
func (b *slideBench) fullest() study.Block {
	return slices.MaxFunc(b.plan.Models[0].Blocks, func(a, b study.Block) int { return cmp.Compare(a.Planned(), b.Planned()) })
}

// band is two rows of blocks from the middle of the slide.
func (b *slideBench) band() (blocks []study.Block) {
	all := b.plan.Models[0].Blocks
	from := all[len(all)/2].Tiles[0].Y
	for _, block := range all {
		if y := block.Tiles[0].Y; y >= from && y < from+2*16*b.card.Input.Height {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

func median(v []float64) float64 { return quantile(v, 0.5) }

// plan surveys and plans as settling does.
func (l *slideLine) plan(ctx context.Context, instances []study.Instance) (study.Plan, error) {
	st, err := l.ledger.Study(ctx, instances[0].Study)
	if err != nil {
		return study.Plan{}, err
	}
	f := plan.Facts{Study: st, Instances: instances, Models: []plan.Asked{{Card: l.card}}}
	s := plan.Surveyor{Slides: &slide.Reader{Objects: l.objects, Frames: l.ledger.Frames}, Pictures: l.objects}
	if f.Tissue, err = s.Survey(ctx, f); err != nil {
		return study.Plan{}, err
	}
	return plan.Plan(f), nil
}
