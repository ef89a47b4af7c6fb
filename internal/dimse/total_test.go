package dimse_test

import (
	"errors"
	"testing"
	"time"

	"varde/internal/dimse"
	"varde/study"
)

// TestDoorsShareOneLimitAndHaveTheirOwn has two servers take four associations
// together, the first of them two at most, and one sender three by whichever doors.
func TestDoorsShareOneLimitAndHaveTheirOwn(t *testing.T) {
	total := &dimse.Total{Most: 4}
	narrow := serve(t, &dimse.Server{Handler: &keeper{}, MaxAssociations: 2, MaxPerCalling: 3, Total: total})
	wide := serve(t, &dimse.Server{Handler: &keeper{}, MaxPerCalling: 3, Total: total})
	enter := func(r running, calling string) (*dimse.Association, error) {
		a, err := dimse.Dialer{Calling: calling, Called: "VARDE", Timeout: 10 * time.Second}.Dial(t.Context(), r.addr, dimse.Verification())
		if a != nil {
			t.Cleanup(func() { _ = a.Abort() })
		}
		return a, err
	}
	var last *dimse.Association
	for _, tt := range []struct {
		what    string
		door    running
		calling string
		in      bool
	}{
		{"first of the narrow door", narrow, "CT1", true},
		{"second of the narrow door", narrow, "CT1", true},
		{"third of the narrow door", narrow, "CT2", false},
		{"third of one sender, by the wide door", wide, "CT1", true},
		{"fourth of one sender", wide, "CT1", false},
		{"fourth of all", wide, "CT2", true},
		{"fifth of all", wide, "CT3", false},
	} {
		a, err := enter(tt.door, tt.calling)
		if (err == nil) != tt.in || err != nil && !errors.Is(err, study.ErrBusy) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if a != nil {
			last = a
		}
	}
	if err := last.Release(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := enter(wide, "CT3"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a released association stays taken")
		}
	}
}
