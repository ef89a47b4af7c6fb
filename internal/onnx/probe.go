package onnx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/study"
)

// childArgument makes the program a child that tries a provider.
const childArgument = "varde-onnx-child"

// childOut is the child's end of the pipe for its answer. Its standard streams
// are not used: what a library prints is no answer.
const childOut = 3

const (
	// probeTime bounds a probe. A driver that starts cold takes half a minute, and
	// TensorRT compiles even a tiny network for as long.
	probeTime = 2 * time.Minute
	// maxAnswer bounds what is read from a child.
	maxAnswer = 1 << 20
	// nearEnough is how far a provider's numbers may lie from the processor's, by
	// the larger of 1 and the number; nearEnoughHalf in half precision.
	nearEnough     = 1e-3
	nearEnoughHalf = 2e-2
)

// A question is what a child is asked, and an answer what it says.
type question struct {
	Library string
	Options SessionOptions
}

type answer struct {
	Values []float32
	Error  string
}

// ServeChild must be called before main does anything else:
//
//	if onnx.ServeChild() {
//		return
//	}
//
// A provider stands on a driver that may crash or hang a process. It is tried in
// a child first: this program, started anew with one argument of ours. In such a
// child ServeChild answers and reports true; in every other process it reports
// false at once.
func ServeChild() bool {
	if len(os.Args) != 2 || os.Args[1] != childArgument {
		return false
	}
	signal.Ignore(os.Interrupt, syscall.SIGHUP) // the parent ends it
	var q question
	var a answer
	err := json.NewDecoder(io.LimitReader(os.Stdin, maxAnswer)).Decode(&q)
	if err == nil {
		a.Values, err = q.try()
	}
	if err != nil {
		a.Error = err.Error()
	}
	out := os.NewFile(childOut, "answer")
	// A parent that is gone wants no answer.
	_ = json.NewEncoder(out).Encode(a)
	_ = out.Close()
	return true
}

// try runs the trial network as asked.
func (q question) try() ([]float32, error) {
	r, err := Open(Options{Library: q.Library})
	if err != nil {
		return nil, err
	}
	return r.try(context.Background(), q.Options)
}

// try runs the trial network and gives its numbers.
func (r *Runtime) try(ctx context.Context, o SessionOptions) ([]float32, error) {
	network, in, err := trial()
	if err != nil {
		return nil, err
	}
	s, err := r.Session(network, o)
	if err != nil {
		return nil, err
	}
	out, err := s.Run(ctx, in)
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	v, ok := out["y"].Data.([]float32)
	if !ok {
		return nil, fmt.Errorf("the trial network gave %T: %w", out["y"].Data, study.ErrInvalid)
	}
	return v, nil
}

// trial draws a tiny network of what most networks are made of: a convolution, a
// pooling, a product of matrices and a softmax.
func trial() ([]byte, map[string]pixel.Tensor, error) {
	const batch, side, channels, classes = 4, 16, 8, 5
	g := graph.New("trial")
	x := g.Input("x", graph.Float, graph.Free("batch"), graph.Fixed(3), graph.Fixed(side), graph.Fixed(side))
	wave := func(n int, by float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(math.Sin(by * float64(i+1)))
		}
		return v
	}
	y := g.Node("Relu", nil, g.Node("Conv", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, x, g.Floats(wave(channels*27, 0.7), channels, 3, 3, 3)))
	y = g.Node("Flatten", nil, g.Node("GlobalAveragePool", nil, y))
	y = g.Node("MatMul", nil, y, g.Floats(wave(channels*classes, 1.3), channels, classes))
	g.Named("y", "Softmax", graph.Attrs{"axis": int64(1)}, y)
	g.Output("y", graph.Float, graph.Free("batch"), graph.Fixed(classes))
	network, err := g.Encode()
	in := pixel.Tensor{Shape: []int64{batch, 3, side, side}, Data: wave(batch*3*side*side, 0.1)}
	return network, map[string]pixel.Tensor{"x": in}, err
}

// A Prober tries providers in children before they are trusted.
type Prober struct {
	Runtime *Runtime
	// Program is what is started, with its arguments and its environment; nil
	// starts this program, whose main must call [ServeChild].
	Program func(ctx context.Context) *exec.Cmd
	Limit   time.Duration // for one probe; 0 = 2 min
}

// Probe tries a provider on a device in a child: it must load, run a tiny network
// and give the processor's numbers. Nil says that it may be trusted. Otherwise
// the error says what happened, a crash or a hang included, and wraps
// [study.ErrUnsupported].
func (p Prober) Probe(ctx context.Context, o SessionOptions) error {
	if !known(o.Provider) {
		return fmt.Errorf("probe provider %q: there are %s: %w", o.Provider, strings.Join(Providers(), ", "), study.ErrInvalid)
	}
	if o.Provider == CPU {
		return nil
	}
	o.Strict = true
	o.Batch = 4
	want, err := p.Runtime.try(ctx, SessionOptions{})
	if err != nil {
		return fmt.Errorf("probe provider %s: on the cpu: %w", o.Provider, err)
	}
	got, err := p.ask(ctx, question{p.Runtime.info.Path, o})
	if err == nil {
		err = compare(got, want, o.FP16)
	}
	if err != nil {
		return fmt.Errorf("provider %s, device %d: %w: %w", o.Provider, o.Device, err, study.ErrUnsupported)
	}
	return nil
}

// Check runs the tiny network in this process, on a device that is in use, and
// compares as Probe does. It tells a device that has broken down from a network
// that it can't run.
func (r *Runtime) Check(ctx context.Context, o SessionOptions) error {
	want, err := r.try(ctx, SessionOptions{})
	if err != nil {
		return fmt.Errorf("check provider %s: on the cpu: %w", o.Provider, err)
	}
	got, err := r.try(ctx, o)
	if err == nil {
		err = compare(got, want, o.FP16)
	}
	if err != nil {
		return fmt.Errorf("check provider %s, device %d: %w", o.Provider, o.Device, err)
	}
	return nil
}

// ask starts a child and waits for its answer.
func (p Prober) ask(ctx context.Context, q question) ([]float32, error) {
	limit := cmp.Or(p.Limit, probeTime)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	command, err := p.command(ctx)
	if err != nil {
		return nil, err
	}
	in, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	command.Stdin, command.ExtraFiles = bytes.NewReader(in), []*os.File{w}
	command.WaitDelay = time.Second
	err = command.Start()
	_ = w.Close() // the child has its own
	if err != nil {
		return nil, fmt.Errorf("its child did not start: %w", err)
	}
	said := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, maxAnswer)) // what is cut off is no answer
		said <- b
	}()
	ended := command.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("it hung for %s", limit)
	}
	_ = r.SetReadDeadline(time.Now().Add(time.Second)) // a grandchild may hold the pipe
	var a answer
	switch err := json.Unmarshal(<-said, &a); {
	case err == nil && a.Error != "":
		return nil, errors.New(strings.TrimSuffix(a.Error, ": "+study.ErrUnsupported.Error()))
	case err == nil:
		return a.Values, nil
	case ended != nil:
		return nil, fmt.Errorf("its child crashed: %w", ended)
	}
	return nil, errors.New("its child said nothing")
}

func (p Prober) command(ctx context.Context) (*exec.Cmd, error) {
	if p.Program != nil {
		return p.Program(ctx), nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, program, childArgument), nil
}

// compare holds a provider's numbers against the processor's.
func compare(got, want []float32, half bool) error {
	limit := nearEnough
	if half {
		limit = nearEnoughHalf
	}
	if len(got) != len(want) {
		return fmt.Errorf("it gave %d numbers, not %d", len(got), len(want))
	}
	for i, w := range want {
		// Written so that NaN is far from everything.
		if d := math.Abs(float64(got[i] - w)); !(d <= limit*max(1, math.Abs(float64(w)))) {
			return fmt.Errorf("it gave %g where the cpu gives %g", got[i], w)
		}
	}
	return nil
}
