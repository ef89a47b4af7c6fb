package codec

import (
	"bytes"
	"fmt"

	"varde/internal/codec/jpeg"
	"varde/internal/codec/tiff"
	"varde/study"
)

// blankVersion names what makes a frame of which the file holds no bytes. It is
// no decoder, and its name stands in no provenance.
const blankVersion = ""

// Encoded gives the bytes of one frame as they are handed to others in transfer
// syntax ts, which is the one that the instance has: a JPEG codestream with its
// tables and with one marker that says its color, a JPEG 2000 codestream, or
// samples. Frames that stand in their own object are joined and otherwise left
// as they are. A frame without bytes is the background that its [study.Origin]
// names, or white samples; where there is neither the error is of kind
// ErrNotFound.
func Encoded(img study.Image, ts study.UID, fragments [][]byte) ([]byte, error) {
	frame := joined(fragments)
	if img.Origin == nil {
		if len(frame) == 0 {
			return nil, fmt.Errorf("frame without data: %w", study.ErrInvalid)
		}
		return frame, nil
	}
	img, err := sound(img)
	if err != nil {
		return nil, err
	}
	if len(frame) == 0 {
		return blankBytes(img, ts)
	}
	if frame, err = restore(img, ts, frame); err != nil {
		return nil, err
	}
	switch ts {
	case jpegBaseline:
		return plainColor(img, frame)
	case implicitLE, explicitLE:
		f, err := native(Options{}, img, frame)
		return f.Data, err
	}
	return frame, nil
}

func joined(fragments [][]byte) []byte {
	if len(fragments) == 1 {
		return fragments[0]
	}
	return bytes.Join(fragments, nil)
}

// plainColor leaves a codestream of three components with one marker about its
// color. Where a JFIF and an Adobe marker contradict each other decoders differ
// about who is to be believed; ours are told by Decode's rule, and so is whoever
// is handed the bytes.
func plainColor(img study.Image, frame []byte) ([]byte, error) {
	h, err := baseline(img, frame)
	if err != nil {
		return nil, err
	}
	if len(h.Components) != 3 || len(h.Wrappers) == 1 && h.Adobe != h.JFIF {
		return frame, nil
	}
	return h.Recolor(frame, colorOfJPEG(h, img) == YBR), nil
}

// blankBytes is a frame of background.
func blankBytes(img study.Image, ts study.UID) ([]byte, error) {
	if len(img.Origin.Blank) > 0 {
		return img.Origin.Blank, nil
	}
	if ts == implicitLE || ts == explicitLE {
		return whiteSamples(img).Data, nil
	}
	return nil, fmt.Errorf("frame without bytes, for which there is no picture of background in %s: %w", ts, study.ErrNotFound)
}

// whiteSamples is a frame of background, decoded.
func whiteSamples(img study.Image) Frame {
	f := plain(img)
	if img.Samples == 3 {
		f.Color = RGB
	}
	f.Data = bytes.Repeat([]byte{0xff}, img.Rows*img.Columns*img.Samples*f.Bits/8)
	f.Decoder = blankVersion
	return f
}

// restore undoes what a slide file has done to a frame: tables that it keeps
// apart, and compressions that DICOM does not have. img is sound.
func restore(img study.Image, ts study.UID, frame []byte) ([]byte, error) {
	o := img.Origin
	if ts == jpegBaseline && len(o.Head) > 0 {
		if len(frame) < 2 || frame[0] != 0xff || frame[1] != jpeg.SOI {
			return nil, fmt.Errorf("tile does not begin as a JPEG codestream: %w", study.ErrInvalid)
		}
		out := make([]byte, 0, len(o.Head)+len(frame)-2)
		return append(append(out, o.Head...), frame[2:]...), nil
	}
	size := img.Rows * img.Columns * img.Samples * img.BitsAllocated / 8
	var err error
	switch o.Coding {
	case "":
		if o.Predictor == 2 { // in memory of our own, for the fetched bytes are shared
			frame = bytes.Clone(frame)
		}
	case "deflate":
		frame, err = tiff.Inflate(frame, size)
	case "lzw":
		frame, err = tiff.LZW(frame, size)
	default:
		err = fmt.Errorf("tile in coding %q: %w", o.Coding, study.ErrUnsupported)
	}
	if err != nil || o.Predictor <= 1 {
		return frame, err
	}
	if o.Predictor != 2 || img.BitsAllocated != 8 {
		return nil, fmt.Errorf("tile with predictor %d and %d bits: %w", o.Predictor, img.BitsAllocated, study.ErrUnsupported)
	}
	if len(frame) < size {
		return nil, short(len(frame), size)
	}
	tiff.UndoPredictor(frame[:size], img.Columns*img.Samples, img.Samples)
	return frame, nil
}
