package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"varde/internal/dicom"
	"varde/internal/mask"
	"varde/internal/words"
	"varde/report/masks"
	"varde/study"
)

// KindMask is what a network drew over slices and images, a segmentation of each
// volume or image.
const KindMask = "mask"

// maxMasks bounds the masks of a part, bytes.
const maxMasks = 256 << 20

// About is what the card of a model says that reports depend on besides results.
type About struct {
	Looks    study.Code // what the model looks for; zero when the card does not say
	Segments []masks.Segment
	Form     masks.Form
}

// makeMasks makes the segmentations of what was drawn. What the form that was asked
// for can't tell, as a label map segments that overlap, is written as binary.
func makeMasks(ctx context.Context, w *Writer, k work) ([]made, error) {
	if !answered(k.result) {
		return nil, nil
	}
	about, ok, err := w.about(k.result.Model)
	if err != nil || !ok || len(about.Segments) == 0 {
		return nil, err
	}
	of := masks.Work{Identity: k.identity(), Result: k.result, Instances: k.instances, Segments: about.Segments, Form: about.Form, Lang: words.Lang(speech(k.lang)),
		Name: func(n int) (object, series study.UID) { return k.name(KindMask, n, "") }}
	if of.Drawings, err = w.Slides.drawings(ctx, k.result); err != nil {
		return nil, err
	}
	objects, err := of.Segmentations()
	if errors.Is(err, study.ErrUnsupported) && of.Form != masks.Binary {
		logger(w.Log).InfoContext(ctx, "masks written in another form", "study", k.result.Study, "model", k.result.Model.String(), "form", masks.Binary, "err", err)
		of.Form = masks.Binary
		objects, err = of.Segmentations()
	}
	if err != nil {
		return nil, err
	}
	var all []made
	for n, o := range objects {
		one := k.made(KindMask, n, "", o.Class, o.Bytes)
		h, err := dicom.Scan(bytes.NewReader(o.Bytes), dicom.ScanOptions{Size: int64(len(o.Bytes))})
		if err != nil {
			return nil, fmt.Errorf("read back a mask: %w", err)
		}
		one.segments = masks.Places(h.Data)
		all = append(all, one)
	}
	return all, nil
}

// about gives what the card of a model says; false where there is nobody to say it.
func (w *Writer) about(m study.ModelRef) (About, bool, error) {
	if w.Slides == nil || w.Slides.About == nil {
		return About{}, false, nil
	}
	a, err := w.Slides.About(m)
	if errors.Is(err, study.ErrNotFound) {
		return About{}, false, nil
	}
	return a, err == nil, err
}

// parts gives the parts of a result that were scored, in their order.
func (f *Slides) parts(ctx context.Context, r study.Result, each func(study.Part) error) error {
	rows, err := f.Rows.Parts(ctx, r.Study, r.Rev, r.Model)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.State != study.JobDone {
			continue // a part that failed saw nothing
		}
		var p study.Part
		if err := f.read(ctx, row.Key, &p); err != nil {
			return err
		}
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}

// drawings reads what the parts of a result drew.
func (f *Slides) drawings(ctx context.Context, r study.Result) ([]masks.Drawing, error) {
	var all []masks.Drawing
	err := f.parts(ctx, r, func(p study.Part) error {
		if p.Masks == nil {
			return nil
		}
		grids, err := f.masks(ctx, *p.Masks)
		all = append(all, masks.Drawing{Block: p.Block, Missed: p.Missed, Grids: grids})
		return err
	})
	return all, err
}

// masks reads masks back, and checks that they are what their part names.
func (f *Slides) masks(ctx context.Context, m study.Masks) ([]study.MaskGrid, error) {
	body, err := f.Objects.Range(ctx, m.Key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read masks %s: %w", m.Key, err)
	}
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(body, maxMasks+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read masks %s: %w", m.Key, err)
	}
	if study.Hash(sha256.Sum256(b.Bytes())) != m.SHA256 {
		return nil, fmt.Errorf("masks %s: another hash than the part names: %w", m.Key, study.ErrInvalid)
	}
	return mask.Decode(b.Bytes())
}

// missed lists the images that the model should have seen and did not, as far as the
// parts tell.
func (f *Slides) missed(ctx context.Context, r study.Result) (map[study.UID]bool, error) {
	all := map[study.UID]bool{}
	err := f.parts(ctx, r, func(p study.Part) error {
		for _, m := range p.Missed {
			if m.Tile >= 0 && m.Tile < len(p.Block.Tiles) && !p.Block.Tiles[m.Tile].Context {
				all[p.Block.Tiles[m.Tile].Instance] = true
			}
		}
		return nil
	})
	return all, err
}
