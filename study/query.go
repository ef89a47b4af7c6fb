package study

// A Query asks for studies, series or instances by the matching rules of DICOM,
// PS3.4 §C.2.2.2. What is empty lets all pass. A text may hold the wildcards *
// and ?, and matches in any case of the letters A to Z.
type Query struct {
	Studies   []UID
	Series    []UID
	Instances []UID
	Classes   []UID

	PatientID   string
	PatientName string
	Birth       Range
	Sex         string
	Accession   string
	StudyID     string
	Description string
	Referring   string
	Date        Range
	Time        Range
	Modality    string // of a series; of a study, one of its series'

	SeriesNumber   *int
	SeriesText     string
	InstanceNumber *int

	Offset int
	Limit  int // 0 = 100
}

// A Range is two DICOM dates (YYYYMMDD) or times (HHMMSS), both inclusive; an
// empty end is open.
type Range struct{ From, To string }

// Zero reports whether the range lets all pass.
func (r Range) Zero() bool { return r == Range{} }

// A Match is one study, one series or one instance that a query found, our own
// reports among them.
type Match struct {
	Study      Study
	Modalities []Modality // of the study's series, sorted
	StudySeries,
	StudyInstances int

	// Of a series, and of an instance.
	Series          UID
	SeriesNumber    int
	SeriesText      string
	Modality        Modality
	SeriesInstances int

	Instance Instance // of an instance
}
