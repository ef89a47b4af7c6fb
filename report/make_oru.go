package report

import (
	"context"
	"fmt"
	"slices"
	"time"

	"varde/internal/words"
	"varde/report/messages"
	"varde/study"
)

// KindMessage is the kind of an HL7 v2 message, ORU^R01.
const KindMessage = "oru"

// makeORU makes the message that says what the structured report says, or that
// what an earlier one said does not hold any more.
func makeORU(ctx context.Context, w *Writer, k work) ([]made, error) {
	l, _ := words.ParseLang(k.lang)
	in := messages.Input{
		Study: k.study, Result: k.result, Lang: or(l, words.English), Device: k.device, Location: k.location, Options: w.Messages,
	}
	// The structured report in the site's language is always there.
	in.Report = written(k.beside, KindSR, k.lang)
	if in.Report == nil {
		in.Report = &study.Report{}
		in.Report.UID, in.Report.Series = names(k.device, k.result, KindSR, "", speech(w.Lang), study.PurposeResult)
	}
	in.UID, _ = k.name(KindMessage, k.number, "")
	switch before := written(k.before, KindMessage, k.lang); k.purpose {
	case study.PurposeWithdrawn:
		in.Withdrawn = true
		for _, r := range k.before {
			// It is younger than all that it takes back.
			if next := r.At.Add(time.Second); next.After(in.At) {
				in.At = next
			}
		}
	default:
		in.Replaces = before != nil
		if k.purpose == study.PurposePatient && before != nil { // it is younger than what it replaces
			in.At = before.At.Add(time.Duration(k.number+1) * time.Second)
		}
	}
	in.Lines = words.Tell(in.Lang, k.study, k.result, words.TellOptions{
		Instances: k.instances, Heatmap: written(k.beside, KindHeatmap, "") != nil, Replaces: in.Replaces,
	}).Lines()
	if w.Steps != nil {
		steps, err := w.Steps(ctx, k.result.Study)
		if err != nil {
			return nil, fmt.Errorf("read what the reader did: %w", err)
		}
		in.Answered = slices.ContainsFunc(steps, func(s study.ReadingStep) bool { return s.Step == study.StepFinal })
	}
	if w.Orders != nil {
		var err error
		if in.Orders, err = w.Orders(ctx, k.result.Study); err != nil {
			return nil, fmt.Errorf("read the orders: %w", err)
		}
	}
	b, err := messages.ORU(in)
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindMessage, k.number, "", "", b)}, nil
}

// written finds what was written of a kind, in this language where it was written
// in several.
func written(all []study.Report, kind, lang string) *study.Report {
	var found *study.Report
	for i, r := range all {
		if basic(r.Kind) == kind && (found == nil || r.Lang == lang) {
			found = &all[i]
		}
	}
	return found
}
