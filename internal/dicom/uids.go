package dicom

import (
	"strings"

	"varde/study"
)

// ImplementationUID is our own name in file meta information and in associations,
// PS3.7 §D.3.3.2.1.
const ImplementationUID study.UID = "2.25.160493344928503986875460252647543297664"

// ImplementationName goes with [ImplementationUID], PS3.7 §D.3.3.2.3.
const ImplementationName = "VARDE"

// Transfer syntaxes, PS3.5 §10 and §A.
const (
	ImplicitLE               study.UID = "1.2.840.10008.1.2"
	ExplicitLE               study.UID = "1.2.840.10008.1.2.1"
	EncapsulatedUncompressed study.UID = "1.2.840.10008.1.2.1.98"
	Deflated                 study.UID = "1.2.840.10008.1.2.1.99"
	ExplicitBE               study.UID = "1.2.840.10008.1.2.2"
	JPEGBaseline             study.UID = "1.2.840.10008.1.2.4.50"
	JPEGExtended             study.UID = "1.2.840.10008.1.2.4.51"
	JPEGLossless57           study.UID = "1.2.840.10008.1.2.4.57"
	JPEGLosslessSV1          study.UID = "1.2.840.10008.1.2.4.70"
	JPEGLS                   study.UID = "1.2.840.10008.1.2.4.80"
	JPEGLSNear               study.UID = "1.2.840.10008.1.2.4.81"
	J2KLossless              study.UID = "1.2.840.10008.1.2.4.90"
	J2K                      study.UID = "1.2.840.10008.1.2.4.91"
	J2KPart2Lossless         study.UID = "1.2.840.10008.1.2.4.92"
	J2KPart2                 study.UID = "1.2.840.10008.1.2.4.93"
	MPEG2                    study.UID = "1.2.840.10008.1.2.4.100"
	MPEG2High                study.UID = "1.2.840.10008.1.2.4.101"
	MPEG4                    study.UID = "1.2.840.10008.1.2.4.102"
	MPEG4BD                  study.UID = "1.2.840.10008.1.2.4.103"
	MPEG42D                  study.UID = "1.2.840.10008.1.2.4.104"
	MPEG43D                  study.UID = "1.2.840.10008.1.2.4.105"
	MPEG4Stereo              study.UID = "1.2.840.10008.1.2.4.106"
	HEVC                     study.UID = "1.2.840.10008.1.2.4.107"
	HEVC10                   study.UID = "1.2.840.10008.1.2.4.108"
	JPEGXLLossless           study.UID = "1.2.840.10008.1.2.4.110"
	JPEGXLRecompression      study.UID = "1.2.840.10008.1.2.4.111"
	JPEGXL                   study.UID = "1.2.840.10008.1.2.4.112"
	HTJ2KLossless            study.UID = "1.2.840.10008.1.2.4.201"
	HTJ2KLosslessRPCL        study.UID = "1.2.840.10008.1.2.4.202"
	HTJ2K                    study.UID = "1.2.840.10008.1.2.4.203"
	RLE                      study.UID = "1.2.840.10008.1.2.5"
	DeflatedFrames           study.UID = "1.2.840.10008.1.2.8.1"
)

// SOP classes that the project names, PS3.4 §B.5 and PS3.6 §A.
const (
	Verification             study.UID = "1.2.840.10008.1.1"
	DirectoryStorage         study.UID = "1.2.840.10008.1.3.10"
	StorageCommitment        study.UID = "1.2.840.10008.1.20.1"
	CRImage                  study.UID = "1.2.840.10008.5.1.4.1.1.1"
	DXImagePresentation      study.UID = "1.2.840.10008.5.1.4.1.1.1.1"
	DXImageProcessing        study.UID = "1.2.840.10008.5.1.4.1.1.1.1.1"
	MGImagePresentation      study.UID = "1.2.840.10008.5.1.4.1.1.1.2"
	MGImageProcessing        study.UID = "1.2.840.10008.5.1.4.1.1.1.2.1"
	CTImage                  study.UID = "1.2.840.10008.5.1.4.1.1.2"
	EnhancedCTImage          study.UID = "1.2.840.10008.5.1.4.1.1.2.1"
	LegacyEnhancedCTImage    study.UID = "1.2.840.10008.5.1.4.1.1.2.2"
	USMultiframeImage        study.UID = "1.2.840.10008.5.1.4.1.1.3.1"
	MRImage                  study.UID = "1.2.840.10008.5.1.4.1.1.4"
	EnhancedMRImage          study.UID = "1.2.840.10008.5.1.4.1.1.4.1"
	USImage                  study.UID = "1.2.840.10008.5.1.4.1.1.6.1"
	SecondaryCapture         study.UID = "1.2.840.10008.5.1.4.1.1.7"
	MultiframeByteCapture    study.UID = "1.2.840.10008.5.1.4.1.1.7.2"
	MultiframeWordCapture    study.UID = "1.2.840.10008.5.1.4.1.1.7.3"
	MultiframeColorCapture   study.UID = "1.2.840.10008.5.1.4.1.1.7.4"
	GrayscalePresentation    study.UID = "1.2.840.10008.5.1.4.1.1.11.1"
	XAImage                  study.UID = "1.2.840.10008.5.1.4.1.1.12.1"
	BreastTomosynthesisImage study.UID = "1.2.840.10008.5.1.4.1.1.13.1.3"
	BreastProjectionImage    study.UID = "1.2.840.10008.5.1.4.1.1.13.1.4"
	NMImage                  study.UID = "1.2.840.10008.5.1.4.1.1.20"
	ParametricMap            study.UID = "1.2.840.10008.5.1.4.1.1.30"
	Segmentation             study.UID = "1.2.840.10008.5.1.4.1.1.66.4"
	LabelMapSegmentation     study.UID = "1.2.840.10008.5.1.4.1.1.66.7"
	WholeSlideImage          study.UID = "1.2.840.10008.5.1.4.1.1.77.1.6"
	BasicTextSR              study.UID = "1.2.840.10008.5.1.4.1.1.88.11"
	EnhancedSR               study.UID = "1.2.840.10008.5.1.4.1.1.88.22"
	ComprehensiveSR          study.UID = "1.2.840.10008.5.1.4.1.1.88.33"
	Comprehensive3DSR        study.UID = "1.2.840.10008.5.1.4.1.1.88.34"
	MammographyCADSR         study.UID = "1.2.840.10008.5.1.4.1.1.88.50"
	KeyObjectSelection       study.UID = "1.2.840.10008.5.1.4.1.1.88.59"
	ChestCADSR               study.UID = "1.2.840.10008.5.1.4.1.1.88.65"
	RadiationDoseSR          study.UID = "1.2.840.10008.5.1.4.1.1.88.67"
	SimpleAnnotations        study.UID = "1.2.840.10008.5.1.4.1.1.91.1"
	EncapsulatedPDF          study.UID = "1.2.840.10008.5.1.4.1.1.104.1"
	EncapsulatedCDA          study.UID = "1.2.840.10008.5.1.4.1.1.104.2"
	PETImage                 study.UID = "1.2.840.10008.5.1.4.1.1.128"
	EnhancedPETImage         study.UID = "1.2.840.10008.5.1.4.1.1.130"
	RTDose                   study.UID = "1.2.840.10008.5.1.4.1.1.481.2"
	RTStructureSet           study.UID = "1.2.840.10008.5.1.4.1.1.481.3"
	RTPlan                   study.UID = "1.2.840.10008.5.1.4.1.1.481.5"
)

// TransferSyntaxName gives the name of PS3.6 §A, or the UID itself when it is
// not known.
func TransferSyntaxName(u study.UID) string { return name(u) }

// ClassName gives the name of PS3.6 §A, or the UID itself when it is not known.
func ClassName(u study.UID) string { return strings.TrimSuffix(name(u), " SOP Class") }

func name(u study.UID) string {
	if n, ok := lookUp(uids, string(u)); ok {
		return n
	}
	return string(u)
}

// TransferSyntaxes lists the transfer syntaxes of PS3.6 §A, by UID.
func TransferSyntaxes() []study.UID {
	return listed(func(u study.UID) bool { return u == ImplicitLE || strings.HasPrefix(string(u), string(ImplicitLE)+".") })
}

// StorageClasses lists the storage SOP classes of PS3.6 §A, by UID.
func StorageClasses() []study.UID { return listed(IsStorage) }

// listed gives the UIDs of the table that are wanted, sorted as text.
func listed(wanted func(study.UID) bool) (all []study.UID) {
	for line := range strings.Lines(uids) {
		u, _, _ := strings.Cut(line, " ")
		if wanted(study.UID(u)) {
			all = append(all, study.UID(u))
		}
	}
	return all
}

// Encapsulated reports whether the pixel data of a transfer syntax lies in
// fragments, PS3.5 §A.4. A syntax that is not known counts as encapsulated, for
// all that were added since 1993 are.
func Encapsulated(ts study.UID) bool { return !native(ts) }

func native(ts study.UID) bool {
	switch ts {
	case ImplicitLE, ExplicitLE, ExplicitBE, Deflated, "":
		return true
	}
	return false
}

// Video reports whether a transfer syntax holds a film in place of single frames.
func Video(ts study.UID) bool {
	return len(ts) == len(MPEG2) && strings.HasPrefix(string(ts), string(MPEG2[:len(MPEG2)-1]))
}

// IsStorage reports whether a SOP class is one that C-STORE sends, PS3.4 §B.5.
// Classes of vendors are not: what they are must be said by settings.
func IsStorage(class study.UID) bool {
	s := string(class)
	if rest, ok := strings.CutPrefix(s, "1.2.840.10008.5.1.4.1.1."); ok {
		return rest != "" && !strings.HasPrefix(rest, "501.")
	}
	return s == "1.2.840.10008.5.1.4.34.7" || s == "1.2.840.10008.5.1.4.34.10"
}

// IsImage reports whether instances of a storage class hold pixels to look at.
// Segmentations, parametric maps and doses are not counted: they are about
// images. A storage class newer than this code is told by its name only.
func IsImage(class study.UID) bool {
	switch class {
	case "1.2.840.10008.5.1.4.1.1.481.1":
		return true
	case "1.2.840.10008.5.1.4.1.1.6.2": // its name says volume
		return true
	}
	return IsStorage(class) && strings.Contains(name(class), "Image Storage")
}
