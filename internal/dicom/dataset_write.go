package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"

	lib "github.com/suyashkumar/dicom"

	"varde/study"
)

// DataSet writes the item as a bare data set, tags in order, in Explicit or
// Implicit VR Little Endian: an identifier, or what goes with an N-service. Its
// character set is what the caller has set. All faults come out together.
func (i *Item) DataSet(ts study.UID) ([]byte, error) {
	if ts != ExplicitLE && ts != ImplicitLE {
		return nil, fmt.Errorf("write data set in %s: %w", TransferSyntaxName(ts), study.ErrUnsupported)
	}
	if err := i.faults(); err != nil {
		return nil, fmt.Errorf("write data set: %w", err)
	}
	all, err := i.elements()
	if err != nil {
		return nil, fmt.Errorf("write data set: %w", err)
	}
	var b bytes.Buffer
	w, err := lib.NewWriter(&b, lib.SkipVRVerification(), lib.SkipValueTypeVerification())
	if err != nil {
		return nil, fmt.Errorf("write data set: %w", err)
	}
	w.SetTransferSyntax(binary.LittleEndian, ts == ImplicitLE)
	for _, e := range all {
		if err := w.WriteElement(e); err != nil {
			return nil, fmt.Errorf("write data set: %w", err)
		}
	}
	return b.Bytes(), nil
}
