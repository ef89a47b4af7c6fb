package report

import (
	"slices"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report/cad"
	"varde/study"
)

// A form is a kind of structured report that we write.
type form struct {
	title study.Code
	tid   string
	class study.UID
	rows  func() []row
}

func forms() []form {
	return []form{
		{conceptReport, "1500", dicom.Comprehensive3DSR, measurementReport},
		{cad.ConceptMammography, "4000", dicom.MammographyCADSR, mammographyReport},
		{cad.ConceptChest, "4100", dicom.ChestCADSR, chestReport},
	}
}

// The value sets of the CAD reports of which we use members, PS3.16.
var intents = []study.Code{cad.ValuePresent} // CID 6034

// image is a row of an image, and of what is said of it.
func image(r tree.Relation, least, most int, below ...row) row {
	return row{relation: r, kinds: []tree.ValueType{tree.TypeImage}, least: least, most: most, below: below}
}

func num(r tree.Relation, name study.Code, least, most int) row {
	return row{relation: r, kinds: []tree.ValueType{tree.TypeNum}, name: name, least: least, most: most}
}

// library is the image library with its entries, TID 4020.
func library(least int) row {
	about := row{relation: tree.HasAcqContext, kinds: []tree.ValueType{tree.TypeCode, tree.TypeNum, tree.TypeDate, tree.TypeTime}, most: many}
	return container(cad.ConceptLibrary, least, 1, image(tree.Contains, 1, many, about))
}

func spoken() row {
	return code(tree.HasConceptMod, cad.ConceptLanguage, 1, 1, tongues, code(tree.HasConceptMod, conceptCountry, 0, 1, countries))
}

// mammographyReport is TID 4000 with what we use of the templates below it: 4001 and
// 4002 (summary), 4003 (impression), 4006 (finding), 4015 and 4017 (detections).
func mammographyReport() []row {
	impression := container(cad.ConceptImpressions, 0, many,
		code(tree.HasConceptMod, cad.ConceptIntent, 1, 1, intents),
		marking(tree.Contains, tree.HasProperties, 1))
	impression.relation = tree.InferredFrom
	said := append([]row{
		text(tree.HasProperties, cad.ConceptImpression, 0, 1, nil),
		num(tree.HasProperties, cad.ConceptLikelihood, 0, 1),
	}, anAlgorithm(tree.HasProperties, 0)...)
	return []row{spoken(), library(1),
		code(tree.Contains, cad.ConceptSummary, 1, 1, summaries, append(said, impression)...),
		performed(), analyses()}
}

// chestReport is TID 4100 with what we use of the templates below it: 4101 (summary),
// 4104 and 4107 (finding), 4015 and 4017 (detections).
func chestReport() []row {
	return []row{spoken(), library(0),
		code(tree.Contains, cad.ConceptSummary, 1, 1, summaries, marking(tree.InferredFrom, tree.HasObsContext, 0)),
		performed(), analyses()}
}

// marking is a single image finding, TID 4006 and TID 4104: with its intent, its
// identity, the model, and its place on one image of the library.
func marking(r, algorithm tree.Relation, least int) row {
	place := func(name study.Code, least int) row {
		return row{relation: tree.HasProperties, kinds: []tree.ValueType{tree.TypeSCoord}, name: name, least: least, most: 1, holds: hasPlace,
			below: []row{image(tree.SelectedFrom, 1, 1)}}
	}
	below := append([]row{
		code(tree.HasConceptMod, cad.ConceptModifier, 0, 1, nil),
		code(tree.HasConceptMod, cad.ConceptIntent, 1, 1, intents),
		text(tree.HasObsContext, cad.ConceptTrackingID, 1, 1, nil),
		uid(tree.HasObsContext, cad.ConceptTrackingUID, 1, 1),
		place(cad.ConceptCenter, 1), place(cad.ConceptOutline, 0),
		num(tree.HasProperties, cad.ConceptNumber, 0, 1),
		text(tree.HasProperties, cad.ConceptDescription, 0, 1, nil),
	}, algorithmRows(algorithm)...)
	return code(r, cad.ConceptFinding, least, many, nil, below...)
}

// anAlgorithm is TID 4019 where it may be left out.
func anAlgorithm(r tree.Relation, least int) []row {
	rows := algorithmRows(r)
	for i := range rows {
		rows[i].least = min(rows[i].least, least)
	}
	return rows
}

// performed is the summary of detections.
func performed() row {
	group := func(name study.Code) row {
		over := []row{image(tree.HasProperties, 0, many), uid(tree.HasProperties, cad.ConceptSeries, 0, many)}
		c := container(name, 0, 1, code(tree.Contains, cad.ConceptPerformed, 1, many, nil, append(algorithmRows(tree.HasProperties), over...)...))
		c.relation = tree.InferredFrom
		return c
	}
	return code(tree.Contains, cad.ConceptDetections, 1, 1, detections, group(cad.ConceptSuccessful), group(cad.ConceptFailed))
}

// analyses are none: the model's numbers are detections.
func analyses() row {
	return code(tree.Contains, cad.ConceptAnalyses, 1, 1, []study.Code{cad.NotAttempted})
}

// cadOutcome holds what a CAD report says ran against what it says it found: AI that
// did not answer, or saw a part only, must never look like AI that found nothing.
func (c *checker) cadOutcome(root tree.Item) {
	var summary, status tree.Item
	for _, i := range root.Items {
		switch i.Name {
		case cad.ConceptSummary:
			summary = i
		case cad.ConceptDetections:
			status = i
		}
	}
	c.agree(summary.Code, status.Code)
	groups := map[string][]study.Code{
		statusSucceeded.Value: {cad.ConceptSuccessful}, statusFailed.Value: {cad.ConceptFailed},
		statusPartially.Value: {cad.ConceptSuccessful, cad.ConceptFailed},
	}[status.Code.Value]
	var got []study.Code
	for _, i := range status.Items {
		got = append(got, i.Name)
	}
	if !slices.Equal(got, groups) {
		c.fault("outcome", "says (%s), and not on which images", status.Code.Value)
	}
	found := slices.ContainsFunc(summary.Items, func(i tree.Item) bool { return i.Name == cad.ConceptFinding || i.Name == cad.ConceptImpressions })
	if found && (summary.Code == allWithout || summary.Code == someWithout || summary.Code == noneWithout) {
		c.fault("outcome", "says (%s), and there are findings", summary.Code.Value)
	}
}
