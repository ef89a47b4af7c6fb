package report

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"varde/internal/dicom"
	"varde/study"
)

// dataSet gives the data set of a Part 10 file of ours: what stands behind the
// preamble and the file meta information, whose length is in its first element
// (PS3.10 §7.1).
func dataSet(file []byte) ([]byte, error) {
	const preamble, element = 132, 12
	if len(file) < preamble+element || string(file[128:132]) != "DICM" || binary.LittleEndian.Uint32(file[preamble:]) != 0x0002 {
		return nil, fmt.Errorf("not a DICOM file: %w", study.ErrInvalid)
	}
	meta := uint64(binary.LittleEndian.Uint32(file[preamble+8:]))
	if meta > uint64(len(file)-preamble-element) {
		return nil, fmt.Errorf("file meta information of %d bytes in a file of %d: %w", meta, len(file), study.ErrInvalid)
	}
	return file[preamble+element+int(meta):], nil
}

// longVR lists the VRs whose length takes 32 bits, PS3.5 §7.1.2.
var longVR = map[string]bool{
	"OB": true, "OD": true, "OF": true, "OL": true, "OV": true, "OW": true, "SQ": true,
	"SV": true, "UC": true, "UN": true, "UR": true, "UT": true, "UV": true,
}

const undefinedLength = 0xFFFFFFFF

// implicit turns a data set of ours from Explicit to Implicit VR Little Endian,
// for an archive that takes nothing else. The values stay; only the headers
// change. It counts on what our encoder does: sequences and items are of
// undefined length, so that none grows with its headers.
func implicit(b []byte) ([]byte, error) {
	var errShort = fmt.Errorf("element cut short: %w", study.ErrInvalid)
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, errShort
		}
		tag, head, n := b[:4], 8, uint32(0)
		delimiter := binary.LittleEndian.Uint16(tag) == 0xFFFE // has no VR in any syntax
		vr := string(b[4:6])
		switch {
		case delimiter:
			n = binary.LittleEndian.Uint32(b[4:])
		case longVR[vr] && len(b) < 12:
			return nil, errShort
		case longVR[vr]:
			head, n = 12, binary.LittleEndian.Uint32(b[8:])
		default:
			n = uint32(binary.LittleEndian.Uint16(b[6:]))
		}
		if (delimiter || vr == "SQ") && n != undefinedLength && n != 0 {
			return nil, errors.Join(errDefined, study.ErrInvalid)
		}
		out = append(out, tag...)
		out = binary.LittleEndian.AppendUint32(out, n)
		b = b[head:]
		if n == undefinedLength {
			continue
		}
		if uint64(n) > uint64(len(b)) {
			return nil, errShort
		}
		out = append(out, b[:n]...)
		b = b[n:]
	}
	return out, nil
}

var errDefined = errors.New("a sequence or an item of defined length")

// seriesOf reads the series of an object of ours.
func seriesOf(file []byte) (study.UID, error) {
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{Size: int64(len(file))})
	if err != nil {
		return "", err
	}
	return study.ParseUID(h.Data.Text(dicom.SeriesInstanceUID))
}
