package sending

import (
	"context"
	"fmt"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// readdressed has a patient's record merged, and then corrected, after a result was told.
func readdressed(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct", "xr")
	b.Settle("1.2", storetest.Asked("ct", 1), storetest.Asked("xr", 1))
	b.Score()
	for range 2 {
		j := b.Claim(study.PoolReport, 1)
		if j[0].Task == study.TaskConclude {
			b.OK(b.Ledger.Conclude(ctx, j[0], study.Result{Study: "1.2", Rev: 1, Model: j[0].Model, AI: study.Flagged}))
		}
	}
	for _, j := range b.Claim(study.PoolReport, 10) {
		b.OK(b.Reported(ctx, j, storetest.To(storetest.ReportOf(j), "PACS")))
	}
	b.Status("1.2", study.Reported)
	_, all := due(b)
	for _, d := range all {
		b.OK(b.Delivered(ctx, d.ID))
	}
	b.OK(b.SetModel(ctx, storetest.By("bo", "xr", study.ModelSuspended)))
	change := func(n int, name string) {
		heard, err := b.ChangePatient(ctx, study.PatientChange{Told: study.Message{Sender: "ADT", ID: fmt.Sprint(n), At: b.Clock.Now().Add(time.Duration(n) * time.Second)},
			Patient: study.NewPatient(study.Person{ID: "P1.2", Name: name, Birth: "19500101", Sex: "F"}), Identifiers: []study.Identifier{{ID: "P1.2"}}})
		b.OK(err)
		storetest.Same(b, "studies", len(heard.Studies), min(1, n%3))
	}
	for n, name := range []string{"Hansen^Kari", "Hansen^Kari Anne"} {
		change(n+1, name)
		j := b.ClaimOne(study.PoolReport) // of the model that speaks alone
		storetest.Same(b, "job", []any{j.Task, j.Model, j.Part}, []any{study.TaskPatient, storetest.Model("ct"), n})
		again := storetest.To(storetest.ReportOf(j), "PACS", "NEW")
		again.UID, again.Purpose = study.UID(fmt.Sprintf("%s.%d", again.UID, n+1)), study.PurposePatient
		if again.Kind = "sr"; n > 0 {
			again.Kind = "sr-2"
		}
		b.OK(b.Reported(ctx, j, again))
		words, all := due(b)
		storetest.Same(b, "who hears", words, []string{again.Kind + " to PACS"})
		b.OK(b.Delivered(ctx, all[0].ID))
	}
	change(3, "Hansen^Kari Anne") // which says nothing new
	storetest.Same(b, "jobs", len(b.Claim(study.PoolReport, 10)), 0)
	b.Status("1.2", study.Reported)
}

// readdressedAnswer has the patient corrected after the AI has answered anew and the reader
// has not: the reader's answer to the earlier state still stands.
func readdressedAnswer(b *storetest.Bench) {
	ctx := context.Background()
	b = &storetest.Bench{Ledger: b.Make(b.T, store.LedgerOptions{Now: b.Clock.Now, Place: storetest.Place, Verified: true}), T: b.T, Clock: b.Clock, Make: b.Make}
	written(b, "1.2", []string{"PACS"}, "sr:en")
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "kari", Step: study.StepFinal, Verdict: "agree"}))
	answered := func(j study.Job, end string) study.Report {
		r := set(j, []string{"PACS"}, "verified:en")[0]
		r.Purpose, r.UID = study.PurposeVerified, r.UID+study.UID(end)
		return r
	}
	first := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, first, answered(first, ".7")))
	b.Receive("1.2", 3, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	b.Score()
	b.Conclude(study.Flagged, 1)
	second := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, second, set(second, []string{"PACS"}, "sr:en")...))
	_, all := due(b)
	for _, d := range all {
		b.OK(b.Delivered(ctx, d.ID))
	}
	told, err := b.Told(ctx, "1.2", 2, storetest.Model("ct"))
	b.OK(err)
	purposes := map[study.Purpose]int{}
	for _, r := range told {
		purposes[r.Purpose]++
	}
	storetest.Same(b, "told, and by whom", purposes, map[study.Purpose]int{study.PurposeResult: 2, study.PurposeVerified: 1})
	_, err = b.ChangePatient(ctx, study.PatientChange{Told: study.Message{Sender: "ADT", ID: "1", At: b.Clock.Now().Add(time.Second)},
		Patient: study.NewPatient(study.Person{ID: "P1.2", Name: "Hansen^Kari", Birth: "19500101", Sex: "F"}), Identifiers: []study.Identifier{{ID: "P1.2"}}})
	b.OK(err)
	revs := map[int]study.Task{}
	for _, j := range b.Claim(study.PoolReport, 10) {
		revs[j.Rev] = j.Task
		r := answered(j, fmt.Sprint(".8.", j.Rev))
		if r.Kind = "verified-2"; j.Rev == 2 {
			r.Kind, r.Purpose = "sr", study.PurposePatient
		}
		b.OK(b.Reported(ctx, j, r))
	}
	storetest.Same(b, "jobs by revision", revs, map[int]study.Task{1: study.TaskPatient, 2: study.TaskPatient})
	words, _ := due(b)
	storetest.Same(b, "due", len(words), 2)
	b.Status("1.2", study.Reported)

	// Where an answer is replaced, the note on it goes to whoever has it.
	note := set(second, []string{"PACS", "NEW"}, "reject:en")[0]
	note.Purpose, note.UID = study.PurposeCorrected, note.UID+".9"
	later := second
	b.Receive("1.2", 4, 4)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	b.Score()
	b.Conclude(study.Flagged, 1)
	later = b.ClaimOne(study.PoolReport)
	note.Rev = later.Rev
	b.OK(b.Reported(ctx, later, note))
	words, _ = due(b)
	storetest.Same(b, "who hears of the note", words[len(words)-1], "reject to PACS")
}
