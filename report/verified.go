package report

import (
	"fmt"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report/answer"
	"varde/report/cad"
	"varde/study"
)

// Verify makes the report of a result as its reader left it, TID 1500 with the reader
// as the observer: the findings that the reader did not reject, each with the model
// that found it, and those that the reader marked, which no model found. What was
// rejected is said in words and has no place. It decides by its arguments alone.
//
// A finding is outlined in it also where the AI drew it: what a physician has signed must
// not lose its places when the AI's masks are replaced or taken back. So it refers to
// none of our objects, [Options.Objects].
func Verify(s study.Study, instances []study.Instance, r study.Result, g answer.Answer, o Options) Document {
	o.Objects, o.Segments = nil, nil
	d := Build(s, instances, r, o)
	d.Earlier = o.Earlier
	d.UID, d.Series = names(d.Device, r, KindVerified, "", speech(o.Lang), study.PurposeVerified)
	d.At, d.Label, d.Reading = g.At.In(d.At.Location()), tongue(o.Lang).T("verified.series"), &g
	b := builder{language: tongue(o.Lang), result: g.Left(r), document: &d, planes: planes(d.Evidence)}
	items := []tree.Item{
		tree.Code(tree.HasConceptMod, conceptLanguage, b.code, tree.Code(tree.HasConceptMod, conceptCountry, b.country)),
		tree.Code(tree.HasObsContext, conceptObserverType, valuePerson),
		tree.PName(tree.HasObsContext, conceptPersonName, personName(g.By)),
	}
	if g.Organization != "" {
		items = append(items, tree.Text(tree.HasObsContext, conceptPersonOrganization, g.Organization))
	}
	items = append(items, tree.Code(tree.HasConceptMod, conceptProcedure, valueProcedure))
	if len(d.Evidence) > 0 {
		items = append(items, b.library())
	}
	var groups []tree.Item
	for _, f := range b.result.Findings {
		groups = append(groups, b.finding(f))
	}
	for n, m := range g.Missed {
		if m.Mark != nil && slices.ContainsFunc(d.Evidence, func(i study.Instance) bool { return i.UID == m.Mark.Instance }) {
			groups = append(groups, b.missed(n, *m.Mark))
		}
	}
	if len(groups) > 1 && regions(groups) == 1 {
		mark(groups)
	}
	if len(groups) > 0 {
		items = append(items, tree.Container(tree.Contains, conceptMeasurements, "", groups...))
	}
	summary, status := cad.Outcome(r)
	said := append(b.algorithm(tree.Contains), tree.Code(tree.Contains, conceptCAD, summary), tree.Code(tree.Contains, conceptDetections, status))
	for n, text := range b.read(r, g) {
		name := conceptComment
		if n == 0 {
			name = conceptSummary
		}
		said = append(said, tree.Text(tree.Contains, name, text))
	}
	items = append(items, tree.Container(tree.Contains, conceptQualitative, "", said...))
	d.Root = tree.Container(tree.Root, conceptReport, "1500", items...)
	return d
}

// missed makes the measurement group of what the reader marked, TID 1410: no model
// stands in it.
func (b *builder) missed(n int, mark study.Region) tree.Item {
	return tree.Container(tree.Contains, conceptGroup, "1410",
		tree.Text(tree.HasObsContext, conceptTrackingID, b.T("verified.tracking", n+1)),
		tree.UIDRef(tree.HasObsContext, conceptTrackingUID, study.DerivedUID(string(b.result.Study), "missed", string(mark.Instance), fmt.Sprint(mark.Frame, mark.Points))),
		tree.Code(tree.Contains, conceptFinding, valueFinding),
		b.region(mark))
}

// read says in sentences what the reader made of the result.
func (b *builder) read(r study.Result, g answer.Answer) []string {
	return g.Lines(b.Lang, r, b.told(), b.Moment(b.document.At))
}

// personName is the name of an account as a person's, PS3.5 §6.2.1: an account that
// gives it in parts is taken at its word, and of any other the last word is the family
// name.
func personName(account string) string {
	account = strings.Join(strings.Fields(strings.NewReplacer("=", " ", "\\", " ").Replace(account)), " ")
	if n := strings.LastIndex(account, " "); n > 0 && !strings.Contains(account, "^") {
		return account[n+1:] + "^" + account[:n]
	}
	return account
}

// verification writes who has verified a report, PS3.3 §C.17.2: only with the
// organization that answers for the reader.
func (d Document) verification(o *dicom.Object) {
	switch g := d.Reading; {
	case g == nil:
		o.Set(dicom.VerificationFlag, "UNVERIFIED").Set(dicom.PreliminaryFlag, "PRELIMINARY")
	case g.Organization == "":
		o.Set(dicom.VerificationFlag, "UNVERIFIED").Set(dicom.PreliminaryFlag, "FINAL")
	default:
		o.Set(dicom.VerificationFlag, "VERIFIED").Set(dicom.PreliminaryFlag, "FINAL").
			Seq(dicom.VerifyingObserverSequence, dicom.NewItem().
				Set(dicom.VerifyingOrganization, g.Organization).
				Set(dicom.VerificationDateTime, d.At.Format("20060102150405-0700")).
				Set(dicom.VerifyingObserverName, personName(g.By)).
				Seq(dicom.VerifyingObserverIdentificationSequence))
	}
}
