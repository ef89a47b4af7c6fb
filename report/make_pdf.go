package report

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"varde/internal/dicom"
	"varde/internal/words"
	"varde/report/capture"
	"varde/report/pdf"
	"varde/study"
)

// KindPrint is a printed report.
const KindPrint = "pdf"

// maxFigures is how many pictures a printed report has of a result: a page of them.
const maxFigures = 4

// heavyOnPaper is how much heavier rings are on paper, where a picture is a hand wide.
const heavyOnPaper = 2

// makePrint makes the printed report.
func makePrint(ctx context.Context, w *Writer, k work) ([]made, error) {
	told, id := k.told(KindPrint), k.identity()
	figures, err := figuresOf(ctx, w.Slides, k.instances, k.result, told.Lang)
	if err != nil {
		return nil, err
	}
	printed, err := pdf.Print(pdf.Sheet{Study: k.study, Lang: told.Lang, At: id.At, Parts: []pdf.Part{{Told: told, At: id.At, Figures: figures}}})
	if err != nil {
		return nil, err
	}
	work := pdf.Work{Identity: id, Told: told, Instances: k.instances, Predecessor: k.predecessor(KindPrint, "")}
	work.UID, work.Series = k.name(KindPrint, k.number, "")
	b, err := work.Encapsulate(printed)
	if err != nil {
		return nil, err
	}
	return []made{k.made(KindPrint, k.number, "", dicom.EncapsulatedPDF, b)}, nil
}

// figuresOf gives the first images that a result is shown on, ringed.
func figuresOf(ctx context.Context, from *Slides, instances []study.Instance, r study.Result, l words.Lang) ([]pdf.Figure, error) {
	views, pictures, err := seen(ctx, from, instances, r)
	if err != nil {
		return nil, err
	}
	var all []pdf.Figure
	for n, v := range views {
		if len(pictures[n].RGB) == 0 || len(all) == maxFigures {
			continue
		}
		m, err := capture.Ringed(v, pictures[n], heavyOnPaper)
		if err != nil {
			return nil, err
		}
		all = append(all, pdf.Figure{Image: m, Caption: capture.Caption(l, v)})
	}
	return all, nil
}

// Prints gives what models found in a study on paper. A result of a model in shadow
// is given to nobody.
type Prints struct {
	Files    Files
	Slides   *Slides // what pictures are read from; nil prints none
	Lang     string  // of the site: en, nb, da
	Location *time.Location
	// Allowed says whether a model may speak; nil lets all of them. Of one that may
	// not it is printed that it was stopped.
	Allowed func(study.ModelRef) error
}

// Print prints the results in force, in a language; an empty one is the site's. A
// study without any is study.ErrNotFound.
func (p *Prints) Print(ctx context.Context, uid study.UID, lang string) ([]byte, error) {
	c, err := p.Files.Case(ctx, uid)
	if err != nil {
		return nil, err
	}
	instances, err := p.Files.Instances(ctx, uid)
	if err != nil {
		return nil, err
	}
	zone := cmp.Or(p.Location, time.Local)
	s := pdf.Sheet{Study: c.Study, Lang: words.Lang(speech(cmp.Or(lang, p.Lang)))}
	for _, r := range c.Results {
		if r.Shadow || r.AI == study.Running {
			continue
		}
		if p.Allowed != nil && p.Allowed(r.Model) != nil { // what it said does not hold
			r = study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, Name: r.Name, CE: r.CE, At: r.At, AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}}
		}
		part := pdf.Part{Told: words.Tell(s.Lang, c.Study, r, words.TellOptions{Instances: instances}), At: r.At}
		if part.Figures, err = figuresOf(ctx, p.Slides, instances, r, s.Lang); err != nil {
			return nil, err
		}
		if at := r.At.In(zone); at.After(s.At) {
			s.At = at
		}
		s.Parts = append(s.Parts, part)
	}
	if len(s.Parts) == 0 {
		return nil, fmt.Errorf("report of study %s: no model has answered: %w", uid, study.ErrNotFound)
	}
	return pdf.Print(s)
}
