// Package onnx runs networks with ONNX Runtime.
//
//	Open             finds the library, loads it, and says which build it is
//	Runtime.Session  a network in memory, to be shared by all who run it
//	Session.Run      named tensors in, named tensors out; may be canceled
//	Measure          how many tiles a second of processor time a network takes
//
// The library is a file of its own, loaded at run time. A session uses one
// thread unless told otherwise: the caller's goroutines are the parallelism, so
// that a busy neighbor costs its share and no more, and so that a tile's numbers
// do not depend on what runs beside it or in the same batch.
package onnx

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"varde/study"
)

// Options say where to look for the library.
type Options struct {
	// Library is the path of libonnxruntime. When it is set, that file is loaded
	// or none; empty looks beside the program, on the system and in the Go
	// module cache.
	Library string
	// Getenv gives the variables that a search depends on (HOME, GOMODCACHE,
	// GOPATH, LD_LIBRARY_PATH); nil is [os.Getenv].
	Getenv func(string) string
}

// Info says which build of ONNX Runtime runs: it belongs to every result.
type Info struct {
	Version string     `json:"version"`
	Path    string     `json:"path"`
	SHA256  study.Hash `json:"sha256"` // of the file at Path
	Route   string     `json:"route"`  // configured, beside, system, module
}

// The routes by which a library is found.
const (
	routeConfigured = "configured"
	routeBeside     = "beside"
	routeSystem     = "system"
	routeModule     = "module"
)

// A Runtime is the loaded library. There is one in a process, and it stays until
// the process ends.
type Runtime struct{ info Info }

// Info says which build is loaded.
func (r *Runtime) Info() Info { return r.info }

// process is the runtime of this process. The library keeps one environment a
// process and cannot be unloaded safely, so that this cannot be a field: it is
// set once and never changed. mu is held while a library is looked for.
var process struct {
	mu      sync.Mutex
	runtime *Runtime
}

// Open finds and loads the library. A second call gives the same runtime, or an
// error that wraps [study.ErrRefused] when it names another file. When no
// library is found the error wraps [study.ErrNotFound], names every place that
// was tried and why it would not do, and ends with the command that helps.
func Open(o Options) (*Runtime, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	if r := process.runtime; r != nil {
		if o.Library != "" && !sameFile(o.Library, r.info.Path) {
			return nil, fmt.Errorf("open ONNX Runtime %s: %s is loaded, and a process can have one: %w", o.Library, r.info.Path, study.ErrRefused)
		}
		return r, nil
	}
	var tried []string
	for c := range o.candidates() {
		info, err := c.load()
		if err == nil {
			process.runtime = &Runtime{info: info}
			return process.runtime, nil
		}
		tried = append(tried, fmt.Sprintf("  %s: %s: %v", c.route, c.path, err))
	}
	return nil, fmt.Errorf("%w: no usable ONNX Runtime; tried\n%s\n%s", study.ErrNotFound, strings.Join(tried, "\n"), remedy)
}

const remedy = "run `go mod download " + module + "`, or name a libonnxruntime.so of ONNX Runtime 1.28 or newer in the setting onnx_library"

// load loads one library. A file that is no ONNX Runtime, or one too old, leaves
// nothing behind, so that the next candidate can be tried.
func (c candidate) load() (Info, error) {
	if c.err != nil {
		return Info{}, c.err
	}
	sum, err := fileHash(c.path)
	if err != nil {
		return Info{}, err
	}
	if want := pinned(); c.route == routeModule && want != "" && sum.String() != want {
		return Info{}, fmt.Errorf("has SHA-256 %s, and %s is known to have %s: altered", sum.Short(), module, want[:12])
	}
	ort.SetSharedLibraryPath(c.path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return Info{}, loadError(err)
	}
	return Info{Version: ort.GetVersion(), Path: c.path, SHA256: sum, Route: c.route}, nil
}

// loadError turns the binding's words into ours.
func loadError(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "setting ORT API base"):
		return errors.New("is older than ONNX Runtime 1.28")
	case strings.Contains(text, "looking up OrtGetApiBase"):
		return errors.New("is no ONNX Runtime")
	default:
		return errors.New(text)
	}
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
