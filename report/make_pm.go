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
	"varde/report/pm"
	"varde/report/slides"
	"varde/study"
)

// KindMap is a parametric map: of one slide, or of one thing that a network gave the
// probabilities of, voxel by voxel, of one volume.
const KindMap = "pm"

// mapSeries is the series number of parametric maps of slides.
const mapSeries = 9911

// makeMaps makes a parametric map of each slide, as makeHeatmaps makes heatmaps; and of
// volumes and images one for each thing whose probabilities were kept, as the model's
// card asks for it.
func makeMaps(ctx context.Context, w *Writer, k work) ([]made, error) {
	all, err := makeOfSlides(ctx, w, k, KindMap, dicom.ParametricMap, func(work slides.Work, one slides.Slide) ([]byte, error) {
		work.Number = mapSeries
		if len(one.Heat.Values) == 0 {
			return nil, fmt.Errorf("no patch has a number: %w", study.ErrNotFound)
		}
		return work.ParametricMap(one)
	})
	if err != nil || len(all) > 0 || w.Slides == nil || !answered(k.result) {
		return all, err
	}
	of := pm.Work{Identity: k.identity(), Result: k.result, Instances: k.instances, Lang: words.Lang(speech(k.lang)), What: map[string]study.Code{},
		Name: func(n int) (object, series study.UID) { return k.name(KindMap, n, "") }}
	if of.Drawings, err = w.chances(ctx, k.result); err != nil || len(of.Drawings) == 0 {
		return nil, err
	}
	about, _, err := w.about(k.result.Model)
	if err != nil {
		return nil, err
	}
	for _, s := range about.Segments {
		of.What[s.Name] = s.What
	}
	maps, err := of.Maps()
	for n, b := range maps {
		all = append(all, k.made(KindMap, n, "", dicom.ParametricMap, b))
	}
	return all, err
}

// chances reads the probabilities that the parts of a result have kept.
func (w *Writer) chances(ctx context.Context, r study.Result) ([]pm.Drawing, error) {
	var all []pm.Drawing
	err := w.Slides.parts(ctx, r, func(p study.Part) error {
		switch {
		case p.Chances == nil:
			return nil
		case p.Chances.TooMany:
			logger(w.Log).InfoContext(ctx, "no map of a block: it has too many probabilities", "study", r.Study, "model", r.Model.String(), "series", p.Block.Series)
			return nil
		}
		grids, err := w.Slides.chanceGrids(ctx, *p.Chances)
		all = append(all, pm.Drawing{Block: p.Block, Missed: p.Missed, Grids: grids})
		return err
	})
	return all, err
}

// chanceGrids reads probabilities back, and checks that they are what their part names.
func (f *Slides) chanceGrids(ctx context.Context, c study.Chances) ([]study.ChanceGrid, error) {
	body, err := f.Objects.Range(ctx, c.Key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read probabilities %s: %w", c.Key, err)
	}
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(body, mask.MaxChances+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read probabilities %s: %w", c.Key, err)
	}
	if study.Hash(sha256.Sum256(b.Bytes())) != c.SHA256 {
		return nil, fmt.Errorf("probabilities %s: another hash than the part names: %w", c.Key, study.ErrInvalid)
	}
	return mask.DecodeChances(b.Bytes())
}
