package worldlist_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"sync"
	"time"

	"varde/study"
	"varde/worldlist/viewer"
)

const slideTile = 256

// addSlide gives a study a slide of two levels in baseline JPEG.
func (w *ward) addSlide(uid study.UID, n int, text string, columns, rows int) study.UID {
	series := study.UID(fmt.Sprintf("%s.%d", uid, n))
	for i, step := range []int{1, 4} {
		cols, rws := columns/step, rows/step
		in := study.Instance{
			UID: study.UID(fmt.Sprintf("%s.%d", series, i+1)), Series: series, Study: uid, Class: "1.2.840.10008.5.1.4.1.1.77.1.6", TransferSyntax: "1.2.840.10008.1.2.4.50",
			Modality: study.SM, Number: i + 1, SeriesNumber: n, SeriesText: text,
			Image: &study.Image{Rows: slideTile, Columns: slideTile, Frames: ((cols + 255) / 256) * ((rws + 255) / 256), Samples: 3, BitsAllocated: 8, BitsStored: 8, Photometric: "YBR_FULL_422",
				ImageType: []string{"ORIGINAL", "PRIMARY", "VOLUME", "NONE"},
				Slide: &study.SlideLevel{TotalColumns: cols, TotalRows: rws, MicronsPerPixel: [2]float64{0.5 * float64(step), 0.5 * float64(step)},
					TiledFull: true, FocalPlanes: 1, OpticalPaths: 1, Kind: "VOLUME", ContainerID: fmt.Sprintf("S%d", n), ImageOrientation: [6]float64{0, 1, 0, 1, 0, 0}}},
		}
		in.Key = "slides/" + string(in.UID)
		in.SHA256 = hash(in.Key)
		w.instances[uid] = append(w.instances[uid], in)
	}
	return series
}

// drawn draws the object of a slide's instance when it is first asked for.
func (w *ward) drawn(uid study.UID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.frames[uid]; ok {
		return nil
	}
	for _, all := range w.instances {
		for _, in := range all {
			if in.UID != uid || in.Image.Slide == nil {
				continue
			}
			s := in.Image.Slide
			step := int(2 * s.MicronsPerPixel[0])
			index := study.Frames{First: []int32{0}}
			object := make([]byte, 512)
			for y := 0; y < s.TotalRows; y += slideTile {
				for x := 0; x < s.TotalColumns; x += slideTile {
					b, err := tileOf(x*step, y*step, step)
					if err != nil {
						return err
					}
					index.Spans = append(index.Spans, study.Span{Off: int64(len(object)), Len: int64(len(b))})
					index.First = append(index.First, int32(len(index.Spans)))
					object = append(object, b...)
				}
			}
			if w.frames == nil {
				w.frames = map[study.UID]study.Frames{}
			}
			w.frames[uid] = index
			w.put(in.Key, object)
			return nil
		}
	}
	return fmt.Errorf("frames of %s: %w", uid, study.ErrNotFound)
}

// tiles keeps what was drawn, for all slides are one drawing.
var tiles sync.Map

func tileOf(x, y, step int) ([]byte, error) {
	if b, ok := tiles.Load([3]int{x, y, step}); ok {
		return b.([]byte), nil
	}
	rgb := stained(x, y, slideTile, slideTile, step)
	m := image.NewRGBA(image.Rect(0, 0, slideTile, slideTile))
	for i := range slideTile * slideTile {
		m.SetRGBA(i%slideTile, i/slideTile, color.RGBA{rgb[3*i], rgb[3*i+1], rgb[3*i+2], 255})
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 85})
	tiles.Store([3]int{x, y, step}, b.Bytes())
	return b.Bytes(), err
}

func (w *ward) index(_ context.Context, uid study.UID) (study.Frames, error) {
	if err := w.drawn(uid); err != nil {
		return study.Frames{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frames[uid], nil
}

// Range reads a part of a drawn object.
func (w *ward) Range(_ context.Context, key string, off, n int64) (io.ReadCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.objects[key]
	if !ok {
		return nil, fmt.Errorf("object %s: %w", key, study.ErrNotFound)
	}
	if n < 0 {
		n = int64(len(b)) - off
	}
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(b), off, n)), nil
}

// put keeps an object; mu must be held, or nobody else be there yet.
func (w *ward) put(key string, b []byte) {
	if w.objects == nil {
		w.objects = map[string][]byte{}
	}
	w.objects[key] = b
}

func (w *ward) Asked(_ context.Context, uid study.UID, _ int) ([]viewer.Asked, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[uid], nil
}

func (w *ward) Parts(_ context.Context, uid study.UID, _ int, m study.ModelRef) ([]study.PartRow, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var mine []study.PartRow
	for _, r := range w.done[uid] {
		if p := w.parts[r.Key]; r.Key == "" || p.Model == m {
			mine = append(mine, r)
		}
	}
	return mine, nil
}

func (w *ward) Part(_ context.Context, key string) (study.Part, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.parts[key]
	if !ok {
		return p, fmt.Errorf("part %s: %w", key, study.ErrNotFound)
	}
	return p, nil
}

const patch = 224

// score adds the patches of some rows of a slide as one part, hot around a place.
// With miss those from row 10 on can't be seen.
func (w *ward) score(uid, series study.UID, m study.ModelRef, index, fromRow, toRow int, hotX, hotY float64, miss bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := study.Part{Study: uid, Rev: 1, Model: m, Index: index, Block: study.Block{Kind: study.Patches, Series: series}}
	for y := fromRow; y < toRow; y++ {
		for x := range slideColumns / patch {
			cx, cy := float64(x*patch+patch/2), float64(y*patch+patch/2)
			if math.Hypot((cx-2050)/1800, (cy-1500)/1250) > 0.97 {
				continue
			}
			t := len(p.Block.Tiles)
			p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: series + ".1", X: x * patch, Y: y * patch, W: patch, H: patch})
			if miss && y >= 10 {
				p.Missed = append(p.Missed, study.Miss{Tile: t, Reason: study.Reason{Code: study.ReasonDamaged}})
				continue
			}
			d := math.Hypot(cx-hotX, cy-hotY)
			p.Scores = append(p.Scores, study.Score{Tile: t, Values: []float32{float32(0.08 + 0.9*math.Exp(-d*d/(2*420*420)))}})
		}
	}
	key := fmt.Sprintf("results/%s/%s/%s/%d", uid, series, m, index)
	if w.parts == nil {
		w.parts, w.done = map[string]study.Part{}, map[study.UID][]study.PartRow{}
	}
	w.parts[key] = p
	w.done[uid] = append(w.done[uid], study.PartRow{Part: index, State: study.JobDone, Key: key, Planned: len(p.Block.Tiles), Seen: len(p.Scores)})
	return len(p.Block.Tiles)
}

const (
	needles study.UID = "2.25.112" // three biopsies, and a slide that is held
	growing study.UID = "2.25.113" // one slide, being scored
	unasked study.UID = "2.25.114" // no model was for it
)

var mitoses = study.ModelRef{ID: "he-mitoses", Version: "0.4.0", SHA256: hash("mitoses")}

// ofSlides is a ward with cases of slides.
func ofSlides() *ward {
	w := newWard()
	arrived := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := densityResult()
	r.AI, r.Findings = study.Flagged, nil
	r.Slide = needles + ".2"
	r.Slides = []study.SlideResult{
		{Series: needles + ".2", AI: study.Flagged, Findings: 2, Planned: 138, Seen: 138},
		{Series: needles + ".1", AI: study.NotFlagged, Planned: 138, Seen: 138},
		{Series: needles + ".3", AI: study.Uncertain, Findings: 1, Planned: 138, Seen: 126, Reason: study.Reason{Code: study.ReasonDamaged, Detail: "12 tiles"}},
		{Series: needles + ".4", AI: study.Failed, Reason: study.Reason{Code: study.ReasonSpacing, Detail: "no pixel spacing"}},
	}
	second := ran(mitoses, study.NotFlagged, 414, 414)
	second.Slide = needles + ".1"
	for n := range 3 {
		second.Slides = append(second.Slides, study.SlideResult{Series: study.UID(fmt.Sprintf("%s.%d", needles, n+1)), AI: study.NotFlagged, Planned: 138, Seen: 138})
	}
	r.Planned, r.Seen = 414, 402
	for _, c := range []study.Case{
		one(needles, "Aas^Nils", "Prostate, 12 needle biopsies", study.SM, arrived, study.PriorityPathway, time.Time{}, r, second),
		one(growing, "Bakke^Rolf", "Skin excision", study.SM, arrived, "", time.Time{}, ran(nuclei, study.Running, 0, 0)),
		one(unasked, "Dale^Siv", "Frozen section", study.SM, arrived, "", time.Time{}),
	} {
		w.cases[c.Study.UID] = &c
	}
	w.cases[unasked].Study.Note = study.ReasonNoModel
	w.cases[unasked].Study.Status = study.Settled
	asked := viewer.Asked{Name: "H&E nuclear density", Map: &viewer.Map{Probability: true, Threshold: 0.5},
		Plan: study.ModelPlan{Model: nuclei, State: study.Running, Planned: 138}}
	other := viewer.Asked{Name: "H&E mitoses", Map: &viewer.Map{Threshold: 0.2}, Plan: study.ModelPlan{Model: mitoses, State: study.Running, Planned: 414}}
	w.asked = map[study.UID][]viewer.Asked{prostate: {asked}, needles: {asked, other}, growing: {asked}}
	w.score(prostate, prostate+".1", nuclei, 0, 0, 7, spotX, spotY, false)
	w.score(prostate, prostate+".1", nuclei, 1, 7, 13, spotX, spotY, false)
	for n, hot := range [][2]float64{{-9000, -9000}, {spotX, spotY}, {1300, 1700}} {
		series := w.addSlide(needles, n+1, []string{"H&E", "H&E", "PIN4"}[n], slideColumns, slideRows)
		w.score(needles, series, nuclei, n, 0, 13, hot[0], hot[1], n == 2)
		w.score(needles, series, mitoses, n, 0, 13, 800, 1500, false)
	}
	held := w.addSlide(needles, 4, "H&E", 2048, 1536)
	for i := range w.instances[needles] {
		if in := &w.instances[needles][i]; in.Series == held {
			in.Image.Slide.MicronsPerPixel = [2]float64{}
		}
	}
	w.addSlide(growing, 1, "H&E", slideColumns, slideRows)
	w.addSlide(unasked, 1, "H&E", 2048, 1536)
	return w
}
