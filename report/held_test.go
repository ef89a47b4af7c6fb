package report

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

// shelf takes what it is given.
type shelf struct{ n int }

func (s *shelf) Put(_ context.Context, _ string, r io.Reader, _ int64) error {
	s.n++
	_, err := io.Copy(io.Discard, r)
	return err
}

// TestAReportThatFailsItsCheckIsHeld has a maker make what its template does not allow:
// in a language beside the site's it is held, and told why; in the site's own the job
// fails.
func TestAReportThatFailsItsCheckIsHeld(t *testing.T) {
	k := work{study: study.Study{UID: "1.2"}, device: Device{}.Filled(), location: time.UTC, lang: "nb", spoken: true,
		result: study.Result{Study: "1.2", Rev: 1, AI: study.OutOfScope, Model: study.ModelRef{ID: "m", Version: "1", SHA256: study.Hash{1}}, At: time.Unix(0, 0)}}
	objects := &shelf{}
	w := &Writer{Objects: objects, Lang: "en", Wants: []Want{{Destination: "PACS", Kinds: []string{KindSR}, Lang: "nb"}}}
	bad := maker{kind: KindSR, spoken: true, checked: true, make: func(_ context.Context, _ *Writer, k work) ([]made, error) {
		all, err := makeSR(t.Context(), w, k)
		if err != nil {
			return nil, err
		}
		all[0].bytes = []byte(strings.Replace(string(all[0].bytes), "UNVERIFIED", "VERIFIED  ", 1))
		return all, nil
	}}
	got, err := w.makeKind(t.Context(), bad, k)
	if err != nil || len(got) != 1 {
		t.Fatal(err, got)
	}
	if !strings.Contains(got[0].Held, dicom.VerificationFlag.Keyword()) || fmt.Sprint(got[0].To) != "[PACS]" || objects.n != 1 {
		t.Errorf("held %q, to %q, %d kept", got[0].Held, got[0].To, objects.n)
	}
	k.lang = "en"
	if got, err := w.makeKind(t.Context(), bad, k); err == nil || len(got) > 0 || objects.n != 1 {
		t.Errorf("in the site's language: %v, %v", got, err)
	}
	bad.make = makeSR
	if got, err := w.makeKind(t.Context(), bad, k); err != nil || len(got) != 1 || got[0].Held != "" {
		t.Errorf("a sound one: %v, %v", got, err)
	}
}
