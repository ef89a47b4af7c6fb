package format

import (
	"encoding/binary"
	"io"
	"math"
	"strings"
)

// The tags that are read: TIFF 6.0, its supplements, and those of scanners.
const (
	tagSubfileType    = 254
	tagWidth          = 256
	tagHeight         = 257
	tagBits           = 258
	tagCompression    = 259
	tagPhotometric    = 262
	tagFillOrder      = 266
	tagDescription    = 270
	tagMake           = 271
	tagModel          = 272
	tagOrientation    = 274
	tagSamples        = 277
	tagXResolution    = 282
	tagYResolution    = 283
	tagPlanar         = 284
	tagResUnit        = 296
	tagSoftware       = 305
	tagDateTime       = 306
	tagPredictor      = 317
	tagTileWidth      = 322
	tagTileHeight     = 323
	tagTileOffsets    = 324
	tagTileCounts     = 325
	tagSubIFDs        = 330
	tagExtraSamples   = 338
	tagSampleFormat   = 339
	tagJPEGTables     = 347
	tagXMP            = 700
	tagImageDepth     = 32997
	tagICC            = 34675
	tagNDPIVersion    = 65420
	tagNDPISourceLens = 65421
)

// The caps of the walker. Real slides have a few dozen directories of a few dozen
// entries; the texts of Philips hold pictures in base64.
const (
	maxEntries     = 4096
	maxDirectories = 1024
	maxText        = 64 << 20
	// shownText is how much of a directory's text is read to tell its format.
	shownText = 2048
)

// An entry says where a tag's values lie in the file, also those that stand in
// the entry itself.
type entry struct {
	kind  uint16
	count uint64
	at    uint64
}

// typeSizes gives the bytes of one value by the type's number, TIFF 6.0 section 2
// and BigTIFF.
var typeSizes = [...]uint64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

func (e entry) size() (uint64, bool) {
	if int(e.kind) >= len(typeSizes) || typeSizes[e.kind] == 0 {
		return 0, false
	}
	n := typeSizes[e.kind]
	return n * e.count, e.count <= math.MaxInt64/n
}

// A directory is one picture of the file.
type directory struct {
	nested bool // it hangs from another one
	tags   map[uint16]entry
	subs   []*directory
	// text is the beginning of the image description.
	text string
}

func (d *directory) has(tag uint16) bool { _, ok := d.tags[tag]; return ok }

// tiled reports whether the picture is cut into tiles rather than strips.
func (d *directory) tiled() bool { return d.has(tagTileOffsets) || d.has(tagTileWidth) }

// walk reads the directories if the file is a TIFF.
func (s *source) walk() error {
	switch string(s.head[:4]) {
	case "II*\x00", "II+\x00":
		s.order = binary.LittleEndian
	case "MM\x00*", "MM\x00+":
		s.order = binary.BigEndian
	default:
		return nil
	}
	first := uint64(s.order.Uint32(s.head[4:]))
	if s.big = s.order.Uint16(s.head[2:]) == 43; s.big {
		if len(s.head) < 16 || s.order.Uint16(s.head[4:]) != 8 || s.order.Uint16(s.head[6:]) != 0 {
			return damaged("BigTIFF header")
		}
		first = s.order.Uint64(s.head[8:])
	}
	seen := map[uint64]bool{}
	err := s.chain(first, seen)
	if err != nil && !s.big && s.file.Size > math.MaxUint32 {
		// Hamamatsu writes files beyond 4 GiB as classic TIFF, with offsets of
		// 64 bits that nobody else expects. That is enough to know the format.
		if d, _, err := s.directory(s.order.Uint64(s.head[4:])); err == nil && d.has(tagNDPIVersion) {
			s.dirs = []*directory{d}
			return nil
		}
	}
	return err
}

// chain reads a chain of directories and what hangs from them.
func (s *source) chain(at uint64, seen map[uint64]bool) error {
	if at == 0 {
		return damaged("TIFF without a directory")
	}
	for at != 0 {
		if err := visit(at, seen); err != nil {
			return err
		}
		d, next, err := s.directory(at)
		if err != nil {
			return err
		}
		s.dirs = append(s.dirs, d)
		if e, ok := d.tags[tagSubIFDs]; ok {
			if e.count > maxDirectories {
				return damaged("directory of %d sub-directories", e.count)
			}
			offsets, err := s.numbers(e)
			if err != nil {
				return err
			}
			for _, o := range offsets {
				if err := visit(o, seen); err != nil {
					return err
				}
				sub, _, err := s.directory(o)
				if err != nil {
					return err
				}
				sub.nested = true
				d.subs = append(d.subs, sub)
			}
		}
		at = next
	}
	return nil
}

// visit guards against loops and endless chains.
func visit(at uint64, seen map[uint64]bool) error {
	if seen[at] {
		return damaged("TIFF directories that lead back to byte %d", at)
	}
	if len(seen) >= maxDirectories {
		return damaged("TIFF of more than %d directories", maxDirectories)
	}
	seen[at] = true
	return nil
}

// directory reads one directory and gives where the next one is.
func (s *source) directory(at uint64) (*directory, uint64, error) {
	head, size, word := uint64(2), uint64(12), uint64(4)
	if s.big {
		head, size, word = 8, 20, 8
	}
	if !s.within(at, head+word) {
		return nil, 0, damaged("TIFF directory at byte %d of %d", at, s.file.Size)
	}
	b := make([]byte, head)
	if err := s.readAt(b, int64(at)); err != nil {
		return nil, 0, err
	}
	n := uint64(s.order.Uint16(b))
	if s.big {
		n = s.order.Uint64(b)
	}
	if n == 0 || n > maxEntries || !s.within(at, head+n*size+word) {
		return nil, 0, damaged("TIFF directory of %d entries at byte %d of %d", n, at, s.file.Size)
	}
	b = make([]byte, n*size+word)
	if err := s.readAt(b, int64(at+head)); err != nil {
		return nil, 0, err
	}
	d := &directory{tags: map[uint16]entry{}}
	for i := range n {
		if err := s.entry(d, b[i*size:][:size], at+head+i*size); err != nil {
			return nil, 0, err
		}
	}
	var err error
	if d.text, err = s.text(d, tagDescription, shownText); err != nil {
		return nil, 0, err
	}
	if s.big {
		return d, s.order.Uint64(b[n*size:]), nil
	}
	return d, uint64(s.order.Uint32(b[n*size:])), nil
}

// entry reads one entry, which lies at byte at. Tags that nobody asks for are
// kept, for an entry is small and their number bounded; those whose values are
// not in the file are damage only when asked for.
func (s *source) entry(d *directory, b []byte, at uint64) error {
	tag := s.order.Uint16(b)
	e := entry{kind: s.order.Uint16(b[2:])}
	inline, value := uint64(4), b[8:]
	if s.big {
		e.count, inline, value = s.order.Uint64(b[4:]), 8, b[12:]
	} else {
		e.count = uint64(s.order.Uint32(b[4:]))
	}
	size, ok := e.size()
	switch {
	case !ok:
		return nil // of a type that is not known: as if it were not there
	case size <= inline:
		e.at = at + uint64(len(b)) - inline
	case s.big:
		e.at = s.order.Uint64(value)
	default:
		e.at = uint64(s.order.Uint32(value))
	}
	if old, twice := d.tags[tag]; twice && old != e {
		return damaged("TIFF directory with tag %d twice", tag)
	}
	d.tags[tag] = e
	return nil
}

// raw opens the bytes of an entry.
func (s *source) raw(e entry) (io.ReadCloser, int64, error) {
	size, ok := e.size()
	if !ok || !s.within(e.at, size) {
		return nil, 0, damaged("%d TIFF values at byte %d of %d", e.count, e.at, s.file.Size)
	}
	if size <= blockSize {
		b := make([]byte, size)
		if err := s.readAt(b, int64(e.at)); err != nil {
			return nil, 0, err
		}
		return io.NopCloser(strings.NewReader(string(b))), int64(size), nil
	}
	body, err := s.stream(int64(e.at), int64(size))
	return body, int64(size), err
}

// each calls do for each value of an entry of whole numbers, in order. Nothing is
// kept of them.
func (s *source) each(e entry, do func(i int, v uint64)) error {
	switch e.kind {
	case 1, 3, 4, 13, 16, 18:
	default:
		return damaged("TIFF value of type %d where a number belongs", e.kind)
	}
	body, size, err := s.raw(e)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	width := int(typeSizes[e.kind])
	chunk := make([]byte, min(size, blockSize))
	for i := 0; size > 0; {
		b := chunk[:min(int64(len(chunk)), size)]
		if err := fill(body, b); err != nil {
			return err
		}
		size -= int64(len(b))
		for ; len(b) > 0; b = b[width:] {
			do(i, s.number(b[:width]))
			i++
		}
	}
	return nil
}

func (s *source) number(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(s.order.Uint16(b))
	case 4:
		return uint64(s.order.Uint32(b))
	}
	return s.order.Uint64(b)
}

// numbers gives the values of an entry of whole numbers, of which there are few.
func (s *source) numbers(e entry) ([]uint64, error) {
	if e.count > maxEntries {
		return nil, damaged("%d TIFF values", e.count)
	}
	out := make([]uint64, 0, e.count)
	err := s.each(e, func(_ int, v uint64) { out = append(out, v) })
	return out, err
}

// one gives the one number of a tag, or what is said to be there when it is
// not.
func (s *source) one(d *directory, tag uint16, absent uint64) (uint64, error) {
	e, ok := d.tags[tag]
	if !ok {
		return absent, nil
	}
	v, err := s.numbers(e)
	if err != nil {
		return 0, err
	}
	if len(v) == 0 {
		return 0, damaged("TIFF tag %d without a value", tag)
	}
	return v[0], nil
}

// text gives the text of a tag up to limit bytes, without what pads it.
func (s *source) text(d *directory, tag uint16, limit int64) (string, error) {
	e, ok := d.tags[tag]
	if !ok || e.kind != 1 && e.kind != 2 && e.kind != 7 {
		return "", nil
	}
	if e.count > maxText {
		return "", damaged("TIFF text of %d bytes", e.count)
	}
	if !s.within(e.at, e.count) {
		return "", damaged("TIFF text of %d bytes at %d of %d", e.count, e.at, s.file.Size)
	}
	b := make([]byte, min(int64(e.count), limit))
	if err := s.readAt(b, int64(e.at)); err != nil {
		return "", err
	}
	if i := strings.IndexByte(string(b), 0); i >= 0 {
		b = b[:i]
	}
	return strings.TrimSpace(string(b)), nil
}

// rational gives the first number of a tag of fractions; 0 when it is not there
// or makes no sense.
func (s *source) rational(d *directory, tag uint16) (float64, error) {
	e, ok := d.tags[tag]
	if !ok || e.kind != 5 || e.count == 0 {
		return 0, nil
	}
	if !s.within(e.at, 8) {
		return 0, damaged("TIFF fraction at byte %d of %d", e.at, s.file.Size)
	}
	b := make([]byte, 8)
	if err := s.readAt(b, int64(e.at)); err != nil {
		return 0, err
	}
	n, m := s.order.Uint32(b), s.order.Uint32(b[4:])
	if n == 0 || m == 0 {
		return 0, nil
	}
	return float64(n) / float64(m), nil
}
