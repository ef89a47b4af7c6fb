package codec

import (
	"fmt"

	"varde/internal/codec/jpeg"
	"varde/study"
)

// decodeJPEG decodes baseline JPEG without any library. Its samples are those of
// libjpeg-turbo bit for bit: the same inverse transform and the same upsampling.
// Whatever libjpeg would warn of is an error.
func decodeJPEG(_ Options, img study.Image, frame []byte) (Frame, error) {
	h, err := baseline(img, frame)
	if err != nil {
		return Frame{}, err
	}
	f := shell(h, img)
	if f.Data, err = h.Narrow(frame); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// colorOfJPEG decides what the three components are. Tags lie in both directions, and
// so do absent markers; this is the one rule of the house. The most trustworthy
// witness is heard first.
func colorOfJPEG(h *jpeg.Header, img study.Image) Color {
	c := h.Components
	switch {
	case len(c) == 1:
		return tagged(img)
	case h.Adobe && h.Transform == 0:
		return RGB
	case h.Adobe || h.JFIF:
		return YBR
	case c[0].ID == 'R' && c[1].ID == 'G' && c[2].ID == 'B':
		return RGB
	case h.HMax > 1 || h.VMax > 1:
		return YBR
	case img.Photometric == "RGB":
		return RGB
	}
	return YBR
}

// baseline reads the header of a codestream and holds it against the data set
// and against the codestream's own length. Nothing is allocated before.
func baseline(img study.Image, b []byte) (*jpeg.Header, error) {
	h, err := jpeg.ReadHeader(b)
	if err != nil {
		return nil, err
	}
	if h.Process == jpeg.SOF3 || h.Precision != 8 {
		return nil, fmt.Errorf("JPEG process SOF%d of %d bits in a baseline transfer syntax: %w", h.Process-jpeg.SOF0, h.Precision, study.ErrInvalid)
	}
	if img.BitsAllocated != 8 || img.Float {
		return nil, fmt.Errorf("JPEG of 8 bits where %d are allocated: %w", img.BitsAllocated, study.ErrInvalid)
	}
	if err := matches("JPEG", img, h.Width, h.Height, len(h.Components)); err != nil {
		return nil, err
	}
	return h, h.Dense(b)
}

// matches holds the size of a codestream against the data set. The frames at the
// right and lower edge of a slide may be smaller.
func matches(what string, img study.Image, width, height, components int) error {
	if components != img.Samples {
		return fmt.Errorf("%s of %d components where there are %d samples: %w", what, components, img.Samples, study.ErrInvalid)
	}
	same := width == img.Columns && height == img.Rows
	edge := img.Slide != nil && width <= img.Columns && height <= img.Rows
	if !same && !edge {
		return fmt.Errorf("%s of %d×%d pixels where there are %d×%d: %w", what, width, height, img.Columns, img.Rows, study.ErrInvalid)
	}
	return nil
}

// shell is the frame that the header describes, without data.
func shell(h *jpeg.Header, img study.Image) Frame {
	f := plain(img)
	f.Rows, f.Columns, f.Color = h.Height, h.Width, colorOfJPEG(h, img)
	return f
}
