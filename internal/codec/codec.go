// Package codec turns one frame's bytes into samples, for every transfer syntax
// that this build decodes. The rest is refused by name: nothing is guessed.
//
//	ReadFrame   fetches one frame of a stored object and decodes it
//	Decode      decodes the fragments of one frame
//	Frame.RGB   gives a color frame as 8-bit red, green and blue
//	Encoded     gives one frame's bytes as they are handed on to others
//	Inspect     tells what a codestream says of itself
//	Supported   says whether a transfer syntax is decoded here
//	Decoders    names what is in use, for the provenance of a result
//	ServeChild  makes this program a child that decodes for another one
//
// What the codestream says about its own size, components and depth is held
// against the data set before any memory is taken for it, and whatever a decoder
// would call a warning is an error here: a wrong picture is worse than none.
// Native libraries that strangers' bytes may crash run in limited children of
// this process, so that a crash costs one frame. Rooms of their own are the JPEG
// decoder (jpeg), the headers of JPEG 2000 (j2k), what slide files pack tiles with
// (tiff), and what a child may have and take (jail).
package codec

import (
	"fmt"
	"slices"

	"varde/study"
)

// MaxFrameBytes is the most memory that one decoded frame may take. The largest
// frames of the clinic, digital mammograms of 30 MB and radiographs stitched to
// a whole leg, stay well below it.
const MaxFrameBytes = 256 << 20

// A Color says what the components of a frame are.
type Color int

// The kinds of color. Unknown is data whose photometric interpretation names no
// color model that its encoding could hold: the samples are right, their color
// is anybody's guess.
const (
	Unknown Color = iota
	Gray          // MONOCHROME1 or MONOCHROME2; which one, the image says
	RGB           // red, green, blue
	YBR           // luminance and two full-range color differences
	Palette       // indices into a palette
)

var colorNames = [...]string{"unknown", "gray", "RGB", "YBR", "palette"}

// String gives the kind in a word.
func (c Color) String() string {
	if c < 0 || int(c) >= len(colorNames) {
		return fmt.Sprintf("color(%d)", int(c))
	}
	return colorNames[c]
}

// A Frame is one decoded frame: samples as stored, without rescale, window,
// palette or inversion.
type Frame struct {
	// Rows and Columns are those of the codestream. Only in a whole-slide
	// image, at the right and lower edge, may they be smaller than the image's:
	// such a frame is placed by its upper left corner.
	Rows, Columns int
	Samples       int  // per pixel, interleaved
	Bits          int  // of one sample in Data: 8, 16 or 32
	Stored        int  // of those, bits that hold the value
	Signed        bool // two's complement, extended to all Bits
	Float         bool // IEEE 754, 32 bits
	Color         Color
	Data          []byte // little-endian, Rows·Columns·Samples·Bits/8 bytes
	Decoder       string // what made it: name and version
}

// Options ask for more than the plain decoding of [Decode]. The zero value asks
// for nothing.
type Options struct {
	// Decoder forces one decoder by its short name: native, rle, turbo, go,
	// charls or openjpeg.
	// Where that one is absent or not for the transfer syntax the answer is
	// an error of kind ErrUnsupported.
	Decoder string
	// RGB asks for a YBR frame of 8 bits converted to RGB, which some decoders
	// do faster. The samples are those of [Frame.RGB].
	RGB bool
	// Into is memory for the samples, taken by decoders that can when it is large
	// enough: to clear new memory for each frame takes as long as filling it.
	Into []byte
}

// The transfer syntaxes that are decoded here, PS3.6 §A.
const (
	implicitLE     study.UID = "1.2.840.10008.1.2"
	explicitLE     study.UID = "1.2.840.10008.1.2.1"
	uncompressed   study.UID = "1.2.840.10008.1.2.1.98"
	explicitBE     study.UID = "1.2.840.10008.1.2.2"
	rleLossless    study.UID = "1.2.840.10008.1.2.5"
	jpegBaseline   study.UID = "1.2.840.10008.1.2.4.50"
	jpegExtended   study.UID = "1.2.840.10008.1.2.4.51"
	jpegLossless   study.UID = "1.2.840.10008.1.2.4.57"
	jpegFirstOrder study.UID = "1.2.840.10008.1.2.4.70"
	jpegLS         study.UID = "1.2.840.10008.1.2.4.80"
	jpegLSNear     study.UID = "1.2.840.10008.1.2.4.81"
	j2kLossless    study.UID = "1.2.840.10008.1.2.4.90"
	j2kLossy       study.UID = "1.2.840.10008.1.2.4.91"
	htLossless     study.UID = "1.2.840.10008.1.2.4.201"
	htRPCL         study.UID = "1.2.840.10008.1.2.4.202"
	ht             study.UID = "1.2.840.10008.1.2.4.203"
	deflatedSyntax study.UID = "1.2.840.10008.1.2.1.99"
)

// A decoder makes a frame from the joined fragments of one frame.
type decoder struct {
	short   string
	version func() string // "" where the decoder is missing
	decode  func(o Options, img study.Image, frame []byte) (Frame, error)
}

func named(version string) func() string { return func() string { return version } }

// libraryVersion asks a child for a native library.
func libraryVersion(which int) func() string {
	return func() string { return children().library(which) }
}

// The versions of our own decoders count up when their samples change.
const (
	nativeVersion = "varde-native 1"
	rleVersion    = "varde-rle 1"
	jpegVersion   = "varde-jpeg 1"
)

// registry lists per transfer syntax the decoders that may be asked, the best
// first. The first one that is present is used, and no other is tried when it
// refuses a frame: two opinions about one picture are no better than none.
var registry = map[study.UID][]decoder{
	implicitLE:     {{"native", named(nativeVersion), native}},
	explicitLE:     {{"native", named(nativeVersion), native}},
	uncompressed:   {{"native", named(nativeVersion), native}},
	deflatedSyntax: {{"native", named(nativeVersion), native}}, // inflated by ReadFrame
	explicitBE:     {{"native", named(nativeVersion), nativeBig}},
	rleLossless:    {{"rle", named(rleVersion), decodeRLE}},
	jpegBaseline: {
		{"turbo", turboVersion, decodeTurbo},
		{"go", named(jpegVersion), decodeJPEG},
	},
	jpegExtended:   {{"go", named(jpegVersion), decodeExtended}},
	jpegLossless:   {{"go", named(jpegVersion), decodeLossless}},
	jpegFirstOrder: {{"go", named(jpegVersion), decodeLossless}},
	jpegLS:         {{"charls", libraryVersion(libCharLS), decodeJLS}},
	jpegLSNear:     {{"charls", libraryVersion(libCharLS), decodeJLS}},
	j2kLossless:    {{"openjpeg", libraryVersion(libOpenJPEG), decodeJ2K}},
	j2kLossy:       {{"openjpeg", libraryVersion(libOpenJPEG), decodeJ2K}},
	htLossless:     {{"openjpeg", highThroughput, decodeJ2K}},
	htRPCL:         {{"openjpeg", highThroughput, decodeJ2K}},
	ht:             {{"openjpeg", highThroughput, decodeJ2K}},
}

// highThroughput is OpenJPEG's version if it is one that knows High-Throughput
// JPEG 2000: 2.5 or later.
func highThroughput() string {
	name := children().library(libOpenJPEG)
	var major, minor int
	if _, err := fmt.Sscanf(name, "openjpeg %d.%d", &major, &minor); err != nil || major < 2 || major == 2 && minor < 5 {
		return ""
	}
	return name
}

// remedies says what to install where the decoder of a transfer syntax is
// missing.
var remedies = map[study.UID]string{
	jpegLS:      "libcharls2",
	jpegLSNear:  "libcharls2",
	j2kLossless: "libopenjp2-7",
	j2kLossy:    "libopenjp2-7",
	htLossless:  "libopenjp2-7 2.5 or later",
	htRPCL:      "libopenjp2-7 2.5 or later",
	ht:          "libopenjp2-7 2.5 or later",
}

// Supported reports whether frames of this transfer syntax are decoded here, by
// this build and the libraries that this machine has.
func Supported(ts study.UID) bool {
	return slices.ContainsFunc(registry[ts], decoder.present)
}

func (d decoder) present() bool { return d.version() != "" }

// Decoders gives the names and versions of the decoders in use, sorted.
func Decoders() []string {
	var names []string
	for _, list := range registry {
		if i := slices.IndexFunc(list, decoder.present); i >= 0 {
			names = append(names, list[i].version())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Decode decodes one frame from its fragments, in order. A native frame is one
// fragment, which begins with the frame's first byte and may be longer; of a
// deflated object it is the inflated bytes. Where the image has an Origin the
// bytes are those of the slide file, and a frame without any is white. Samples of 8 bits and less in a
// big-endian object are taken as they come, which is right for the value
// representation OB; only [ReadFrame] sees whether they are OW. An error wraps
// [study.ErrUnsupported] or [study.ErrInvalid], or [study.ErrBusy] where no child
// could be started to decode the frame.
func Decode(img study.Image, ts study.UID, fragments [][]byte) (Frame, error) {
	return DecodeWith(Options{}, img, ts, fragments)
}

// DecodeWith is [Decode] with options.
func DecodeWith(o Options, img study.Image, ts study.UID, fragments [][]byte) (Frame, error) {
	d, err := choose(o, ts)
	if err != nil {
		return Frame{}, err
	}
	img, err = sound(img)
	if err != nil {
		return Frame{}, err
	}
	frame := joined(fragments)
	if img.Origin != nil {
		if len(frame) == 0 {
			return whiteSamples(img), nil
		}
		if frame, err = restore(img, ts, frame); err != nil {
			return Frame{}, err
		}
	}
	if len(fragments) == 0 {
		return Frame{}, fmt.Errorf("frame without data: %w", study.ErrInvalid)
	}
	f, err := d.decode(o, img, frame)
	if err != nil {
		return Frame{}, err
	}
	if o.RGB && f.Color == YBR && f.Bits == 8 {
		if f.Data, err = f.RGB(); err != nil {
			return Frame{}, err
		}
		f.Color = RGB
	}
	if f.Decoder == "" { // a child has named the library that it has loaded
		f.Decoder = d.version()
	}
	return f, nil
}

func choose(o Options, ts study.UID) (decoder, error) {
	for _, d := range registry[ts] {
		if (o.Decoder == "" || o.Decoder == d.short) && d.present() {
			return d, nil
		}
	}
	remedy := "ask the sender for Explicit VR Little Endian or one of the JPEG processes in use"
	switch needed := remedies[ts]; {
	case o.Decoder != "" && Supported(ts):
		return decoder{}, fmt.Errorf("decoder %q for %s is not here: %w", o.Decoder, ts, study.ErrUnsupported)
	case needed != "":
		remedy = "install " + needed
	}
	return decoder{}, fmt.Errorf("transfer syntax %s (%s): %w: %s", ts, syntaxName(ts), study.ErrUnsupported, remedy)
}

// syntaxNames names the transfer syntaxes that may not be decoded here, so that a
// refusal tells a person what came, PS3.6 §A.
var syntaxNames = map[study.UID]string{
	"1.2.840.10008.1.2.4.52":  "JPEG Extended, processes 3 and 5, retired",
	"1.2.840.10008.1.2.4.53":  "JPEG Spectral Selection, processes 6 and 8, retired",
	"1.2.840.10008.1.2.4.54":  "JPEG Spectral Selection, processes 7 and 9, retired",
	"1.2.840.10008.1.2.4.55":  "JPEG Full Progression, processes 10 and 12, retired",
	"1.2.840.10008.1.2.4.56":  "JPEG Full Progression, processes 11 and 13, retired",
	jpegLS:                    "JPEG-LS Lossless",
	jpegLSNear:                "JPEG-LS Near-Lossless",
	j2kLossless:               "JPEG 2000 Lossless",
	j2kLossy:                  "JPEG 2000",
	"1.2.840.10008.1.2.4.92":  "JPEG 2000 Part 2 Multi-component Lossless",
	"1.2.840.10008.1.2.4.93":  "JPEG 2000 Part 2 Multi-component",
	"1.2.840.10008.1.2.4.94":  "JPIP Referenced",
	"1.2.840.10008.1.2.4.95":  "JPIP Referenced Deflate",
	"1.2.840.10008.1.2.4.100": "MPEG-2 video, Main Level",
	"1.2.840.10008.1.2.4.101": "MPEG-2 video, High Level",
	"1.2.840.10008.1.2.4.102": "MPEG-4 AVC video",
	"1.2.840.10008.1.2.4.103": "MPEG-4 AVC video, BD-compatible",
	"1.2.840.10008.1.2.4.104": "MPEG-4 AVC video, High Profile 4.2",
	"1.2.840.10008.1.2.4.105": "MPEG-4 AVC video, High Profile 4.2, 3D",
	"1.2.840.10008.1.2.4.106": "MPEG-4 AVC video, Stereo",
	"1.2.840.10008.1.2.4.107": "HEVC video, Main Profile",
	"1.2.840.10008.1.2.4.108": "HEVC video, Main 10 Profile",
	"1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
	"1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
	"1.2.840.10008.1.2.4.112": "JPEG XL",
	htLossless:                "High-Throughput JPEG 2000 Lossless",
	htRPCL:                    "High-Throughput JPEG 2000 Lossless RPCL",
	ht:                        "High-Throughput JPEG 2000",
	"1.2.840.10008.1.2.7.1":   "SMPTE ST 2110-20 uncompressed progressive video",
	"1.2.840.10008.1.2.7.2":   "SMPTE ST 2110-20 uncompressed interlaced video",
}

func syntaxName(ts study.UID) string {
	if n, ok := syntaxNames[ts]; ok {
		return n
	}
	return "unknown"
}

// sound refuses an image whose header contradicts itself or asks for too much,
// and fills in what may be left out: samples, bits stored and the high bit.
func sound(img study.Image) (study.Image, error) {
	invalid := func(format string, args ...any) (study.Image, error) {
		return img, fmt.Errorf(format+": %w", append(args, study.ErrInvalid)...)
	}
	if img.Rows <= 0 || img.Columns <= 0 || img.Rows > 1<<16 || img.Columns > 1<<16 {
		return invalid("image of %d rows and %d columns", img.Rows, img.Columns)
	}
	img.Samples = max(img.Samples, 1)
	if img.Samples != 1 && img.Samples != 3 {
		return img, fmt.Errorf("image of %d samples per pixel: %w", img.Samples, study.ErrUnsupported)
	}
	if img.Float {
		img.BitsAllocated, img.BitsStored, img.HighBit = 32, 32, 31
	}
	switch img.BitsAllocated {
	case 1, 8, 16, 32:
	default:
		return img, fmt.Errorf("image of %d bits allocated: %w", img.BitsAllocated, study.ErrUnsupported)
	}
	if img.BitsStored == 0 {
		img.BitsStored, img.HighBit = img.BitsAllocated, img.BitsAllocated-1
	}
	if img.BitsStored < 0 || img.BitsStored > img.BitsAllocated {
		return invalid("image of %d bits stored in %d", img.BitsStored, img.BitsAllocated)
	}
	if img.HighBit < img.BitsStored-1 || img.HighBit >= img.BitsAllocated {
		img.HighBit = img.BitsStored - 1
	}
	if n := int64(img.Rows) * int64(img.Columns) * int64(img.Samples) * int64(max(img.BitsAllocated, 8)/8); n > MaxFrameBytes {
		return img, fmt.Errorf("frame of %d bytes, more than %d: %w", n, MaxFrameBytes, study.ErrUnsupported)
	}
	return img, nil
}

// tagged gives the color that the data set's photometric interpretation names,
// for encodings that say nothing of it themselves, PS3.3 §C.7.6.3.1.2.
func tagged(img study.Image) Color {
	if img.Samples == 1 {
		if img.Photometric == "PALETTE COLOR" {
			return Palette
		}
		return Gray
	}
	switch img.Photometric {
	case "RGB":
		return RGB
	case "YBR_FULL", "YBR_FULL_422":
		return YBR
	}
	return Unknown
}
