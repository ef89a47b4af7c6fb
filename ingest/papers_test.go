package ingest_test

import (
	"context"
	"log/slog"
	"testing"

	"varde/ingest"
	"varde/study"
)

// A desktop is a ledger of one study that holds a report, and what peers have told.
type desktop struct {
	missing int
	settled study.Plan
}

func (*desktop) Unsettled(context.Context) ([]study.Study, error) { return nil, nil }
func (*desktop) Instances(context.Context, study.UID) ([]study.Instance, error) {
	return []study.Instance{{UID: "1.2.1", Study: "1.2", Class: "1.2.840.10008.5.1.4.1.1.88.33", Modality: "SR"}}, nil
}
func (d *desktop) Settle(_ context.Context, p study.Plan) error {
	d.settled = p
	return nil
}
func (d *desktop) Expected(context.Context, study.UID) ([]study.Expectation, int, error) {
	return nil, d.missing, nil
}

func TestStudyOfPapersStaysOnTheListWhileObjectsAreMissing(t *testing.T) {
	for missing, want := range map[int]string{0: study.ReasonNoImages, 1: study.ReasonNoModel} {
		d := &desktop{missing: missing}
		s := &ingest.Settler{Ledger: d, Models: shelf{noduleCard()}, Told: d, Log: slog.New(slog.DiscardHandler)}
		if err := s.Settle(t.Context(), study.Study{UID: "1.2", Status: study.Receiving}); err != nil {
			t.Fatal(err)
		}
		if got := d.settled.Note.Code; got != want {
			t.Errorf("with %d objects missing the note is %q, want %q", missing, got, want)
		}
	}
}
