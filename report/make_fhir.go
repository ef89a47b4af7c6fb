package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"varde/internal/words"
	"varde/report/fhir"
	"varde/study"
)

// The kinds of FHIR bundles, a transaction each: of a result, and of the same as its
// reader left it, which is put in the place of that.
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

// makeFinalFHIR makes the bundle that tells a FHIR server how a reader left a result.
// What it tells has the identifiers of what was told before, so that a server that has
// that updates it.
func makeFinalFHIR(kind string, v fhir.Version) func(context.Context, *Writer, work) ([]made, error) {
	return func(ctx context.Context, w *Writer, k work) ([]made, error) {
		g, err := w.reading(ctx, k)
		if err != nil {
			return nil, err
		}
		l, _ := words.ParseLang(k.lang)
		in := fhir.Work{Study: k.study, Instances: k.instances, Result: k.result, Device: k.device, Location: k.location, Answer: &g}
		before := slices.DeleteFunc(slices.Clone(k.before), func(o study.Report) bool { return o.Purpose == study.PurposeVerified })
		for _, o := range append(before, k.beside...) {
			if o.Lang == "" || o.Lang == k.lang {
				in.Objects = append(in.Objects, o)
			}
		}
		earlier, err := w.Ledger.Predecessors(ctx, k.result.Study, k.result.Rev, k.result.Model)
		if err != nil {
			return nil, fmt.Errorf("read what was told before: %w", err)
		}
		in.Replaces = len(earlier) > 0
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
