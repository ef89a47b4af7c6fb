package watch

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/study"
)

// A SlideKeeper keeps slide files; [slidefile.Keeper] is the one that there is.
type SlideKeeper interface {
	Keep(ctx context.Context, src ingest.Source, id slidefile.Identifiers, name string, r io.Reader, size int64) (slidefile.Kept, error)
}

// waiting is the place inside the folder of words about slide files that wait.
const waiting = "waiting"

// errWaits is a slide file whose sidecar is not here yet.
var errWaits = errors.New("the slide file waits for its identifiers")

// sidecarEnding is that of the JSON that says whose a slide is: scan.json, or
// scan.svs.json, beside scan.svs.
const sidecarEnding = ".json"

// isSidecar reports whether a file only goes along with another one. One whose
// slide has not come yet waits for it.
func (w *Watcher) isSidecar(name string) bool {
	return w.Slides != nil && strings.HasSuffix(strings.ToLower(name), sidecarEnding)
}

// belongs reports whether a folder holds the data of a MIRAX slide, scan of
// scan.mrxs: what is in it goes along with the file beside it.
func (w *Watcher) belongs(root *os.Root, dir string) bool {
	if w.Slides == nil {
		return false
	}
	_, err := root.Lstat(dir + miraxEnding)
	return err == nil
}

const miraxEnding = ".mrxs"

// sidecar finds the JSON of a slide file.
func sidecar(root *os.Root, name string) (string, bool) {
	for _, beside := range []string{strings.TrimSuffix(name, path.Ext(name)) + sidecarEnding, name + sidecarEnding} {
		if info, err := root.Lstat(beside); err == nil && info.Mode().IsRegular() {
			return beside, true
		}
	}
	return "", false
}

// isSlide reports whether a file is one for the keeper of slides: by how it
// begins, but for a MIRAX file, which is a picture with data beside it.
func (w *Watcher) isSlide(name string, head []byte) bool {
	return w.Slides != nil && (slidefile.Looks(head) || strings.EqualFold(path.Ext(name), miraxEnding))
}

// receiveSlide hands a slide file to its keeper, with the identifiers in the file
// beside it.
func (w *Watcher) receiveSlide(ctx context.Context, root *os.Root, name string, f *os.File, info fs.FileInfo) (study.UID, error) {
	beside, ok := sidecar(root, name)
	if !ok {
		return "", w.waits(ctx, root, name)
	}
	if at, err := root.Lstat(beside); err != nil || time.Since(at.ModTime()) < or(w.Quiet, defaultQuiet) {
		return "", errChanged // it may still be written: half of it would refuse a slide that has waited for it
	}
	b, err := root.ReadFile(beside)
	if err != nil {
		return "", err
	}
	id, err := slidefile.ReadIdentifiers(strings.NewReader(string(b)))
	if err != nil {
		return "", err
	}
	var data io.Reader = &steady{f, info}
	size := info.Size()
	if strings.EqualFold(path.Ext(name), miraxEnding) {
		dir := strings.TrimSuffix(name, path.Ext(name))
		if !w.quietFolder(root, dir) {
			return "", errChanged
		}
		packed := pack(ctx, root, name, dir)
		defer packed.Close()
		data, size, name = packed, 0, "slide.zip"
	}
	kept, err := w.Slides.Keep(ctx, ingest.Source{Kind: "folder"}, id, name, data, size)
	return kept.Study, err
}

// waits says once, in the log and in a file, what a slide file waits for.
func (w *Watcher) waits(ctx context.Context, root *os.Root, name string) error {
	note := path.Join(waiting, name+".txt")
	if _, err := root.Lstat(note); err == nil {
		return errWaits
	}
	err := root.MkdirAll(path.Dir(note), 0o750)
	if err == nil {
		err = explain(root, note, "The file is not taken in before it is said whose slide it is. Put "+
			path.Base(strings.TrimSuffix(name, path.Ext(name)))+sidecarEnding+" beside it, a JSON object such as\n"+
			`{"patient_id": "…", "patient_name": "family^given", "birth_date": "YYYY-MM-DD", "sex": "F", "accession": "…", "container_id": "…", "stain": "H&E"}`)
	}
	if err != nil {
		return errors.Join(errWaits, err)
	}
	w.Log.InfoContext(ctx, "slide file waits in the watched folder for the JSON that says whose it is", "see", waiting)
	return errWaits
}

// alongside moves what goes along with a slide file that is over, and takes back
// what was said of its waiting.
func (w *Watcher) alongside(ctx context.Context, root *os.Root, name, to string) {
	if w.Slides == nil {
		return
	}
	if err := root.Remove(path.Join(waiting, name+".txt")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.Log.WarnContext(ctx, "what a slide file waited for can't be taken back", "err", pathless(err))
	}
	with := []string{}
	if beside, ok := sidecar(root, name); ok {
		with = append(with, beside)
	}
	if dir := strings.TrimSuffix(name, path.Ext(name)); strings.EqualFold(path.Ext(name), miraxEnding) {
		with = append(with, dir)
	}
	for _, n := range with {
		target, err := free(root, path.Join(to, n))
		if err == nil {
			err = root.MkdirAll(path.Dir(target), 0o750)
		}
		if err == nil {
			err = root.Rename(n, target)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.Log.WarnContext(ctx, "file can't be moved within the watched folder", "to", to, "err", pathless(err))
		}
	}
}

// pathless is an error without the names of files, which may be those of patients.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return errors.New("it can't be renamed")
}

// quietFolder reports whether nothing in a folder has changed for a while.
func (w *Watcher) quietFolder(root *os.Root, dir string) bool {
	quiet, some := true, false
	err := fs.WalkDir(root.FS(), dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			some = true
			quiet = quiet && time.Since(info.ModTime()) >= or(w.Quiet, defaultQuiet) && !unfinished(d.Name())
		}
		return err
	})
	return err == nil && quiet && some
}

// pack gives a MIRAX slide and the folder of its data as one zip archive. Files
// are in the order of their names and bear no times, so that the same slide gives
// the same bytes.
func pack(ctx context.Context, root *os.Root, name, dir string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		z := zip.NewWriter(w)
		err := add(ctx, root, z, name, "slide"+miraxEnding)
		if err == nil {
			err = fs.WalkDir(root.FS(), dir, func(p string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				return add(ctx, root, z, p, "slide"+strings.TrimPrefix(p, dir))
			})
		}
		if err == nil {
			err = z.Close()
		}
		_ = w.CloseWithError(err) // nil is the end
	}()
	return r
}

// add stores one file in an archive as it is.
func add(ctx context.Context, root *os.Root, z *zip.Writer, name, as string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	to, err := z.CreateHeader(&zip.FileHeader{Name: as, Method: zip.Store})
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, &steady{f, info}); err != nil {
		return fmt.Errorf("pack the slide: %w", err)
	}
	return nil
}
