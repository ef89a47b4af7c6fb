package report

import (
	"context"
	"fmt"
	"slices"
	"time"

	"varde/internal/dicom"
	"varde/internal/words"
	"varde/report/answer"
	"varde/report/messages"
	"varde/study"
)

// The kinds that tell of a result as its reader left it.
const (
	KindVerified     = "verified"  // a structured report
	KindFinalMessage = "oru-final" // an HL7 v2 message, ORU^R01
)

// makeVerified makes the structured report of a result as its reader left it.
func makeVerified(ctx context.Context, w *Writer, k work) ([]made, error) {
	g, err := w.reading(ctx, k)
	if err != nil {
		return nil, err
	}
	signed, err := w.signed(ctx, k, k.result.Rev)
	if err != nil {
		return nil, err
	}
	d := Verify(k.study, k.instances, k.result, g, Options{Lang: k.lang, Device: k.device, Location: k.location,
		Predecessor: k.predecessor(KindSR, ""), Earlier: work{before: signed, lang: k.lang}.predecessor(KindVerified, "")})
	d.UID, d.Series = k.name(KindVerified, k.number, "")
	b, err := d.Encode()
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindVerified, k.number, "", dicom.Comprehensive3DSR, b)}, nil
}

// makeFinalMessage makes the message that says the same, with the status final.
func makeFinalMessage(ctx context.Context, w *Writer, k work) ([]made, error) {
	g, err := w.reading(ctx, k)
	if err != nil {
		return nil, err
	}
	l, _ := words.ParseLang(k.lang)
	in := messages.Input{Study: k.study, Result: g.Left(k.result), Lang: or(l, words.English), Device: k.device, Location: k.location, Options: w.Messages,
		Verified: &messages.Verification{By: personName(g.By), At: g.At}, At: g.At, Report: written(k.beside, KindVerified, k.lang)}
	in.UID, _ = k.name(KindFinalMessage, k.number, "")
	in.Beside = written(k.before, KindMessage, k.lang) != nil || written(k.beside, KindMessage, k.lang) != nil
	signed, err := w.signed(ctx, k, k.result.Rev)
	if err != nil {
		return nil, err
	}
	in.Replaces = k.number > 0 || written(signed, KindFinalMessage, k.lang) != nil
	if k.number > 0 { // younger than what it replaces
		in.At = g.At.Add(time.Duration(k.number) * time.Second)
	}
	d := Document{Study: k.study, Evidence: k.instances, At: g.At.In(k.identity().At.Location())}
	in.Lines = (&builder{language: tongue(k.lang), result: in.Result, document: &d}).read(k.result, g)
	if in.Report == nil {
		in.Report = written(k.before, KindSR, k.lang)
	}
	if w.Orders != nil {
		if in.Orders, err = w.Orders(ctx, k.result.Study); err != nil {
			return nil, fmt.Errorf("read the orders: %w", err)
		}
	}
	b, err := messages.ORU(in)
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindFinalMessage, k.number, "", "", b)}, nil
}

// signed gives what was told of a reader's answer before: to the latest state of the
// study up to a revision of which it was. What this work writes itself, when it is done
// twice, is none of it.
func (w *Writer) signed(ctx context.Context, k work, rev int) ([]study.Report, error) {
	for next := rev + 1; next > 0; {
		all, err := w.Ledger.Predecessors(ctx, k.result.Study, next, k.result.Model)
		if err != nil {
			return nil, fmt.Errorf("read what was told of an earlier answer: %w", err)
		}
		mine := slices.DeleteFunc(slices.Clone(all), func(r study.Report) bool {
			return r.Purpose != study.PurposeVerified || r.Rev == k.result.Rev && order(r.Kind) >= k.number
		})
		if len(mine) > 0 || len(all) == 0 || all[0].Rev >= next {
			return mine, nil
		}
		next = all[0].Rev
	}
	return nil, nil
}

// reading gives what the reader made of the result.
func (w *Writer) reading(ctx context.Context, k work) (answer.Answer, error) {
	if w.Steps == nil {
		return answer.Answer{}, fmt.Errorf("what readers did is not known here: %w", study.ErrUnsupported)
	}
	steps, err := w.Steps(ctx, k.result.Study)
	if err != nil {
		return answer.Answer{}, fmt.Errorf("read what the reader did: %w", err)
	}
	g, ok := answer.Of(steps, k.result)
	if !ok {
		return g, fmt.Errorf("study %s, revision %d, has no final answer: %w", k.result.Study, k.result.Rev, study.ErrNotFound)
	}
	g.Organization = w.Organization
	return g, nil
}
