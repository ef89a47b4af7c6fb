// Package capture writes what a model found as pictures that every archive and
// viewer shows: Secondary Captures.
//
//	Views         the images that a result is shown on
//	NewPicture    a decoded frame as it is seen; Overview a whole slide
//	Ringed        a picture with its findings ringed
//	Banner        the few lines that no picture of a result goes without
//	Work.Objects  captures of these, with rings and a banner, and pages of text
//
// The banner stands above and below the picture, so that nothing of it is covered
// but by the rings. It says what AI found in words, whether AI saw everything,
// which model by its hash, and that it is not for diagnosis. A result without an
// image to show, one that is partial, failed or out of scope has a page of text,
// which says exactly that: no capture ever looks as if nothing had been found
// when AI did not look.
package capture

import (
	"fmt"
	"image"
	"strings"

	"varde/internal/dicom"
	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// seriesNumber is that of captures, behind those of the other objects.
const seriesNumber = 9906

// A Work is what captures are made from. It is one result's.
type Work struct {
	Identity  identity.Identity
	Result    study.Result
	Instances []study.Instance // the study's
	Told      words.Told       // the result in words; its language is that of the captures
	// Name gives the n-th capture its UID and that of the series, made from what
	// it is about.
	Name func(n int) (object, series study.UID)
}

// Objects writes the captures, each a Part 10 file, all of one series: a page of
// text where one is needed, and then each view that has a picture. pictures are
// those of [Views], in their order; one without pixels could not be read, and is
// left out, which the page of text then makes up for. The same arguments give the
// same bytes.
func (w Work) Objects(views []View, pictures []Picture) ([][]byte, error) {
	if len(views) != len(pictures) {
		return nil, fmt.Errorf("%d pictures of %d views: %w", len(pictures), len(views), study.ErrInvalid)
	}
	shown := 0
	for _, p := range pictures {
		if len(p.RGB) > 0 {
			shown++
		}
	}
	var out [][]byte
	add := func(m *image.RGBA, of *View) error {
		b, err := w.object(len(out), m, of)
		if err != nil {
			return fmt.Errorf("encode capture %d: %w", len(out)+1, err)
		}
		out = append(out, b)
		return nil
	}
	if shown < len(views) || shown == 0 || w.Result.Partial() || w.Result.AI != study.Flagged {
		pages, err := w.pages(len(views) - shown)
		if err != nil {
			return nil, err
		}
		for _, m := range pages {
			if err := add(m, nil); err != nil {
				return nil, err
			}
		}
	}
	n := 0
	for k, v := range views {
		if len(pictures[k].RGB) == 0 {
			continue
		}
		n++
		m, err := w.image(v, pictures[k], n, shown)
		if err != nil {
			return nil, err
		}
		if err := add(m, &v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Tags of the modules SC Equipment and SC Image, PS3.3 §C.8.6.
const (
	dateOfSecondaryCapture        dicom.Tag = 0x00181012
	timeOfSecondaryCapture        dicom.Tag = 0x00181014
	secondaryCaptureDeviceID      dicom.Tag = 0x00181010
	secondaryCaptureDeviceMaker   dicom.Tag = 0x00181016
	secondaryCaptureDeviceModel   dicom.Tag = 0x00181018
	secondaryCaptureDeviceVersion dicom.Tag = 0x00181019
)

var purpose = study.Code{Value: "121322", Scheme: "DCM", Meaning: "Source image for image processing operation"}

// object writes one capture. It is a plain Secondary Capture (PS3.3 §A.8.1), one
// RGB image each and uncompressed: the multi-frame classes of §A.8.3 and §A.8.5
// would put all of them into one object, but there are archives, and viewers in
// records most of all, that take or show only the plain one.
func (w Work) object(n int, m *image.RGBA, v *View) ([]byte, error) {
	uid, series := w.Name(n)
	id := w.Identity
	o := dicom.NewObject(dicom.SecondaryCapture, uid)
	id.Write(o)
	o.Set(dicom.Modality, "OT"). // no image of the modality: no hanging protocol must take it for one
					Set(dicom.SeriesInstanceUID, series).Set(dicom.SeriesNumber, seriesNumber).Set(dicom.Laterality).
					Set(dicom.SeriesDescription, short(w.Told.Lang.T("capture.series"), 64)).Set(dicom.InstanceNumber, n+1).
					Set(dicom.ConversionType, "WSD").
					Set(secondaryCaptureDeviceID, short(id.Device.Name, 64)).
					Set(secondaryCaptureDeviceMaker, short(id.Device.Manufacturer, 64)).
					Set(secondaryCaptureDeviceModel, short(id.Device.Model, 64)).
					Set(secondaryCaptureDeviceVersion, short(id.Device.Version, 64)).
					Set(dateOfSecondaryCapture, id.At).Set(timeOfSecondaryCapture, id.At).
					Set(dicom.ImageType, "DERIVED", "SECONDARY").
					Set(dicom.PatientOrientation). // there are letters on it: it has no sides of a patient
					Set(dicom.DerivationDescription, short(w.derivation(), 1024)).
					Set(dicom.ImageComments, short(strings.Join(Banner(w.Told, w.Result), " "), 10240)).
		// It names the examination by its date and accession number.
		Set(dicom.BurnedInAnnotation, "YES").
		Set(dicom.LossyImageCompression, "00")
	if v != nil {
		in := v.Instance
		source := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, in.Class).Set(dicom.ReferencedSOPInstanceUID, in.UID).
			Seq(dicom.PurposeOfReferenceCodeSequence, dicom.CodeItem(purpose))
		if in.Image.Frames > 1 && !v.Slide() {
			source.Set(dicom.ReferencedFrameNumber, v.Frame)
		}
		o.Seq(dicom.SourceImageSequence, source)
		if in.Image.Lossy {
			o.Set(dicom.LossyImageCompression, "01") // what was once lost is not found again
		}
	}
	rgb := make([]byte, 0, 3*m.Rect.Dx()*m.Rect.Dy())
	for i := 0; i < len(m.Pix); i += 4 {
		rgb = append(rgb, m.Pix[i:i+3]...)
	}
	o.Native(m.Rect.Dy(), m.Rect.Dx(), 3, 8, false, rgb)
	return o.Encode()
}

// short keeps a text of ours to what an attribute holds.
func short(s string, most int) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, `\`, "/"))
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
