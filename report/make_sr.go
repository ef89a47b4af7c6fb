package report

import (
	"context"

	"varde/internal/dicom"
)

// makeSR makes the structured report, TID 1500.
func makeSR(_ context.Context, w *Writer, k work) ([]made, error) {
	d := Build(k.study, k.instances, k.result, Options{Lang: k.lang, Device: k.device, Location: k.location,
		Predecessor: k.predecessor(KindSR, ""), Objects: w.besides(KindSR, k, k.beside), Segments: k.segments})
	d.UID, d.Series = k.name(KindSR, k.number, "")
	b, err := d.Encode()
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindSR, k.number, "", dicom.Comprehensive3DSR, b)}, nil
}
