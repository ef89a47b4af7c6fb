package statement

import (
	"slices"
	"strings"

	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/report"
	"varde/study"
)

// A writtenKind is one kind of what is written, and who gets it.
type writtenKind struct {
	Kind      string   `json:"kind"`
	Media     string   `json:"media_type"`
	Classes   []named  `json:"sop_classes,omitempty"`
	Templates string   `json:"templates,omitempty"`
	Of        string   `json:"of"`
	Holds     string   `json:"holds"`
	Always    bool     `json:"always"` // kept in the house whoever wants it
	To        []string `json:"destinations"`
}

// kindFacts says of each kind of outgoing thing what it is. A test holds it against
// the kinds that the writer knows.
func kindFacts() []writtenKind {
	dicomKind := func(kind, templates, of, holds string, classes ...study.UID) writtenKind {
		return writtenKind{Kind: kind, Classes: name(classes...), Templates: templates, Of: of, Holds: holds}
	}
	return []writtenKind{
		dicomKind("sr", "TID 1500, 1410, 1411, 1501, 1600, 4019", "a result",
			"findings, measurements, labels and what became of the AI; images and heatmaps in the Image Library; annotations in Pertinent Other Evidence; Predecessor Documents", dicom.Comprehensive3DSR),
		dicomKind("mammo", "TID 4000 and those below it", "a result on mammograms", "the same for workstations that read no other SR", dicom.MammographyCADSR),
		dicomKind("chest", "TID 4100 and those below it", "a result on the chest", "the same for workstations that read no other SR", dicom.ChestCADSR),
		dicomKind("seg", "", "a slide", "the heatmap: fractional, with a segment that says where AI looked", dicom.Segmentation),
		dicomKind("mask", "", "a result with masks", "what the network drew: binary, fractional, or a label map", dicom.Segmentation, dicom.LabelMapSegmentation),
		dicomKind("pm", "", "a slide; a volume, of models whose card has the probabilities kept", "of a slide the network's numbers as floats; of a volume one for each thing, the probabilities in steps of 1/255 on the network's own grid", dicom.ParametricMap),
		dicomKind("ann", "", "a slide with findings", "points, circles and outlines", dicom.SimpleAnnotations),
		dicomKind("gsps", "", "images with findings", "rings, and words with the finding's number and the model; one for each modality and rescaling; the images' own windows; all in one graphic layer", dicom.GrayscalePresentation),
		dicomKind("kos", "TID 2010", "images with findings", "Of Interest: the images, or their frames", dicom.KeyObjectSelection),
		dicomKind("verified", "TID 1500, 1003, 1410, 1411, 1501, 4019", "a result, once a reader has answered", "the findings as the reader left them, those that the AI missed among them; observer and, with `organization`, verifying observer is the reader", dicom.Comprehensive3DSR),
		dicomKind("reject", "TID 2010, title 113037", "a result that was withdrawn; with `reject_superseded` one that was replaced (113001)", "a rejection note (IOCM) that names the objects that this destination has of it, whatever kinds it gets", dicom.KeyObjectSelection),
		dicomKind("sc", "", "a result", "a capture with rings and a banner, or a page of text; not for diagnosis", dicom.SecondaryCapture),
		dicomKind("pdf", "", "a result", "the report on paper", dicom.EncapsulatedPDF),
		{Kind: "oru", Of: "a result, or its withdrawal", Holds: "HL7 v2 ORU^R01"},
		{Kind: "oru-final", Of: "a result, once a reader has answered", Holds: "HL7 v2 ORU^R01, status F, under a filler number of its own"},
		{Kind: "fhir-r4", Of: "a result, or its withdrawal", Holds: "a FHIR R4 transaction bundle"},
		{Kind: "fhir-r5", Of: "a result, or its withdrawal", Holds: "a FHIR R5 transaction bundle"},
		{Kind: "fhir-r4-final", Of: "a result, once a reader has answered", Holds: "a FHIR R4 transaction bundle of the reader's own report and observations, status final, beside what `fhir-r4` told"},
		{Kind: "fhir-r5-final", Of: "a result, once a reader has answered", Holds: "a FHIR R5 transaction bundle of the reader's own report and observations, status final, beside what `fhir-r5` told"},
	}
}

// writtenKinds are the kinds that this build writes, with those who get them.
func writtenKinds(s settings.Settings) []writtenKind {
	kept := report.Want{}.Gets(s.Marks)
	known := report.Kinds("")
	var all []writtenKind
	for _, k := range kindFacts() {
		if !slices.Contains(known, k.Kind) {
			continue
		}
		k.Media, k.Always, k.To = study.MediaOf(k.Kind), slices.Contains(kept, k.Kind), []string{}
		for _, d := range s.Destinations {
			takesBack := k.Kind == report.KindReject && slices.Contains(d.Media(), study.MediaDICOM)
			if takesBack || slices.Contains(d.Want().Gets(s.Marks), k.Kind) {
				k.To = append(k.To, d.Name)
			}
		}
		all = append(all, k)
	}
	return all
}

// ClassText names the classes of a kind in one cell.
func (k writtenKind) ClassText() string {
	var all []string
	for _, c := range k.Classes {
		all = append(all, strings.TrimSuffix(c.Name, " Storage")+" ("+string(c.UID)+")")
	}
	return strings.Join(all, "; ")
}
