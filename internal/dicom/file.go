package dicom

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"varde/study"
)

// ReadFile scans a file.
func ReadFile(path string) (*Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h, err := Scan(f, ScanOptions{Size: info.Size()})
	if err != nil {
		return h, fmt.Errorf("scan %s: %w", path, err)
	}
	return h, nil
}

// Open scans size bytes of r from its start. r can be read from afterwards by
// the spans of the header's frames.
func Open(r io.ReaderAt, size int64) (*Header, error) {
	return Scan(io.NewSectionReader(r, 0, size), ScanOptions{Size: size})
}

// Prefix makes the preamble and the file meta information (PS3.10 §7.1) to be
// stored before a data set that came by C-STORE, so that the two are a file.
func Prefix(class, instance, ts study.UID, callingAE string) []byte {
	var meta []byte
	add := func(t Tag, v vr, value string) {
		if len(value)%2 == 1 {
			value += map[bool]string{true: "\x00", false: " "}[v == vrUI]
		}
		meta = binary.LittleEndian.AppendUint16(meta, t.Group())
		meta = binary.LittleEndian.AppendUint16(meta, t.Element())
		meta = append(meta, byte(v>>8), byte(v))
		if v.long() {
			meta = append(meta, 0, 0)
			meta = binary.LittleEndian.AppendUint32(meta, uint32(len(value)))
		} else {
			meta = binary.LittleEndian.AppendUint16(meta, uint16(len(value)))
		}
		meta = append(meta, value...)
	}
	add(FileMetaInformationVersion, vrOB, "\x00\x01")
	add(MediaStorageSOPClassUID, vrUI, string(class))
	add(MediaStorageSOPInstanceUID, vrUI, string(instance))
	add(TransferSyntaxUID, vrUI, string(ts))
	add(ImplementationClassUID, vrUI, string(ImplementationUID))
	add(ImplementationVersionName, vrSH, ImplementationName)
	if callingAE != "" {
		add(SourceApplicationEntityTitle, vrAE, callingAE[:min(len(callingAE), 16)])
	}
	out := make([]byte, 128, 144+len(meta))
	out = append(out, "DICM\x02\x00\x00\x00UL\x04\x00"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(meta)))
	return append(out, meta...)
}
