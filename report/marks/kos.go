package marks

import (
	"fmt"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report/identity"
	"varde/study"
)

// Concepts of TID 2010, PS3.16.
var (
	conceptOfInterest   = identity.DCM("113000", "Of Interest")
	conceptObserverType = identity.DCM("121005", "Observer Type")
	conceptDeviceUID    = identity.DCM("121012", "Device Observer UID")
	conceptDeviceName   = identity.DCM("121013", "Device Observer Name")
	conceptDescription  = identity.DCM("113012", "Key Object Description")
	valueDevice         = identity.DCM("121007", "Device")
)

// Keys writes the images with findings as a Key Object Selection (PS3.3 §A.35.4,
// TID 2010 of PS3.16) in a Part 10 file, frame by frame where an image has several.
// Without a finding on an image there is none, and nil.
func (w Work) Keys() ([]byte, error) {
	spots := w.spots()
	var evidence []study.Instance
	var images []tree.Item
	for _, in := range w.Instances {
		if in.Image == nil || len(spots[in.UID]) == 0 {
			continue
		}
		evidence = append(evidence, in)
		seen := map[int]bool{}
		for _, s := range spots[in.UID] {
			frame := s.region.Frame
			if in.Image.Frames <= 1 {
				frame = 0
			}
			if !seen[frame] {
				images = append(images, tree.Image(tree.Contains, tree.Reference{Class: in.Class, Instance: in.UID, Frame: frame}))
			}
			seen[frame] = true
		}
	}
	if len(images) == 0 {
		return nil, nil
	}
	uid, series := w.Name(0)
	say := tongue(w.Lang)
	o := dicom.NewObject(dicom.KeyObjectSelection, uid)
	w.Identity.Write(o)
	o.Set(dicom.Modality, "KO").Set(dicom.SeriesInstanceUID, series).Set(dicom.SeriesNumber, keySeries).
		Set(dicom.SeriesDescription, say.keys).Set(dicom.InstanceNumber, 1).
		Seq(dicom.ReferencedPerformedProcedureStepSequence).
		Seq(dicom.CurrentRequestedProcedureEvidenceSequence, dicom.NewItem().
			Set(dicom.StudyInstanceUID, w.Identity.Study.UID).Seq(dicom.ReferencedSeriesSequence, bySeries(evidence, dicom.ReferencedSOPSequence)...))
	text := fmt.Sprintf(say.keyText, w.Result.Name, w.Result.Model, w.Result.Model.SHA256) + " " + say.disclaimer
	if w.Result.Partial() {
		text += " " + say.partial
	}
	device := w.Identity.Device.Filled()
	items := append([]tree.Item{
		tree.Code(tree.HasObsContext, conceptObserverType, valueDevice),
		tree.UIDRef(tree.HasObsContext, conceptDeviceUID, device.UID),
		tree.Text(tree.HasObsContext, conceptDeviceName, device.Name),
		tree.Text(tree.Contains, conceptDescription, text),
	}, images...)
	tree.Container(tree.Root, conceptOfInterest, "2010", items...).Write(o.Item)
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode key images: %w", err)
	}
	return b, nil
}
