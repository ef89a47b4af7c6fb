package receiving

import (
	"context"
	"fmt"

	"varde/store/storetest"
	"varde/study"
)

// searchPromises are about the answers to QIDO-RS.
var searchPromises = []storetest.Promise{
	{Name: "keys match as DICOM says", Test: searchKeys},
	{Name: "pages leave no gap", Test: searchPages},
	{Name: "our own reports are found", Test: searchOwn},
	{Name: "wildcards are the only signs with a meaning", Test: searchSigns},
	{Name: "what stands amid a text is found, as the text is now", Test: searchInside},
}

func searchKeys(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 3)
	a := storetest.Arrival("1.3", 1, "")
	a.Study.Date, a.Study.Time, a.Study.Description, a.Study.Modality = "20260301", "081500.25", "Thorax", study.MG
	a.Study.Patient = study.NewPatient(study.Person{ID: "Q1", Name: "Ødegård^Åse", Birth: "19700615", Sex: "O"})
	a.Instance.Modality, a.Instance.SeriesNumber, a.Instance.SeriesText = study.MG, 7, "L CC"
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	seven, two := 7, 2
	for _, tt := range []struct {
		name string
		q    study.Query
		want [3]int // studies, series, instances
	}{
		{"nothing asked", study.Query{}, [3]int{2, 2, 4}},
		{"a study", study.Query{Studies: []study.UID{"1.2"}}, [3]int{1, 1, 3}},
		{"two studies", study.Query{Studies: []study.UID{"1.2", "1.3", "1.9"}}, [3]int{2, 2, 4}},
		{"an instance", study.Query{Instances: []study.UID{"1.2.1.2"}}, [3]int{1, 1, 1}},
		{"a series of another study", study.Query{Studies: []study.UID{"1.2"}, Series: []study.UID{"1.3.1"}}, [3]int{}},
		{"modality", study.Query{Modality: "MG"}, [3]int{1, 1, 1}},
		{"name in small letters", study.Query{PatientName: "nordmann*"}, [3]int{1, 1, 3}},
		{"name with letters of the North", study.Query{PatientName: "Ødegård^?se"}, [3]int{1, 1, 1}},
		{"ID is exact", study.Query{PatientID: "q1"}, [3]int{}},
		{"ID", study.Query{PatientID: "Q1", Sex: "O"}, [3]int{1, 1, 1}},
		{"birth", study.Query{Birth: study.Range{From: "19600101"}}, [3]int{1, 1, 1}},
		{"date", study.Query{Date: study.Range{From: "20260301", To: "20260301"}}, [3]int{1, 1, 1}},
		{"before", study.Query{Date: study.Range{To: "20260228"}}, [3]int{}},
		{"time with a fraction", study.Query{Time: study.Range{From: "081500", To: "081500"}}, [3]int{1, 1, 1}},
		{"description", study.Query{Description: "*tho*"}, [3]int{1, 1, 1}},
		{"series number", study.Query{SeriesNumber: &seven}, [3]int{1, 1, 1}},
		{"series text", study.Query{SeriesText: "l cc"}, [3]int{1, 1, 1}},
		{"instance number", study.Query{InstanceNumber: &two, Studies: []study.UID{"1.2"}}, [3]int{1, 1, 1}},
		{"accession", study.Query{Accession: "A1.2"}, [3]int{1, 1, 3}},
		{"class", study.Query{Classes: []study.UID{"1.9"}}, [3]int{}},
	} {
		studies, err := b.FindStudies(ctx, tt.q)
		b.OK(err)
		series, err := b.FindSeries(ctx, tt.q)
		b.OK(err)
		instances, err := b.FindInstances(ctx, tt.q)
		b.OK(err)
		storetest.Same(b, tt.name, [3]int{len(studies), len(series), len(instances)}, tt.want)
	}
	m, err := b.FindInstances(ctx, study.Query{Instances: []study.UID{"1.2.1.2"}})
	b.OK(err)
	storetest.Same(b, "counts", []int{m[0].StudySeries, m[0].StudyInstances, m[0].SeriesInstances}, []int{1, 3, 3})
	storetest.Same(b, "match", []any{m[0].Study.UID, m[0].Series, m[0].Modalities, m[0].Instance.Number}, []any{study.UID("1.2"), study.UID("1.2.1"), []study.Modality{study.CT}, 2})
}

func searchPages(b *storetest.Bench) {
	ctx := context.Background()
	for n := range 25 {
		b.Receive(study.UID(fmt.Sprintf("1.2.%d", n+1)), 1, 2)
	}
	seen := map[study.UID]int{}
	for offset := 0; ; offset += 7 {
		page, err := b.FindStudies(ctx, study.Query{Limit: 7, Offset: offset})
		b.OK(err)
		for _, m := range page {
			seen[m.Study.UID]++
		}
		if len(page) < 7 {
			break
		}
		// What arrives meanwhile comes behind what was there.
		b.Receive(study.UID(fmt.Sprintf("1.3.%d", offset)), 1, 1)
	}
	for n := range 25 {
		storetest.Same(b, "times seen", seen[study.UID(fmt.Sprintf("1.2.%d", n+1))], 1)
	}
}

func searchOwn(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	r := storetest.ReportOf(j)
	b.OK(b.Reported(ctx, j, r))
	found, err := b.FindInstances(ctx, study.Query{Studies: []study.UID{"1.2"}, Modality: "SR"})
	b.OK(err)
	if len(found) != 1 || found[0].Instance.UID != r.UID || found[0].StudyInstances != 3 {
		b.T.Errorf("found %+v", found)
	}
}

func searchSigns(b *storetest.Bench) {
	ctx := context.Background()
	a := storetest.Arrival("1.2", 1, "")
	a.Study.Description = "100% _! \\ ' ;--"
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	for pattern, want := range map[string]int{"100%*": 1, "*_!*": 1, "*\\*": 1, "*' ;--": 1, "1_0*": 0, "%*": 0, "*!": 0, "100% _! \\ ' ;--": 1} {
		found, err := b.FindStudies(ctx, study.Query{Description: pattern})
		b.OK(err)
		storetest.Same(b, pattern, len(found), want)
	}
}

func searchInside(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 2)
	a := storetest.Arrival("1.3", 1, "")
	a.Study.Patient = study.NewPatient(study.Person{ID: "Q12345", Name: "Ødegård^Åse \"Bob\"", Birth: "19700615", Sex: "O"})
	a.Study.Description, a.Study.Referring = "Thorax og abdomen", "Vik^Per"
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	find := func(name string, q study.Query, want ...study.UID) {
		b.T.Helper()
		studies, err := b.FindStudies(ctx, q)
		b.OK(err)
		series, err := b.FindSeries(ctx, q)
		b.OK(err)
		instances, err := b.FindInstances(ctx, q)
		b.OK(err)
		var found []study.UID
		for _, m := range studies {
			found = append(found, m.Study.UID)
		}
		storetest.Same(b, name, fmt.Sprint(found), fmt.Sprint(want))
		storetest.Same(b, name+": below", len(series) > 0 && len(instances) > 0, len(want) > 0)
	}
	find("end of a name", study.Query{PatientName: "*MANN^kari"}, "1.2")
	find("amid a name", study.Query{PatientName: "*deg*"}, "1.3")
	find("letters of the North", study.Query{PatientName: "?deg*rd^Åse*"}, "1.3")
	find("two pieces", study.Query{PatientName: "*deg*^Åse*"}, "1.3")
	find("two pieces the wrong way round", study.Query{PatientName: "*^Åse*deg*"})
	find("quotation marks", study.Query{PatientName: "*\"Bob\"*"}, "1.3")
	find("a piece of two letters", study.Query{PatientName: "*rd*"}, "1.2", "1.3")
	find("as long as it says", study.Query{PatientName: "?ordmann^Kari"}, "1.2")
	find("one letter more", study.Query{PatientName: "??ordmann^Kari"})
	find("an ID", study.Query{PatientID: "*2345"}, "1.3")
	find("an accession number", study.Query{Accession: "?1.3"}, "1.3")
	find("a description and a referrer", study.Query{Description: "*abdo*", Referring: "*^Per"}, "1.3")
	find("words of the index", study.Query{PatientName: "*AND NOT*"})
	_, err = b.ChangePatient(ctx, study.PatientChange{Told: storetest.Told(), Patient: study.NewPatient(study.Person{ID: "P1.2", Name: "Lysberg^Kari", Birth: "19500101"}),
		Identifiers: []study.Identifier{{ID: "P1.2", Authority: "H"}}})
	b.OK(err)
	find("by the name that was", study.Query{PatientName: "*mann^Kari"})
	find("by the name that is", study.Query{PatientName: "*sberg^Kari"}, "1.2")
}
