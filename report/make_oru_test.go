package report_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"varde/internal/hl7"
	"varde/internal/words"
	"varde/report"
	"varde/report/messages"
	"varde/study"
)

// message writes everything that a hospital's record wants of a study, and gives
// the one message among it.
func message(t *testing.T, m *memory, w *report.Writer) (study.Report, *hl7.Message) {
	t.Helper()
	w.Ledger, w.Objects = m, m
	w.Wants = []report.Want{{Destination: "EPR", Kinds: []string{report.KindMessage}, Lang: "da"}}
	if err := w.Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	var all []study.Report
	for _, r := range m.reports {
		if r.Kind == report.KindMessage {
			all = append(all, r)
		}
	}
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	parsed, err := hl7.Parse(m.objects[all[0].Key], hl7.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return all[0], parsed
}

func TestMessageSaysWhatTheReportSays(t *testing.T) {
	m := &memory{sample: chestCT(2, 1), objects: map[string][]byte{}}
	p := m.sample.study.Patient
	r, got := message(t, m, &report.Writer{Lang: "en", Location: time.UTC, Messages: messages.Options{Facility: "H"},
		Orders: func(context.Context, study.UID) ([]study.Order, error) {
			return []study.Order{{Placer: "PL7", Patient: p}}, nil
		}})
	if r.Media != study.MediaHL7 || r.Lang != "da" || !strings.HasSuffix(r.Key, "oru-da.hl7") || r.IsObject() {
		t.Errorf("kept as %+v", r)
	}
	g := got.Groups()[0]
	if g.Placer() != "PL7" || g.Accession() != "A-1001" || g.OBR.Text(25, 1) != "P" || got.Header(time.UTC).Sender != "VARDE|H" {
		t.Errorf("placer %s, accession %s, status %s, from %s", g.Placer(), g.Accession(), g.OBR.Text(25, 1), got.Header(time.UTC).Sender)
	}
	text, sr := "", ""
	for _, x := range g.OBX {
		text += x.Text(5, 1) + "\n"
		if x.Text(3, 2) == "SR Instance UID" {
			sr = x.Text(5, 1)
		}
	}
	for _, line := range words.Tell(words.Danish, m.sample.study, m.sample.result, words.TellOptions{Instances: m.sample.instances}).Lines() {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not told:\n%s", line, text)
		}
	}
	for _, kept := range m.reports {
		if kept.Kind == report.KindSR && string(kept.UID) != sr {
			t.Errorf("it points at %s, and the report is %s", sr, kept.UID)
		}
	}
}

func TestLaterMessageCorrectsTheFirst(t *testing.T) {
	m := &memory{sample: mammogram(1), objects: map[string][]byte{}, old: &study.Report{Kind: report.KindMessage, Lang: "da", UID: "2.25.5", Study: mammogram(1).study.UID}}
	_, got := message(t, m, &report.Writer{Lang: "en"})
	if s := got.Groups()[0].OBR.Text(25, 1); s != "C" {
		t.Errorf("status %s", s)
	}
}

func TestWithdrawnResultIsTakenBackInMessages(t *testing.T) {
	sent := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	m := &memory{sample: chestCT(2, 1), objects: map[string][]byte{}, old: &study.Report{Kind: report.KindMessage, Lang: "da", UID: "2.25.5", At: sent}}
	w := &report.Writer{Ledger: m, Objects: m, Lang: "da", Location: time.UTC, Wants: []report.Want{{Destination: "EPR", Kinds: []string{report.KindMessage}}}}
	j := job(m.sample)
	j.Task = study.TaskWithdraw
	if err := w.Handle(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if len(m.reports) != 1 || m.reports[0].Purpose != study.PurposeWithdrawn {
		t.Fatalf("written: %+v", m.reports)
	}
	got, err := hl7.Parse(m.objects[m.reports[0].Key], hl7.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if at := got.Header(time.UTC).At; !at.After(sent) {
		t.Errorf("made at %s, before what it takes back", at)
	}
	taken, words := 0, ""
	for _, x := range got.Groups()[0].OBX {
		if x.Text(11, 1) == "W" && x.Raw(5) == `""` {
			taken++
		}
		words += x.Text(5, 1)
	}
	if taken < 10 || !strings.Contains(words, "Trukket tilbage") || strings.Contains(words, "markerede") {
		t.Errorf("%d observations are taken back; it says %s", taken, words)
	}
}

func TestOrdersThatCannotBeReadAreNotForgotten(t *testing.T) {
	m := &memory{sample: mammogram(1), objects: map[string][]byte{}}
	broken := errors.New("ledger is down")
	w := &report.Writer{Ledger: m, Objects: m, Wants: []report.Want{{Destination: "EPR", Kinds: []string{report.KindMessage}}},
		Orders: func(context.Context, study.UID) ([]study.Order, error) { return nil, broken }}
	if err := w.Handle(t.Context(), job(m.sample)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
