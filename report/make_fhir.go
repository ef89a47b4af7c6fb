package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"varde/internal/words"
	"varde/report/fhir"
	"varde/study"
)

// The kinds of FHIR bundles, a transaction each: of a result, and of what its reader made
// of it, which stands beside that.
const (
	KindFHIRR4      = "fhir-r4"
	KindFHIRR5      = "fhir-r5"
	KindFinalFHIRR4 = "fhir-r4-final"
	KindFinalFHIRR5 = "fhir-r5-final"
)

// makeFHIR makes the bundle that tells a FHIR server of a result, or that what it
// was told does not hold any more.
func makeFHIR(kind string, v fhir.Version) func(context.Context, *Writer, work) ([]made, error) {
	return func(ctx context.Context, w *Writer, k work) ([]made, error) {
		l, _ := words.ParseLang(k.lang)
		in := fhir.Work{Study: k.study, Instances: k.instances, Result: k.result, Objects: k.beside, Device: k.device, Location: k.location}
		switch k.purpose {
		case study.PurposeWithdrawn:
			in.Withdrawn = true
			for _, r := range k.before {
				// It is younger than all that it takes back.
				if next := r.At.Add(time.Second); next.After(in.WithdrawnAt) {
					in.WithdrawnAt = next
				}
			}
		default:
			in.Replaces = len(k.before) > 0
			if in.Replaces {
				old, err := w.Ledger.Result(ctx, k.result.Study, k.before[0].Rev, k.result.Model)
				if err != nil && !errors.Is(err, study.ErrNotFound) {
					return nil, fmt.Errorf("read the result that this one replaces: %w", err)
				}
				if err == nil {
					in.Old = &old
				}
			}
		}
		in.Told = words.Tell(or(l, words.English), k.study, k.result, words.TellOptions{
			Instances: k.instances, Heatmap: written(k.beside, KindHeatmap, "") != nil, Replaces: in.Replaces,
		})
		b, err := in.Bundle(v)
		if err != nil {
			return nil, err
		}
		return []made{k.made(kind, k.number, "", "", b)}, nil
	}
}

// makeFinalFHIR makes the bundle that tells a FHIR server how a reader left a result. What
// it tells has identifiers of its own, and what was told of an earlier answer is put in
// its place; of the AI's it updates what the reader rejected, as long as the AI has said
// nothing of a later state of the study.
func makeFinalFHIR(kind string, v fhir.Version) func(context.Context, *Writer, work) ([]made, error) {
	return func(ctx context.Context, w *Writer, k work) ([]made, error) {
		g, err := w.reading(ctx, k)
		if err != nil {
			return nil, err
		}
		l, _ := words.ParseLang(k.lang)
		in := fhir.Work{Study: k.study, Instances: k.instances, Result: k.result, Objects: k.beside, Device: k.device, Location: k.location,
			Answer: &g, Final: true}
		theirs := strings.TrimSuffix(kind, "-final")
		in.Alone = k.study.Rev > k.result.Rev || written(k.before, theirs, k.lang) == nil && written(k.beside, theirs, k.lang) == nil
		if in.Earlier, err = w.earlier(ctx, k); err != nil {
			return nil, err
		}
		in.Told = words.Tell(or(l, words.English), k.study, k.result, words.TellOptions{
			Instances: k.instances, Heatmap: written(k.before, KindHeatmap, "") != nil, Replaces: in.Replaces,
		})
		b, err := in.Bundle(v)
		if err != nil {
			return nil, err
		}
		return []made{k.made(kind, k.number, "", "", b)}, nil
	}
}

// earlier gives the answer to the latest state of the study before this one of which
// something was told, or nil.
func (w *Writer) earlier(ctx context.Context, k work) (*fhir.Signed, error) {
	signed, err := w.signed(ctx, k, k.result.Rev-1)
	if err != nil || len(signed) == 0 {
		return nil, err
	}
	old, err := w.Ledger.Result(ctx, k.result.Study, signed[0].Rev, k.result.Model)
	if errors.Is(err, study.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the result of an earlier answer: %w", err)
	}
	k.result = old
	g, err := w.reading(ctx, k)
	if err != nil {
		return nil, err
	}
	return &fhir.Signed{Result: old, Answer: g}, nil
}
