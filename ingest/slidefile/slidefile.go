// Package slidefile takes in slides as the scanners' makers write them: SVS,
// pyramidal TIFF and the like, which DICOM knows nothing of.
//
//	Keeper.Keep        a file comes in and is kept, and its levels become instances
//	Keeper.Put         … in two steps, where the file comes before the identifiers
//	Identifiers        whose slide it is; the file does not say
//	level.object       one level as a VL Whole Slide Microscopy object without pixels
//	Objects            gives such an object whole again, pixels and all
//
// The file is kept once and as it came, and each of its levels is recorded as an
// instance whose frames lie in it. From there on nobody need know: what plans,
// scores, shows and sends on sees a slide in DICOM. Labels and macro pictures,
// which bear names as often as not, become no instance.
//
// As with every other object, nothing is acknowledged before bytes and record are
// durable, and of a file that is refused nothing stays.
package slidefile

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/ingest"
	"varde/internal/slide/format"
	"varde/internal/slide/openslide"
	"varde/study"
)

// A Receiver keeps and records the objects that stand for levels;
// [ingest.Receiver] is the one that there is.
type Receiver interface {
	Receive(ctx context.Context, src ingest.Source, o ingest.Object) (ingest.Kept, error)
	Room(ctx context.Context, n int64) error
}

// An Archive keeps the bytes of files.
type Archive interface {
	ingest.Archive
	Delete(ctx context.Context, key string) error
	// List gives the keys that begin with prefix.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// A Retiler reads the formats that only a native library knows, and cuts their
// pixels into tiles anew; [openslide.Retiler] is the one that there is.
type Retiler interface {
	Retile(ctx context.Context, name string, read io.Reader) (*openslide.Retiled, error)
}

// A Keeper takes slide files in. It may be used by many goroutines at once; a
// file of any size costs it a few MiB of memory. Archive, Receiver, Traffic and
// Log must be set.
type Keeper struct {
	Archive  Archive
	Receiver Receiver
	Traffic  *ingest.Traffic // shared with the Settler
	// Retiler reads what [format.Open] does not. nil refuses it.
	Retiler Retiler
	// Ended is told the study of each file when its last level is recorded. nil
	// is told nothing.
	Ended func(studies ...study.UID)
	Log   *slog.Logger
}

// Kept is what became of a file.
type Kept struct {
	Study, Series study.UID
	// Outcome is [study.Stored] when any level is new, else [study.Conflicted]
	// when any contradicts what is known, else [study.Duplicate].
	Outcome study.Outcome
	Levels  int
	Format  string
	Bytes   int64
	SHA256  study.Hash
	// Held says why the slide is kept but not scored before a person has looked
	// at it; it is zero when there is nothing to doubt.
	Held study.Reason
}

// incomingPrefix is where files lie until they are known to be slides.
const incomingPrefix = "slides/incoming/"

// Keep takes one file in: size bytes, or as many as come when size is not above 0.
// Of name, which may be a patient's, only the ending counts. It returns without an
// error only when the file and the record of every level are durable. After an
// error nothing is in use that was not before; sending the file again is safe,
// and sending a file that is here already changes nothing.
func (k *Keeper) Keep(ctx context.Context, src ingest.Source, id Identifiers, name string, r io.Reader, size int64) (Kept, error) {
	if err := id.Check(); err != nil {
		return Kept{}, err
	}
	if early := id.early(); early != "" {
		defer k.Traffic.Begin(early, src)()
	}
	a, err := k.Put(ctx, src, name, r, size)
	if err != nil {
		return Kept{}, err
	}
	defer a.Drop(ctx)
	return a.Keep(ctx, id)
}

// An Aside is a file that has come and of which nobody has said yet whose slide it
// is. Drop must be called when it is of no more use.
type Aside struct {
	keeper *Keeper
	src    ingest.Source
	key    string
	ending string
	bytes  int64
	sha256 study.Hash
}

// Put brings a file to the archive without a look at what it is. Nothing of it is
// in use before [Aside.Keep].
func (k *Keeper) Put(ctx context.Context, src ingest.Source, name string, r io.Reader, size int64) (*Aside, error) {
	a := &Aside{keeper: k, src: src, ending: Ending(name)}
	err := k.Receiver.Room(ctx, max(size, 0))
	in := &incoming{r: r, room: func() error { return k.Receiver.Room(ctx, 0) }, next: roomEvery}
	if err == nil {
		a.key = fmt.Sprintf("%s%d-%s.%s", incomingPrefix, time.Now().Unix(), rand.Text(), a.ending)
		a.sha256, err = k.Archive.PutOnce(ctx, a.key, in, sizeOr(size))
	}
	if a.bytes = in.n; err != nil {
		err = fmt.Errorf("keep slide file: %w", err)
		k.Log.WarnContext(ctx, "slide file not taken in", "from", src.Name(), "remote", src.Remote, "bytes", a.bytes, "err", err)
		return nil, err
	}
	return a, nil
}

// Drop removes the file from where it lies aside.
func (a *Aside) Drop(ctx context.Context) { a.keeper.forget(ctx, a.key) }

// Keep is [Keeper.Keep] for a file that has come already.
func (a *Aside) Keep(ctx context.Context, id Identifiers) (Kept, error) {
	log := a.keeper.Log
	out, err := a.keep(ctx, id)
	if err != nil {
		log.WarnContext(ctx, "slide file refused", "study", out.Study, "from", a.src.Name(), "remote", a.src.Remote,
			"bytes", a.bytes, "sha256", a.sha256.Short(), "err", err)
		return out, err
	}
	log.InfoContext(ctx, "slide file kept", "study", out.Study, "series", out.Series, "format", out.Format, "levels", out.Levels,
		"bytes", out.Bytes, "sha256", out.SHA256.Short(), "outcome", out.Outcome, "held", out.Held.String(), "from", a.src.Name())
	return out, nil
}

func (a *Aside) keep(ctx context.Context, id Identifiers) (Kept, error) {
	out, k := Kept{Bytes: a.bytes, SHA256: a.sha256}, a.keeper
	if err := id.Check(); err != nil {
		return out, err
	}
	if id.SHA256 != "" && id.SHA256 != a.sha256.String() {
		return out, fmt.Errorf("slide file has another SHA-256 than was announced: %w", ingest.ErrMismatch)
	}
	out.Study = id.study(a.sha256)
	defer k.Traffic.Begin(out.Study, a.src)()
	out.Series = study.DerivedUID("slide series", string(out.Study), a.sha256.String())
	s, file, err := k.open(ctx, a.key, a.ending, out)
	if err != nil {
		return out, err
	}
	out.Format, out.Held, out.Levels = s.Format, s.Trouble, len(s.Levels)
	if err := k.record(ctx, a.src, id, s, file, &out); err != nil {
		return out, err
	}
	if k.Ended != nil {
		k.Ended(out.Study)
	}
	return out, nil
}

func sizeOr(n int64) int64 {
	if n > 0 {
		return n
	}
	return -1
}

// Ending gives the ending of a file name in small letters, or "bin" for one that
// is none of an ordinary kind.
func Ending(name string) string {
	e := strings.ToLower(strings.TrimPrefix(path.Ext(strings.ReplaceAll(name, `\`, "/")), "."))
	if e == "" || len(e) > 8 || strings.Trim(e, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "bin"
	}
	return e
}

// Known reports whether a file of this name is a slide file rather than a DICOM
// object, as far as its name tells.
func Known(name string) bool {
	return slices.Contains([]string{"svs", "tif", "tiff", "btf", "tf8", "scn", "ndpi", "bif", "qptiff", "svslide", "mrxs", "vms", "vmu",
		"czi", "isyntax", "zip"}, Ending(name))
}

// open reads what the file is, and brings it to its place for good.
func (k *Keeper) open(ctx context.Context, aside, ending string, out Kept) (*format.Slide, kept, error) {
	fail := func(err error) (*format.Slide, kept, error) { return nil, kept{}, err }
	place := func(ending string) string { return fmt.Sprintf("slides/%s/%s.%s", out.Series, out.SHA256, ending) }
	s, err := format.Open(ctx, format.File{Objects: k.Archive, Key: aside, Size: out.Bytes})
	var needs *format.NeedsOpenSlideError
	if ending == "zip" && errors.Is(err, study.ErrUnsupported) || errors.As(err, &needs) {
		if k.Retiler == nil {
			return fail(err)
		}
		var file kept
		if s, file, err = k.retile(ctx, aside, ending, place("retiled.tif")); err == nil {
			file.source = out.SHA256
			err = k.move(ctx, aside, place(ending), out)
		}
		return s, file, err
	}
	if err != nil {
		return fail(err)
	}
	if err := k.move(ctx, aside, place(ending), out); err != nil {
		return fail(err)
	}
	return s, kept{key: place(ending), bytes: out.Bytes, sha256: out.SHA256, source: out.SHA256}, nil
}

// A mover gives what lies under one key another one without a write. An archive
// that is none has the bytes written again.
type mover interface {
	Move(ctx context.Context, from, to string) error
}

// move brings what lies aside to its place. A place that is taken holds the same
// bytes, for it is named after them.
func (k *Keeper) move(ctx context.Context, from, to string, out Kept) error {
	sum, err := out.SHA256, error(nil)
	if m, ok := k.Archive.(mover); ok {
		err = m.Move(ctx, from, to)
	} else {
		sum, err = k.copy(ctx, from, to, out.Bytes)
	}
	var holds interface{ Held() study.Hash }
	switch {
	case errors.Is(err, fs.ErrExist) && errors.As(err, &holds) && holds.Held() == out.SHA256:
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("keep slide file: other bytes lie where it belongs: %w", study.ErrBusy)
	case err != nil:
		return fmt.Errorf("keep slide file: %w", err)
	case sum != out.SHA256:
		k.forget(ctx, to)
		return fmt.Errorf("keep slide file: its bytes have changed in the archive: %w", study.ErrBusy)
	}
	return nil
}

// copy writes what lies under one key under another as well.
func (k *Keeper) copy(ctx context.Context, from, to string, size int64) (study.Hash, error) {
	body, err := k.Archive.Range(ctx, from, 0, -1)
	if err != nil {
		return study.Hash{}, err
	}
	defer body.Close()
	return k.Archive.PutOnce(ctx, to, body, size)
}

// retile has a file cut into tiles anew, and keeps what comes of it.
func (k *Keeper) retile(ctx context.Context, aside, ending, to string) (*format.Slide, kept, error) {
	fail := func(err error) (*format.Slide, kept, error) {
		return nil, kept{}, fmt.Errorf("slide file: %w", err)
	}
	body, err := k.Archive.Range(ctx, aside, 0, -1)
	if err != nil {
		return fail(err)
	}
	defer body.Close()
	made, err := k.Retiler.Retile(ctx, "slide."+ending, body)
	if err != nil {
		return fail(err)
	}
	defer made.Close()
	if err := k.Receiver.Room(ctx, made.Size); err != nil {
		return fail(err)
	}
	sum, err := k.Archive.PutOnce(ctx, to, made, made.Size)
	var holds interface{ Held() study.Hash }
	if errors.Is(err, fs.ErrExist) && errors.As(err, &holds) {
		// Made once before, perhaps by another version of the library: what is
		// there may be in use, and it stays.
		sum, err = holds.Held(), nil
		if made.Size, err = k.Archive.Stat(ctx, to); err != nil {
			return fail(err)
		}
	}
	if err != nil {
		return fail(err)
	}
	s, err := format.Open(ctx, format.File{Objects: k.Archive, Key: to, Size: made.Size})
	if err != nil {
		return fail(fmt.Errorf("what OpenSlide gave of it: %w", err))
	}
	describe(s, made)
	return s, kept{key: to, bytes: made.Size, sha256: sum}, nil
}

// describe puts what the library said in place of what its TIFF says.
func describe(s *format.Slide, made *openslide.Retiled) {
	f := made.Facts
	s.Manufacturer, s.Model, s.Serial, s.Software = f.Manufacturer, f.Model, f.Serial, f.Software
	s.Scanned, s.Objective, s.Format = f.Scanned, f.Objective, f.Vendor
	for i := range s.Levels {
		s.Levels[i].Image.Origin.Format = f.Vendor + " by " + made.Library
		s.Levels[i].Image.Manufacturer = f.Manufacturer
	}
}

// record makes an instance of every level, the finest first: whatever is
// recorded when the process dies is then a slide that can be read.
func (k *Keeper) record(ctx context.Context, src ingest.Source, id Identifiers, s *format.Slide, file kept, out *Kept) error {
	out.Outcome = study.Duplicate
	for n := range s.Levels {
		l := level{id: id, slide: s, file: file, study: out.Study, series: out.Series, n: n}
		for _, sp := range s.Levels[n].Frames.Spans {
			l.stored += sp.Len
		}
		if err := l.check(); err != nil {
			return err
		}
		b, err := l.object()
		if err != nil {
			return fmt.Errorf("describe level %d of the slide: %w", n+1, err)
		}
		origin := *s.Levels[n].Image.Origin
		origin.Key, origin.Bytes, origin.SHA256 = file.key, file.bytes, file.sha256
		got, err := k.Receiver.Receive(ctx, src, ingest.Object{Data: bytes.NewReader(b), Size: int64(len(b)), Study: out.Study,
			Elsewhere: &ingest.Elsewhere{Origin: origin, Frames: s.Levels[n].Frames, Trouble: l.trouble()}})
		if err != nil {
			return fmt.Errorf("record level %d of the slide: %w", n+1, err)
		}
		if got.Outcome == study.Stored || got.Outcome == study.Conflicted && out.Outcome == study.Duplicate {
			out.Outcome = got.Outcome
		}
	}
	return nil
}

// check holds a level's index against its size: a frame too few or too many
// would put every later tile in the wrong place.
func (l level) check() error {
	at := l.slide.Levels[l.n]
	if at.TileW < 1 || at.TileH < 1 || at.Image.Origin == nil {
		return fmt.Errorf("level %d of the slide has tiles of %d×%d pixels: %w", l.n+1, at.TileW, at.TileH, study.ErrInvalid)
	}
	want := (at.Columns + at.TileW - 1) / at.TileW * ((at.Rows + at.TileH - 1) / at.TileH)
	if at.Frames.Len() != want {
		return fmt.Errorf("level %d of the slide has %d tiles where %d×%d pixels need %d: %w", l.n+1, at.Frames.Len(), at.Columns, at.Rows,
			want, study.ErrInvalid)
	}
	return nil
}

// trouble is why the level must not be scored, as [study.PixelReason] reads it.
func (l level) trouble() string {
	if t := l.slide.Trouble; !t.Zero() {
		return t.String()
	}
	return l.slide.Levels[l.n].Image.Trouble
}

// forget removes a key, also when the request is over.
func (k *Keeper) forget(ctx context.Context, key string) {
	if err := k.Archive.Delete(context.WithoutCancel(ctx), key); err != nil {
		k.Log.WarnContext(ctx, "slide file left aside", "key", key, "err", err)
	}
}

// leftAfter is when a file that lies aside was left by a process that died: no
// slide takes so long to come.
const leftAfter = 24 * time.Hour

// Sweep removes what processes that died have left aside. Call it at the start.
func (k *Keeper) Sweep(ctx context.Context) error {
	for key, err := range k.Archive.List(ctx, incomingPrefix) {
		if err != nil {
			return fmt.Errorf("look for slide files left aside: %w", err)
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(key, incomingPrefix), "-")
		began, err := strconv.ParseInt(text, 10, 64)
		if err == nil && time.Since(time.Unix(began, 0)) > leftAfter {
			k.forget(ctx, key)
		}
	}
	return nil
}

// roomEvery is how many bytes pass between two looks at the room that is left.
const roomEvery = 64 << 20

// incoming counts what comes, and looks at the room that is left now and then.
// An end that is none is [ingest.ErrBroken].
type incoming struct {
	r    io.Reader
	n    int64
	room func() error
	next int64
}

// Read passes on what comes. Of a file that can't be a slide only the head is
// read.
func (in *incoming) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.n += int64(n)
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("%w: %w", ingest.ErrBroken, err)
	}
	if err == nil && in.n >= in.next {
		in.next = in.n + roomEvery
		err = in.room()
	}
	return n, err
}

// HeadBytes is how much of a file [Looks] wants to see.
const HeadBytes = 132

// Looks reports whether a file that begins so is for a [Keeper]: a TIFF of any
// kind, or one of the archives and databases that scanners write. A DICOM object
// is not, also when it is a TIFF at the same time (PS3.10 §7.1).
func Looks(head []byte) bool {
	if len(head) >= HeadBytes && string(head[128:132]) == "DICM" {
		return false
	}
	for _, magic := range []string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+", "PK\x03\x04", "SQLite format 3\x00", "ZISRAWFILE"} {
		if strings.HasPrefix(string(head), magic) {
			return true
		}
	}
	return strings.Contains(string(head), "DPUfsImport") // Philips iSyntax, which is refused with a remedy
}
