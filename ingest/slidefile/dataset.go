package slidefile

import (
	"fmt"
	"math"
	"strings"

	"varde/internal/dicom"
	"varde/internal/slide/format"
	"varde/study"
)

// A level is one level of a file about to become an instance.
type level struct {
	id     Identifiers
	slide  *format.Slide
	file   kept
	study  study.UID
	series study.UID
	n      int // from 0, the finest
	stored int64
}

// kept is a file in the archive.
type kept struct {
	key    string
	bytes  int64
	sha256 study.Hash
	source study.Hash // of the file as it came; another one when it was cut into tiles anew
}

func (l level) instance() study.UID {
	return study.DerivedUID("slide level", string(l.study), string(l.series), l.file.source.String(), fmt.Sprint(l.n))
}

// unknown stands where the standard wants a value and nobody gave one.
const unknown = "UNKNOWN"

// object writes a level as a VL Whole Slide Microscopy instance (PS3.3 §A.32.8)
// without its pixels, which lie in the file. It depends on the file and the
// identifiers alone, so that the same file sent again is the same object. What
// the file does not say is left out: no spacing is made up.
func (l level) object() ([]byte, error) {
	at := l.slide.Levels[l.n]
	obj := dicom.NewObject(dicom.WholeSlideImage, l.instance())
	l.identity(obj)
	l.equipment(obj)
	kind := l.imageType()
	obj.Set(dicom.ImageType, kind...).
		Set(dicom.FrameOfReferenceUID, study.DerivedUID("slide frame of reference", string(l.series))).
		Set(dicom.PositionReferenceIndicator, "SLIDE_CORNER").
		Set(dicom.PyramidUID, study.DerivedUID("slide pyramid", string(l.series))).
		Set(dicom.InstanceNumber, l.n+1).
		Set(dicom.DimensionOrganizationType, "TILED_FULL").
		Seq(dicom.DimensionOrganizationSequence, dicom.NewItem().
			Set(dicom.DimensionOrganizationUID, study.DerivedUID("slide dimensions", string(l.series)))).
		Set(dicom.TotalPixelMatrixColumns, at.Columns).Set(dicom.TotalPixelMatrixRows, at.Rows).
		Set(dicom.TotalPixelMatrixFocalPlanes, 1).Set(dicom.NumberOfOpticalPaths, 1).
		Set(dicom.ImageOrientationSlide, 0.0, -1.0, 0.0, -1.0, 0.0, 0.0).
		Set(dicom.SpecimenLabelInImage, "NO").Set(dicom.ExtendedDepthOfField, "NO").Set(dicom.FocusMethod, "AUTO").
		Set(dicom.BurnedInAnnotation, "NO").Set(dicom.VolumetricProperties, "VOLUME").
		Seq(dicom.AcquisitionContextSequence)
	l.times(obj)
	l.pixels(obj)
	l.specimen(obj)
	l.geometry(obj, kind)
	b, err := obj.Encode()
	if err != nil {
		return nil, err
	}
	// The data set of every syntax with fragments is in explicit VR little endian,
	// as the object is: its header may already name the syntax of the frames.
	head := dicom.Prefix(dicom.WholeSlideImage, l.instance(), dicom.ExplicitLE, "")
	return append(dicom.Prefix(dicom.WholeSlideImage, l.instance(), at.TransferSyntax, ""), b[len(head):]...), nil
}

// identity adds patient, study and series.
func (l level) identity(obj *dicom.Object) {
	id := l.id
	obj.Set(dicom.PatientName, id.PatientName).Set(dicom.PatientID, id.PatientID).
		Set(dicom.PatientBirthDate, id.BirthDate).Set(dicom.PatientSex, id.Sex).
		Set(dicom.StudyInstanceUID, l.study).Set(dicom.SeriesInstanceUID, l.series).
		Set(dicom.StudyDate, id.StudyDate).Set(dicom.StudyTime).
		Set(dicom.StudyID, id.Case).Set(dicom.AccessionNumber, id.Accession).
		Set(dicom.ReferringPhysicianName, id.Referring).
		Set(dicom.Modality, study.SM).Set(dicom.SeriesNumber, 1)
	if id.Issuer != "" {
		obj.Set(dicom.IssuerOfPatientID, id.Issuer)
	}
	if id.Description != "" {
		obj.Set(dicom.StudyDescription, id.Description)
	}
	if words := strings.TrimSpace(id.Container + " " + id.Stain); words != "" {
		obj.Set(dicom.SeriesDescription, cut(words, 64))
	}
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return strings.TrimSpace(string(r[:n]))
	}
	return s
}

// Attributes of PS3.6 that no other object of ours holds.
const (
	contributingEquipmentSequence dicom.Tag = 0x0018A001
	contributionDescription       dicom.Tag = 0x0018A003
)

// equipment names the scanner, and Varde as what stands between it and the object.
func (l level) equipment(obj *dicom.Object) {
	say := func(t dicom.Tag, s string) {
		if s = cut(plain(s), 64); s == "" {
			s = unknown
		}
		obj.Set(t, s)
	}
	say(dicom.Manufacturer, l.slide.Manufacturer)
	say(dicom.ManufacturerModelName, l.slide.Model)
	say(dicom.SoftwareVersions, l.slide.Software)
	say(dicom.DeviceSerialNumber, l.slide.Serial)
	words := fmt.Sprintf("Level %d of %d of a slide file (%s), sha256 %s; its frames are those of the file",
		l.n+1, len(l.slide.Levels), l.slide.Format, l.file.source)
	if l.file.source != l.file.sha256 {
		words = fmt.Sprintf("Level %d of %d of a slide file, sha256 %s; its pixels were read by OpenSlide and compressed anew, sha256 %s",
			l.n+1, len(l.slide.Levels), l.file.source, l.file.sha256)
	}
	obj.Seq(contributingEquipmentSequence, dicom.NewItem().
		Seq(dicom.PurposeOfReferenceCodeSequence, code("109102", "DCM", "Processing Equipment")).
		Set(dicom.Manufacturer, "Varde").Set(contributionDescription, words))
}

// plain takes out of a text that stands in a file what no DICOM value may hold.
func plain(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == '\\' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, s))
}

func code(value, scheme, meaning string) *dicom.Item {
	return dicom.CodeItem(study.Code{Value: value, Scheme: scheme, Meaning: meaning})
}

// imageType says whether the scanner saw the level or somebody made it smaller.
func (l level) imageType() []any {
	if l.n == 0 {
		return []any{"ORIGINAL", "PRIMARY", "VOLUME", "NONE"}
	}
	return []any{"DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"}
}

// times says when the slide was scanned, if the file does.
func (l level) times(obj *dicom.Object) {
	at := l.slide.Scanned
	switch {
	case !at.IsZero():
		obj.Set(dicom.AcquisitionDateTime, at.Format("20060102150405")).
			Set(dicom.ContentDate, at.Format("20060102")).Set(dicom.ContentTime, at.Format("150405"))
	case l.id.StudyDate != "":
		obj.Set(dicom.AcquisitionDateTime, l.id.StudyDate).
			Set(dicom.ContentDate, l.id.StudyDate).Set(dicom.ContentTime, "000000")
	}
}

// pixels describes the frames and what compression has cost them.
func (l level) pixels(obj *dicom.Object) {
	at := l.slide.Levels[l.n]
	img := at.Image
	photometric := img.Photometric
	if photometric == "YBR_FULL" && at.TransferSyntax == dicom.JPEGBaseline {
		photometric = "YBR_FULL_422" // the one that PS3.3 §C.8.12.4.1.5 has for it; the codestream says how finely
	}
	obj.Set(dicom.Rows, at.TileH).Set(dicom.Columns, at.TileW).Set(dicom.NumberOfFrames, at.Frames.Len()).
		Set(dicom.SamplesPerPixel, img.Samples).Set(dicom.PhotometricInterpretation, photometric).
		Set(dicom.BitsAllocated, img.BitsAllocated).Set(dicom.BitsStored, img.BitsStored).
		Set(dicom.HighBit, img.BitsStored-1).Set(dicom.PixelRepresentation, 0)
	if img.Samples > 1 {
		obj.Set(dicom.PlanarConfiguration, img.Planar)
	} else {
		obj.Set(dicom.PresentationLUTShape, "IDENTITY").Set(dicom.RescaleIntercept, 0.0).Set(dicom.RescaleSlope, 1.0)
	}
	method := map[study.UID]string{dicom.JPEGBaseline: "ISO_10918_1", dicom.JPEGExtended: "ISO_10918_1", dicom.J2K: "ISO_15444_1",
		dicom.JPEGLSNear: "ISO_14495_1"}[at.TransferSyntax]
	if method == "" {
		obj.Set(dicom.LossyImageCompression, "00")
		return
	}
	raw := float64(at.Frames.Len()) * float64(at.TileW*at.TileH*img.Samples*img.BitsAllocated/8)
	obj.Set(dicom.LossyImageCompression, "01").Set(dicom.LossyImageCompressionMethod, method).
		Set(dicom.LossyImageCompressionRatio, math.Round(100*raw/float64(max(l.stored, 1)))/100)
}

// specimen adds the slide, what lies on it and how it was stained, PS3.3
// §C.7.6.22.
func (l level) specimen(obj *dicom.Object) {
	container, specimen := l.id.Container, l.id.Specimen
	if container == "" {
		container = specimen
	}
	if container == "" {
		container = unknown
	}
	if specimen == "" {
		specimen = container
	}
	steps := dicom.NewItem().Set(dicom.SpecimenIdentifier, specimen).
		Set(dicom.SpecimenUID, study.DerivedUID("specimen", l.id.PatientID, l.id.Issuer, string(l.series), specimen)).
		Seq(dicom.IssuerOfTheSpecimenIdentifierSequence).Seq(dicom.SpecimenPreparationSequence)
	if l.id.Stain != "" {
		steps.Seq(dicom.SpecimenPreparationSequence, dicom.NewItem().Seq(dicom.SpecimenPreparationStepContentItemSequence,
			dicom.NewItem().Set(dicom.ValueType, "TEXT").
				Seq(dicom.ConceptNameCodeSequence, code("121041", "DCM", "Specimen Identifier")).Set(dicom.TextValue, specimen),
			dicom.NewItem().Set(dicom.ValueType, "CODE").
				Seq(dicom.ConceptNameCodeSequence, code("111701", "DCM", "Processing type")).
				Seq(dicom.ConceptCodeSequence, code("127790008", "SCT", "Staining")),
			dicom.NewItem().Set(dicom.ValueType, "TEXT").
				Seq(dicom.ConceptNameCodeSequence, code("424361007", "SCT", "Using substance")).Set(dicom.TextValue, l.id.Stain)))
	}
	obj.Set(dicom.ContainerIdentifier, container).Seq(dicom.IssuerOfTheContainerIdentifierSequence).
		Seq(dicom.ContainerTypeCodeSequence, code("433466003", "SCT", "Microscope slide")).
		Seq(dicom.SpecimenDescriptionSequence, steps)
}

// geometry adds the optical path and the functional groups that all frames share.
func (l level) geometry(obj *dicom.Object, kind []any) {
	at, finest := l.slide.Levels[l.n], l.slide.Levels[0]
	path := dicom.NewItem().Set(dicom.OpticalPathIdentifier, "1").
		Seq(dicom.IlluminationTypeCodeSequence, code("111744", "DCM", "Brightfield illumination")).
		Seq(dicom.IlluminationColorCodeSequence, code("371251000", "SCT", "White color"))
	if at.Image.Samples == 3 {
		if len(l.slide.ICC) > 0 {
			path.Set(dicom.ICCProfile, even(l.slide.ICC))
		} else {
			path.Set(dicom.ICCProfile, sRGB()).Set(dicom.ColorSpace, "SRGB")
		}
	}
	if l.slide.Objective > 0 {
		path.Set(dicom.ObjectiveLensPower, l.slide.Objective)
	}
	measures := dicom.NewItem()
	if mpp := l.slide.MPP; mpp[0] > 0 && mpp[1] > 0 {
		x := mpp[0] / 1000 * float64(finest.Columns) / float64(at.Columns)
		y := mpp[1] / 1000 * float64(finest.Rows) / float64(at.Rows)
		measures.Set(dicom.PixelSpacing, y, x).Set(dicom.SliceThickness, 0.001)
		obj.Set(dicom.ImagedVolumeWidth, x*float64(at.Columns)).Set(dicom.ImagedVolumeHeight, y*float64(at.Rows)).
			Set(dicom.ImagedVolumeDepth, 1.0)
	}
	obj.Seq(dicom.OpticalPathSequence, path).
		Seq(dicom.TotalPixelMatrixOriginSequence, dicom.NewItem().
			Set(dicom.XOffsetInSlideCoordinateSystem, 0.0).Set(dicom.YOffsetInSlideCoordinateSystem, 0.0)).
		Seq(dicom.SharedFunctionalGroupsSequence, dicom.NewItem().
			Seq(dicom.PixelMeasuresSequence, measures).
			Seq(dicom.WholeSlideMicroscopyImageFrameTypeSequence, dicom.NewItem().Set(dicom.FrameType, kind...)).
			Seq(dicom.OpticalPathIdentificationSequence, dicom.NewItem().Set(dicom.OpticalPathIdentifier, "1")))
}

// even gives bytes a length that DICOM takes.
func even(b []byte) []byte {
	if len(b)%2 == 1 {
		return append(b[:len(b):len(b)], 0)
	}
	return b
}
