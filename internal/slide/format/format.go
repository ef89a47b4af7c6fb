// Package format reads slide files as scanners and their software write them: it
// tells which levels a file holds, how they are encoded, where each tile lies,
// and what the file says of scanner and resolution. It decodes no tile and
// copies none.
//
//	Open       a file becomes levels, each with the index of its tiles
//	formats    the one list of the formats, in the order in which they are asked
//
// A file is read in ranges: opening costs a few of them for each level, and
// nothing in memory grows with the file but the index. What a file cannot be
// trusted about is refused by name, or marked in [Slide.Trouble] so that a person
// decides: a picture that is scrambled, or wrong in scale or color, would be
// scored as readily as a right one.
//
// Adding a format is adding a file with its three functions, and its name to the
// list.
package format

import (
	"context"
	"fmt"
	"time"

	"varde/internal/codec"
	"varde/internal/slide"
	"varde/study"
)

// A File is a slide file where it lies.
type File struct {
	Objects codec.Ranger
	Key     string
	Size    int64
}

// A Slide is what a file holds.
type Slide struct {
	Format string  // name of the reader: "aperio", "generic-tiff" …
	Levels []Level // of one field, finest first; at least one
	// MPP is µm per pixel of the finest level, x and y. It is zero when the file
	// says nothing of it or nothing that can be true; Trouble says so then.
	MPP          [2]float64
	Manufacturer string
	Model        string // of the scanner
	Serial       string
	Software     string
	Scanned      time.Time // as the scanner's clock had it; zero when unknown
	Objective    float64   // magnification; 0 when unknown
	ICC          []byte    // color profile, or nil
	// Trouble is why the slide must not be scored before a person has looked at
	// it. It is zero when there is nothing to doubt.
	Trouble    study.Reason
	Associated []Associated
}

// An Associated picture shows the glass or its label. It is only counted: a
// label holds a patient's name as often as not, and is never read here.
type Associated struct {
	Kind          string // label, macro, thumbnail, or "other"
	Columns, Rows int
}

// A Level is one resolution of the slide.
type Level struct {
	Columns, Rows  int
	TileW, TileH   int
	TransferSyntax study.UID // of a frame, once its coding is undone
	// Image describes the level as the instance that stands for it. Its Origin
	// lacks the file's Key, Bytes and SHA256.
	Image study.Image
	// Frames has one span for each tile, row by row, from the start of the file.
	// A span of length zero is a tile that the file does not hold.
	Frames study.Frames
}

// A NeedsOpenSlideError says that a file is of a format, or uses a part of one,
// that is not read here and that the OpenSlide library may read. It is of kind
// [study.ErrUnsupported].
type NeedsOpenSlideError struct {
	Format string // "hamamatsu", "mirax" …, as OpenSlide calls it
	Why    string // what is not read here; empty: the format as a whole
}

// Error names the format and the ways out.
func (e *NeedsOpenSlideError) Error() string {
	what := "a slide in " + e.Format + " format"
	if e.Why != "" {
		what += ", " + e.Why
	}
	return what + ", is not read here: install OpenSlide (Debian's libopenslide0), or have the scanner export DICOM: " + study.ErrUnsupported.Error()
}

// Unwrap gives the kind.
func (e *NeedsOpenSlideError) Unwrap() error { return study.ErrUnsupported }

// A format is one kind of file. Its functions are asked in this order.
type format struct {
	name string
	// recognize looks at what the source has read already. Whoever says yes has
	// the file; no other format is asked.
	recognize func(*source) bool
	// levels gives the levels in any order.
	levels func(*source) ([]Level, error)
	// facts fills in whatever else is known, MPP before all.
	facts func(*source, *Slide) error
}

// formats gives all formats that are known. Those that need more to be recognized
// come first; plain TIFF, which takes what is left, comes last.
func formats() []format {
	return []format{
		dicomObject(),
		aperio(), philips(), leica(), ventana(), ome(),
		hamamatsu(), trestle(), perkinElmer(),
		mirax(), hamamatsuVMS(), sakura(), zeiss(), iSyntax(),
		genericTIFF(),
	}
}

// Open reads what a file holds. An error is a *[NeedsOpenSlideError], or wraps
// [study.ErrUnsupported] and says what is not read here and what to do about it,
// or wraps [study.ErrInvalid] for a file that is damaged; errors of the object
// store are handed on as they are.
func Open(ctx context.Context, f File) (*Slide, error) {
	s, err := newSource(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("slide file: %w", err)
	}
	for _, known := range formats() {
		if !known.recognize(s) {
			continue
		}
		out := &Slide{Format: known.name}
		if out.Levels, err = known.levels(s); err == nil {
			err = known.facts(s, out)
		}
		if err == nil {
			err = s.finish(out)
		}
		if err != nil {
			return nil, fmt.Errorf("slide file (%s): %w", known.name, err)
		}
		return out, nil
	}
	return nil, refused("have the scanner export DICOM, SVS or a tiled pyramidal TIFF", "slide file of a format that is not known here")
}

// refused is a file that is sound and not read here.
func refused(remedy, what string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", fmt.Sprintf(what, args...), study.ErrUnsupported, remedy)
}

// damaged is a file that breaks its own rules.
func damaged(what string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(what, args...), study.ErrInvalid)
}

// finish puts the levels in order, holds them against each other, and carries
// what is known of the slide into each.
func (s *source) finish(out *Slide) error {
	if err := order(out.Levels); err != nil {
		return err
	}
	if err := slide.Plausible(out.MPP); err != nil {
		out.doubt(study.ReasonSpacing, "%s", reasonOf(err).Detail)
		out.MPP = [2]float64{}
	}
	finest := out.Levels[0]
	for i := range out.Levels {
		l := &out.Levels[i]
		mpp := [2]float64{
			out.MPP[0] * float64(finest.Columns) / float64(l.Columns),
			out.MPP[1] * float64(finest.Rows) / float64(l.Rows),
		}
		l.Image.SpacingMM = [2]float64{mpp[1] / 1000, mpp[0] / 1000}
		if mpp[0] > 0 {
			l.Image.SpacingKind = "pixel"
		}
		l.Image.Manufacturer = out.Manufacturer
		l.Image.Slide.MicronsPerPixel = mpp
		l.Image.Origin.Format = out.Format
		if i > 0 {
			l.Image.ImageType = []string{"DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"}
		}
	}
	return nil
}

// doubt notes the first reason why a person must look at the slide.
func (out *Slide) doubt(code, detail string, args ...any) {
	if out.Trouble.Zero() {
		out.Trouble = study.Reason{Code: code, Detail: fmt.Sprintf(detail, args...)}
	}
}
