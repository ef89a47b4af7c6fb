package onnx

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"varde/study"
)

// childEnv makes the test binary a child: one that answers, or one with a fault.
const childEnv = "VARDE_TEST_ONNX_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "crash":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Minute)
	case "hang":
		time.Sleep(time.Hour)
	case "silent":
	case "babble":
		_, _ = os.NewFile(childOut, "answer").WriteString("out of range")
	case "wrong":
		_ = json.NewEncoder(os.NewFile(childOut, "answer")).Encode(answer{Values: make([]float32, 20)})
	case "short":
		_ = json.NewEncoder(os.NewFile(childOut, "answer")).Encode(answer{Values: make([]float32, 3)})
	case "right": // as a provider that works would: the numbers are those of the cpu
		r, err := Open(Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
		if err != nil {
			os.Exit(1)
		}
		v, err := r.try(context.Background(), SessionOptions{})
		if err != nil {
			os.Exit(1)
		}
		_ = json.NewEncoder(os.NewFile(childOut, "answer")).Encode(answer{Values: v})
	case "real":
		os.Args = []string{os.Args[0], childArgument}
		ServeChild()
	}
}

// faulty starts the test binary as a child with a fault.
func faulty(what string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd {
		c := exec.CommandContext(ctx, os.Args[0])
		c.Env = append(os.Environ(), childEnv+"="+what)
		return c
	}
}

// TestProviderIsTrustedOnlyForTheRightNumbers lets the child crash, hang, fall
// silent and calculate wrongly.
func TestProviderIsTrustedOnlyForTheRightNumbers(t *testing.T) {
	r := open(t)
	for _, tt := range []struct {
		child string
		limit time.Duration
		says  string // empty: trusted
	}{
		{"right", 0, ""},
		{"crash", 0, "crashed"},
		{"hang", 200 * time.Millisecond, "hung"},
		{"silent", 0, "said nothing"},
		{"babble", 0, "said nothing"},
		{"wrong", 0, "where the cpu gives"},
		{"short", 0, "3 numbers"},
	} {
		err := Prober{Runtime: r, Program: faulty(tt.child), Limit: tt.limit}.Probe(t.Context(), SessionOptions{Provider: CUDA})
		if tt.says == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.child, err)
			}
			continue
		}
		if !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.child, err)
		}
	}
}

// TestProviderThatTheLibraryLacksIsNamed asks real children: a library without
// the provider, and a machine without the device, answer with a reason.
func TestProviderThatTheLibraryLacksIsNamed(t *testing.T) {
	r := open(t)
	p := Prober{Runtime: r, Program: faulty("real")}
	if err := p.Probe(t.Context(), SessionOptions{}); err == nil || !errors.Is(err, study.ErrInvalid) {
		t.Errorf("no provider: %v", err)
	}
	if err := p.Probe(t.Context(), SessionOptions{Provider: CPU}); err != nil {
		t.Errorf("cpu: %v", err)
	}
	for _, provider := range Providers()[1:] {
		err := p.Probe(t.Context(), SessionOptions{Provider: provider})
		t.Logf("%s: %v", provider, err)
		if err != nil && (!errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), provider)) {
			t.Errorf("%s: %v", provider, err)
		}
	}
}

func TestNumbersThatAreNoneAreNotNear(t *testing.T) {
	nan := float32(0)
	nan /= nan
	for _, tt := range []struct {
		got  float32
		half bool
		ok   bool
	}{{1, false, true}, {1.0005, false, true}, {1.01, false, false}, {1.01, true, true}, {1.1, true, false}, {nan, false, false}, {nan, true, false}} {
		if err := compare([]float32{tt.got}, []float32{1}, tt.half); (err == nil) != tt.ok {
			t.Errorf("%v, half %v: %v", tt.got, tt.half, err)
		}
	}
}
