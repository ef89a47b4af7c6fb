package modelcheck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"varde/cmd/varde/scoring"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/internal/onnx"
	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// The files of a golden case that is recorded here.
const (
	goldenInput  = "golden-input.npz"
	goldenOutput = "golden-output.npz"
)

// reproduce runs the golden case and holds every output that was recorded against
// what comes now. All outputs that differ are faults.
func reproduce(ctx context.Context, g modelcard.Golden, session sessions.Session, in, want map[string]pixel.Tensor, c *checked) []error {
	got, err := session.Run(ctx, in)
	if err != nil {
		return []error{fmt.Errorf("%w: %w", errNotGolden, err)}
	}
	r := goldenCase{Exact: true, SameCPU: g.CPU != "" && g.CPU == onnx.CPUClass(), Tolerance: g.Within()}
	var faults []error
	if len(want) == 0 {
		faults = append(faults, fmt.Errorf("%w: %s holds no output", errNotGolden, g.Output))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		worst, exact, err := apart(want[name], got[name])
		r.Exact, r.Largest = r.Exact && exact, max(r.Largest, worst.by)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%w: output %s: %w", errNotGolden, name, err))
		case r.SameCPU && !exact:
			faults = append(faults, fmt.Errorf("%w: output %s differs by up to %.3g on the class of processor where it was recorded, %s", errNotGolden, name, worst.by, g.CPU))
		case !(worst.share <= r.Tolerance):
			faults = append(faults, fmt.Errorf("%w: output %s differs by up to %.3g, more than %g", errNotGolden, name, worst.by, r.Tolerance))
		}
	}
	c.Golden = &r
	return faults
}

// A gap is how far apart two tensors are: by the largest difference, and by the
// largest one as a share of 1 or of the number, whichever is more.
type gap struct{ by, share float64 }

// apart compares two tensors. A number that is none must be none in both.
func apart(want, got pixel.Tensor) (g gap, exact bool, err error) {
	if !slices.Equal(want.Shape, got.Shape) {
		return g, false, fmt.Errorf("shape %v, recorded was %v", got.Shape, want.Shape)
	}
	a, b := reflect.ValueOf(want.Data), reflect.ValueOf(got.Data)
	if a.Type() != b.Type() || a.Len() != b.Len() {
		return g, false, fmt.Errorf("%d values of %v, recorded were %d of %v", b.Len(), b.Type(), a.Len(), a.Type())
	}
	exact = true
	for i := range a.Len() {
		x, y := asNumber(a.Index(i)), asNumber(b.Index(i))
		if math.Float64bits(x) == math.Float64bits(y) {
			continue
		}
		exact = false
		d := math.Abs(x - y)
		if math.IsNaN(d) || math.IsInf(d, 0) {
			d = math.Inf(1)
		}
		g.by, g.share = max(g.by, d), max(g.share, d/max(1, math.Abs(x)))
	}
	return g, exact, nil
}

func asNumber(v reflect.Value) float64 {
	switch {
	case v.CanFloat():
		return v.Float()
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	case v.Bool():
		return 1
	}
	return 0
}

// A goldenTape is a session that keeps what went into its first run and what came out.
type goldenTape struct {
	sessions.Session
	in, out map[string]pixel.Tensor
}

// errTaped ends the scoring once there is something on the tape.
var errTaped = errors.New("taped")

// Run runs once, and ends the work.
func (t *goldenTape) Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	out, err := t.Session.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	t.in, t.out = copied(in), copied(out) // whoever gave them may use their memory again
	return nil, errTaped
}

func copied(tensors map[string]pixel.Tensor) map[string]pixel.Tensor {
	all := map[string]pixel.Tensor{}
	for name, t := range tensors {
		v := reflect.ValueOf(t.Data)
		data := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(data, v)
		all[name] = pixel.Tensor{Shape: slices.Clone(t.Shape), Data: data.Interface()}
	}
	return all
}

// recordGolden runs the network on the first tiles of a study, as a worker would
// prepare them, and writes them with what came out beside the card, and a section
// golden into the card.
func recordGolden(ctx context.Context, path, folder string, cardTOML []byte, card modelcard.Card, session sessions.Session, runtime onnx.Info) error {
	if card.Golden != nil {
		return fmt.Errorf("record a golden case: the card has one; take its section golden out first: %w", study.ErrRefused)
	}
	t := &goldenTape{Session: session}
	if err := t.record(ctx, path, card, runtime); err != nil {
		return fmt.Errorf("record a golden case from %s: %w", path, err)
	}
	named := map[string]pixel.Tensor{}
	for _, o := range card.Output {
		named[o.Name] = t.out[o.Name]
	}
	input, err := onnx.WriteNPZ(t.in)
	if err != nil {
		return err
	}
	output, err := onnx.WriteNPZ(named)
	if err != nil {
		return err
	}
	section := fmt.Sprintf("\n[golden]\ninput = %q\ninput_sha256 = \"%x\"\noutput = %q\noutput_sha256 = \"%x\"\ntolerance = %g\ncpu = %q\n",
		goldenInput, sha256.Sum256(input), goldenOutput, sha256.Sum256(output), modelcard.Golden{}.Within(), onnx.CPUClass())
	whole := append(bytes.TrimRight(bytes.Clone(cardTOML), "\n"), "\n"+section...)
	if _, err := modelcard.Parse(whole); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		b    []byte
	}{{goldenInput, input}, {goldenOutput, output}, {modelcard.CardFile, whole}} {
		if err := os.WriteFile(filepath.Join(folder, f.name), f.b, 0o640); err != nil {
			return fmt.Errorf("write golden case: %w", err)
		}
	}
	return nil
}

// record scores until the first run.
func (t *goldenTape) record(ctx context.Context, path string, card modelcard.Card, i onnx.Info) error {
	files, err := scoring.Read([]string{path})
	if err != nil {
		return err
	}
	scorer := &scores.Scorer{Objects: files, Index: files, Ran: study.Provenance{Runtime: i.Version}}
	reason := study.Reason{Code: study.ReasonModality}
	for _, uid := range slices.Sorted(maps.Keys(files.Studies)) {
		facts := plan.Facts{Study: files.Described[uid], Instances: files.Studies[uid], Models: []plan.Asked{{Card: card}}, Decodes: codec.Supported}
		if facts.Tissue, err = plan.Survey(ctx, &slide.Reader{Objects: files, Frames: files.Frames}, facts); err != nil {
			return err
		}
		for _, p := range plan.Plan(facts).Models {
			reason = p.Reason
			if len(p.Blocks) == 0 {
				continue
			}
			_, err := scorer.Score(ctx, scores.Question{Card: card, Session: t, Instances: files.Studies[uid], Block: p.Blocks[0]})
			if t.in != nil {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("the model would not run on it (%s): %w", reason, study.ErrRefused)
}
