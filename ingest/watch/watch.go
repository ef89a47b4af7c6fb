// Package watch takes in the files that are put into a folder: from a CD, a
// gateway that writes files, or a hand.
//
//	Watcher.Run    looks, takes what is complete, and puts it out of the way
//
// A file is complete when it has not changed for a while, and again unchanged
// when its last byte was read: whatever happens in between, nothing of a file
// that is still being written is kept. What was taken in is moved to done/; what
// was refused to refused/, with the reason in a file beside it. What can't be
// taken just now, for the disk is full or the ledger away, stays where it is.
// A slide file that is no DICOM waits for a JSON file of its name that says whose
// it is; what it waits for is said in waiting/. All state is in the folder: a process that dies between the two finds the file
// again and the receiver knows it as a duplicate.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/study"
)

// A Receiver keeps one object; [ingest.Receiver] is the one that there is.
type Receiver interface {
	Receive(ctx context.Context, src ingest.Source, o ingest.Object) (ingest.Kept, error)
}

// The places inside the folder for what is over.
const (
	done    = "done"
	refused = "refused"
)

const (
	defaultEvery = time.Second
	defaultQuiet = 2 * time.Second
	// patience is how long a file that is no whole object may yet become one.
	patience = time.Minute
	// again is how long a file waits that could not be taken in just then.
	again = 10 * time.Second
	// atOnce files are taken in together, so that they share what is slow.
	atOnce = 4
)

// A Watcher watches one folder and what lies below it. Receiver, Folder and Log
// must be set.
type Watcher struct {
	Receiver Receiver
	// Slides keeps the slide files that are no DICOM. nil takes none.
	Slides SlideKeeper
	Folder string // made when it is missing
	// Ended is told the studies of which files were taken in, each time that
	// nothing more is ready. nil is told nothing.
	Ended func(studies ...study.UID)
	Log   *slog.Logger
	// Every is how often the folder is looked at; 0 stands for a second.
	Every time.Duration
	// Quiet is how long a file must be unchanged; 0 stands for two seconds.
	Quiet time.Duration
	// Patience is how long a file that is not whole may still grow; 0 stands
	// for a minute.
	Patience time.Duration

	seen map[string]*file
}

// A file is one that waits. Only its own look changes it.
type file struct {
	size    int64
	changed time.Time // by its own clock
	since   time.Time // when we first saw it so
	not     time.Time // when it is tried again
	here    bool      // found by the look at hand
}

// Run watches until ctx ends. An error means that the folder can't be had.
func (w *Watcher) Run(ctx context.Context) error {
	root, err := w.open()
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.Folder, err)
	}
	defer root.Close()
	w.seen = map[string]*file{}
	tick := time.NewTicker(or(w.Every, defaultEvery))
	defer tick.Stop()
	for {
		if err := w.look(ctx, root); err != nil && ctx.Err() == nil {
			w.Log.WarnContext(ctx, "watched folder can't be read", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func (w *Watcher) open() (*os.Root, error) {
	if err := os.MkdirAll(w.Folder, 0o750); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(w.Folder) // nothing outside is reached, by no link
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{done, refused} {
		if err := root.MkdirAll(dir, 0o750); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	return root, nil
}

// look goes through the folder once and takes in what is complete.
func (w *Watcher) look(ctx context.Context, root *os.Root) error {
	for _, f := range w.seen {
		f.here = false
	}
	now := time.Now()
	var ready []string
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // moved on since it was listed
			return nil
		case err != nil:
			return err
		case name == "." || d.IsDir() && name != done && name != refused && name != waiting && d.Name()[0] != '.' && !w.belongs(root, name):
			return ctx.Err()
		case d.IsDir():
			return fs.SkipDir
		case !d.Type().IsRegular() || unfinished(d.Name()) || w.isSidecar(d.Name()):
			return nil
		}
		info, err := d.Info()
		if err == nil && w.complete(name, info, now) {
			ready = append(ready, name)
		}
		return nil
	})
	for name, f := range w.seen {
		if !f.here && err == nil {
			delete(w.seen, name)
		}
	}
	w.takeAll(ctx, root, ready)
	return err
}

// unfinished reports whether a name is one that programs write under until a file
// is whole.
func unfinished(name string) bool {
	lower := strings.ToLower(name)
	for _, end := range []string{".tmp", ".part", ".partial", ".filepart", ".crdownload", "~"} {
		if strings.HasSuffix(lower, end) {
			return true
		}
	}
	return name[0] == '.'
}

// complete reports whether a file has been as it is for long enough.
func (w *Watcher) complete(name string, info fs.FileInfo, now time.Time) bool {
	f := w.seen[name]
	if f == nil || f.size != info.Size() || !f.changed.Equal(info.ModTime()) {
		f = &file{size: info.Size(), changed: info.ModTime(), since: now}
		w.seen[name] = f
	}
	f.here = true
	return now.Sub(f.since) >= or(w.Quiet, defaultQuiet) && !now.Before(f.not)
}

func (w *Watcher) takeAll(ctx context.Context, root *os.Root, names []string) {
	var mu sync.Mutex // guards studies
	studies := map[study.UID]bool{}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, name := range names {
		g.Go(func() error {
			if uid, ok := w.take(ctx, root, name); ok {
				mu.Lock()
				defer mu.Unlock()
				studies[uid] = true
			}
			return nil
		})
	}
	_ = g.Wait() // what becomes of each file stands in the folder
	if w.Ended == nil || len(studies) == 0 {
		return
	}
	uids := make([]study.UID, 0, len(studies))
	for uid := range studies {
		uids = append(uids, uid)
	}
	w.Ended(uids...)
}

// take takes one file in and moves it. Names of files may be those of patients,
// and go into no log.
func (w *Watcher) take(ctx context.Context, root *os.Root, name string) (study.UID, bool) {
	if ctx.Err() != nil {
		return "", false
	}
	uid, err := w.receive(ctx, root, name)
	f := w.seen[name]
	switch {
	case err == nil:
		w.move(ctx, root, name, done, "")
		return uid, true
	case errors.Is(err, errWaits):
		f.not = time.Now().Add(or(w.Every, defaultEvery))
	case errors.Is(err, fs.ErrNotExist): // somebody took it away
	case !hopeless(err):
		f.not = time.Now().Add(again)
	case time.Since(f.since) < or(w.Patience, patience):
		f.not = time.Now().Add(or(w.Every, defaultEvery)) // a writer may have paused
	default:
		w.move(ctx, root, name, refused, err.Error())
	}
	return "", false
}

// hopeless reports whether the same bytes would be refused again.
func hopeless(err error) bool {
	for _, kind := range []error{study.ErrInvalid, study.ErrRefused, study.ErrUnsupported, ingest.ErrMismatch} {
		if errors.Is(err, kind) {
			return !errors.Is(err, study.ErrBusy) && !errors.Is(err, errChanged)
		}
	}
	return false
}

// errChanged is a file that was written to while it was read.
var errChanged = errors.New("the file changed while it was read")

// receive hands one file to the receiver.
func (w *Watcher) receive(ctx context.Context, root *os.Root, name string) (study.UID, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	head := make([]byte, slidefile.HeadBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	if w.isSlide(name, head[:n]) {
		return w.receiveSlide(ctx, root, name, f, info)
	}
	if n < len(head) || string(head[128:]) != "DICM" {
		return "", fmt.Errorf("no DICOM file (PS3.10) and no slide file: %w", study.ErrInvalid)
	}
	kept, err := w.Receiver.Receive(ctx, ingest.Source{Kind: "folder"}, ingest.Object{Data: &steady{f, info}, Size: info.Size()})
	return kept.Study, err
}

// steady reads a file and ends in order only when it is still what it was.
type steady struct {
	*os.File
	was fs.FileInfo
}

// Read gives errChanged in place of the end of another file.
func (s *steady) Read(p []byte) (int, error) {
	n, err := s.File.Read(p)
	if err != io.EOF {
		return n, err
	}
	if info, serr := s.Stat(); serr != nil || info.Size() != s.was.Size() || !info.ModTime().Equal(s.was.ModTime()) {
		return n, errors.Join(errChanged, serr)
	}
	return n, io.EOF
}

// move puts a file out of the way, under a name that is free, and with the reason
// beside it when there is one.
func (w *Watcher) move(ctx context.Context, root *os.Root, name, to, reason string) {
	target, err := free(root, path.Join(to, name))
	if err == nil {
		err = root.MkdirAll(path.Dir(target), 0o750)
	}
	if err == nil && reason != "" {
		err = explain(root, target+".reason.txt", reason)
	}
	if err == nil {
		err = root.Rename(name, target)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.seen[name].not = time.Now().Add(again)
		w.Log.WarnContext(ctx, "file can't be moved within the watched folder", "to", to)
		return
	}
	w.alongside(ctx, root, name, to)
	w.Log.InfoContext(ctx, "file taken from the watched folder", "to", to)
}

// explain writes a reason under a name at which it is whole from the first
// moment: whoever waits for the file may read it as soon as it is there.
func explain(root *os.Root, name, reason string) error {
	if err := root.WriteFile(name+".part", []byte(reason+"\n"), 0o640); err != nil {
		return err
	}
	return root.Rename(name+".part", name)
}

// free gives the name, or the name with a number when it is taken.
func free(root *os.Root, name string) (string, error) {
	for n := 1; ; n++ {
		try := name
		if n > 1 {
			try = fmt.Sprintf("%s.%d", name, n)
		}
		_, err := root.Lstat(try)
		if errors.Is(err, fs.ErrNotExist) {
			return try, nil
		}
		if err != nil {
			return "", err
		}
	}
}
