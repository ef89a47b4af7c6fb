// Package dicom reads strangers' DICOM and writes our own.
//
//	Scan            one forward pass over an object, whatever its size
//	Header          what the pass kept: attributes, and where the frames lie
//	Header.Describe the study, the instance and the image that it is
//	Dataset         attributes by tag, decoded to UTF-8
//	JSON            attributes as DICOMweb wants them
//	NewObject       an object of ours under construction; Encode makes the file
//
// Whatever comes from outside passes through Scan and nothing else. It never
// seeks, so it can stand behind an io.TeeReader while bytes flow from the
// network to the store; it holds a bounded amount of memory; it never allocates
// by a length that a file declares; and it never panics. The library behind
// this package gives the dictionary and writes our own objects; it never sees a
// stranger's byte.
package dicom

import (
	"fmt"
	"io"

	"varde/study"
)

// ScanOptions say what is known of an object before its first byte.
type ScanOptions struct {
	// Size is the number of bytes that r holds when that is known, else 0. A
	// stream that ends before it is Truncated.
	Size int64
	// TransferSyntax is set when r begins at a bare data set, as it does in a
	// C-STORE: no preamble and no file meta information are looked for.
	TransferSyntax study.UID
	// Offset is added to every offset: the bytes of a Part 10 prefix that are
	// stored before r's first byte.
	Offset int64
	// Charset is the defined term (PS3.3 §C.12.1.1.2) to read text by when an
	// object does not name one. Without it bytes above 127 are read as UTF-8
	// when they are that, and as Latin-1 otherwise.
	Charset string
	// Limits bound what one object may take; zero fields mean the defaults.
	Limits Limits
}

// Limits bound what one object may take of us. The defaults let through a slide
// of 300,000 tiles with a position for each, and keep the worst stranger below a
// gigabyte.
type Limits struct {
	Depth       int   // items and sequences in each other; 64
	Value       int64 // bytes of the longest value kept; 64 KiB, longer ones are skipped
	Kept        int64 // bytes of all values kept; 64 MiB
	Elements    int   // elements and items kept; 4 million
	Fragments   int   // fragments, or native frames, indexed; 2 million
	OffsetTable int64 // bytes of one offset table; 64 MiB
	Inflated    int64 // bytes that a deflated data set may become; 2 GiB
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	count := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	count(&l.Depth, 64)
	set(&l.Value, 64<<10)
	set(&l.Kept, 64<<20)
	count(&l.Elements, 4_000_000)
	count(&l.Fragments, 2_000_000)
	set(&l.OffsetTable, 64<<20)
	set(&l.Inflated, 2<<30)
	return l
}

// A Header is what one pass over an object kept of it.
type Header struct {
	Meta *Dataset // group 0002; empty when the object has none
	Data *Dataset // everything else, except pixels and values over Limits.Value
	// TransferSyntax is the declared one, or the one that the bytes are in when
	// none is declared.
	TransferSyntax study.UID
	// End is the offset of the first byte not kept: where the group of the pixel
	// data begins, or the end of the object.
	End int64
	// Frames places every frame. In a deflated object (Inflated) offsets count
	// as if the data set lay there inflated; see [Inflate].
	Frames study.Frames
	// FramesErr says why frames cannot be addressed, or is nil. An object without
	// pixel data has neither frames nor an error. The header is good all the same.
	FramesErr error
	// Truncated reports that the object ends inside an element or a sequence.
	Truncated bool
	// Inflated reports that the data set was deflated (PS3.5 §A.5).
	Inflated bool
	// Warnings tell of what was not as the standard wants it and could be read
	// nevertheless. They hold tags and numbers, never a value.
	Warnings []string

	pixels   Tag   // the pixel element, or 0
	pixelLen int64 // bytes of a native pixel element, as they really are
}

// Scan reads an object once, forward, to the end of r, so that a tee behind it
// sees every byte, also after an error. It returns what it could read together
// with the error: errors in the object wrap [study.ErrInvalid], errors of r come
// as they are.
func Scan(r io.Reader, o ScanOptions) (*Header, error) {
	s := newScanner(r, o)
	err := s.run()
	if s.raw.err != nil && s.raw.err != io.EOF {
		return s.head, fmt.Errorf("read object: %w", s.raw.err)
	}
	if drained := s.raw.drain(); drained != nil {
		return s.head, fmt.Errorf("read object: %w", drained)
	}
	return s.head, err
}
