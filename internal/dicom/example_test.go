package dicom_test

import (
	"bytes"
	"fmt"

	"varde/internal/dicom"
)

func Example() {
	o := dicom.NewObject(dicom.SecondaryCapture, "2.25.3")
	o.Set(dicom.StudyInstanceUID, "2.25.1").Set(dicom.SeriesInstanceUID, "2.25.2").Set(dicom.Modality, "OT")
	o.Native(1, 2, 1, 8, false, []byte{10, 20})
	file, err := o.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{Size: int64(len(file))})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, in, err := h.Describe()
	if err != nil {
		fmt.Println(err)
		return
	}
	spans, err := h.Frames.Frame(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(dicom.ClassName(in.Class), in.Image.Columns, "×", in.Image.Rows, file[spans[0].Off:][:spans[0].Len])
	// Output: Secondary Capture Image Storage 2 × 1 [10 20]
}
