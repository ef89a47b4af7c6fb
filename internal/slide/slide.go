// Package slide sees a DICOM whole-slide image as levels and tiles, and reads
// any part of a level from where it lies in the object store.
//
//	Levels           instances of one slide become levels, finest first, or a reason why not
//	Pick             the level from which a wanted resolution is read
//	Reader.Region    a rectangle of a level
//	Reader.Patches   many rectangles of a level, each source frame decoded once
//	Reader.Glance    the whole slide small, and where on it there is tissue
//	Reader.Stain     how strongly it is stained
//
// Geometry is in µm per pixel, never in "levels" or "magnification". A slide
// whose tiles have no certain place, or whose spacing is missing or implausible,
// is refused with a [study.Reason]: a scrambled or wrongly scaled picture would
// be scored as readily as a right one.
package slide

import (
	"context"
	"fmt"

	"varde/internal/codec"
	"varde/study"
)

// A Level is one resolution of a slide: the total pixel matrix of PS3.3
// §C.8.12.4.1.1 in frames of TileW×TileH pixels.
type Level struct {
	Columns, Rows int
	TileW, TileH  int
	MPP           [2]float64       // µm per pixel, x and y
	Instances     []study.Instance // the parts of a concatenation, in order

	places *placement // where the frames are; nil when not made by Levels
}

// Key names the level in a [study.Tile]: the UID of its first instance.
func (l Level) Key() study.UID {
	if len(l.Instances) == 0 {
		return ""
	}
	return l.Instances[0].UID
}

// A Rect is a rectangle of a level's pixels. It may reach beyond the level; what
// lies outside is white.
type Rect struct{ X, Y, W, H int }

// A Reader reads slides. Its methods may be called at the same time.
type Reader struct {
	// Objects gives the bytes.
	Objects codec.Ranger
	// Frames gives the frame index of an instance.
	Frames func(context.Context, study.UID) (study.Frames, error)
	// Decoder forces a decoder by its short name, as [codec.Options] does. Empty
	// is the best that is present.
	Decoder string
}

// A RefusedError says why a slide, or a resolution of it, is not read. It is of
// kind [study.ErrUnsupported] for pixels that this build cannot decode and of
// kind [study.ErrInvalid] otherwise.
type RefusedError struct{ Reason study.Reason }

// Error gives the reason's code and detail.
func (e *RefusedError) Error() string { return "slide refused: " + e.Reason.String() }

// Unwrap gives the kind.
func (e *RefusedError) Unwrap() error {
	if e.Reason.Code == study.ReasonTransferSyntax {
		return study.ErrUnsupported
	}
	return study.ErrInvalid
}

func refuse(code, format string, args ...any) error {
	return &RefusedError{study.Reason{Code: code, Detail: fmt.Sprintf(format, args...)}}
}
