package report

import (
	"context"

	"varde/internal/dicom"
)

// makeSR makes the structured report, TID 1500.
func makeSR(_ context.Context, w *Writer, k work) ([]made, error) {
	b, err := Build(k.study, k.instances, k.result, Options{Lang: k.lang, Device: k.device, Location: k.location,
		Predecessor: k.predecessor(KindSR, ""), Objects: w.besides(KindSR, k, k.beside), Segments: k.segments}).Encode()
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindSR, 0, "", dicom.Comprehensive3DSR, b)}, nil
}
