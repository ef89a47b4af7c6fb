package study

import (
	"encoding/binary"
	"fmt"
	"time"
)

// An Instance is one received DICOM object as the ledger knows it. Its bytes
// lie in the object store under Key, exactly as they came, behind a Part 10
// header of ours when they came over DIMSE.
type Instance struct {
	UID            UID
	Series         UID
	Study          UID
	Class          UID // SOP Class
	TransferSyntax UID
	Modality       Modality
	Number         int // (0020,0013)
	SeriesNumber   int
	SeriesText     string // (0008,103E)
	Key            string // in the object store
	Bytes          int64
	SHA256         Hash // of the bytes under Key
	ReceivedAt     time.Time
	Image          *Image // nil when the object holds no image
}

// An Image is what a plan and a scorer must know of an object's pixels. All of
// it comes from the header; nothing is guessed: what the header does not say is
// zero, and Trouble says what is contradictory.
type Image struct {
	Rows, Columns int
	Frames        int // at least 1
	Samples       int // per pixel
	BitsAllocated int
	BitsStored    int
	HighBit       int
	Signed        bool
	Planar        int // (0028,0006): 0 interleaved, 1 by plane
	Photometric   string
	Float         bool // FloatPixelData: 32-bit floats

	Slope, Intercept float64 // modality LUT; 1 and 0 when absent
	HasRescale       bool
	Padding          *int // (0028,0120)
	WindowCenter     float64
	WindowWidth      float64 // 0 when there is none

	SpacingMM      [2]float64 // between rows, between columns; zero when unknown
	SpacingKind    string     // "pixel" (0028,0030), "imager" (0018,1164), or empty
	ThicknessMM    float64
	Position       *[3]float64 // (0020,0032), mm
	Orientation    *[6]float64 // (0020,0037)
	FrameOfRef     UID
	ImageType      []string
	BodyPart       string
	View           string // (0018,5101), or the meaning of (0054,0220)
	Laterality     string // L, R, or empty
	Intent         string // (0008,0068)
	Manufacturer   string
	ManufacturerID string // model name and serial, for the scanner's own statistics
	Taken          Taken  `json:",omitzero"` // what filters of an intended use ask for

	// FramePositions holds (0020,0032) frame by frame for an enhanced object.
	FramePositions [][3]float64 `json:",omitempty"`
	Slide          *SlideLevel  `json:",omitempty"`
	Lossy          bool
	Trouble        string // why the pixels must not be scored, or empty

	// Origin is set when the frames lie in a slide file rather than in the
	// instance's own object.
	Origin *Origin `json:",omitempty"`
}

// Taken is what the header says of how the image was taken, and of what. Cards
// filter by it. What the header does not say is zero.
type Taken struct {
	Device   string   `json:",omitempty"` // (0008,1090), the scanner's model
	Regions  []Code   `json:",omitempty"` // (0008,2218), the part of the body in codes
	Views    []Code   `json:",omitempty"` // (0054,0220), the projection in codes
	Years    *float64 `json:",omitempty"` // (0010,1010), the patient's age then
	KVP      float64  `json:",omitempty"` // (0018,0060), kV
	Tesla    float64  `json:",omitempty"` // (0018,0087)
	Kernel   string   `json:",omitempty"` // (0018,1210)
	Stains   []Code   `json:",omitempty"` // substances of the staining steps of (0040,0610)
	Anatomy  []Code   `json:",omitempty"` // (0008,2228) of the specimens: the organs
	Specimen []Code   `json:",omitempty"` // (0040,059A), their kinds
}

// An Origin says where the frames of an instance lie that stands for one level
// of a slide file (SVS, Philips TIFF and the like): in that file, which is kept
// once and as it came. The instance's own object then holds a data set without
// pixels, and the spans of its [Frames] count from the beginning of the file.
// Rows, Columns, Samples and bits of the image describe a frame once Coding is
// undone; TransferSyntax is what it is in then.
type Origin struct {
	Key    string // of the file in the object store
	Bytes  int64
	SHA256 Hash
	Format string // name of the reader that knows the file: "aperio", "philips" …
	// Coding is a compression that DICOM does not have: "deflate", "lzw" or
	// empty. Predictor is TIFF's tag 317: 2 means that every sample is stored as
	// the difference from its left neighbor.
	Coding    string `json:",omitempty"`
	Predictor int    `json:",omitempty"`
	// Head takes the place of the first two bytes (SOI) of every JPEG frame: a
	// SOI with the tables that the file keeps apart, and with the marker that
	// says the color. Empty: frames stand by themselves.
	Head []byte `json:",omitempty"`
	// Blank stands for a frame without bytes, of which a file may have many: an
	// encoded tile of background in the transfer syntax.
	Blank []byte `json:",omitempty"`
}

// PixelKey is the object that the spans of the instance's frames lie in.
func (in Instance) PixelKey() string {
	if in.Image != nil && in.Image.Origin != nil {
		return in.Image.Origin.Key
	}
	return in.Key
}

// A SlideLevel places the frames of a VL Whole Slide instance, PS3.3 §C.8.12.
type SlideLevel struct {
	TotalColumns, TotalRows int        // (0048,0006/0007)
	MicronsPerPixel         [2]float64 // x, y; zero when unknown
	TiledFull               bool
	// Places holds per frame the zero-based column and row of its first pixel
	// in the total matrix, for a level that is not TILED_FULL.
	Places            [][2]int `json:",omitempty"`
	FrameOffset       int      // (0020,9228) Concatenation Frame Offset Number
	Concatenation     UID
	FocalPlanes       int
	OpticalPaths      int
	Kind              string // VOLUME, LABEL, OVERVIEW, THUMBNAIL
	ContainerID       string // (0040,0512)
	ExtendedDepth     bool
	OriginXMM         float64
	OriginYMM         float64
	ImageOrientation  [6]float64
	PyramidUID        UID
	ObjectiveLensText string
}

// A Span is a run of bytes in a stored object.
type Span struct{ Off, Len int64 }

// Frames says where each frame's bytes lie in its stored object: one span for
// each fragment, in order. A native object has one span a frame.
type Frames struct {
	Spans []Span
	// First[i] is the index in Spans of frame i's first span; First has one
	// entry more than there are frames.
	First []int32
	// BitOffset is the bit at which frame 0 begins in its span; nonzero steps
	// occur only in 1-bit objects, whose frames run on without padding.
	BitsPerFrame int64
}

// Len is the number of frames.
func (f Frames) Len() int { return max(0, len(f.First)-1) }

// Frame gives the spans of frame i, counted from 0.
func (f Frames) Frame(i int) ([]Span, error) {
	if i < 0 || i >= f.Len() {
		return nil, fmt.Errorf("frame %d of %d: %w", i+1, f.Len(), ErrNotFound)
	}
	return f.Spans[f.First[i]:f.First[i+1]], nil
}

// MarshalBinary packs the index: 16 bytes a span and 4 a frame.
func (f Frames) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 20+16*len(f.Spans)+4*len(f.First))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Spans)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.First)))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.BitsPerFrame))
	for _, s := range f.Spans {
		b = binary.LittleEndian.AppendUint64(b, uint64(s.Off))
		b = binary.LittleEndian.AppendUint64(b, uint64(s.Len))
	}
	for _, n := range f.First {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (f *Frames) UnmarshalBinary(b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("frame index of %d bytes: %w", len(b), ErrInvalid)
	}
	spans, first := int(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint32(b[4:]))
	f.BitsPerFrame = int64(binary.LittleEndian.Uint64(b[8:]))
	b = b[16:]
	if len(b) != 16*spans+4*first {
		return fmt.Errorf("frame index of %d spans has %d bytes: %w", spans, len(b), ErrInvalid)
	}
	f.Spans, f.First = make([]Span, spans), make([]int32, first)
	for i := range f.Spans {
		f.Spans[i] = Span{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
		b = b[16:]
	}
	for i := range f.First {
		f.First[i] = int32(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	return nil
}

// An Arrival is one received object with everything that the ledger records of
// it in one step.
type Arrival struct {
	Study    Study // identifying attributes only
	Instance Instance
	Frames   Frames
	Fetched  bool // it came because we asked for it, by C-GET or C-MOVE; see [Prior]
}

// A Receipt says what became of an arrival.
type Receipt struct {
	Outcome  Outcome
	Reopened bool // the study had been settled, and is receiving again
}

// An Outcome is what an arrival was found to be.
type Outcome string

// The outcomes. All three are a success to the sender.
const (
	Stored     Outcome = "stored"
	Duplicate  Outcome = "duplicate" // the same bytes under the same UID: nothing new
	Conflicted Outcome = "conflict"  // it contradicts what is known: kept, flagged, and not in use; see [Conflict]
)
