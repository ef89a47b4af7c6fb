package sending

import (
	"context"
	"fmt"
	"time"

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
