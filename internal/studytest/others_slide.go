package studytest

import (
	"encoding/binary"

	"varde/internal/dicom"
	"varde/study"
)

// An OtherFilm is a segmentation of a slide with one segment, as other makers write
// them: square tiles of a total pixel matrix.
type OtherFilm struct {
	UID, Series, Study study.UID
	Maker, Model       string
	Label              string // of the segment
	Program, Version   string
	Fractional         bool // of 255; else binary
	Full               bool // TILED_FULL: all tiles in their order; else each names its place
	Columns, Rows      int  // of the total matrix
	Side               int  // of a tile
	On                 study.Instance
	FrameOfRef         study.UID // empty: it says only which image it was drawn on
	OriginMM           [2]float64
	Orientation        []float64
	SpacingMM          float64
	// At says what a pixel of the total matrix holds: 0 to 255.
	At func(x, y int) byte
}

// Encode gives the segmentation as a Part 10 file. A sparse one leaves out tiles in
// which there is nothing.
func (m OtherFilm) Encode() ([]byte, error) {
	o := dicom.NewObject(dicom.Segmentation, m.UID)
	o.Set(dicom.StudyInstanceUID, m.Study).Set(dicom.SeriesInstanceUID, m.Series).Set(dicom.SeriesNumber, 702).Set(dicom.InstanceNumber, 1).
		Set(dicom.Modality, "SEG").Set(dicom.Manufacturer, m.Maker).Set(dicom.ManufacturerModelName, m.Model).Set(dicom.SeriesDescription, "Regions").
		Set(dicom.ContentDate, "20261124").Set(dicom.ContentTime, "101500").Set(dicom.ContentLabel, "REGIONS").Set(dicom.PatientID).Set(dicom.PatientName).
		Set(dicom.ImageType, "DERIVED", "PRIMARY").Set(dicom.TotalPixelMatrixColumns, m.Columns).Set(dicom.TotalPixelMatrixRows, m.Rows)
	o.Seq(dicom.SegmentSequence, dicom.NewItem().Set(dicom.SegmentNumber, 1).Set(dicom.SegmentLabel, m.Label).Set(dicom.SegmentAlgorithmType, "AUTOMATIC").
		Seq(dicom.SegmentedPropertyCategoryCodeSequence, dicom.CodeItem(study.Code{Value: "85756007", Scheme: "SCT", Meaning: "Tissue"})).
		Seq(dicom.SegmentedPropertyTypeCodeSequence, dicom.CodeItem(study.Code{Value: "108369006", Scheme: "SCT", Meaning: "Neoplasm"})).
		Set(dicom.SegmentAlgorithmName, m.Program).Seq(dicom.SegmentationAlgorithmIdentificationSequence,
		dicom.NewItem().Set(dicom.AlgorithmName, m.Program).Set(dicom.AlgorithmVersion, m.Version)))
	o.Seq(dicom.ReferencedSeriesSequence, dicom.NewItem().Set(dicom.SeriesInstanceUID, m.On.Series).Seq(dicom.ReferencedInstanceSequence,
		dicom.NewItem().Set(dicom.ReferencedSOPClassUID, m.On.Class).Set(dicom.ReferencedSOPInstanceUID, m.On.UID)))
	shared := dicom.NewItem()
	if m.FrameOfRef != "" {
		o.Set(dicom.FrameOfReferenceUID, m.FrameOfRef).Set(dicom.ImageOrientationSlide, m.Orientation).
			Seq(dicom.TotalPixelMatrixOriginSequence, dicom.NewItem().Set(dicom.XOffsetInSlideCoordinateSystem, m.OriginMM[0]).Set(dicom.YOffsetInSlideCoordinateSystem, m.OriginMM[1]))
		shared.Seq(dicom.PixelMeasuresSequence, dicom.NewItem().Set(dicom.PixelSpacing, []float64{m.SpacingMM, m.SpacingMM}))
	}
	o.Seq(dicom.SharedFunctionalGroupsSequence, shared)
	tiles, places := m.tiles()
	if m.Full {
		o.Set(dicom.DimensionOrganizationType, "TILED_FULL")
	} else {
		o.Set(dicom.DimensionOrganizationType, "TILED_SPARSE")
		var frames []*dicom.Item
		for _, at := range places {
			frames = append(frames, dicom.NewItem().Seq(dicom.SegmentIdentificationSequence, dicom.NewItem().Set(dicom.ReferencedSegmentNumber, 1)).
				Seq(dicom.PlanePositionSlideSequence, dicom.NewItem().Set(dicom.ColumnPositionInTotalImagePixelMatrix, at[0]+1).Set(dicom.RowPositionInTotalImagePixelMatrix, at[1]+1)))
		}
		o.Seq(dicom.PerFrameFunctionalGroupsSequence, frames...)
	}
	if m.Fractional {
		o.Set(dicom.SegmentationType, "FRACTIONAL").Set(dicom.SegmentationFractionalType, "PROBABILITY").Set(dicom.MaximumFractionalValue, 255).Set(dicom.PhotometricInterpretation, "MONOCHROME2")
		o.Native(m.Side, m.Side, 1, 8, false, tiles...)
		return o.Encode()
	}
	o.Set(dicom.SegmentationType, "BINARY").Set(dicom.PhotometricInterpretation, "MONOCHROME2")
	bits := make([]byte, (len(tiles)*m.Side*m.Side+7)/8)
	for k, t := range tiles {
		for i, v := range t {
			if n := k*m.Side*m.Side + i; v > 0 {
				bits[n/8] |= 1 << (n % 8)
			}
		}
	}
	o.Packed(m.Side, m.Side, len(tiles), bits)
	return o.Encode()
}

// tiles draws the tiles, and where each lies.
func (m OtherFilm) tiles() (tiles [][]byte, places [][2]int) {
	for y := 0; y < m.Rows; y += m.Side {
		for x := 0; x < m.Columns; x += m.Side {
			b, some := make([]byte, m.Side*m.Side), false
			for i := range b {
				if cx, cy := x+i%m.Side, y+i/m.Side; cx < m.Columns && cy < m.Rows {
					b[i] = m.At(cx, cy)
				}
				some = some || b[i] > 0
			}
			if some || m.Full {
				tiles, places = append(tiles, b), append(places, [2]int{x, y})
			}
		}
	}
	return tiles, places
}

// An OtherCloud is an object of Microscopy Bulk Simple Annotations with one group.
type OtherCloud struct {
	UID, Series, Study study.UID
	Maker, Model       string
	Label              string
	How                string // AUTOMATIC, MANUAL
	Program, Version   string
	Shape              string // POINT, POLYGON, ELLIPSE, RECTANGLE, POLYLINE
	On                 study.Instance
	FrameOfRef         study.UID // of points in mm on the glass; else they are in pixels of the image
	Each               [][]float64
}

// Encode gives the annotations as a Part 10 file.
func (c OtherCloud) Encode() ([]byte, error) {
	o := dicom.NewObject(dicom.SimpleAnnotations, c.UID)
	o.Set(dicom.StudyInstanceUID, c.Study).Set(dicom.SeriesInstanceUID, c.Series).Set(dicom.SeriesNumber, 703).Set(dicom.InstanceNumber, 1).
		Set(dicom.Modality, "ANN").Set(dicom.Manufacturer, c.Maker).Set(dicom.ManufacturerModelName, c.Model).Set(dicom.SeriesDescription, "Cells").
		Set(dicom.ContentDate, "20261124").Set(dicom.ContentTime, "101600").Set(dicom.ContentLabel, "CELLS").Set(dicom.PatientID).Set(dicom.PatientName)
	kind := "2D"
	if c.FrameOfRef != "" {
		kind = "3D"
		o.Set(dicom.FrameOfReferenceUID, c.FrameOfRef)
	} else {
		o.Set(dicom.PixelOriginInterpretation, "VOLUME")
	}
	o.Set(dicom.Tag(0x006A0001), kind).Seq(dicom.ReferencedImageSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, c.On.Class).Set(dicom.ReferencedSOPInstanceUID, c.On.UID))
	var points []float64
	var starts []byte // OL: from 1, PS3.3 §C.37.1.2.2
	for _, one := range c.Each {
		starts = binary.LittleEndian.AppendUint32(starts, uint32(len(points)+1))
		points = append(points, one...)
	}
	g := dicom.NewItem().Set(dicom.Tag(0x0040A180), 1).Set(dicom.Tag(0x006A0005), c.Label).Set(dicom.Tag(0x006A0007), c.How).
		Seq(dicom.Tag(0x006A000A), dicom.CodeItem(study.Code{Value: "84640000", Scheme: "SCT", Meaning: "Nucleus"})).
		Set(dicom.Tag(0x006A000C), len(c.Each)).Set(dicom.GraphicType, c.Shape).Set(dicom.Tag(0x00660022), points)
	if c.Program != "" {
		g.Seq(dicom.Tag(0x006A0008), dicom.NewItem().Set(dicom.AlgorithmName, c.Program).Set(dicom.AlgorithmVersion, c.Version))
	}
	if c.Shape == "POLYGON" || c.Shape == "POLYLINE" {
		g.Set(dicom.Tag(0x00660040), starts)
	}
	o.Seq(dicom.Tag(0x006A0002), g)
	return o.Encode()
}
