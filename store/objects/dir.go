package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"varde/study"
)

// pending is the folder, inside a [Dir], of files that are still being written.
// It begins with a dot, as no key does.
const pending = ".put"

// A Dir keeps each object as a file of a folder. It is the store of one machine.
type Dir struct {
	root  string
	work  string   // our own folder under pending
	lock  *os.File // held on work while we live
	syncs folders

	// rooted holds the folders whose way up to root is known to be on the disk.
	rooted pathSet

	buffers sync.Pool // of *[]byte, copyBytes long
}

const (
	// copyBytes is what is read and written at once: enough that whoever reads
	// along is not woken for every few packets.
	copyBytes = 256 << 10
	// flushBytes is how much of a long object is written before the disk is set
	// to work on it, so that little is left when its end has come.
	flushBytes = 8 << 20
)

func (d *Dir) buffer() *[]byte {
	if b, ok := d.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, copyBytes)
	return &b
}

// flushing is a file that goes to the disk while it is written.
type flushing struct {
	*os.File
	written, begun int64
}

// Write writes, and now and then begins a flush.
func (f *flushing) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.written += int64(n)
	if f.written-f.begun >= flushBytes {
		beginFlush(f.File, f.begun, f.written-f.begun)
		f.begun = f.written
	}
	return n, err
}

// OpenDir opens the store in the folder root, which it makes when it is missing.
// What a process that died left half-written is removed. A network file system
// is refused: links and locks there keep no promises.
func OpenDir(root string) (*Dir, error) {
	if err := os.MkdirAll(filepath.Join(root, pending), 0o700); err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	if err := localDisk(root); err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	d := &Dir{root: root}
	if err := d.enter(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	for _, dir := range []string{root, filepath.Dir(root)} {
		if err := d.syncs.Sync(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("open store %s: %w", root, err), d.Close())
		}
	}
	return d, nil
}

// enter sweeps what the dead left, and makes and locks a folder of our own. All
// of it happens under a lock on the pending folder, so that no process sweeps a
// folder that another has made and not yet locked.
func (d *Dir) enter() error {
	all, err := os.Open(filepath.Join(d.root, pending))
	if err != nil {
		return err
	}
	defer all.Close() // gives the lock up
	if err := syscall.Flock(int(all.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", all.Name(), err)
	}
	names, err := all.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := sweep(filepath.Join(all.Name(), name)); err != nil {
			return err
		}
	}
	if d.work, err = os.MkdirTemp(all.Name(), "process-*"); err != nil {
		return err
	}
	if d.lock, err = os.Open(d.work); err != nil {
		return err
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("lock %s: %w", d.work, err), d.lock.Close())
	}
	return nil
}

// sweep removes a process's folder unless that process lives, which its lock
// tells.
func sweep(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return os.RemoveAll(path)
}

// Close removes what is half-written and lets the folder go. Puts that are under
// way fail.
func (d *Dir) Close() error {
	return errors.Join(os.RemoveAll(d.work), d.lock.Close())
}

// String gives the folder.
func (d *Dir) String() string { return d.root }

// PutOnce is described at [Store].
func (d *Dir) PutOnce(ctx context.Context, key string, r io.Reader, size int64) (study.Hash, error) {
	name, sum, err := d.write(ctx, key, r, size)
	if err != nil {
		return sum, err
	}
	defer os.Remove(name)
	full := d.path(key)
	if err := d.branch(filepath.Dir(full)); err != nil {
		return sum, diskError("put", key, err)
	}
	if err := os.Link(name, full); err != nil { // a rename would overwrite
		if !errors.Is(err, fs.ErrExist) {
			d.rooted.clear() // perhaps a folder was taken away
			return sum, diskError("put", key, err)
		}
		held, herr := HashOf(ctx, d, key)
		if herr != nil {
			return sum, herr
		}
		// Whoever made the entry may not have synced it yet. A duplicate is
		// acknowledged like a new object, so it must be as durable.
		if err := d.syncs.Sync(filepath.Dir(full)); err != nil {
			return sum, diskError("put", key, err)
		}
		return sum, &ExistsError{Key: key, Hash: held}
	}
	if err := d.syncs.Sync(filepath.Dir(full)); err != nil {
		return sum, diskError("put", key, err)
	}
	return sum, nil
}

// Put is described at [Store].
func (d *Dir) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	name, _, err := d.write(ctx, key, r, size)
	if err != nil {
		return err
	}
	full := d.path(key)
	if err := d.branch(filepath.Dir(full)); err != nil {
		return errors.Join(diskError("put", key, err), os.Remove(name))
	}
	if err := os.Rename(name, full); err != nil {
		d.rooted.clear()
		return errors.Join(diskError("put", key, err), os.Remove(name))
	}
	if err := d.syncs.Sync(filepath.Dir(full)); err != nil {
		return diskError("put", key, err)
	}
	return nil
}

// write brings r to the disk under a name of no key, and gives the name.
func (d *Dir) write(ctx context.Context, key string, r io.Reader, size int64) (name string, sum study.Hash, err error) {
	if err := CheckKey(key); err != nil {
		return "", sum, fmt.Errorf("put: %w", err)
	}
	f, err := os.CreateTemp(d.work, "*")
	if err != nil {
		return "", sum, diskError("put", key, err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	src := newSource(ctx, key, r, size)
	buf := d.buffer()
	defer d.buffers.Put(buf)
	// The plain structs hide the ways round the buffer that the two may offer.
	if _, err := io.CopyBuffer(struct{ io.Writer }{&flushing{File: f}}, struct{ io.Reader }{src}, *buf); err != nil {
		return "", src.sum(), diskError("put", key, err)
	}
	if err := f.Sync(); err != nil {
		return "", src.sum(), diskError("put", key, err)
	}
	return f.Name(), src.sum(), nil
}

// branch makes dir and the folders above it, and brings each new entry to the
// disk: else a whole branch may vanish with the power. That a folder is there
// says nothing: whoever made it may not have come to the sync yet.
func (d *Dir) branch(dir string) error {
	if dir == d.root || d.rooted.has(dir) {
		return nil
	}
	if err := d.branch(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.syncs.Sync(filepath.Dir(dir)); err != nil {
		return err
	}
	d.rooted.add(dir)
	return nil
}

// Range is described at [Store].
func (d *Dir) Range(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	f, size, err := d.open(key)
	if err != nil {
		return nil, err
	}
	if err := checkRange(key, off); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if off > size || off == size && off > 0 {
		return nil, errors.Join(pastEnd(key, off, size), f.Close())
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	return &part{exact{r: io.NewSectionReader(f, off, n), key: key, left: n}, f}, nil
}

// Stat is described at [Store].
func (d *Dir) Stat(_ context.Context, key string) (int64, error) {
	f, size, err := d.open(key)
	if err != nil {
		return 0, err
	}
	return size, f.Close()
}

func (d *Dir) open(key string) (*os.File, int64, error) {
	if err := CheckKey(key); err != nil {
		return nil, 0, fmt.Errorf("read: %w", err)
	}
	f, err := os.Open(d.path(key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, 0, fmt.Errorf("read %s: %w", key, study.ErrNotFound)
	}
	if err != nil {
		return nil, 0, diskError("read", key, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(diskError("read", key, err), f.Close())
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.Join(fmt.Errorf("read %s: %w", key, study.ErrNotFound), f.Close())
	}
	return f, info.Size(), nil
}

// Delete is described at [Store].
func (d *Dir) Delete(_ context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	err := os.Remove(d.path(key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return diskError("delete", key, err)
	}
	return d.syncs.Sync(filepath.Dir(d.path(key)))
}

// List is described at [Store].
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		_ = d.walk(ctx, "", prefix, yield)
	}
}

// walk goes through the folder at, a key's path or empty, and reports whether to
// go on. A folder sorts with its slash, so that the keys come in byte order.
func (d *Dir) walk(ctx context.Context, at, prefix string, yield func(string, error) bool) bool {
	if err := ctx.Err(); err != nil {
		return yield("", err) && false
	}
	entries, err := os.ReadDir(filepath.Join(d.root, filepath.FromSlash(at)))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return yield("", diskError("list", at, err)) && false
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		name := at + e.Name()
		if e.IsDir() {
			name += "/"
		}
		if e.Name()[0] != '.' && (strings.HasPrefix(name, prefix) || e.IsDir() && strings.HasPrefix(prefix, name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		more := false
		if strings.HasSuffix(name, "/") {
			more = d.walk(ctx, name, prefix, yield)
		} else {
			more = yield(name, nil)
		}
		if !more {
			return false
		}
	}
	return true
}

// Free gives the room that the file system has for us.
func (d *Dir) Free(context.Context) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.root, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}

func (d *Dir) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

// networkDisks are the file systems that we refuse, by their number in statfs(2).
var networkDisks = map[int64]string{0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB2"}

func localDisk(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return err
	}
	if name, ok := networkDisks[int64(st.Type)&0xffffffff]; ok {
		return fmt.Errorf("it lies on %s, where a file may be lost after it was kept; use a local disk or an S3 store: %w", name, study.ErrRefused)
	}
	return nil
}

// diskError gives an error of the operating system its kind.
func diskError(verb, key string, err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, full) {
			return fmt.Errorf("%s %s: %w: %w", verb, key, study.ErrBusy, err)
		}
	}
	for _, wrong := range []error{syscall.ENOTDIR, syscall.EISDIR} { // one key would be the folder of another
		if errors.Is(err, wrong) {
			return fmt.Errorf("%s %s: %w: %w", verb, key, study.ErrInvalid, err)
		}
	}
	return fmt.Errorf("%s %s: %w", verb, key, err)
}
