package receiving

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var casePromises = []storetest.Promise{
	{Name: "a case that waits for a slide is not read, and keeps its place when the slide comes", Test: caseWaits},
	{Name: "what a case waits for is ended by hand with a reason", Test: caseEnded},
	{Name: "a slide that comes as a study of its own stands where its case stands", Test: caseNewStudy},
	{Name: "which slides a reader has opened is kept", Test: caseViewed},
	{Name: "what a case waits for comes back with the ledger", Test: caseRebuilt},
}

// slideOf is an object of slide n of a study, under an accession number.
func slideOf(uid study.UID, n int, accession, label string) study.Arrival {
	a := storetest.Arrival(uid, n, "")
	a.Study.Modality, a.Instance.Modality = study.SM, study.SM
	a.Study.Accession, a.Instance.Series = accession, study.UID(fmt.Sprintf("%s.%d", uid, n))
	a.Study.Patient = study.NewPatient(study.Person{ID: "P1", Name: "Nordmann^Kari"})
	a.Instance.Image.Slide = &study.SlideLevel{ContainerID: label}
	return a
}

func slides(b *storetest.Bench, uid study.UID, accession string, labels ...string) {
	b.T.Helper()
	for n, label := range labels {
		_, err := b.Ledger.Receive(context.Background(), slideOf(uid, n+1, accession, label))
		b.OK(err)
	}
	b.OK(b.Ledger.Settle(context.Background(), b.Plan(uid)))
}

// awaits tells what the case of a study waits for: the open ones, and behind a stroke
// those that are over.
func awaits(b *storetest.Bench, uid study.UID) string {
	b.T.Helper()
	s, err := b.Study(context.Background(), uid)
	b.OK(err)
	all, err := b.CaseWaits(context.Background(), []study.Study{s})
	b.OK(err)
	var open, over []string
	for _, w := range all[0] {
		if w.Open() {
			open = append(open, w.Kind+" by "+w.By)
		} else {
			over = append(over, w.Kind+" by "+w.EndedBy)
		}
	}
	return strings.Join(open, ", ") + "/" + strings.Join(over, ", ")
}

func caseWaits(b *storetest.Bench) {
	ctx := context.Background()
	slides(b, "1.2", "S1", "A1", "A2")
	_, err := b.MoveClaim(ctx, study.ClaimMove{Study: "1.2", Kind: study.ClaimTake, By: "anna", Idle: storetest.ClaimIdle})
	b.OK(err)
	_, err = b.OpenWait(ctx, study.CaseWait{Study: "1.2", Kind: study.WaitRescan, Reason: "focus", Slide: "1.2.9", By: "anna"})
	b.Is(err, study.ErrNotFound)
	w, err := b.OpenWait(ctx, study.CaseWait{Study: "1.2", Kind: study.WaitRescan, Reason: "focus", Slide: "1.2.1", By: "anna"})
	b.OK(err)
	storetest.Same(b, "label", w.Container, "A1")
	_, err = b.OpenWait(ctx, study.CaseWait{Study: "1.2", Kind: study.WaitStain, Text: "Ki-67", By: "anna"})
	b.OK(err)
	storetest.Same(b, "waits", awaits(b, "1.2"), "rescan by anna, stain by anna/")
	claims, err := b.Claims(ctx, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "claims", len(claims), 0)
	b.Is(b.MarkRead(ctx, "1.2", "anna", "none"), study.ErrRefused)
	b.Is(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "anna", Step: study.StepFinal, Verdict: "none"}), study.ErrRefused)
	before, err := b.Study(ctx, "1.2")
	b.OK(err)
	b.Clock.Pass(72 * time.Hour)
	_, err = b.Ledger.Receive(ctx, slideOf("1.2", 3, "S1", "A1"))
	b.OK(err)
	after, err := b.Study(ctx, "1.2")
	b.OK(err)
	if after.Place.Key.After(before.Place.Key) || after.Place.Class > before.Place.Class {
		b.T.Errorf("the case stands later: %v, was %v", after.Place, before.Place)
	}
	storetest.Same(b, "after the new scan", awaits(b, "1.2"), "stain by anna/rescan by ingest")
	_, err = b.Ledger.Receive(ctx, slideOf("1.2", 4, "S1", "A1-3"))
	b.OK(err)
	storetest.Same(b, "after the stain", awaits(b, "1.2"), "/rescan by ingest, stain by ingest")
	b.OK(b.MarkRead(ctx, "1.2", "anna", "none"))
	_, err = b.OpenWait(ctx, study.CaseWait{Study: "1.2", Kind: study.WaitSlides, By: "anna"})
	b.Is(err, study.ErrRefused)
	b.Settle("1.7")
	_, err = b.OpenWait(ctx, study.CaseWait{Study: "1.7", Kind: study.WaitSlides, By: "anna"})
	b.Is(err, study.ErrInvalid)
}

func caseEnded(b *storetest.Bench) {
	ctx := context.Background()
	slides(b, "1.2", "S1", "A1")
	slides(b, "1.3", "S1", "B1")
	slides(b, "1.4", "", "C1")
	w, err := b.OpenWait(ctx, study.CaseWait{Study: "1.2", Kind: study.WaitStain, Text: "for Kari Nordmann", By: "anna"})
	b.OK(err)
	storetest.Same(b, "the rest of the case waits too", awaits(b, "1.3"), "stain by anna/")
	storetest.Same(b, "another case does not", awaits(b, "1.4"), "/")
	b.Is(b.MarkRead(ctx, "1.3", "anna", "none"), study.ErrRefused)
	b.OK(b.MarkRead(ctx, "1.4", "anna", "none"))
	b.Is(b.EndWait(ctx, "1.3", w.N, "bo", " "), study.ErrInvalid)
	b.Is(b.EndWait(ctx, "1.4", w.N, "bo", "not needed"), study.ErrNotFound)
	b.OK(b.EndWait(ctx, "1.3", w.N, "bo", "not needed"))
	b.Is(b.EndWait(ctx, "1.3", w.N, "bo", "not needed"), study.ErrRefused)
	storetest.Same(b, "waits", awaits(b, "1.2"), "/stain by bo")
	b.OK(b.MarkRead(ctx, "1.3", "anna", "none"))
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	for _, r := range rows {
		if strings.Contains(r.Detail, "Nordmann") {
			b.T.Error("a reader's words in the audit:", r.Detail)
		}
	}
}

func caseNewStudy(b *storetest.Bench) {
	ctx := context.Background()
	slides(b, "1.2", "S1", "A1")
	_, err := b.OpenWait(ctx, study.CaseWait{Study: "1.2", Kind: study.WaitSlides, By: "anna"})
	b.OK(err)
	b.Clock.Pass(48 * time.Hour)
	slides(b, "1.3", "S1", "A2")
	slides(b, "1.4", "S1", "A3")
	first, err := b.Study(ctx, "1.2")
	b.OK(err)
	second, err := b.Study(ctx, "1.3")
	b.OK(err)
	third, err := b.Study(ctx, "1.4")
	b.OK(err)
	storetest.Same(b, "place", second.Place.Key.Equal(first.Place.Key), true)
	storetest.Same(b, "why", second.Place.Why[len(second.Place.Why)-1].Code, "case")
	storetest.Same(b, "what nobody waited for", third.Place.Key.After(first.Place.Key), true)
	storetest.Same(b, "waits", awaits(b, "1.2"), "/slides by ingest")
}

func caseViewed(b *storetest.Bench) {
	ctx := context.Background()
	slides(b, "1.2", "S1", "A1", "A2")
	b.OK(b.ViewSlide(ctx, "1.2", "1.2.2", "anna"))
	b.OK(b.ViewSlide(ctx, "1.2", "1.2.2", "anna"))
	b.Is(b.ViewSlide(ctx, "1.2", "1.2.7", "anna"), study.ErrNotFound)
	got, err := b.ViewedSlides(ctx, "1.2", "anna")
	b.OK(err)
	storetest.Same(b, "anna's", got, []study.UID{"1.2.2"})
	got, err = b.ViewedSlides(ctx, "1.2", "bo")
	b.OK(err)
	storetest.Same(b, "bo's", len(got), 0)
}

func caseRebuilt(b *storetest.Bench) {
	ctx := context.Background()
	s := storetest.NewShelf(b)
	a := slideOf("1.2", 1, "S1", "A1")
	a.Instance.Key = "dicom/1.2/1.2.1/" + string(a.Instance.UID) + ".dcm"
	s.Put(a.Instance.Key, "x")
	s.Arrivals[a.Instance.Key] = a
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2")))
	_, err = b.OpenWait(ctx, study.CaseWait{Study: "1.2", Kind: study.WaitStain, Text: "Ki-67", By: "anna"})
	b.OK(err)
	b.OK(b.ViewSlide(ctx, "1.2", "1.2.1", "anna"))
	s.Write()
	anew, _ := s.Rebuild()
	storetest.Same(b, "waits", awaits(anew.Bench, "1.2"), "stain by anna/")
	got, err := anew.Bench.ViewedSlides(ctx, "1.2", "anna")
	b.OK(err)
	storetest.Same(b, "viewed", got, []study.UID{"1.2.1"})
}
