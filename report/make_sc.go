package report

import (
	"context"
	"fmt"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/internal/words"
	"varde/report/capture"
	"varde/study"
)

// KindCapture is a picture with its findings ringed, or a page of text.
const KindCapture = "sc"

// makeCaptures makes pictures of what was found, or a page that says why there is
// nothing to show.
func makeCaptures(ctx context.Context, w *Writer, k work) ([]made, error) {
	views, pictures, err := seen(ctx, w.Slides, k.instances, k.result)
	if err != nil {
		return nil, err
	}
	objects, err := capture.Work{Identity: k.identity(), Result: k.result, Instances: k.instances, Told: k.told(KindCapture),
		Name: func(n int) (object, series study.UID) {
			object, _ = k.name(KindCapture, k.nth(n), "")
			_, series = k.name(KindCapture, k.nth(0), "") // one for all of them
			return object, series
		}}.Objects(views, pictures)
	if err != nil {
		return nil, err
	}
	var all []made
	for n, b := range objects {
		o := k.made(KindCapture, k.nth(n), "", dicom.SecondaryCapture, b)
		_, o.series = k.name(KindCapture, k.nth(0), "")
		all = append(all, o)
	}
	return all, nil
}

// mostCaptures is more pictures than a result ever has.
const mostCaptures = 1000

// nth gives the number of the n-th picture of a result: those that are made anew for the
// patient as corrected are behind the ones before.
func (k work) nth(n int) int { return k.number*mostCaptures + n }

// told puts the result into words for an object of a kind.
func (k work) told(kind string) words.Told {
	return words.Tell(words.Lang(k.lang), k.study, k.result, words.TellOptions{Instances: k.instances, Replaces: k.predecessor(kind, "") != nil})
}

// seen gives the images that a result is shown on with their pictures. One that
// can't be read and never will be has an empty picture.
func seen(ctx context.Context, from *Slides, instances []study.Instance, r study.Result) ([]capture.View, []capture.Picture, error) {
	if from == nil || !answered(r) {
		return nil, nil, nil
	}
	views := capture.Views(instances, r)
	pictures := make([]capture.Picture, len(views))
	for n, v := range views {
		p, err := from.picture(ctx, instances, v)
		if err != nil && !hopeless(err) {
			return nil, nil, err
		}
		if err == nil {
			pictures[n] = p
		}
	}
	return views, pictures, nil
}

// picture reads what a view shows.
func (f *Slides) picture(ctx context.Context, instances []study.Instance, v capture.View) (capture.Picture, error) {
	if v.Slide() {
		return capture.Overview(ctx, &slide.Reader{Objects: f.Objects, Frames: f.Index.Frames}, instances, v)
	}
	index, err := f.Index.Frames(ctx, v.Instance.UID)
	if err != nil {
		return capture.Picture{}, fmt.Errorf("find the frames of %s: %w", v.Instance.UID, err)
	}
	frame, err := codec.ReadFrame(ctx, f.Objects, v.Instance, index, v.Frame-1)
	if err != nil {
		return capture.Picture{}, fmt.Errorf("read frame %d of %s: %w", v.Frame, v.Instance.UID, err)
	}
	return capture.NewPicture(v.Instance, frame)
}
