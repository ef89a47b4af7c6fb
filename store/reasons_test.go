package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"varde/store/storetest"
	"varde/study"
)

// TestNoDecisionIsKeptWithoutAReasonThatCanBeSeen is every verb that the ledger keeps
// with the words of who asks for it.
func TestNoDecisionIsKeptWithoutAReasonThatCanBeSeen(t *testing.T) {
	b := storetest.NewBench(t, openSQLite, nil)
	b.Settle("1.2", storetest.Asked("m", 1))
	promote := storetest.By("anna", "n", study.ModelLive)
	b.OK(b.SetModel(t.Context(), storetest.By("anna", "n", study.ModelShadow)))
	p, err := b.ProposeModel(t.Context(), promote)
	b.OK(err)
	m := storetest.Model("m")
	_, err = b.MoveClaim(t.Context(), study.ClaimMove{Study: "1.2", Kind: study.ClaimTake, By: "anna", Idle: time.Hour})
	b.OK(err)
	verbs := map[string]func(ctx context.Context, reason string) error{
		"retry a job":    func(ctx context.Context, r string) error { _, err := b.Retry(ctx, "j", "bo", r); return err },
		"score anew":     func(ctx context.Context, r string) error { return b.RetryStudy(ctx, "1.2", "bo", r) },
		"cancel":         func(ctx context.Context, r string) error { return b.Cancel(ctx, "1.2", "bo", r) },
		"recall":         func(ctx context.Context, r string) error { _, err := b.Recall(ctx, m, "1.2", "bo", r); return err },
		"send again":     func(ctx context.Context, r string) error { return b.RetryDelivery(ctx, "d", "bo", r) },
		"drop":           func(ctx context.Context, r string) error { return b.DropDelivery(ctx, "d", "bo", r) },
		"release a hold": func(ctx context.Context, r string) error { _, err := b.DecideHold(ctx, "1", true, "bo", r); return err },
		"end a conflict": func(ctx context.Context, r string) error { _, err := b.Decide(ctx, "c", true, "bo", r); return err },
		"wait no more":   func(ctx context.Context, r string) error { return b.EndWait(ctx, "1.2", 1, "bo", r) },
		"pause":          func(ctx context.Context, r string) error { return b.Pause(ctx, pause(r)) },
		"resume":         func(ctx context.Context, r string) error { return b.Resume(ctx, pause(r)) },
		"calibrate": func(ctx context.Context, r string) error {
			return b.SetCalibration(ctx, study.Calibration{Model: m, By: "bo", Reason: r})
		},
		"decline": func(ctx context.Context, r string) error {
			_, err := b.DecideModel(ctx, p.ID, false, "bo", r)
			return err
		},
		"propose a model": func(ctx context.Context, r string) error {
			c := promote
			c.Reason = r
			_, err := b.ProposeModel(ctx, c)
			return err
		},
		"suspend a model": func(ctx context.Context, r string) error {
			c := promote
			c.State, c.Reason = study.ModelSuspended, r
			return b.SetModel(ctx, c)
		},
		"pass a study by": func(ctx context.Context, r string) error {
			return b.Answer(ctx, study.ReadingStep{Study: "1.2", Step: study.StepSkipped, By: "bo", Text: r})
		},
		"take from another": func(ctx context.Context, r string) error {
			_, err := b.MoveClaim(ctx, study.ClaimMove{Study: "1.2", Kind: study.ClaimTake, By: "bo", Reason: r, Idle: time.Hour})
			return err
		},
	}
	for name, do := range verbs {
		for _, reason := range []string{"", " ", "\x00", "\u200b\u2060", "\x1b\u00ad\ufeff"} {
			err := do(t.Context(), reason)
			if !errors.Is(err, study.ErrInvalid) && !errors.As(err, new(*study.HeldError)) || errors.Is(err, study.ErrNotFound) {
				t.Errorf("%s with %+q: %v", name, reason, err)
			}
		}
	}
	rows, err := b.AuditRows(t.Context(), 0, 1000)
	b.OK(err)
	for _, r := range rows {
		if strings.ContainsAny(r.Detail, "\x00\u200b\x1b") {
			t.Errorf("the audit says %+q", r.Detail)
		}
	}
}

func pause(reason string) study.Pause {
	return study.Pause{Lane: study.EveryLane, By: "bo", Reason: reason}
}
