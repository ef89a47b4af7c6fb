package evidence

import (
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// A By is what kind of maker something has.
type By string

// The kinds. What is not known to be made by a person is handled as if a machine had
// made it.
const (
	Person  By = "person"
	Machine By = "machine"
	Unknown By = "unknown"
)

// A Source is the equipment that wrote an object, PS3.3 §C.7.5.1.
type Source struct {
	Maker, Model, Version string
	Institution           string
	Series                string // what the series is called
}

// An Author is somebody or something that is named as the one who observed or wrote.
type Author struct {
	By   By
	Name string // of a person as DICOM writes it, or of a device
}

// A Program is an algorithm.
type Program struct{ Name, Version string }

// Of observers and algorithms, PS3.16 TID 1002 to 1004 and TID 4019.
var (
	observerType   = study.Code{Value: "121005", Scheme: "DCM"}
	observerDevice = study.Code{Value: "121007", Scheme: "DCM"}
	personName     = study.Code{Value: "121008", Scheme: "DCM"}
	deviceName     = study.Code{Value: "121013", Scheme: "DCM"}
	deviceMaker    = study.Code{Value: "121014", Scheme: "DCM"}
	deviceModel    = study.Code{Value: "121015", Scheme: "DCM"}
	programName    = study.Code{Value: "111001", Scheme: "DCM"}
	programVersion = study.Code{Value: "111003", Scheme: "DCM"}
)

// observerKind is PSN or DEV, PS3.3 §C.17.2.5.
const observerKind dicom.Tag = 0x0040A084

// maxMakers bounds how many authors, verifiers and algorithms are told.
const maxMakers = 32

func sourceOf(d *dicom.Dataset) Source {
	return Source{Maker: d.Text(dicom.Manufacturer), Model: d.Text(dicom.ManufacturerModelName), Version: strings.Join(d.Texts(dicom.SoftwareVersions), " "),
		Institution: d.Text(dicom.InstitutionName), Series: d.Text(dicom.SeriesDescription)}
}

// replaced names the documents that one takes the place of, PS3.3 §C.17.2.
func replaced(d *dicom.Dataset) (all []study.UID) {
	for s := range d.Each(dicom.PredecessorDocumentsSequence) {
		for series := range s.Each(dicom.ReferencedSeriesSequence) {
			for one := range series.Each(dicom.ReferencedSOPSequence) {
				if uid := study.UID(one.Text(dicom.ReferencedSOPInstanceUID)); uid != "" && len(all) < maxMakers {
					all = append(all, uid)
				}
			}
		}
	}
	return all
}

// makers reads who made a document: who its header names, and whom its tree does.
func (d *Document) makers(o *dicom.Dataset) {
	for one := range o.Each(dicom.AuthorObserverSequence) {
		a := Author{By: Person, Name: one.Text(dicom.PersonName)}
		if one.Text(observerKind) == "DEV" {
			a = Author{By: Machine, Name: joined(one.Text(dicom.Manufacturer), one.Text(dicom.ManufacturerModelName))}
		}
		d.author(a)
	}
	for one := range o.Each(dicom.VerifyingObserverSequence) {
		if name := one.Text(dicom.VerifyingObserverName); name != "" && len(d.Verifiers) < maxMakers && !slices.Contains(d.Verifiers, name) {
			d.Verifiers = append(d.Verifiers, name)
		}
	}
	d.Tree.Walk(func(i tree.Item) {
		for _, a := range observers(i) {
			d.author(a)
		}
		for _, p := range programsBelow(i) {
			if len(d.Programs) < maxMakers && !slices.Contains(d.Programs, p) {
				d.Programs = append(d.Programs, p)
			}
		}
	})
}

func (d *Document) author(a Author) {
	if len(d.Authors) < maxMakers && !slices.Contains(d.Authors, a) {
		d.Authors = append(d.Authors, a)
	}
}

// observers gives those among the items directly below one. An observer whose type is
// not said is a person, TID 1002.
func observers(parent tree.Item) (all []Author) {
	at := -1
	begin := func(by By) {
		all = append(all, Author{By: by})
		at = len(all) - 1
	}
	for _, i := range parent.Items {
		if i.Relation != tree.HasObsContext {
			continue
		}
		switch {
		case is(i.Name, observerType) && is(i.Code, observerDevice):
			begin(Machine)
		case is(i.Name, observerType):
			begin(Person)
		case is(i.Name, personName):
			if at < 0 || all[at].By != Person || all[at].Name != "" {
				begin(Person)
			}
			all[at].Name = i.Text
		case is(i.Name, deviceName), is(i.Name, deviceMaker), is(i.Name, deviceModel):
			if at < 0 || all[at].By != Machine {
				begin(Machine)
			}
			all[at].Name = joined(all[at].Name, i.Text)
		}
	}
	return all
}

// joined puts words together that don't say the same twice.
func joined(a, b string) string {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	switch {
	case strings.Contains(a, b):
		return a
	case strings.Contains(b, a):
		return b
	}
	return a + " " + b
}

// programsBelow gives the algorithms that items directly below one name: a name, and
// the version that follows it.
func programsBelow(parent tree.Item) (all []Program) {
	for _, i := range parent.Items {
		switch {
		case is(i.Name, programName):
			all = append(all, Program{Name: i.Text})
		case is(i.Name, programVersion) && len(all) > 0 && all[len(all)-1].Version == "":
			all[len(all)-1].Version = i.Text
		}
	}
	return all
}

// programsIn gives those anywhere in a group.
func programsIn(g tree.Item) (all []Program) {
	g.Walk(func(i tree.Item) { all = append(all, programsBelow(i)...) })
	return all
}

// By says what kind of maker the document has. One that names an algorithm, or is a
// report of computer aided detection, is a machine's, whoever signed it. One that
// persons alone observed, or that a person has verified, is a person's. For all others
// it can't be told.
func (d Document) By() By {
	machine := slices.ContainsFunc(d.Authors, func(a Author) bool { return a.By == Machine })
	person := slices.ContainsFunc(d.Authors, func(a Author) bool { return a.By == Person })
	switch {
	case len(d.Programs) > 0 || slices.Contains(detection[:], d.Class) || machine && !person && len(d.Verifiers) == 0:
		return Machine
	case d.Verified && len(d.Verifiers) > 0 || person && !machine:
		return Person
	}
	return Unknown
}

// detection are the classes of computer aided detection: mammography, chest, colon.
var detection = [...]study.UID{dicom.MammographyCADSR, dicom.ChestCADSR, "1.2.840.10008.5.1.4.1.1.88.69"}

// By says what kind of maker the segmentation has: a person only where every segment
// was drawn by hand.
func (s Segmentation) By() By {
	if len(s.Segments) > 0 && !slices.ContainsFunc(s.Segments, func(x Segment) bool { return x.AlgorithmType != "MANUAL" }) {
		return Person
	}
	return Machine
}
