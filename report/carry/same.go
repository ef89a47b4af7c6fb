package carry

import (
	"bytes"
	"strings"

	"varde/internal/dicom"
)

// SameData reports whether two files hold the same data set, whatever their file meta
// information and the lengths of their sequences say: an archive writes its own.
// Values may differ in their padding, and group lengths are passed over.
func SameData(a, b []byte) bool {
	one, err := dicom.Scan(bytes.NewReader(a), dicom.ScanOptions{Size: int64(len(a))})
	if err != nil {
		return false
	}
	two, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	return err == nil && one.Data.Text(dicom.SOPInstanceUID) == two.Data.Text(dicom.SOPInstanceUID) && sameSet(a, b, one.Data, two.Data)
}

func sameSet(a, b []byte, one, two *dicom.Dataset) bool {
	x, y := elements(one), elements(two)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].Tag != y[i].Tag {
			return false
		}
		p, q := one.Items(x[i].Tag), two.Items(y[i].Tag)
		if len(p) != len(q) {
			return false
		}
		for n := range p {
			if !sameSet(a, b, p[n], q[n]) {
				return false
			}
		}
		if len(p) == 0 && !sameValue(value(a, x[i]), value(b, y[i])) {
			return false
		}
	}
	return true
}

func elements(d *dicom.Dataset) (all []dicom.Element) {
	for e := range d.All() {
		if e.Tag&0xFFFF != 0 {
			all = append(all, e)
		}
	}
	return all
}

// value gives the bytes of an element, also of one that the reader passes over.
func value(file []byte, e dicom.Element) []byte {
	if e.Value != nil || e.Length <= 0 || e.Offset < 0 || e.Offset+e.Length > int64(len(file)) {
		return e.Value
	}
	return file[e.Offset : e.Offset+e.Length]
}

func sameValue(a, b []byte) bool {
	return bytes.Equal(a, b) || strings.TrimRight(string(a), " \x00") == strings.TrimRight(string(b), " \x00")
}
