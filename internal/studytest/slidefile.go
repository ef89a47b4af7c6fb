package studytest

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"

	"varde/study"
)

// A SlideKind is the maker's way of writing a slide file.
type SlideKind string

// The kinds of slide file that can be drawn.
const (
	AperioSVS   SlideKind = "aperio"
	GenericTIFF SlideKind = "generic-tiff"
	OMETIFF     SlideKind = "ome-tiff"
	PhilipsTIFF SlideKind = "philips-tiff"
	LeicaSCN    SlideKind = "leica"
	VentanaTIFF SlideKind = "ventana"
	VentanaBIF  SlideKind = "ventana-bif"
)

// Ext is the extension that the maker gives to such a file.
func (k SlideKind) Ext() string {
	switch k {
	case AperioSVS:
		return ".svs"
	case OMETIFF:
		return ".ome.tif"
	case LeicaSCN:
		return ".scn"
	case VentanaBIF:
		return ".bif"
	}
	return ".tiff"
}

// A SlideFile is what to write of a slide in a scanner's own format. The zero
// value is a small generic TIFF. Every level is the one below it, averaged.
type SlideFile struct {
	Kind          SlideKind
	Columns, Rows int     // of the finest level; 0 = 2048 × 1536
	MPP           float64 // µm per pixel; 0 = 0.5, less than 0 = the file does not say
	Tile          int     // side of a tile, a multiple of 16; 0 = 256
	Levels        int     // at most; 0 = until one is a single tile
	Seed          uint64
	Cellular      bool // one region is packed with dark nuclei
	BigTIFF       bool
	BigEndian     bool
	// Coding of the tiles: "jpeg" (YCbCr 4:2:0, the default), "jpeg-444",
	// "jpeg-rgb" (as Aperio writes it: nothing in the tile says that it is RGB),
	// "deflate", "lzw" or "none".
	Coding    string
	Predictor bool // with deflate and lzw: samples as differences
	OwnTables bool // JPEG tables in every tile rather than once for all
	// Sparse leaves out the tiles that show nothing but glass.
	Sparse bool
	// Share lets tiles that are equal share their bytes, so that a file of any
	// size is small.
	Share bool
	// Gap is a hole at the beginning of the file that pushes everything behind
	// it. With more than 4 GiB, BigTIFF is needed. Where the writer can seek it
	// costs nothing.
	Gap int64
	// Overlap makes the tiles of a VentanaBIF overlap, and Regions gives a
	// Leica file that many scanned areas: what readers must refuse or do right.
	Overlap bool
	Regions int
	// Varied is of how many different tiles the tissue of a large slide is laid,
	// rounded down to a square; 0 = 16. Grain is the noise of the camera, as a
	// deviation in steps of 8 bits: with 0 tiles compress to a fifth of what a
	// scanner's take.
	Varied int
	Grain  float64
}

// filled gives the file with what was left out.
func (f SlideFile) filled() (SlideFile, error) {
	if f.Kind == "" {
		f.Kind = GenericTIFF
	}
	if f.Columns == 0 {
		f.Columns, f.Rows = 2048, 1536
	}
	if f.MPP == 0 {
		f.MPP = 0.5
	}
	if f.Tile == 0 {
		f.Tile = 256
	}
	if f.Coding == "" {
		f.Coding = "jpeg"
	}
	if f.Columns <= 0 || f.Rows <= 0 || f.Tile <= 0 || f.Tile%16 != 0 {
		return f, fmt.Errorf("slide of %d×%d pixels in tiles of %d: %w", f.Columns, f.Rows, f.Tile, study.ErrInvalid)
	}
	return f, nil
}

// WriteTo writes the file. What it writes depends on its fields alone. Into an
// io.Seeker the hole is left by seeking.
func (f SlideFile) WriteTo(w io.Writer) (int64, error) {
	f, err := f.filled()
	if err != nil {
		return 0, err
	}
	pages, err := f.pages()
	if err != nil {
		return 0, err
	}
	t := &tiffWriter{big: f.BigTIFF, bigEndian: f.BigEndian, share: f.Share, gap: f.Gap}
	return t.write(w, pages)
}

// Bytes gives the file in memory.
func (f SlideFile) Bytes() ([]byte, error) {
	var b bytes.Buffer
	_, err := f.WriteTo(&b)
	return b.Bytes(), err
}

// A slideLevel is one level to be written.
type slideLevel struct {
	columns, rows int
	down          int      // how many pixels of the finest level stand for one, in each direction
	tiles         [][]byte // encoded, row by row; nil = left out
}

// pages draws the levels and dresses them as the kind wants it.
func (f SlideFile) pages() ([]*tiffPage, error) {
	enc, err := f.encoder()
	if err != nil {
		return nil, err
	}
	levels, err := f.draw(enc.encode)
	if err != nil {
		return nil, err
	}
	switch f.Kind {
	case AperioSVS:
		return f.aperio(enc, levels), nil
	case GenericTIFF:
		return f.generic(enc, levels), nil
	case OMETIFF:
		return f.ome(enc, levels), nil
	case PhilipsTIFF:
		return f.philips(enc, levels), nil
	case LeicaSCN:
		return f.leica(enc, levels), nil
	case VentanaTIFF, VentanaBIF:
		return f.ventana(enc, levels), nil
	}
	return nil, fmt.Errorf("slide file of kind %q: %w", f.Kind, study.ErrUnsupported)
}

// A tileEncoder is how tiles are written, and what TIFF calls it.
type tileEncoder struct {
	compression, photometric, predictor int
	tables                              []byte
	half                                bool
	encode                              func(rgb []byte) []byte
}

func (f SlideFile) encoder() (tileEncoder, error) {
	raw := func(pack func([]byte) []byte) func([]byte) []byte {
		return func(rgb []byte) []byte {
			rgb = bytes.Clone(rgb)
			if f.Predictor {
				differences(rgb, 3*f.Tile)
			}
			return pack(rgb)
		}
	}
	predictor := 1
	if f.Predictor {
		predictor = 2
	}
	switch f.Coding {
	case "jpeg", "jpeg-444", "jpeg-rgb":
		j := newTileJPEG(f.Coding == "jpeg-rgb", f.Coding == "jpeg", !f.OwnTables, 80)
		photometric := 6
		if j.rgb {
			photometric = 2
		}
		return tileEncoder{7, photometric, 1, j.shared(), j.half, func(rgb []byte) []byte { return j.encode(rgb, f.Tile) }}, nil
	case "deflate":
		return tileEncoder{8, 2, predictor, nil, false, raw(deflated)}, nil
	case "lzw":
		return tileEncoder{5, 2, predictor, nil, false, raw(packLZW)}, nil
	case "none":
		return tileEncoder{1, 2, 1, nil, false, bytes.Clone}, nil
	}
	return tileEncoder{}, fmt.Errorf("tiles in %q: %w", f.Coding, study.ErrUnsupported)
}

// differences replaces each sample by its difference from the left neighbor.
func differences(rgb []byte, row int) {
	for ; len(rgb) >= row; rgb = rgb[row:] {
		for i := row - 1; i >= 3; i-- {
			rgb[i] -= rgb[i-3]
		}
	}
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write(b) // into memory: cannot fail
	_ = z.Close()
	return out.Bytes()
}

// packLZW writes TIFF's LZW: most significant bit first, codes that grow one
// early, and a clear before the table is full.
func packLZW(b []byte) []byte {
	var out []byte
	acc, n := uint64(0), uint(0)
	width, next := uint(9), 258
	codes := map[[2]int]int{}
	put := func(code int) {
		acc, n = acc<<width|uint64(code), n+width
		for ; n >= 8; n -= 8 {
			out = append(out, byte(acc>>(n-8)))
		}
	}
	put(256)
	at := -1
	for _, v := range b {
		if at < 0 {
			at = int(v)
			continue
		}
		if code, ok := codes[[2]int{at, int(v)}]; ok {
			at = code
			continue
		}
		put(at)
		codes[[2]int{at, int(v)}] = next
		at = int(v)
		if next++; next == 1<<width-1+1 && width < 12 {
			width++
		}
		if next >= 4094 {
			put(at)
			put(256)
			codes, width, next, at = map[[2]int]int{}, 9, 258, -1
		}
	}
	if at >= 0 {
		put(at)
	}
	put(257)
	if n > 0 {
		out = append(out, byte(acc<<(8-n)))
	}
	return out
}
