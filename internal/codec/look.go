package codec

import (
	"fmt"

	"varde/internal/codec/j2k"
	"varde/internal/codec/jpeg"
	"varde/study"
)

// A Look is what a codestream says of itself before its first scan or tile.
type Look struct {
	Columns, Rows int
	Components    int
	Bits          int   // of a sample
	Color         Color // by the rule of the house: evidence first, the tag last
	Subsampled    bool  // the color differences have fewer samples
	Marked        bool  // JPEG: a JFIF or Adobe marker says the color
	Transformed   bool  // JPEG 2000: the component transform has made what is stored
	Reversible    bool  // JPEG 2000: the wavelet loses nothing
}

// Inspect looks at the first bytes of a JPEG baseline or JPEG 2000 frame; as many
// as hold its header are enough. tagged is the photometric interpretation that
// the file around it gives, which counts where the codestream says nothing. An
// error wraps [study.ErrInvalid] or [study.ErrUnsupported].
func Inspect(ts study.UID, tagged string, head []byte) (Look, error) {
	img := study.Image{Samples: 3, Photometric: tagged}
	switch ts {
	case jpegBaseline:
		h, err := jpeg.ReadHeader(head)
		if err != nil {
			return Look{}, err
		}
		if h.Process == jpeg.SOF3 {
			return Look{}, fmt.Errorf("lossless JPEG among baseline frames: %w", study.ErrUnsupported)
		}
		return Look{
			Columns: h.Width, Rows: h.Height, Components: len(h.Components), Bits: h.Precision,
			Color: colorOfJPEG(h, img), Subsampled: h.HMax > 1 || h.VMax > 1, Marked: h.JFIF || h.Adobe,
		}, nil
	case j2kLossy, j2kLossless:
		h := &j2k.Header{}
		stream, err := h.Unwrap(head)
		if err != nil {
			return Look{}, err
		}
		if err := h.Read(stream); err != nil {
			return Look{}, err
		}
		img.Samples = h.Components
		return Look{
			Columns: h.Width, Rows: h.Height, Components: h.Components, Bits: h.Precision,
			Color: colorOfJ2K(h, img), Subsampled: h.Subsampled(), Transformed: h.Transform, Reversible: h.Reversible,
		}, nil
	}
	return Look{}, fmt.Errorf("header of transfer syntax %s: %w", ts, study.ErrUnsupported)
}
