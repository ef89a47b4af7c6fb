package plan

import (
	"slices"

	"varde/study"
)

// papers are the SOP classes of objects that tell of images and hold none (PS3.4
// §B.5): reports, key object selections, presentation states and documents. Dose
// reports and procedure logs are left out on purpose: where the patient was exposed
// there are images to read, here or still to come. So is whatever may hold a curve, a
// drawing or a plan.
var papers = map[study.UID]bool{
	"1.2.840.10008.5.1.4.1.1.88.11": true, // basic text SR
	"1.2.840.10008.5.1.4.1.1.88.22": true, // enhanced SR
	"1.2.840.10008.5.1.4.1.1.88.33": true, // comprehensive SR
	"1.2.840.10008.5.1.4.1.1.88.34": true, // comprehensive 3D SR
	"1.2.840.10008.5.1.4.1.1.88.35": true, // extensible SR
	"1.2.840.10008.5.1.4.1.1.88.50": true, // mammography CAD SR
	"1.2.840.10008.5.1.4.1.1.88.65": true, // chest CAD SR
	"1.2.840.10008.5.1.4.1.1.88.69": true, // colon CAD SR
	"1.2.840.10008.5.1.4.1.1.88.59": true, // key object selection
	"1.2.840.10008.5.1.4.1.1.11.1":  true, // softcopy presentation state: gray scale
	"1.2.840.10008.5.1.4.1.1.11.2":  true, // … color
	"1.2.840.10008.5.1.4.1.1.11.3":  true, // … pseudo-color
	"1.2.840.10008.5.1.4.1.1.11.4":  true, // … blending
	"1.2.840.10008.5.1.4.1.1.104.1": true, // encapsulated PDF
	"1.2.840.10008.5.1.4.1.1.104.2": true, // encapsulated CDA
}

// paperModalities are those under which such objects come. A document that bears the
// modality of a device may be the exam itself, as of an eye or a lung.
var paperModalities = []study.Modality{"SR", "KO", "PR", "DOC"}

// nothingToRead reports whether a study holds papers and nothing else: each object must
// say so by its SOP class and by its modality, and no object may be in dispute. If in
// doubt there is something to read.
func nothingToRead(s study.Study, instances []study.Instance) bool {
	return len(instances) > 0 && s.Conflicts == 0 && !slices.ContainsFunc(instances, func(in study.Instance) bool {
		return in.Image != nil || !papers[in.Class] || !slices.Contains(paperModalities, in.Modality)
	})
}
