package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"varde/cmd/varde/scoring"
	"varde/inference"
	"varde/inference/scores"
	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/internal/onnx"
	"varde/internal/onnx/graph"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/models/modelcard"
	"varde/study"
)

// benchScore compares the worker's whole way (read, decode, prepare, run, take
// down) with the bare network on the same tensors and threads, in tiles for each
// second of processor time. The networks have random weights: their speed is
// that of trained ones.
func benchScore(ctx context.Context, ask Options, show func(Figure)) error {
	runtime, err := onnx.Open(onnx.Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
	if err != nil {
		return err
	}
	if ask.OneModel {
		return benchModel(ctx, runtime, ask, show)
	}
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := writeSlide(dir)
	if err != nil {
		return err
	}
	for _, net := range []struct {
		name string
		draw func(uint64) ([]byte, error)
	}{{"score.resnet_vs_bare", graph.ResNet18}, {"score.mobilenet_vs_bare", graph.MobileNetV2}} {
		network, err := net.draw(1)
		if err != nil {
			return err
		}
		t, err := measureNetwork(ctx, runtime, network, files, ask.Rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", net.name, err)
		}
		f := higher(net.name, t.Whole, "tiles/CPU-s", "onnxruntime", t.Bare)
		f.Ratio = t.Ratio
		show(f)
	}
	return benchBusy(ctx, runtime, ask.Rounds, show)
}

// writeSlide draws a slide into a folder and reads it as the verb score does.
func writeSlide(dir string) (*scoring.Files, error) {
	d, err := studytest.Slide(studytest.SM{Seed: 9, Cellular: true})
	if err != nil {
		return nil, err
	}
	for i, o := range d.Objects {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.dcm", i)), o.File, 0o600); err != nil {
			return nil, err
		}
	}
	return scoring.Read([]string{dir})
}

// measureNetwork plans the slide for a network of 224 × 224 patches and measures
// its fullest block.
func measureNetwork(ctx context.Context, r *onnx.Runtime, network []byte, files *scoring.Files, rounds int) (inference.Throughput, error) {
	session, err := r.Session(network, onnx.SessionOptions{})
	if err != nil {
		return inference.Throughput{}, err
	}
	defer session.Close()
	sum := session.Summary()
	card := modelcard.Card{ID: "bench", Version: "1", Name: "bench",
		Use: modelcard.Use{Modality: []study.Modality{study.SM}},
		Input: modelcard.Input{Name: sum.Inputs[0].Name, Kind: study.Patches, Type: "float32", Layout: "NCHW", Values: "rgb",
			Width: 224, Height: 224, MicronsPerPixel: 0.5, MinTissue: 0.5, Scale: 1.0 / 255,
			Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}},
		Output: []modelcard.Output{{Name: sum.Outputs[0].Name, Role: "scalar", Activation: "softmax", Aggregate: "mean"}},
		Flag:   modelcard.Flag{By: sum.Outputs[0].Name, Flagged: 1},
	}
	block, instances, err := fullestBlock(ctx, card, files)
	if err != nil {
		return inference.Throughput{}, err
	}
	s := &scores.Scorer{Objects: files, Index: files}
	return inference.Measure(ctx, s, scores.Question{Card: card, Session: session, Instances: instances, Block: block}, rounds)
}

func fullestBlock(ctx context.Context, card modelcard.Card, files *scoring.Files) (block study.Block, instances []study.Instance, err error) {
	for uid, in := range files.Studies {
		facts := plan.Facts{Study: study.Study{UID: uid}, Instances: in, Models: []plan.Asked{{Card: card}}, Decodes: codec.Supported}
		if facts.Tissue, err = plan.Survey(ctx, &slide.Reader{Objects: files, Frames: files.Frames}, facts); err != nil {
			return block, nil, err
		}
		for _, m := range plan.Plan(facts).Models {
			for _, b := range m.Blocks {
				if b.Planned() > block.Planned() {
					block, instances = b, in
				}
			}
		}
	}
	if block.Planned() == 0 {
		return block, nil, fmt.Errorf("plan of the drawn slide has no block: %w", study.ErrIncomplete)
	}
	return block, instances, nil
}
