// Package modelcheck holds a model that is kept nowhere yet against its own words: the
// card against the network, what the network gives on its golden case against what the
// card's makers recorded, and how fast it is here. [Check.Run] does it all and keeps
// nothing, or records a golden case into the model's folder.
package modelcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"varde/internal/onnx"
	"varde/internal/pixel"
	"varde/internal/words"
	"varde/models/modelcard"
	"varde/study"
)

// A Check is one run of the verb model check.
type Check struct {
	Golden  string // folder or file of a study to record the golden case from; empty to reproduce the one there is
	Library string // path of libonnxruntime; empty looks for it
	Static  bool   // read the files alone; run nothing
	AsJSON  bool
	Out     io.Writer
}

// A checked is what came of it.
type checked struct {
	Model  string     `json:"model"`
	SHA256 study.Hash `json:"model_sha256"`
	OK     bool       `json:"ok"`
	Faults []string   `json:"faults"`
	// Remarks are no faults: what readers of other languages will see in English.
	Remarks []string    `json:"remarks,omitempty"`
	Opset   int64       `json:"opset,omitempty"`
	Params  int64       `json:"parameters,omitempty"`
	Golden  *goldenCase `json:"golden,omitempty"`
	Speed   *speed      `json:"speed,omitempty"`
}

// A goldenCase says how the golden case came out.
type goldenCase struct {
	Exact     bool    `json:"bit_exact"`      // every number to its last bit
	SameCPU   bool    `json:"same_cpu_class"` // as where it was recorded: then it must be exact
	Largest   float64 `json:"largest_difference"`
	Tolerance float64 `json:"tolerance"`
}

// A speed is what one run takes on one core of this machine.
type speed struct {
	Input     string  `json:"input"` // golden or empty
	Tiles     int     `json:"tiles_a_run"`
	Runs      int     `json:"runs"`
	MedianMS  float64 `json:"median_ms"`
	TilesS    float64 `json:"tiles_per_s"`
	MemoryMiB float64 `json:"memory_mib,omitempty"` // by which the process grew; absent where the system does not tell
}

// Run checks the model of a folder and prints what came of it. Every fault is in the
// error.
func (o *Check) Run(ctx context.Context, folder string) error {
	files, err := modelFiles(folder)
	if err != nil {
		return err
	}
	card, sum, faults := modelcard.Examine(files[modelcard.CardFile], files)
	c := checked{Model: card.Ref().String(), SHA256: card.SHA256, Opset: sum.Opset(), Params: sum.Parameters}
	if len(faults) == 0 && !o.Static {
		faults = o.execute(ctx, folder, card, files, &c)
	}
	c.Remarks = card.Untranslated(func(lang string, code study.Code) bool { return words.Lang(lang).Knows(code) })
	c.OK, c.Faults = len(faults) == 0, []string{}
	for _, f := range faults {
		c.Faults = append(c.Faults, f.Error())
	}
	o.print(c)
	if !c.OK {
		return fmt.Errorf("%s: %s\n  %s", folder, plural(len(c.Faults), "fault"), strings.Join(c.Faults, "\n  "))
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (o *Check) print(c checked) {
	if o.AsJSON {
		_ = json.NewEncoder(o.Out).Encode(c)
		return
	}
	if !c.OK {
		return
	}
	fmt.Fprintf(o.Out, "%s: card and network fit\n", c.Model)
	for _, r := range c.Remarks {
		fmt.Fprintf(o.Out, "remark: %s\n", r)
	}
	if g := c.Golden; g != nil {
		word := fmt.Sprintf("within %g, largest difference %.3g", g.Tolerance, g.Largest)
		if g.Exact {
			word = "to the last bit"
		}
		fmt.Fprintf(o.Out, "the golden case reproduces %s\n", word)
	}
	if s := c.Speed; s != nil {
		fmt.Fprintf(o.Out, "speed on one core of this machine, %s input: %.2f ms a run of %s, %.1f tiles/s\n", s.Input, s.MedianMS, plural(s.Tiles, "tile"), s.TilesS)
		if s.MemoryMiB > 0 {
			fmt.Fprintf(o.Out, "memory: %.0f MiB\n", s.MemoryMiB)
		}
	}
}

// maxModelFile bounds a file of a model that is read into memory.
const maxModelFile = 2 << 30

// modelFiles reads the files of a model's folder.
func modelFiles(folder string) (map[string][]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read the model's folder: %w", err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if info.Size() > maxModelFile {
			return nil, fmt.Errorf("read the model's folder: %s has %d bytes, more than %d: %w", e.Name(), info.Size(), maxModelFile, study.ErrInvalid)
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name())); err != nil {
			return nil, fmt.Errorf("read the model's folder: %w", err)
		}
	}
	if files[modelcard.CardFile] == nil {
		return nil, fmt.Errorf("read the model's folder: no %s in %s: %w", modelcard.CardFile, folder, fs.ErrNotExist)
	}
	return files, nil
}

// execute makes a session and runs it. Whatever goes wrong is a fault.
func (o *Check) execute(ctx context.Context, folder string, card modelcard.Card, files map[string][]byte, c *checked) []error {
	runtime, err := onnx.Open(onnx.Options{Library: o.Library})
	if err != nil {
		return []error{fmt.Errorf("the network can't be run here (--static reads the files alone): %w", err)}
	}
	before := peakMemory()
	session, err := runtime.Session(files[card.Network], onnx.SessionOptions{})
	if err != nil {
		return []error{err}
	}
	defer session.Close()
	if card.MIL != nil {
		second, err := runtime.Session(files[card.MIL.Network], onnx.SessionOptions{})
		if err != nil {
			return []error{fmt.Errorf("second network: %w", err)}
		}
		defer second.Close()
	}
	if o.Golden != "" {
		if err := recordGolden(ctx, o.Golden, folder, files[modelcard.CardFile], card, session, runtime.Info()); err != nil {
			return []error{err}
		}
		fmt.Fprintf(o.Out, "golden case recorded: %s, %s, and a section golden in %s\n", goldenInput, goldenOutput, modelcard.CardFile)
		return nil
	}
	in, name := map[string]pixel.Tensor{}, "empty"
	if card.Golden != nil {
		var want map[string]pixel.Tensor
		if in, err = onnx.ReadNPZ(files[card.Golden.Input]); err == nil {
			want, err = onnx.ReadNPZ(files[card.Golden.Output])
		}
		if err != nil {
			return []error{fmt.Errorf("golden case: %w", err)}
		}
		name = "golden"
		if faults := reproduce(ctx, *card.Golden, session, in, want, c); len(faults) > 0 {
			return faults
		}
	} else if in[card.Input.Name], err = emptyInput(card.Input); err != nil {
		return []error{err}
	}
	if c.Speed, err = measure(ctx, session, in[card.Input.Name], card.Input.Name); err != nil {
		return []error{fmt.Errorf("run the network on its %s input: %w", name, err)}
	}
	c.Speed.Input = name
	if after := peakMemory(); before > 0 && after > before {
		c.Speed.MemoryMiB = float64(after-before) / (1 << 20)
	}
	return nil
}

// emptyInput is one tile of zeros; sides that the card leaves to the image are of
// a small one.
func emptyInput(in modelcard.Input) (pixel.Tensor, error) {
	const side, planes = 256, 32
	size := map[rune]int64{'N': 1, 'C': 1, 'D': planes, 'H': side, 'W': side}
	if in.Values == modelcard.ValuesRGB {
		size['C'] = 3
	}
	if in.Width > 0 {
		size['W'], size['H'] = int64(in.Width), int64(in.Height)
	}
	t := pixel.Tensor{}
	for _, axis := range in.Layout {
		t.Shape = append(t.Shape, size[axis])
	}
	switch in.Type {
	case modelcard.TypeUint8:
		t.Data = make([]uint8, t.Len())
	case modelcard.TypeFloat32:
		t.Data = make([]float32, t.Len())
	default:
		return t, fmt.Errorf("an input of %s: %w", in.Type, study.ErrUnsupported)
	}
	return t, nil
}

// measure runs the network for about a second, and thrice at least.
func measure(ctx context.Context, session *onnx.Session, in pixel.Tensor, name string) (*speed, error) {
	if len(in.Shape) == 0 || in.Shape[0] == 0 {
		return nil, fmt.Errorf("no input %s, or none with tiles: %w", name, study.ErrInvalid)
	}
	var took []float64
	for begun := time.Now(); len(took) < 4 || time.Since(begun) < time.Second && len(took) < 1000; {
		from := time.Now()
		if _, err := session.Run(ctx, map[string]pixel.Tensor{name: in}); err != nil {
			return nil, err
		}
		took = append(took, time.Since(from).Seconds()*1000)
	}
	took = took[1:] // the first one warms up
	slices.Sort(took)
	median := took[len(took)/2]
	return &speed{Tiles: int(in.Shape[0]), Runs: len(took), MedianMS: median, TilesS: float64(in.Shape[0]) * 1000 / median}, nil
}

// peakMemory is the most memory that the process has had, in bytes; 0 where the
// system does not tell.
func peakMemory() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, ok := strings.Cut(string(b), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); !ok || err != nil {
		return 0
	}
	return kib << 10
}

// errNotGolden is a golden case that does not reproduce.
var errNotGolden = errors.New("the golden case does not reproduce")
