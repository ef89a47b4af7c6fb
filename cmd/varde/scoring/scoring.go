// Package scoring runs a model over files where they lie, with no service at all: a
// [Task] is one run of varde score, which prints what was found. [Registry] gives the
// models that may be named and [Read] the files, as slides, volumes and images, for
// whoever else tries a model out: the check of one, and the benchmarks.
package scoring

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"varde/cmd/varde/settings"
	"varde/inference"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/ingest/plan"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/onnx"
	"varde/internal/slide"
	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// A Task is one run of the verb score.
type Task struct {
	Model   string    // its name, ID or ID@VERSION, or a folder with a card.toml
	Dir     string    // data folder whose models may be named; empty for none
	Library string    // path of libonnxruntime; empty looks for it
	Charset string    // character set of files that name none
	Workers int       // blocks at once; 0 for one a core
	Out     io.Writer // gets a line of JSON for each study
}

// Run scores the files below the arguments. A study that could not be scored is an
// error at the end, and the reason stands in its line.
func (o *Task) Run(ctx context.Context, args []string) error {
	registry, cleanup, err := Registry(ctx, o.Dir)
	if err != nil {
		return err
	}
	defer cleanup()
	ref, err := registry.Resolve(o.Model)
	if err != nil {
		return fmt.Errorf("%w; varde model list names the models of a folder", err)
	}
	card, err := registry.Card(ref)
	if err != nil {
		return err
	}
	network, err := registry.Network(card.Ref())
	if err != nil {
		return err
	}
	files, err := Read(args)
	if err != nil {
		return err
	}
	runtime, err := onnx.Open(onnx.Options{Library: o.Library})
	if err != nil {
		return err
	}
	session, err := runtime.Session(network, onnx.SessionOptions{})
	if err != nil {
		return fmt.Errorf("load %s: %w", card.Ref(), err)
	}
	defer session.Close()
	var second sessions.Session // of the second network, where the card names one
	if card.MIL != nil {
		network, err := registry.Network(card.Second().Ref())
		if err != nil {
			return err
		}
		s, err := runtime.Session(network, onnx.SessionOptions{})
		if err != nil {
			return fmt.Errorf("load the second network of %s: %w", card.Ref(), err)
		}
		defer s.Close()
		second = s
	}
	i := runtime.Info()
	scorer := &scores.Scorer{Objects: files, Index: files, Ran: study.Provenance{Runtime: i.Version, Library: i.SHA256,
		Route: i.Route, Provider: onnx.CPU, Varde: settings.Version, CPU: onnx.CPUClass()}}
	return o.each(ctx, files, card, [2]sessions.Session{session, second}, scorer)
}

// each scores study by study, in the order of their UIDs, and prints a line for
// each. A study that could not be scored makes the verb fail at the end.
func (o *Task) each(ctx context.Context, files *Files, card modelcard.Card, sessions [2]sessions.Session, scorer *scores.Scorer) error {
	failed := 0
	for _, uid := range slices.Sorted(maps.Keys(files.Studies)) {
		instances := files.Studies[uid]
		facts := plan.Facts{Study: files.Described[uid], Instances: instances, Models: []plan.Asked{{Card: card}}, Decodes: codec.Supported}
		var err error
		if facts.Tissue, err = plan.Survey(ctx, &slide.Reader{Objects: files, Frames: files.Frames}, facts); err != nil {
			return err
		}
		made := plan.Plan(facts)
		asked := study.ModelPlan{Model: card.Ref(), Name: card.Name, CE: card.Device.Marked(), Card: card.Hash, State: study.OutOfScope, Reason: study.Reason{Code: study.ReasonModality}}
		if len(made.Models) > 0 {
			asked = made.Models[0]
		}
		result, err := inference.ScoreFiles(ctx, scorer, inference.Files{Study: uid, Instances: instances, Card: card, Plan: asked,
			Session: sessions[0], Second: sessions[1], Runners: settings.Settings{Workers: o.Workers}.Runners(), At: time.Now()})
		if err != nil {
			return err
		}
		if result.AI == study.Failed {
			failed++
		}
		if err := json.NewEncoder(o.Out).Encode(result); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d studies could not be scored; the reason stands in each line", failed, len(files.Studies))
	}
	return nil
}

// Registry gives the models that may be named: those of a data folder, where one is
// named, and the reference models. What it stands on is removed by the function.
func Registry(ctx context.Context, dir string) (*models.Registry, func(), error) {
	temp, err := os.MkdirTemp("", "varde-models-")
	if err != nil {
		return nil, nil, err
	}
	cleanup := func() { _ = os.RemoveAll(temp) }
	if dir != "" {
		if err := os.CopyFS(temp, os.DirFS(filepath.Join(dir, "models"))); err != nil {
			cleanup()
			return nil, nil, fmt.Errorf("read the models of %s: %w", dir, err)
		}
	}
	r, err := models.Open(temp, noStates{})
	for _, m := range models.Reference() {
		if err == nil {
			_, err = r.Add(ctx, m.CardTOML, m.Network, "varde score")
		}
	}
	if err != nil {
		cleanup()
		return nil, nil, err
	}
	return r, cleanup, nil
}

// noStates stands where no ledger is: whoever types varde score decides for
// themselves which model to run, and what comes out goes to nobody's worklist.
type noStates struct{}

// Models knows of none.
func (noStates) Models(context.Context) ([]study.ModelChange, error) { return nil, nil }

// SetModel keeps nothing.
func (noStates) SetModel(context.Context, study.ModelChange) error { return nil }

// Files are files read where they lie, by study.
type Files struct {
	Studies   map[study.UID][]study.Instance // Key is the file's path
	Described map[study.UID]study.Study      // by the first file of each
	frames    map[study.UID]study.Frames
}

// Read reads the header of every file. A named file that is no DICOM
// is an error; in a folder it is passed over.
func Read(args []string) (*Files, error) {
	s := &Files{Studies: map[study.UID][]study.Instance{}, Described: map[study.UID]study.Study{}, frames: map[study.UID]study.Frames{}}
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if err := s.add(p); err != nil && (p == arg || !errors.Is(err, study.ErrInvalid)) {
				return fmt.Errorf("read %s: %w", p, err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(s.Studies) == 0 {
		return nil, fmt.Errorf("no DICOM file in %v: %w", args, study.ErrInvalid)
	}
	return s, nil
}

func (s *Files) add(path string) error {
	h, err := dicom.ReadFile(path)
	if err != nil {
		return err
	}
	st, in, err := h.Describe()
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if in.Bytes, err = io.Copy(sum, f); err != nil {
		return err
	}
	in.Key, in.SHA256 = path, study.Hash(sum.Sum(nil))
	if _, twice := s.frames[in.UID]; twice {
		return nil
	}
	s.frames[in.UID] = h.Frames
	if _, ok := s.Described[st.UID]; !ok {
		s.Described[st.UID] = st
	}
	s.Studies[st.UID] = append(s.Studies[st.UID], in)
	return nil
}

// Frames gives the frame index of a file that was read.
func (s *Files) Frames(_ context.Context, uid study.UID) (study.Frames, error) {
	f, ok := s.frames[uid]
	if !ok {
		return f, fmt.Errorf("frames of %s: %w", uid, study.ErrNotFound)
	}
	return f, nil
}

// Range reads a part of a file.
func (s *Files) Range(_ context.Context, path string, off, n int64) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if n < 0 {
		n = 1 << 62
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}, nil
}
