package tree

import "varde/internal/dicom"

// Write puts the item, and all below it, into the data set that holds it.
func (i Item) Write(o *dicom.Item) {
	if i.Relation != Root {
		o.Set(dicom.RelationshipType, string(i.Relation))
	}
	if len(i.Target) > 0 {
		places := make([]any, len(i.Target))
		for k, n := range i.Target {
			places[k] = n
		}
		o.Set(dicom.ReferencedContentItemIdentifier, places...)
		return
	}
	o.Set(dicom.ValueType, string(i.Type))
	if !i.Name.Zero() {
		o.Seq(dicom.ConceptNameCodeSequence, dicom.CodeItem(i.Name))
	}
	switch i.Type {
	case TypeContainer:
		o.Set(dicom.ContinuityOfContent, separateContent)
		if i.Template != "" {
			o.Seq(dicom.ContentTemplateSequence, dicom.NewItem().
				Set(dicom.MappingResource, "DCMR").Set(dicom.TemplateIdentifier, i.Template))
		}
	case TypeCode:
		o.Seq(dicom.ConceptCodeSequence, dicom.CodeItem(i.Code))
	case TypeText:
		o.Set(dicom.TextValue, i.Text)
	case TypePName:
		o.Set(dicom.PersonName, i.Text)
	case TypeDate:
		o.Set(dicom.Date, i.Text)
	case TypeTime:
		o.Set(dicom.Time, i.Text)
	case TypeUIDRef:
		o.Set(dicom.UID, i.Text)
	case TypeNum:
		o.Seq(dicom.MeasuredValueSequence, dicom.NewItem().
			Set(dicom.NumericValue, i.Number).
			Seq(dicom.MeasurementUnitsCodeSequence, dicom.CodeItem(i.Unit)))
	case TypeImage, TypeComposite:
		ref := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, i.Image.Class).Set(dicom.ReferencedSOPInstanceUID, i.Image.Instance)
		if i.Image.Frame > 0 {
			ref.Set(dicom.ReferencedFrameNumber, i.Image.Frame)
		}
		if len(i.Segments) > 0 {
			numbers := make([]any, len(i.Segments))
			for k, n := range i.Segments {
				numbers[k] = n
			}
			ref.Set(dicom.ReferencedSegmentNumber, numbers...)
		}
		o.Seq(dicom.ReferencedSOPSequence, ref)
	case TypeSCoord:
		o.Set(dicom.GraphicType, string(i.Shape)).Set(dicom.GraphicData, i.Points)
		if i.Total {
			o.Set(dicom.PixelOriginInterpretation, "VOLUME")
		}
	case TypeSCoord3D:
		o.Set(dicom.GraphicType, string(i.Shape)).Set(dicom.GraphicData, i.Points).
			Set(dicom.ReferencedFrameOfReferenceUID, i.FrameRef)
	}
	below := make([]*dicom.Item, len(i.Items))
	for k, c := range i.Items {
		below[k] = dicom.NewItem()
		c.Write(below[k])
	}
	if len(below) > 0 {
		o.Seq(dicom.ContentSequence, below...)
	}
}
