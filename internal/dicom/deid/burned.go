package deid

import (
	"fmt"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// A RefusedError says why an object cannot be made safe here. It wraps
// [study.ErrRefused].
type RefusedError struct {
	Why      string
	BurnedIn bool // AllowBurnedIn would let it through
}

// Error tells the reason and the remedy.
func (e *RefusedError) Error() string {
	if e.BurnedIn {
		return e.Why + "; look at the image, and allow burned-in text if there is none"
	}
	return e.Why
}

// Unwrap gives the kind.
func (*RefusedError) Unwrap() error { return study.ErrRefused }

// drawn are the modalities whose devices write text into the pixels.
var drawn = []string{"US", "IVUS", "ES", "XC", "GM", "OT", "SC", "DOC", "DMS", "OP", "OPT", "ECG", "HD", "EPS"}

// captures are the SOP classes of screens and paper.
var captures = []study.UID{dicom.SecondaryCapture, dicom.MultiframeByteCapture, dicom.MultiframeWordCapture,
	dicom.MultiframeColorCapture, "1.2.840.10008.5.1.4.1.1.7.1", dicom.USImage, dicom.USMultiframeImage,
	"1.2.840.10008.5.1.4.1.1.77.1.1", "1.2.840.10008.5.1.4.1.1.77.1.4"}

// refuse finds what Rewrite must not write.
func (p *Profile) refuse(h *dicom.Header) error {
	d := h.Data
	class := study.UID(d.Text(dicom.SOPClassUID))
	switch {
	case h.Truncated:
		return fmt.Errorf("the object ends early; fetch it again: %w", study.ErrInvalid)
	case d.Text(dicom.SOPInstanceUID) == "" || class == "":
		return fmt.Errorf("no SOP class or instance UID: %w", study.ErrInvalid)
	case class == dicom.DirectoryStorage:
		return &RefusedError{Why: "a DICOMDIR lists patients; make a new one from the de-identified files"}
	case d.Has(dicom.EncapsulatedDocument):
		return &RefusedError{Why: "a document such as a PDF cannot be cleaned; leave it out of the export"}
	}
	return nil
}

// cover says what of the pixels is to be covered, nil when nothing is; and refuses
// an image that may show the patient and whose text has no known place.
func (p *Profile) cover(h *dicom.Header) (*cover, error) {
	d := h.Data
	if !hasPixels(d) {
		return nil, nil
	}
	why, whole := burnedIn(d, study.UID(d.Text(dicom.SOPClassUID)))
	if p.options.CleanPixels && !whole {
		g := geometryOf(d, h.TransferSyntax == dicom.ExplicitBE)
		if boxes, known := p.boxes(d, g); known {
			if fault := p.coverable(h, g); fault != "" {
				return nil, &RefusedError{Why: "text in its pixels can't be covered: " + fault, BurnedIn: true}
			}
			return &cover{g, boxes}, nil
		}
		if why != "" {
			why += ", and nothing is known of where; name boxes or a line of regions for its device"
		}
	}
	if why != "" && !p.options.AllowBurnedIn {
		return nil, &RefusedError{Why: why, BurnedIn: true}
	}
	return nil, nil
}

// coverable says why the pixels cannot be written over without loss, or nothing.
func (p *Profile) coverable(h *dicom.Header, g geometry) string {
	if fault := g.check(); fault != "" {
		return fault
	}
	encapsulated := dicom.Encapsulated(h.TransferSyntax)
	switch {
	case !encapsulated:
		return ""
	case h.TransferSyntax != dicom.RLE:
		return "they are compressed as " + dicom.TransferSyntaxName(h.TransferSyntax) + "; have them sent uncompressed or as RLE"
	case g.frame() > maxFrame || g.halved():
		return "a frame is too large or halves its colors"
	}
	return ""
}

func hasPixels(d *dicom.Dataset) bool {
	return d.Has(dicom.PixelData) || d.Has(dicom.FloatPixelData) || d.Has(dicom.DoubleFloatPixelData)
}

// burnedIn tells why the pixels may hold the patient's name or face, or gives the
// empty string. That a device calls its image clean is believed of ordinary
// images, and not of labels and screens. whole says that nothing would be left of
// it, were the text covered.
func burnedIn(d *dicom.Dataset, class study.UID) (why string, whole bool) {
	yes := func(t dicom.Tag) bool { return strings.EqualFold(d.Text(t), "YES") }
	kinds := d.Texts(dicom.ImageType)
	is := func(words ...string) bool {
		return slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(words, strings.ToUpper(k)) })
	}
	modality := d.Text(dicom.Modality)
	switch {
	case is("LABEL"):
		return "it shows the label of a slide; leave it out of the export", true
	case is("OVERVIEW") && !strings.EqualFold(d.Text(dicom.SpecimenLabelInImage), "NO"):
		return "an overview of a slide often shows its label, and its header does not say that it does not; leave it out of the export", true
	case yes(dicom.SpecimenLabelInImage):
		return "it shows the label of a slide", false
	case is("SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "DOSE_INFO", "DOSE"):
		return "it is a picture of a screen", true
	case yes(dicom.RecognizableVisualFeatures):
		return "its header says that the patient can be recognized in the image", true
	case overlayInPixels(d):
		return "an overlay lies in unused bits of its pixels", true
	case yes(dicom.BurnedInAnnotation):
		return "its header says that text is burned into the pixels", false
	case strings.EqualFold(d.Text(dicom.BurnedInAnnotation), "NO"):
		return "", false
	case slices.Contains(captures, class), d.Has(dicom.ConversionType) && d.Text(dicom.ConversionType) != "":
		return "it is a capture, and its header does not say that it is free of burned-in text", false
	case slices.Contains(drawn, modality):
		return fmt.Sprintf("devices of modality %s write text into the pixels, and its header does not say that there is none", modality), false
	}
	return "", false
}

// overlayInPixels looks for overlays that are kept in the pixel data, as was done
// before 2004 (PS3.5 §8.1.2): there the group of the overlay has no data.
func overlayInPixels(d *dicom.Dataset) bool {
	for g := dicom.Tag(0x6000); g <= 0x601E; g += 2 {
		position, ok := d.Int(g<<16 | 0x0102)
		if ok && !d.Has(g<<16|0x3000) && position > 0 {
			return true
		}
	}
	return false
}
