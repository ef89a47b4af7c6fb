package format

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"varde/internal/codec"
	"varde/internal/slide"
	"varde/study"
)

const (
	// maxLevelTiles and maxTiles bound the index of a level and of a slide. A
	// slide of 300,000×300,000 pixels in tiles of 256 has 1.4 million, and 20
	// bytes of memory for each.
	maxLevelTiles = 4 << 20
	maxTiles      = 8 << 20
	// maxSide bounds a level's width and height, maxTileSide those of a tile,
	// which DICOM counts in 16 bits.
	maxSide     = 1<<31 - 1
	maxTileSide = 1<<16 - 1
	// maxLook is how much of a tile is read to see how it is encoded.
	maxLook = 1 << 20
	// maxTables bounds the JPEG tables that tiles share, and maxICC a color
	// profile.
	maxTables = 64 << 10
	maxICC    = 4 << 20
)

// The transfer syntaxes that tiles have, PS3.6 §A.
const (
	explicitLE   study.UID = "1.2.840.10008.1.2.1"
	jpegBaseline study.UID = "1.2.840.10008.1.2.4.50"
	j2kLossless  study.UID = "1.2.840.10008.1.2.4.90"
	j2k          study.UID = "1.2.840.10008.1.2.4.91"
)

// A compression is how TIFF names what tiles are in.
type compression struct {
	name   string
	syntax study.UID // empty: not read here
	coding string    // as study.Origin has it
}

// compressions gives the compressions by TIFF's number.
func compressions(n uint64) (compression, bool) {
	c, ok := map[uint64]compression{
		1:     {"none", explicitLE, ""},
		5:     {"LZW", explicitLE, "lzw"},
		7:     {"JPEG", jpegBaseline, ""},
		8:     {"deflate", explicitLE, "deflate"},
		32946: {"deflate", explicitLE, "deflate"},
		33003: {"JPEG 2000 of YCbCr", j2k, ""},
		33005: {"JPEG 2000 of RGB", j2k, ""},
		2:     {name: "CCITT RLE"}, 3: {name: "CCITT fax 3"}, 4: {name: "CCITT fax 4"}, 6: {name: "JPEG of the old kind"},
		22610: {name: "JPEG XR"}, 32773: {name: "PackBits"}, 34712: {name: "JPEG 2000 of unnamed color"}, 34887: {name: "LERC"},
		34892: {name: "lossy DNG JPEG"}, 34925: {name: "LZMA"}, 34926: {name: "Zstandard"}, 50000: {name: "Zstandard"},
		50001: {name: "WebP"}, 50002: {name: "JPEG XL"}, 52546: {name: "JPEG XL"},
	}[n]
	return c, ok
}

const exportOther = "export it as DICOM, SVS, or a TIFF pyramid of RGB tiles in JPEG"

// shape reads the size of a picture and of its tiles.
func (s *source) shape(d *directory) (l Level, err error) {
	for _, v := range []struct {
		tag  uint16
		most uint64
		to   *int
	}{
		{tagWidth, maxSide, &l.Columns}, {tagHeight, maxSide, &l.Rows},
		{tagTileWidth, maxTileSide, &l.TileW}, {tagTileHeight, maxTileSide, &l.TileH},
	} {
		n, err := s.one(d, v.tag, 0)
		if err != nil {
			return l, err
		}
		if n == 0 || n > v.most {
			return l, damaged("TIFF tag %d of %d", v.tag, n)
		}
		*v.to = int(n)
	}
	if int64(l.TileW)*int64(l.TileH)*3 > codec.MaxFrameBytes {
		return l, refused(exportOther, "tiles of %d×%d pixels", l.TileW, l.TileH)
	}
	return l, nil
}

// plain refuses a picture that is more or less than RGB of 8 bits, by name.
func (s *source) plain(d *directory) error {
	for _, rule := range []struct {
		tag     uint16
		absent  uint64
		allowed []uint64
		what    string
	}{
		{tagOrientation, 1, []uint64{0, 1}, "a picture of orientation %d"},
		{tagPlanar, 1, []uint64{1}, "a picture in separate color planes (planar configuration %d)"},
		{tagSamples, 1, []uint64{3}, "a picture of %d samples per pixel"},
		{tagSampleFormat, 1, []uint64{1}, "a picture of sample format %d"},
		{tagFillOrder, 1, []uint64{1}, "a picture of fill order %d"},
		{tagImageDepth, 1, []uint64{1}, "a picture of depth %d"},
	} {
		v, err := s.one(d, rule.tag, rule.absent)
		if err != nil {
			return err
		}
		if !slices.Contains(rule.allowed, v) {
			return refused(exportOther, rule.what, v)
		}
	}
	if d.has(tagExtraSamples) {
		return refused(exportOther, "a picture with extra samples")
	}
	bits := []uint64{1}
	if e, ok := d.tags[tagBits]; ok {
		var err error
		if bits, err = s.numbers(e); err != nil {
			return err
		}
	}
	for _, b := range bits {
		if b != 8 {
			return refused(exportOther, "a picture of %d bits per sample", b)
		}
	}
	return nil
}

// level reads one tiled picture: its shape, how it is encoded, and the index of
// its tiles.
func (s *source) level(d *directory) (Level, error) {
	l, err := s.shape(d)
	if err != nil {
		return l, err
	}
	if err := s.plain(d); err != nil {
		return l, err
	}
	number, err := s.one(d, tagCompression, 1)
	if err != nil {
		return l, err
	}
	packed, known := compressions(number)
	switch {
	case !known:
		return l, refused(exportOther, "tiles in compression %d", number)
	case packed.syntax == "":
		return l, refused(exportOther, "tiles in compression %d (%s)", number, packed.name)
	}
	l.TransferSyntax = packed.syntax
	l.Image = study.Image{
		Rows: l.TileH, Columns: l.TileW, Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Slope: 1,
		ImageType: []string{"ORIGINAL", "PRIMARY", "VOLUME", "NONE"},
		Slide: &study.SlideLevel{
			TotalColumns: l.Columns, TotalRows: l.Rows, TiledFull: true, FocalPlanes: 1, OpticalPaths: 1, Kind: "VOLUME",
		},
		Origin: &study.Origin{Coding: packed.coding},
	}
	if err := s.index(d, &l); err != nil {
		return l, err
	}
	return l, s.encoding(d, &l, number)
}

// index reads where the tiles lie.
func (s *source) index(d *directory, l *Level) error {
	across, down := ceil(l.Columns, l.TileW), ceil(l.Rows, l.TileH)
	tiles := int64(across) * int64(down)
	offsets, counts := d.tags[tagTileOffsets], d.tags[tagTileCounts]
	if offsets.count != uint64(tiles) || counts.count != uint64(tiles) {
		return damaged("%d offsets and %d lengths for %d×%d tiles", offsets.count, counts.count, across, down)
	}
	if tiles > maxLevelTiles || s.tiles+int(tiles) > maxTiles {
		return refused(exportOther, "a level of %d tiles", tiles)
	}
	for _, e := range []entry{offsets, counts} {
		if size, ok := e.size(); !ok || !s.within(e.at, size) {
			return damaged("index of %d tiles at byte %d of %d", tiles, e.at, s.file.Size)
		}
	}
	s.tiles += int(tiles)
	spans := make([]study.Span, tiles)
	if err := s.each(offsets, func(i int, v uint64) { spans[i].Off = int64(min(v, math.MaxInt64)) }); err != nil {
		return err
	}
	if err := s.each(counts, func(i int, v uint64) { spans[i].Len = int64(min(v, math.MaxInt64)) }); err != nil {
		return err
	}
	l.Frames = study.Frames{Spans: spans, First: make([]int32, tiles+1)}
	for i := range spans {
		l.Frames.First[i+1] = int32(i + 1)
		t := &spans[i]
		switch {
		case t.Len == 0:
			t.Off = 0
		case t.Off < 8 || t.Len > codec.MaxEncodedBytes || !s.within(uint64(t.Off), uint64(t.Len)):
			return damaged("tile %d of %d bytes at %d of a file of %d", i+1, t.Len, t.Off, s.file.Size)
		}
	}
	l.Image.Frames = int(tiles)
	return nil
}

// missing is the number of tiles that the file does not hold.
func (l Level) missing() int {
	n := 0
	for _, t := range l.Frames.Spans {
		if t.Len == 0 {
			n++
		}
	}
	return n
}

// order puts levels in order and refuses those that do not show one field.
func order(levels []Level) error {
	if len(levels) == 0 {
		return refused(exportOther, "no picture in tiles")
	}
	slices.SortStableFunc(levels, func(a, b Level) int {
		return cmp.Or(cmp.Compare(b.Columns, a.Columns), cmp.Compare(b.Rows, a.Rows))
	})
	finest := levels[0]
	for i, l := range levels[1:] {
		if l.Columns == levels[i].Columns {
			return refused(exportOther, "two pictures of %d columns", l.Columns)
		}
		x, y := float64(finest.Columns)/float64(l.Columns), float64(finest.Rows)/float64(l.Rows)
		if slack := 1.5/float64(min(l.Columns, l.Rows)) + 0.01; math.Abs(x-y) > slack*max(x, y) {
			return refused(exportOther, "a level of %d×%d pixels under one of %d×%d", l.Columns, l.Rows, finest.Columns, finest.Rows)
		}
	}
	return nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// reasonOf gives the reason of a refusal.
func reasonOf(err error) study.Reason {
	var r *slide.RefusedError
	if errors.As(err, &r) {
		return r.Reason
	}
	return study.Reason{Code: study.ReasonDamaged, Detail: err.Error()}
}
