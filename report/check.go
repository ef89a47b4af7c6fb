package report

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// Check reads a structured report of ours back from its bytes and holds it against
// the template that it claims, TID 1500, 4000 or 4100: which items stand where, how often, with
// values of which set; and against what no report may bend: every image it refers
// to is in its evidence, the model is named with the hash of its network, and one
// that did not answer says nothing that could be taken for "nothing found". The
// error lists every fault and wraps study.ErrInvalid; it holds no value of a
// patient.
func Check(b []byte) error {
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		return fmt.Errorf("check report: %w", err)
	}
	root, err := tree.Read(h.Data)
	if err != nil {
		return fmt.Errorf("check report: %w", err)
	}
	c := &checker{person: slices.ContainsFunc(root.Items, func(i tree.Item) bool { return i.Name == conceptObserverType && i.Code == valuePerson })}
	all := forms()
	f := all[0]
	if at := slices.IndexFunc(all, func(f form) bool { return f.title == root.Name }); at >= 0 {
		f = all[at]
	}
	c.header(h.Data, f.class)
	c.references(h.Data, root)
	if root.Name != f.title || root.Template != f.tid {
		c.fault("root", "is not TID %s", f.tid)
	}
	rows := f.rows()
	if c.person && f.tid == "1500" {
		rows = verifiedReport()
	}
	c.rows("report", root, rows)
	if f.tid != "1500" {
		c.cadOutcome(root)
	}
	for _, part := range root.Items {
		switch part.Name {
		case conceptLibrary:
			c.library(part)
		case conceptMeasurements:
			c.groups(part)
		case conceptQualitative:
			c.outcome(part)
		}
	}
	if len(c.faults) > 0 {
		return fmt.Errorf("check report: %w: %w", study.ErrInvalid, errors.Join(c.faults...))
	}
	return nil
}

// A checker gathers faults.
type checker struct {
	faults []error
	found  bool               // a measurement group is of a finding
	person bool               // it is a reader's, who has verified a result
	series map[study.UID]bool // in the evidence
}

// maxFaults is how many are told: the rest follows from them.
const maxFaults = 20

func (c *checker) fault(where, format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf("%s %s", where, fmt.Sprintf(format, args...)))
	}
}

// header checks what others forget, PS3.3 §A.35.13, §A.35.5, §A.35.6 and §C.17.2.
func (c *checker) header(d *dicom.Dataset, class study.UID) {
	for _, a := range []struct {
		tag  dicom.Tag
		want string // empty: any
	}{
		{dicom.SOPClassUID, string(class)}, {dicom.Modality, "SR"},
		{dicom.StudyInstanceUID, ""}, {dicom.SeriesInstanceUID, ""}, {dicom.SOPInstanceUID, ""},
		{dicom.CompletionFlag, "COMPLETE"}, {dicom.PreliminaryFlag, map[bool]string{false: "PRELIMINARY", true: "FINAL"}[c.person]},
		{dicom.Manufacturer, ""}, {dicom.ContentDate, ""}, {dicom.ContentTime, ""}, {dicom.InstanceNumber, ""},
	} {
		if got := d.Text(a.tag); got == "" || a.want != "" && got != a.want {
			c.fault(a.tag.Keyword(), "is missing or not what a report of ours says")
		}
	}
	c.verification(d)
	for _, t := range []dicom.Tag{dicom.PatientID, dicom.PatientName, dicom.AccessionNumber, dicom.StudyID,
		dicom.ReferencedPerformedProcedureStepSequence, dicom.PerformedProcedureCodeSequence} {
		if !d.Has(t) {
			c.fault(t.Keyword(), "is not there, be it empty")
		}
	}
}

// verification checks that only what a person observed is verified, and says by whom.
func (c *checker) verification(d *dicom.Dataset) {
	by := d.Items(dicom.VerifyingObserverSequence)
	switch flag := d.Text(dicom.VerificationFlag); {
	case flag == "UNVERIFIED" && len(by) == 0:
	case flag != "VERIFIED" || !c.person:
		c.fault(dicom.VerificationFlag.Keyword(), "is missing or not what a report of ours says")
	case len(by) != 1 || by[0].Text(dicom.VerifyingObserverName) == "" || by[0].Text(dicom.VerifyingOrganization) == "" || by[0].Text(dicom.VerificationDateTime) == "":
		c.fault(dicom.VerifyingObserverSequence.Keyword(), "does not say who has verified it, for whom and when")
	}
}

// references checks that the evidence lists every object that the tree refers to,
// and nothing of another study.
func (c *checker) references(d *dicom.Dataset, root tree.Item) {
	listed := map[study.UID]study.UID{}
	c.series = map[study.UID]bool{}
	for _, list := range []dicom.Tag{dicom.CurrentRequestedProcedureEvidenceSequence, dicom.PertinentOtherEvidenceSequence} {
		for s := range d.Each(list) {
			if s.Text(dicom.StudyInstanceUID) != d.Text(dicom.StudyInstanceUID) {
				c.fault(list.Keyword(), "lists another study")
			}
			for series := range s.Each(dicom.ReferencedSeriesSequence) {
				c.series[study.UID(series.Text(dicom.SeriesInstanceUID))] = true
				for o := range series.Each(dicom.ReferencedSOPSequence) {
					listed[study.UID(o.Text(dicom.ReferencedSOPInstanceUID))] = study.UID(o.Text(dicom.ReferencedSOPClassUID))
				}
			}
		}
	}
	root.Walk(func(i tree.Item) {
		if i.Type != tree.TypeImage {
			return
		}
		class, ok := listed[i.Image.Instance]
		switch {
		case i.Image.Instance == "" || i.Image.Class == "":
			c.fault("IMAGE", "refers to nothing")
		case !ok:
			c.fault("IMAGE "+string(i.Image.Instance), "is not in the evidence")
		case class != i.Image.Class:
			c.fault("IMAGE "+string(i.Image.Instance), "has another class in the evidence")
		}
	})
}

// rows holds the items below one against its template.
func (c *checker) rows(where string, of tree.Item, rows []row) {
	counts := make([]int, len(rows))
	for _, i := range of.Items {
		at := slices.IndexFunc(rows, func(r row) bool { return r.takes(i) })
		// What a template has by name is not taken in by a row for anything else.
		if at >= 0 && rows[at].name.Zero() && !i.Name.Zero() && slices.ContainsFunc(rows, func(r row) bool { return r.named(i) }) {
			at = -1
		}
		if at < 0 {
			c.fault(where, "holds %s %s %s, which is not in its template", i.Relation, i.Type, i.Name.Value)
			continue
		}
		r := rows[at]
		counts[at]++
		c.item(where+" > "+naming(i), i, r)
		if r.below != nil || i.Type != tree.TypeContainer && len(i.Items) > 0 {
			c.rows(where+" > "+naming(i), i, r.below)
		}
	}
	for n, r := range rows {
		if counts[n] < r.least || r.most != many && counts[n] > r.most {
			c.fault(where, "has %d × %s, not %s", counts[n], r.naming(), r.often())
		}
	}
}

// named reports whether a row is for the concept of an item.
func (r row) named(i tree.Item) bool {
	return r.name.Value == i.Name.Value && r.name.Scheme == i.Name.Scheme
}

func (r row) takes(i tree.Item) bool {
	return (r.name.Zero() || r.named(i)) && r.relation == i.Relation && slices.Contains(r.kinds, i.Type)
}

func (r row) naming() string {
	if r.name.Zero() {
		return string(r.kinds[0])
	}
	return r.name.Meaning
}

func (r row) often() string {
	if r.most == many {
		return fmt.Sprintf("at least %d", r.least)
	}
	return fmt.Sprintf("%d to %d", r.least, r.most)
}

func naming(i tree.Item) string {
	if i.Name.Zero() {
		return string(i.Type)
	}
	return i.Name.Meaning
}

// item checks what one item holds.
func (c *checker) item(where string, i tree.Item, r row) {
	if i.Type != tree.TypeImage && (i.Name.Zero() || i.Name.Scheme == "" || i.Name.Meaning == "") {
		c.fault(where, "has no whole concept name")
	}
	switch i.Type {
	case tree.TypeImage:
		if r.name.Zero() && !i.Name.Zero() {
			c.fault(where, "has a concept name, which its row has not")
		}
	case tree.TypeCode:
		if i.Code.Value == "" || i.Code.Scheme == "" || i.Code.Meaning == "" {
			c.fault(where, "has no whole code")
		} else if r.values != nil && !slices.ContainsFunc(r.values, func(v study.Code) bool { return v.Value == i.Code.Value && v.Scheme == i.Code.Scheme }) {
			c.fault(where, "is (%s,%s), which is not in its value set", i.Code.Value, i.Code.Scheme)
		}
	case tree.TypeText:
		if strings.TrimSpace(i.Text) == "" {
			c.fault(where, "is empty")
		}
	case tree.TypeNum:
		if !i.Measured || math.IsNaN(i.Number) || math.IsInf(i.Number, 0) {
			c.fault(where, "has no number")
		}
		if i.Unit.Scheme != "UCUM" || i.Unit.Value == "" {
			c.fault(where, "has no unit of UCUM")
		}
		if i.Unit.Value == "%" && (i.Number < 0 || i.Number > 100) && (i.Name == conceptCertainty || i.Name == conceptImpression) {
			c.fault(where, "is a probability of less than 0 or more than 100 %%")
		}
		if i.Name.Value == conceptScore.Value && i.Name.Scheme == conceptScore.Scheme && (i.Number < 0 || i.Number > 1 || i.Unit.Value != unitNone.Value) {
			c.fault(where, "is a score that is not from 0 to 1, or has a unit")
		}
	}
	if r.holds != nil {
		if wrong := r.holds(i); wrong != "" {
			c.fault(where, "%s", wrong)
		}
	}
}

// library holds the image library to listing an image once, TID 1600.
func (c *checker) library(of tree.Item) {
	listed := map[study.UID]bool{}
	of.Walk(func(i tree.Item) {
		if i.Type == tree.TypeImage && listed[i.Image.Instance] {
			c.fault("image library", "lists an image twice")
		}
		if i.Type == tree.TypeImage {
			listed[i.Image.Instance] = true
		}
	})
}

// groups holds each measurement group against the template that it names.
func (c *checker) groups(of tree.Item) {
	seen := map[string]bool{}
	for n, g := range of.Items {
		where := fmt.Sprintf("measurement group %d", n+1)
		rows, ok := groupRows(g.Template)
		if c.person && !slices.ContainsFunc(g.Items, func(i tree.Item) bool { return i.Name == conceptAlgorithm }) {
			rows = slices.DeleteFunc(rows, func(r row) bool { return r.name == conceptAlgorithm || r.name == conceptAlgorithmVer }) // the reader's own
		}
		if !ok {
			c.fault(where, "names template %q", g.Template)
			continue
		}
		c.rows(where, g, rows)
		c.found = c.found || has(g, conceptFinding) > 0
		switch g.Template {
		case "1410":
			c.plane(where, g)
		case "1411":
			c.volume(where, g)
		}
		for _, i := range g.Items {
			if i.Name == conceptTrackingUID {
				if seen[i.Text] {
					c.fault(where, "has the tracking UID of another one")
				}
				seen[i.Text] = true
			}
		}
	}
}

// has counts the items of a concept in a group.
func has(g tree.Item, name study.Code) (n int) {
	for _, i := range g.Items {
		if i.Name.Value == name.Value && i.Name.Scheme == name.Scheme {
			n++
		}
	}
	return n
}

// plane holds a planar group to one way of giving its region: one region, or one frame of
// a segmentation with the image that it was drawn over.
func (c *checker) plane(where string, g tree.Item) {
	regions, frames := has(g, conceptRegion), has(g, conceptSegmentFrame)
	if regions+frames != 1 {
		c.fault(where, "has %d regions and %d segmentation frames, where it must have exactly one of them", regions, frames)
	}
	if frames != has(g, conceptSegmentedImage) {
		c.fault(where, "does not say of which image its segmentation frame is")
	}
}

// volume holds a volumetric group to one way of giving its region: several regions, or
// a segment with the series that it was drawn over. Only a group of everything that was
// drawn, whose segments have no numbers, is of no finding.
func (c *checker) volume(where string, g tree.Item) {
	count := func(name study.Code) int { return has(g, name) }
	whole := false
	for _, i := range g.Items {
		whole = whole || i.Name.Value == conceptSegment.Value && len(i.Segments) == 0
		if i.Name.Value == conceptSegmented.Value && !c.series[study.UID(i.Text)] {
			c.fault(where, "names a source series that is not in the evidence")
		}
	}
	switch regions, segments := count(conceptRegion), count(conceptSegment); {
	case segments == 0 && regions < 2, segments > 0 && regions > 0:
		c.fault(where, "has %d regions and %d segments, where it must have several of the one or one of the other", regions, segments)
	case segments != count(conceptSegmented):
		c.fault(where, "does not say of which series its segment is")
	case count(conceptFinding) == 0 && !whole:
		c.fault(where, "has no finding")
	}
}

// outcome holds the words for what ran against each other: AI that did not answer,
// or saw a part only, must never look like AI that found nothing.
func (c *checker) outcome(of tree.Item) {
	var summary, status, meaning study.Code
	for _, i := range of.Items {
		switch i.Name {
		case conceptCAD:
			summary = i.Code
		case conceptDetections:
			status = i.Code
		case conceptInterpretation:
			meaning = i.Code
		}
	}
	c.agree(summary, status)
	if !c.person && c.found && summary != allWith && summary != someWith { // a reader's may be of what no model found
		c.fault("outcome", "says (%s), and there are findings", summary.Value)
	}
	answered := status == statusSucceeded || status == statusPartially
	switch {
	case c.person && meaning.Zero(): // the reader's words say it
	case answered && meaning.Zero():
		c.fault("outcome", "does not say what it comes to")
	case !answered && !meaning.Zero():
		c.fault("outcome", "has an interpretation, and AI did not answer")
	case status == statusPartially && meaning == interpretations[study.NotFlagged]:
		c.fault("outcome", "is negative, and AI saw a part only")
	case summary == allWithout && !meaning.Zero() && meaning != interpretations[study.NotFlagged],
		summary == someWithout && meaning == interpretations[study.Flagged]:
		c.fault("outcome", "says (%s), and (%s)", summary.Value, meaning.Value)
	}
}

// agree holds the summary of what ran against the status of the detection.
func (c *checker) agree(summary, status study.Code) {
	want := map[string][]study.Code{
		statusSucceeded.Value:    {allWith, allWithout},
		statusPartially.Value:    {someWith, someWithout},
		statusFailed.Value:       {noneWithout},
		statusNotAttempted.Value: {noneWithout},
	}[status.Value]
	if !slices.Contains(want, summary) {
		c.fault("outcome", "says (%s) and (%s), which contradict each other", summary.Value, status.Value)
	}
}

// networkVersion is a version with the hash of the network behind it.
var networkVersion = regexp.MustCompile(`^\S.*\+sha256:[0-9a-f]{64}$`)

func namesNetwork(i tree.Item) string {
	if !networkVersion.MatchString(i.Text) || strings.HasSuffix(i.Text, strings.Repeat("0", 64)) {
		return "does not name the network by its hash"
	}
	return ""
}

func isUID(i tree.Item) string {
	if _, err := study.ParseUID(i.Text); err != nil {
		return "is no UID"
	}
	return ""
}

// hasPlace checks coordinates: how many numbers its shape has, and what they are
// coordinates of. PS3.3 §C.18.6 and §C.18.9.
func hasPlace(i tree.Item) string {
	per := 2
	if i.Type == tree.TypeSCoord3D {
		per = 3
	}
	n := len(i.Points) / per
	ok := len(i.Points)%per == 0
	switch i.Shape {
	case study.Point:
		ok = ok && n == 1
	case study.Circle:
		ok = ok && n == 2 && per == 2
	case ellipse:
		ok = ok && n == 4
	case study.Outline, polygon:
		ok = ok && n >= 4 && slices.Equal(i.Points[:per], i.Points[len(i.Points)-per:])
	default:
		return fmt.Sprintf("has the shape %q", i.Shape)
	}
	if !ok || slices.ContainsFunc(i.Points, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
		return "has coordinates that are no closed " + string(i.Shape)
	}
	if per == 3 && i.FrameRef == "" {
		return "names no frame of reference"
	}
	if per == 2 && len(i.Items) != 1 {
		return "does not say of which image"
	}
	return ""
}
