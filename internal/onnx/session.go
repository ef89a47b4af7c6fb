package onnx

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/study"
)

// A Session is a network in memory. Any number of goroutines may run it at once.
type Session struct {
	sum      graph.Summary
	options  SessionOptions
	helped   bool // some nodes run on the processor, beside the provider
	restored int

	mu  sync.RWMutex // read-locked for the length of a run, so that Close waits
	ort *ort.DynamicAdvancedSession
}

// Session loads a network. It is read as a stranger's file first: what lies in
// other files, or asks for operators that the runtime does not bring along, is
// refused before the runtime sees it. Errors wrap [study.ErrInvalid] for a broken
// file and [study.ErrUnsupported] for one that this build cannot run.
func (r *Runtime) Session(network []byte, o SessionOptions) (*Session, error) {
	sum, err := graph.Inspect(network)
	if err != nil {
		return nil, fmt.Errorf("load network: %w", err)
	}
	if err := runnable(sum); err != nil {
		return nil, fmt.Errorf("load network %s: %w", sum.Graph, err)
	}
	if o.Provider == "" {
		o.Provider = CPU
	}
	s := &Session{sum: sum, options: o}
	err = s.open(r, network)
	if err != nil {
		return nil, fmt.Errorf("load network %s: %w", sum.Graph, err)
	}
	return s, nil
}

// runnable says why a network cannot be run here, if it cannot.
func runnable(s graph.Summary) error {
	switch {
	case len(s.Inputs) == 0 || len(s.Outputs) == 0:
		return fmt.Errorf("it has %d inputs and %d outputs: %w", len(s.Inputs), len(s.Outputs), study.ErrInvalid)
	case s.External:
		return fmt.Errorf("some of its weights lie in another file: %w", study.ErrUnsupported)
	case len(s.Domains) > 0:
		return fmt.Errorf("it needs operators of %s: %w", strings.Join(s.Domains, ", "), study.ErrUnsupported)
	}
	for _, v := range s.Inputs {
		if _, ok := forms[v.Type]; v.Kind != graph.Tensor || !ok {
			return fmt.Errorf("input %v can't be given: %w", v, study.ErrUnsupported)
		}
		if v.Ranked && len(v.Dims) == 0 && half(v.Type) {
			return fmt.Errorf("input %v can't be given: %w", v, study.ErrUnsupported)
		}
	}
	for _, v := range s.Outputs {
		if v.Kind == graph.Optional || v.Kind == graph.Sparse {
			return fmt.Errorf("output %v can't be taken: %w", v, study.ErrUnsupported)
		}
	}
	return nil
}

func names(values []graph.Value) []string {
	n := make([]string, len(values))
	for i, v := range values {
		n[i] = v.Name
	}
	return n
}

// Summary is what the network's file says of itself.
func (s *Session) Summary() graph.Summary { return s.sum }

// Provider is where it runs, one of [Providers].
func (s *Session) Provider() string { return s.options.Provider }

// Helped reports whether the provider left some nodes of the network to the
// processor, which [SessionOptions.Strict] forbids.
func (s *Session) Helped() bool { return s.helped }

// Restored is how many signal handlers a library had replaced while the session
// was made. They were put back.
func (s *Session) Restored() int { return s.restored }

// Run gives the network its inputs by name and returns all outputs by name. The
// inputs are read and not kept; the outputs are the caller's. A tensor that does
// not fit what the network declares is an error that wraps [study.ErrInvalid].
//
// When a device has no memory for the run the error wraps [study.ErrBusy]: fewer
// tiles may fit, or the same ones later. When ctx ends the run stops at the next node of the network, and the error is
// that of ctx. A sequence of equal tensors comes back stacked; a map comes back
// as two tensors, its values under the output's name and its keys under the name
// with "/keys" behind it, sorted by key.
func (s *Session) Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run network %s: %w", s.sum.Graph, err)
	}
	bound := map[string]int64{}
	if err := s.check(in, bound); err != nil {
		return nil, fmt.Errorf("run network %s: %w", s.sum.Graph, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ort == nil {
		return nil, fmt.Errorf("run network %s: the session is closed: %w", s.sum.Graph, study.ErrRefused)
	}
	out, err := s.run(ctx, in, bound)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = ctx.Err()
	case s.options.Provider != CPU && noMemory(err):
		err = fmt.Errorf("%w: %w", study.ErrBusy, err)
	}
	if err != nil {
		return nil, fmt.Errorf("run network %s: %w", s.sum.Graph, err)
	}
	return out, nil
}

// check holds the inputs against the network.
func (s *Session) check(in map[string]pixel.Tensor, bound map[string]int64) error {
	for _, v := range s.sum.Inputs {
		t, ok := in[v.Name]
		if !ok {
			return fmt.Errorf("input %v is missing: %w", v, study.ErrInvalid)
		}
		if err := check(v, t, bound); err != nil {
			return err
		}
	}
	if len(in) > len(s.sum.Inputs) {
		return fmt.Errorf("it takes %v and was given %v: %w", s.sum.Inputs, slices.Sorted(maps.Keys(in)), study.ErrInvalid)
	}
	return nil
}

// run does what Run says. All memory that the library sees is pinned or kept
// alive until the library has returned: it knows Go's memory by address only.
func (s *Session) run(ctx context.Context, in map[string]pixel.Tensor, bound map[string]int64) (map[string]pixel.Tensor, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	inputs, outputs := make([]ort.Value, 0, len(s.sum.Inputs)), make([]ort.Value, len(s.sum.Outputs))
	defer func() { destroy(inputs); destroy(outputs) }()
	for _, v := range s.sum.Inputs {
		t := in[v.Name]
		value, err := forms[v.Type].in(ort.Shape(t.Shape), t.Data, &pin)
		if err != nil {
			return nil, fmt.Errorf("hand over %s: %w", v.Name, err)
		}
		inputs = append(inputs, value)
	}
	for i, v := range s.sum.Outputs {
		var err error
		if outputs[i], err = vessel(v, bound); err != nil {
			return nil, err
		}
	}
	if err := s.call(ctx, inputs, outputs); err != nil {
		return nil, err
	}
	out := make(map[string]pixel.Tensor, len(outputs))
	for i, v := range s.sum.Outputs {
		if err := takeAll(out, outputs[i], v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// call runs the network, and stops it when ctx ends.
func (s *Session) call(ctx context.Context, inputs, outputs []ort.Value) error {
	defer runtime.KeepAlive(inputs)
	defer runtime.KeepAlive(outputs)
	if ctx.Done() == nil {
		return s.ort.Run(inputs, outputs)
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		_ = options.Terminate() // it cannot fail on live options
		close(stopped)
	})
	err = s.ort.RunWithOptions(inputs, outputs, options)
	if !cancel() {
		<-stopped // it may be under way, and must not see freed options
	}
	_ = options.Destroy() // it cannot fail on live options
	return err
}

// destroy frees values. After an error the binding leaves typed nils behind.
func destroy(values []ort.Value) {
	for _, v := range values {
		if v != nil && !reflect.ValueOf(v).IsNil() {
			_ = v.Destroy() // it cannot fail
		}
	}
}

// Close frees the network once the runs under way have ended. A closed session
// refuses to run; closing it again does nothing.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ort == nil {
		return nil
	}
	err := s.ort.Destroy()
	s.ort = nil
	if err != nil {
		return fmt.Errorf("close network %s: %w", s.sum.Graph, err)
	}
	return nil
}
