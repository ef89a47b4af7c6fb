package identity

import (
	"cmp"
	"math"

	"varde/internal/dicom"
	"varde/study"
)

// lossyMethods are the compressions that lose something, by transfer syntax, PS3.3
// §C.7.6.1.1.5.
var lossyMethods = map[study.UID]string{
	dicom.JPEGBaseline: "ISO_10918_1", dicom.JPEGExtended: "ISO_10918_1", dicom.JPEGLSNear: "ISO_14495_1", dicom.J2K: "ISO_15444_1", dicom.HTJ2K: "ISO_15444_15",
}

// Lossy says of an object that was made of images whether these have lost something
// before: what was once lost is not found again. An image stands there as often as
// frames of it were used.
func Lossy(o *dicom.Object, of []study.Instance) {
	lost, method := false, ""
	raw, stored := 0.0, 0.0
	for _, in := range of {
		m := lossyMethods[in.TransferSyntax]
		lost = lost || in.Image.Lossy || m != ""
		method = cmp.Or(method, m)
		raw += float64(in.Image.Rows) * float64(in.Image.Columns) * float64(max(1, in.Image.Samples)) * float64(max(1, in.Image.BitsAllocated/8))
		stored += float64(in.Bytes) / float64(max(1, in.Image.Frames))
	}
	if !lost {
		o.Set(dicom.LossyImageCompression, "00")
		return
	}
	ratio := 1.0
	if stored > 0 {
		ratio = max(1, math.Round(100*raw/stored)/100)
	}
	o.Set(dicom.LossyImageCompression, "01").Set(dicom.LossyImageCompressionRatio, ratio).
		Set(dicom.LossyImageCompressionMethod, cmp.Or(method, "ISO_10918_1"))
}
