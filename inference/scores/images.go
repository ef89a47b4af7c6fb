package scores

import (
	"cmp"
	"context"

	"varde/inference/gate"
	"varde/inference/sessions"
	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// images scores projections, each on its own. Neighbors of one size share a
// batch.
func (w *work) images(ctx context.Context) error {
	return ahead(ctx, func(ctx context.Context, emit func(batch) error) error {
		for _, group := range w.sizes() {
			b, err := w.prepareImages(ctx, group)
			if err == nil {
				err = emit(b)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, w.runTiles)
}

// sizes groups the tiles into batches of one size.
func (w *work) sizes() [][]int {
	var groups [][]int
	var last [2]int
	for i, t := range w.Block.Tiles {
		width, height := size(w.Card.Input, w.instances[t.Instance].Image, t.W, t.H)
		n := len(groups) - 1
		if n < 0 || len(groups[n]) >= w.batchSize() || w.Card.Sliding != nil || last != [2]int{width, height} {
			groups = append(groups, nil)
			n++
			last = [2]int{width, height}
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

// prepareImages makes one batch. It is the preparer's.
func (w *work) prepareImages(ctx context.Context, tiles []int) (batch, error) {
	var b batch
	var data []float32
	var width, height, channels int
	for _, i := range tiles {
		t := w.Block.Tiles[i]
		img := w.instances[t.Instance].Image
		width, height = size(w.Card.Input, img, t.W, t.H)
		f, err := w.frame(ctx, t)
		var one []float32
		var seen *study.Look
		if err == nil {
			seen, err = look(w.Card, i, img, f)
		}
		if seen != nil {
			b.looks = append(b.looks, *seen)
			if r := cmp.Or(gate.Passed(w.Card.Bounds(), *seen), small(w.Card, img, t)); !r.Zero() {
				b.missed = append(b.missed, study.Miss{Tile: i, Reason: r})
				b.decoders = append(b.decoders, f.Decoder)
				continue
			}
		}
		if err == nil {
			one, channels, err = w.image(img, f, width, height)
		}
		if err != nil {
			reason, its := fault(err, t)
			if !its {
				return b, err
			}
			b.missed = append(b.missed, study.Miss{Tile: i, Reason: reason})
			continue
		}
		if w.flipped(i) {
			if n := channels; w.Card.Input.Layout == modelcard.LayoutNHWC {
				flip(one, width, n)
			} else {
				flip(one, width, 1)
			}
		}
		b.decoders = append(b.decoders, f.Decoder)
		b.tiles = append(b.tiles, i)
		data = append(data, one...)
	}
	b.in = pixel.Tensor{Shape: sessions.Shape(w.Card.Input.Layout, len(b.tiles), channels, width, height), Data: data}
	return b, nil
}

// image gives one image as numbers for the network.
func (w *work) image(img *study.Image, f codec.Frame, width, height int) (v []float32, channels int, err error) {
	n := normalize(w.Card.Input)
	if w.Card.Input.Values != modelcard.ValuesRGB {
		if err := n.Check(1); err != nil {
			return nil, 0, err
		}
		if v, err = gray(w.Card, img, f); err == nil {
			n.Plane(v, v, 0)
		}
		return v, 1, err
	}
	rgb, err := f.RGB()
	if err != nil {
		return nil, 0, err
	}
	if width != f.Columns || height != f.Rows {
		if rgb, err = pixel.ResizeRGB(rgb, f.Columns, f.Rows, width, height); err != nil {
			return nil, 0, err
		}
	}
	look, err := n.Lookup()
	if err != nil {
		return nil, 0, err
	}
	v = make([]float32, len(rgb))
	if w.Card.Input.Layout == modelcard.LayoutNHWC {
		look.NHWC(v, rgb)
	} else {
		look.NCHW(v, rgb)
	}
	return v, 3, nil
}
