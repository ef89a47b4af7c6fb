package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"varde/internal/codec"
	"varde/study"
)

// TIFF's photometric interpretations of color, tag 262.
const (
	photometricRGB   = 2
	photometricYCbCr = 6
)

// encoding finds out what the samples of a level are and prepares what its tiles
// lack: by the evidence in the first tile that is there, for tags lie.
func (s *source) encoding(d *directory, l *Level, number uint64) error {
	photometric, err := s.one(d, tagPhotometric, 0xffff)
	if err != nil {
		return err
	}
	if photometric != photometricRGB && photometric != photometricYCbCr {
		return refused(exportOther, "a picture of photometric interpretation %d", photometric)
	}
	if l.TransferSyntax == explicitLE {
		if photometric != photometricRGB {
			return refused(exportOther, "YCbCr without JPEG")
		}
		l.Image.Photometric = "RGB"
		return s.predictor(d, l)
	}
	tile, err := s.first(l)
	if err != nil {
		return err
	}
	if l.TransferSyntax == jpegBaseline {
		return s.jpeg(d, l, photometric, tile)
	}
	return s.jpeg2000(l, number, tile)
}

// predictor reads how samples are stored as differences.
func (s *source) predictor(d *directory, l *Level) error {
	n, err := s.one(d, tagPredictor, 1)
	if err != nil {
		return err
	}
	if n != 1 && n != 2 {
		return refused(exportOther, "tiles with predictor %d", n)
	}
	if l.Image.Origin.Coding != "" { // without compression the tag has no meaning
		l.Image.Origin.Predictor = int(n)
	}
	return nil
}

// first gives the beginning of the first tile that the file holds, or nothing.
func (s *source) first(l *Level) ([]byte, error) {
	for _, t := range l.Frames.Spans {
		if t.Len > 0 {
			b := make([]byte, min(t.Len, maxLook))
			return b, s.readAt(b, t.Off)
		}
	}
	return nil, nil
}

// jpeg finds the color of JPEG tiles and makes the head that lets each stand by
// itself.
func (s *source) jpeg(d *directory, l *Level, photometric uint64, tile []byte) error {
	tables, err := s.tables(d)
	if err != nil {
		return err
	}
	tagged := "YBR_FULL_422"
	if photometric == photometricRGB {
		tagged = "RGB"
	}
	color, marked := codec.YBR, false
	if tile != nil {
		if !bytes.HasPrefix(tile, []byte{0xff, 0xd8}) {
			return damaged("a tile that does not begin as a JPEG codestream")
		}
		look, err := codec.Inspect(jpegBaseline, tagged, join([]byte{0xff, 0xd8}, tables, tile[2:]))
		if err != nil {
			return err
		}
		if look.Components != 3 || look.Bits != 8 {
			return refused(exportOther, "JPEG tiles of %d components and %d bits", look.Components, look.Bits)
		}
		if look.Columns > l.TileW || look.Rows > l.TileH {
			return damaged("JPEG of %d×%d pixels in tiles of %d×%d", look.Columns, look.Rows, l.TileW, l.TileH)
		}
		color, marked = look.Color, look.Marked
		if color == codec.YBR && !look.Subsampled {
			tagged = "YBR_FULL"
		}
	} else if photometric == photometricRGB {
		color = codec.RGB
	}
	transform := byte(1)
	if l.Image.Photometric = tagged; color == codec.RGB {
		l.Image.Photometric, transform = "RGB", 0
	} else if tagged == "RGB" {
		l.Image.Photometric = "YBR_FULL_422"
	}
	l.Image.Lossy = true
	head := []byte{0xff, 0xd8}
	if !marked {
		head = append(head, 0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform)
	}
	if head = append(head, tables...); len(head) > 2 {
		l.Image.Origin.Head = head
	}
	if l.missing() > 0 {
		l.Image.Origin.Blank = flatJPEG(l.TileW, l.TileH, color == codec.RGB)
	}
	return nil
}

// tables gives the segments that JPEG tiles share, without what begins and ends
// them.
func (s *source) tables(d *directory) ([]byte, error) {
	e, ok := d.tags[tagJPEGTables]
	if !ok {
		return nil, nil
	}
	if e.count > maxTables || e.kind != 7 && e.kind != 1 {
		return nil, damaged("JPEG tables of %d values of type %d", e.count, e.kind)
	}
	body, size, err := s.raw(e)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	b := make([]byte, size)
	if err := fill(body, b); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, []byte{0xff, 0xd8}) {
		return nil, damaged("JPEG tables that do not begin as JPEG")
	}
	var out []byte
	for at := 2; ; {
		if at+2 > len(b) || b[at] != 0xff {
			return nil, damaged("JPEG tables are cut off")
		}
		if b[at+1] == 0xd9 {
			return out, nil
		}
		if at+4 > len(b) {
			return nil, damaged("JPEG tables are cut off")
		}
		n := 2 + int(b[at+2])<<8 + int(b[at+3])
		if n < 4 || at+n > len(b) {
			return nil, damaged("JPEG tables are cut off")
		}
		switch m := b[at+1]; {
		case m == 0xdb, m == 0xc4, m == 0xdd, m == 0xe0, m == 0xee:
			out = append(out, b[at:at+n]...)
		case m >= 0xe1 && m <= 0xef, m == 0xfe: // comments and what is for others
		default:
			return nil, damaged("JPEG tables with marker %02x", m)
		}
		at += n
	}
}

// jpeg2000 finds the color of JPEG 2000 tiles. TIFF's number says YCbCr or RGB;
// the codestream says whether a component transform was made, which leaves RGB.
// A reversible wavelet does not show what was cut off behind it: the picture counts
// as lossy either way.
func (s *source) jpeg2000(l *Level, number uint64, tile []byte) error {
	l.Image.Photometric, l.Image.Lossy = "RGB", true
	if number == 33003 {
		l.Image.Photometric = "YBR_FULL"
	}
	if tile == nil {
		return nil
	}
	look, err := codec.Inspect(j2k, l.Image.Photometric, tile)
	if errors.Is(err, study.ErrUnsupported) {
		return &NeedsOpenSlideError{Format: "aperio", Why: "whose JPEG 2000 components differ"}
	}
	if err != nil {
		return err
	}
	switch {
	case look.Components != 3 || look.Bits != 8:
		return refused(exportOther, "JPEG 2000 tiles of %d components and %d bits", look.Components, look.Bits)
	case look.Columns > l.TileW || look.Rows > l.TileH:
		return damaged("JPEG 2000 of %d×%d pixels in tiles of %d×%d", look.Columns, look.Rows, l.TileW, l.TileH)
	case number == 33003 && look.Transformed:
		return refused(exportOther, "JPEG 2000 tiles that the file calls YCbCr and the codestream RGB")
	case number == 33005 && look.Subsampled:
		return refused(exportOther, "JPEG 2000 tiles that the file calls RGB and the codestream YCbCr")
	}
	if look.Transformed {
		l.Image.Photometric = "YBR_ICT"
		if look.Reversible {
			l.Image.Photometric = "YBR_RCT"
		}
	}
	return nil
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// profile reads the color profile of a picture, if it has one of a sound size.
func (s *source) profile(d *directory) ([]byte, error) {
	e, ok := d.tags[tagICC]
	if !ok || e.kind != 7 && e.kind != 1 || e.count < 128 || e.count > maxICC || !s.within(e.at, e.count) {
		return nil, nil
	}
	body, size, err := s.raw(e)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	b := make([]byte, size)
	if _, err := io.ReadFull(body, b); err != nil {
		return nil, fmt.Errorf("color profile: %w: %w", err, study.ErrInvalid)
	}
	if string(b[36:40]) != "acsp" { // ICC.1 §7.2: the signature of every profile
		return nil, nil
	}
	return b, nil
}
