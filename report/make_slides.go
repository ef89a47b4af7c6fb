package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/report/slides"
	"varde/study"
)

// Series numbers of what stands beside the report.
const (
	heatmapSeries    = 9902
	annotationSeries = 9903
)

const (
	maxPart   = 256 << 20 // bytes of a part
	maxHeader = 64 << 20  // bytes of a slide's header
)

// PartRows lists what was scored.
type PartRows interface {
	Parts(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.PartRow, error)
}

// FrameIndex says where the frames of an instance lie: its header ends there.
type FrameIndex interface {
	Frames(ctx context.Context, instance study.UID) (study.Frames, error)
}

// Slides is what is written of slides beyond the report: from the parts of a
// result, where they are stored, and the slides' own headers.
type Slides struct {
	Rows    PartRows
	Objects Opener
	Index   FrameIndex
	// Layer says what a model's number of a patch means, by its card. An error of
	// kind [study.ErrNotFound] says that it has none.
	Layer func(study.ModelRef) (slides.Layer, error)
	// About says what else a model's card has. An error of kind
	// [study.ErrNotFound] says that there is none; nil knows of no card.
	About func(study.ModelRef) (About, error)
	Most  int // annotations of a slide; 0 = [slides.MostAnnotations]
}

// makeHeatmaps makes a heatmap of each slide. What can't be made of a slide, because
// it does not say where it lies or no patch of it has a number, is left out.
func makeHeatmaps(ctx context.Context, w *Writer, k work) ([]made, error) {
	return makeOfSlides(ctx, w, k, KindHeatmap, dicom.Segmentation, func(work slides.Work, one slides.Slide) ([]byte, error) {
		work.Number = heatmapSeries
		if len(one.Heat.Values) == 0 {
			return nil, fmt.Errorf("no patch has a number: %w", study.ErrNotFound)
		}
		return work.Segmentation(one)
	})
}

// makeAnnotations makes the annotations of each slide that has findings.
func makeAnnotations(ctx context.Context, w *Writer, k work) ([]made, error) {
	return makeOfSlides(ctx, w, k, KindAnnotations, dicom.SimpleAnnotations, func(work slides.Work, one slides.Slide) ([]byte, error) {
		work.Number = annotationSeries
		return work.Annotations(one, w.Slides.Most)
	})
}

func makeOfSlides(ctx context.Context, w *Writer, k work, kind string, class study.UID, encode func(slides.Work, slides.Slide) ([]byte, error)) ([]made, error) {
	all, err := k.slides()
	if err != nil {
		return nil, err
	}
	var objects []made
	for _, one := range all {
		work := slides.Work{Result: k.result, Lang: k.lang, Identity: k.identity()}
		work.UID, work.Series = k.name(kind, 0, one.Series())
		b, err := encode(work, one)
		if hopeless(err) {
			logger(w.Log).InfoContext(ctx, "object not written", "study", k.result.Study, "model", k.result.Model.String(), "kind", kind, "series", one.Series(), "err", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, k.made(kind, 0, one.Series(), class, b))
	}
	return objects, nil
}

// slidesOf gives the slides of a study with the heat maps of a result, none where
// there are none to give.
func (w *Writer) slidesOf(ctx context.Context, instances []study.Instance, r study.Result) ([]slides.Slide, error) {
	if w.Slides == nil || !answered(r) || !slices.ContainsFunc(instances, isSlide) {
		return nil, nil
	}
	return w.Slides.Of(ctx, instances, r)
}

// hopeless tells what no further try will mend.
func hopeless(err error) bool {
	return errors.Is(err, study.ErrUnsupported) || errors.Is(err, study.ErrNotFound) || errors.Is(err, study.ErrInvalid)
}

func isSlide(in study.Instance) bool { return in.Image != nil && in.Image.Slide != nil }

// Of gives the slides of a study with a result's heat maps of them, in the order
// of their series. A slide that can't be read is left out, and one without a map
// has none.
func (f *Slides) Of(ctx context.Context, instances []study.Instance, r study.Result) ([]slides.Slide, error) {
	heats, layer, err := f.heats(ctx, r)
	if err != nil {
		return nil, err
	}
	bySeries := map[study.UID][]study.Instance{}
	var order []study.UID
	for _, in := range instances {
		if !isSlide(in) {
			continue
		}
		if bySeries[in.Series] == nil {
			order = append(order, in.Series)
		}
		bySeries[in.Series] = append(bySeries[in.Series], in)
	}
	slices.Sort(order)
	var out []slides.Slide
	for _, series := range order {
		levels, err := slide.Levels(bySeries[series])
		if err != nil {
			continue
		}
		one := slides.Slide{Levels: levels, Layer: layer}
		for _, h := range heats {
			if h.Series == series && h.Seen() > one.Heat.Seen() { // a model may look at several levels
				one.Heat = h
			}
		}
		if one.Specimen, err = f.specimen(ctx, levels[0].Instances[0]); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// heats makes the maps of a result, none for a model that gives no number of a
// patch.
func (f *Slides) heats(ctx context.Context, r study.Result) ([]slide.Heat, slides.Layer, error) {
	layer, err := f.Layer(r.Model)
	if errors.Is(err, study.ErrNotFound) {
		return nil, layer, nil
	}
	if err != nil {
		return nil, layer, err
	}
	rows, err := f.Rows.Parts(ctx, r.Study, r.Rev, r.Model)
	if err != nil {
		return nil, layer, err
	}
	var parts []study.Part
	for _, row := range rows {
		if row.State != study.JobDone {
			continue // a part that failed has no scores; its patches are unseen
		}
		var p study.Part
		if err := f.read(ctx, row.Key, &p); err != nil {
			return nil, layer, err
		}
		// Maps and outlines are large, and not needed here.
		p.Candidates, p.Features, p.Maps = nil, nil, nil
		parts = append(parts, p)
	}
	heats, err := slide.NewHeat(parts, layer.Index)
	return heats, layer, err
}

func (f *Slides) read(ctx context.Context, key string, p *study.Part) error {
	body, err := f.Objects.Range(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("read part %s: %w", key, err)
	}
	b, err := io.ReadAll(io.LimitReader(body, maxPart+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read part %s: %w", key, err)
	}
	if len(b) > maxPart {
		return fmt.Errorf("part %s is longer than %d bytes: %w", key, maxPart, study.ErrInvalid)
	}
	if err := json.Unmarshal(b, p); err != nil {
		return fmt.Errorf("part %s: %w: %w", key, study.ErrInvalid, err)
	}
	return nil
}

// specimen reads what a slide says of what it holds. A header that can't be read
// any more says nothing.
func (f *Slides) specimen(ctx context.Context, in study.Instance) (slides.Specimen, error) {
	end := int64(-1)
	if in.Image.Origin == nil {
		index, err := f.Index.Frames(ctx, in.UID)
		if err != nil && !errors.Is(err, study.ErrNotFound) {
			return slides.Specimen{}, err
		}
		if err == nil && len(index.Spans) > 0 {
			end = index.Spans[0].Off
		}
	}
	body, err := f.Objects.Range(ctx, in.Key, 0, end)
	if errors.Is(err, study.ErrNotFound) {
		return slides.Specimen{}, nil
	}
	if err != nil {
		return slides.Specimen{}, err
	}
	h, err := dicom.Scan(io.LimitReader(body, maxHeader), dicom.ScanOptions{})
	if cause := body.Close(); cause != nil {
		return slides.Specimen{}, cause
	}
	if err != nil && !errors.Is(err, study.ErrInvalid) {
		return slides.Specimen{}, err
	}
	if h == nil || h.Data == nil {
		return slides.Specimen{}, nil
	}
	return slides.ReadSpecimen(h.Data), nil
}
