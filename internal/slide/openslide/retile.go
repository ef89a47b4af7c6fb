package openslide

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"varde/internal/codec/jail"
	"varde/study"
)

// A Retiler has slides that only OpenSlide reads cut into tiles anew. The library
// never runs in this process: each slide gets a child of its own, with limits of
// memory, time, files and disk, so that a file which crashes it costs that file
// alone. Folder must be set.
type Retiler struct {
	// Folder is where files lie while they are worked on. It is made when it is
	// missing.
	Folder string
	// Log is told of children that did not end well. nil tells nobody.
	Log *slog.Logger
	// AtOnce is how many slides are worked on at a time; 0 stands for one. Each
	// uses all processors.
	AtOnce int
	// Patience is how long a slide may take; 0 stands for ten minutes, and a
	// minute more for each 100 MB.
	Patience time.Duration

	// What tests have the child do, and let it have.
	fault  string
	memory int64

	once  sync.Once
	slots chan struct{}
}

// Retiled is a slide cut into tiles anew: a BigTIFF pyramid of JPEG tiles. Close
// removes it.
type Retiled struct {
	io.Reader
	Size    int64
	Library string // name and version of what read the slide
	Facts   Facts

	close func() error
}

// Close removes the pyramid from the disk.
func (r *Retiled) Close() error { return r.close() }

const (
	patience      = 10 * time.Minute
	bytesPerMin   = 100 << 20
	versionLimit  = 20 * time.Second
	answerLimit   = 16 << 20
	largestFactor = 8       // a pyramid may be so many times larger than its file
	largestLeast  = 4 << 30 // … and so large in any case
)

// remedy stands behind every refusal.
const remedy = "have the scanner export DICOM, SVS or a tiled pyramidal TIFF"

// absent is the library's absence, with what helps.
func absent() error {
	return fmt.Errorf("this format is read through OpenSlide, which is not here: %w: install Debian's libopenslide0, or %s", study.ErrUnsupported, remedy)
}

// Version gives the version of the library that a child finds. Its absence is an
// error that wraps [study.ErrUnsupported] and names the remedy.
func (r *Retiler) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	a, err := r.ask(ctx, request{Only: true, Seconds: 20, Largest: 1 << 20, Memory: childMemory}, nil)
	return a.Version, err
}

// leftAfter is when a slide in the folder was left by a process that died.
const leftAfter = 24 * time.Hour

// Sweep removes what processes that died have left in the folder.
func (r *Retiler) Sweep() error {
	left, err := filepath.Glob(filepath.Join(r.Folder, "slide-*"))
	for _, dir := range left {
		if info, serr := os.Stat(dir); serr == nil && time.Since(info.ModTime()) > leftAfter {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// Retile reads a slide, whose file is called name and has the bytes that read
// gives, to its end and writes it as a pyramid. A zip archive is unpacked and
// holds one slide with what belongs to it. An error wraps [study.ErrUnsupported]
// when OpenSlide is not here or does not know the file, and [study.ErrInvalid]
// when it finds the file broken or breaks over it.
func (r *Retiler) Retile(ctx context.Context, name string, read io.Reader) (*Retiled, error) {
	r.once.Do(func() { r.slots = make(chan struct{}, max(1, r.AtOnce)) })
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, err := r.Version(ctx); err != nil {
		return nil, err // before a byte is copied
	}
	if err := os.MkdirAll(r.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	dir, err := os.MkdirTemp(r.Folder, "slide-*")
	if err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	out, err := r.retile(ctx, dir, name, read)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return out, nil
}

func (r *Retiler) retile(ctx context.Context, dir, name string, read io.Reader) (*Retiled, error) {
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(source, "slide"+strings.ToLower(filepath.Ext(name)))
	size, err := save(path, read)
	if err == nil && filepath.Ext(path) == ".zip" {
		path, size, err = unpack(path, source)
	}
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(filepath.Join(dir, "pyramid.tif"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	limit := r.Patience
	if limit == 0 {
		limit = patience + time.Duration(size/bytesPerMin)*time.Minute
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q := request{Path: path, Seconds: int64(limit/time.Second) * int64(runtime.GOMAXPROCS(0)), Memory: childMemory,
		Largest: max(largestLeast, largestFactor*size), Fault: r.fault}
	if r.memory > 0 {
		q.Memory = r.memory
	}
	a, err := r.ask(limited, q, out)
	var info os.FileInfo
	if err == nil {
		info, err = out.Stat()
	}
	if err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("OpenSlide did not end within %s: %w: %s", limit, study.ErrInvalid, remedy)
		}
		return nil, errors.Join(err, out.Close())
	}
	if err := os.RemoveAll(source); err != nil { // its room is wanted
		return nil, errors.Join(err, out.Close())
	}
	return &Retiled{Reader: io.NewSectionReader(out, 0, info.Size()), Size: info.Size(), Library: "OpenSlide " + a.Version, Facts: a.Facts,
		close: func() error { return errors.Join(out.Close(), os.RemoveAll(dir)) }}, nil
}

// save writes what comes to a file.
func save(path string, read io.Reader) (int64, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, read)
	return n, errors.Join(err, f.Close())
}

// ask starts a child, has it do one thing and hears its answer.
func (r *Retiler) ask(ctx context.Context, q request, out *os.File) (answer, error) {
	var a answer
	if os.Getenv(childMark) != "" {
		return a, fmt.Errorf("a child of ours starts no other; main must call openslide.ServeChild: %w", study.ErrUnsupported)
	}
	program, err := jail.Program()
	if err != nil {
		return a, fmt.Errorf("find this program: %w", err)
	}
	question, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return a, fmt.Errorf("start a reader of slides: %w: %w", err, study.ErrBusy)
	}
	defer from.Close()
	if out == nil {
		if out, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
			return a, errors.Join(err, to.Close())
		}
		defer out.Close()
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Args = []string{os.Args[0], childArgument}
	cmd.Env = []string{childMark + "=1", "MALLOC_ARENA_MAX=2", "GOTRACEBACK=none"}
	if v, ok := os.LookupEnv("LD_LIBRARY_PATH"); ok {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+v)
	}
	// What it prints may hold what stands in the file: nobody hears it.
	cmd.Stdin, cmd.ExtraFiles = bytes.NewReader(question), []*os.File{out, to}
	cmd.SysProcAttr = jail.Attributes()
	cmd.WaitDelay = time.Second
	// A thread that a caller has locked to itself may end soon, and the child, which
	// dies with the thread that started it, would end with it.
	started := make(chan error)
	go func() { started <- cmd.Start() }()
	if err := <-started; err != nil {
		return a, errors.Join(fmt.Errorf("start a reader of slides: %w: %w", err, study.ErrBusy), to.Close())
	}
	_ = to.Close() // the child has its own
	heard := json.NewDecoder(io.LimitReader(from, answerLimit)).Decode(&a)
	ended := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return a, fmt.Errorf("read the slide through OpenSlide: %w", ctx.Err())
	case heard != nil || ended != nil:
		if r.Log != nil {
			r.Log.WarnContext(ctx, "reader of slides died", "end", fmt.Sprint(ended))
		}
		return a, fmt.Errorf("OpenSlide died over the file (%w): %w: %s", first(ended, heard), study.ErrInvalid, remedy)
	}
	return a, a.err()
}

// first gives the first error that there is.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// err is what the child said went wrong.
func (a answer) err() error {
	switch {
	case a.Kind == "":
		return nil
	case a.Version == "":
		return absent()
	case a.Kind == "unsupported":
		return fmt.Errorf("%s: %w: %s", strings.TrimSuffix(a.Message, ": "+study.ErrUnsupported.Error()), study.ErrUnsupported, remedy)
	case a.Kind == "invalid":
		return fmt.Errorf("%s: %w", strings.TrimSuffix(a.Message, ": "+study.ErrInvalid.Error()), study.ErrInvalid)
	}
	return errors.New(a.Message)
}
