package models

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"

	"varde/internal/onnx/graph"
	"varde/models/modelcard"
	"varde/study"
)

// A Drawn model is a card and the network that it pins.
type Drawn struct{ CardTOML, Network []byte }

// referenceCards holds the cards of the reference models. Where a card must name
// its network's SHA-256 it has a mark, since the network is drawn by code.
//
//go:embed reference/*.toml
var referenceCards embed.FS

// networkMark stands in a card for the SHA-256 of its network.
const networkMark = "@network@"

// reference draws the models once.
var reference = sync.OnceValue(func() []Drawn {
	var all []Drawn
	for _, m := range []struct {
		card string
		draw func() ([]byte, error)
	}{
		{"he-density", nuclearDensity},
		{"ct-nodule", lungNodules},
		{"mg-calc", calcifications},
	} {
		d, err := drawn(m.card, m.draw)
		if err != nil {
			panic("a reference model does not hold together: " + err.Error()) // ours, and drawn from nothing that could vary
		}
		all = append(all, d)
	}
	return all
})

// Reference gives the reference models: nuclear density in H&E, nodule
// candidates in chest CT, microcalcification candidates in mammograms. They are
// image filters written as networks, with nothing learned: what they do can be
// read off their cards and checked by hand. They are drawn by code, the same
// bytes every time, and are not medical devices.
func Reference() []Drawn { return reference() }

func drawn(card string, draw func() ([]byte, error)) (Drawn, error) {
	network, err := draw()
	if err != nil {
		return Drawn{}, err
	}
	text, err := referenceCards.ReadFile("reference/" + card + ".toml")
	if err != nil {
		return Drawn{}, err
	}
	hash := study.Hash(sha256.Sum256(network))
	d := Drawn{CardTOML: []byte(strings.Replace(string(text), networkMark, hash.String(), 1)), Network: network}
	c, err := modelcard.Parse(d.CardTOML)
	if err != nil {
		return Drawn{}, err
	}
	_, err = modelcard.Check(c, network)
	return d, err
}

// AddReference takes the reference models in. One that nobody has decided on yet
// goes live, and the record says that the installation did that and no person; one
// on which somebody has decided stays as it is, also after an update. An earlier card
// of the same version stays too, with its hash, as long as it says of the model what
// the new one says and only the words for it differ.
func (r *Registry) AddReference(ctx context.Context, by string) error {
	for _, d := range Reference() {
		card, err := r.Add(ctx, d.CardTOML, d.Network, by)
		if errors.Is(err, study.ErrRefused) {
			if earlier, e := r.reworded(d); e == nil {
				card, err = earlier, nil
			}
		}
		if err != nil {
			return fmt.Errorf("add reference models: %w", err)
		}
		state, err := r.State(ctx, card.Ref())
		if err == nil && state == study.ModelDraft {
			err = r.Change(ctx, study.ModelChange{Model: card.Ref(), State: study.ModelLive, By: by, Installed: true,
				Reason: "reference model, live from the start"})
			// Another process may have been quicker.
			if now, e := r.State(ctx, card.Ref()); err != nil && e == nil && now != study.ModelDraft {
				err = nil
			}
		}
		if err != nil {
			return fmt.Errorf("add reference models: %w", err)
		}
	}
	return nil
}

// reworded gives the card of a drawn model that is here already, and differs from the
// one that is drawn by its texts in other languages alone.
func (r *Registry) reworded(d Drawn) (modelcard.Card, error) {
	now, err := modelcard.Parse(d.CardTOML)
	if err != nil {
		return now, err
	}
	earlier, err := r.Card(now.Ref())
	if err != nil {
		return earlier, err
	}
	plain := func(c modelcard.Card) modelcard.Card {
		c.Text, c.Hash = nil, study.Hash{}
		return c
	}
	if !reflect.DeepEqual(plain(earlier), plain(now)) {
		return earlier, fmt.Errorf("model %s: this version is here with a card that asks for something else: %w", now.Ref(), study.ErrRefused)
	}
	return earlier, nil
}

// A sketch is a graph with the layers that the reference models are made of. All
// of them work on one channel of [tile, 1, plane, row, column]; a flat picture is
// a volume of one plane. (As a plane, a picture of one channel would be padded to
// sixteen by the runtime, and take that much more memory.)
type sketch struct {
	*graph.Graph
	flat bool // there is one plane, and no layer looks along planes
}

// The axes of a picture.
const (
	planes = iota
	rows
	columns
)

// axes lists those that layers look along.
func (s sketch) axes() []int {
	if s.flat {
		return []int{rows, columns}
	}
	return []int{planes, rows, columns}
}

// spread gives a list over the axes with v on one of them and rest on the others.
func spread(axis int, v, rest int64) []int64 {
	l := []int64{rest, rest, rest}
	l[axis] = v
	return l
}

// pool is what pooling layers have in common: a window along one axis that
// reaches equally far to both sides.
func pool(axis int, radius int64) graph.Attrs {
	reach := spread(axis, radius, 0)
	return graph.Attrs{"kernel_shape": spread(axis, 2*radius+1, 1), "pads": append(reach, reach...), "strides": []int64{1, 1, 1}}
}

// along correlates with a kernel along one axis. The picture loses the kernel's
// reach at both ends.
func (s sketch) along(x string, axis int, kernel []float32) string {
	n := int64(len(kernel))
	shape := append([]int64{1, 1}, spread(axis, n, 1)...)
	return s.Node("Conv", graph.Attrs{"kernel_shape": spread(axis, n, 1)}, x, s.Floats(kernel, shape...))
}

// edged lets a picture go on beyond its edges as it ends.
func (s sketch) edged(x string, reach int64) string {
	pads := []int64{0, 0, reach, reach, reach}
	if s.flat {
		pads[2+planes] = 0
	}
	return s.Node("Pad", graph.Attrs{"mode": "edge"}, x, s.Ints(append(pads, pads...)...))
}

// dilate takes the highest value in a box that reaches radius pixels on each
// side. A box is the product of its axes, so that one axis goes after the other.
func (s sketch) dilate(x string, radius int64) string {
	for _, axis := range s.axes() {
		x = s.Node("MaxPool", pool(axis, radius), x)
	}
	return x
}

// erode takes the lowest value in a box.
func (s sketch) erode(x string, radius int64) string {
	return s.Node("Neg", nil, s.dilate(s.Node("Neg", nil, x), radius))
}

// smooth averages over a box, at the edges over the part of it that exists.
func (s sketch) smooth(x string, radius int64) string {
	for _, axis := range s.axes() {
		a := pool(axis, radius)
		a["count_include_pad"] = 0
		x = s.Node("AveragePool", a, x)
	}
	return x
}

func (s sketch) above(x string, v float32) string { return s.Node("Greater", nil, x, s.Scalar(v)) }
func (s sketch) below(x string, v float32) string { return s.Node("Less", nil, x, s.Scalar(v)) }
func (s sketch) number(x string) string {
	return s.Node("Cast", graph.Attrs{"to": int(graph.Float)}, x)
}
func (s sketch) mul(a, b string) string           { return s.Node("Mul", nil, a, b) }
func (s sketch) add(a, b string) string           { return s.Node("Add", nil, a, b) }
func (s sketch) sub(a, b string) string           { return s.Node("Sub", nil, a, b) }
func (s sketch) scale(a string, v float32) string { return s.mul(a, s.Scalar(v)) }

// clip shifts and scales a range of values to 0–1 and cuts what lies outside.
func (s sketch) clip(x string, low, high float32) string {
	y := s.scale(s.add(x, s.Scalar(-low)), 1/(high-low))
	return s.Node("Clip", nil, y, s.Scalar(0), s.Scalar(1))
}

// gaussian samples a Gaussian (order 0) or its first or second derivative out to
// radius, as a kernel for correlation. The sampled kernels are normalized: they
// give back a constant, a slope of one, and a curvature of one, exactly.
func gaussian(sigma float64, radius, order int) []float32 {
	k := make([]float64, 2*radius+1)
	var sum, moment float64
	for i := range k {
		k[i] = math.Exp(-float64((i-radius)*(i-radius)) / (2 * sigma * sigma))
		sum += k[i]
	}
	for i := range k {
		x := float64(i - radius)
		k[i] /= sum
		switch order {
		case 1:
			k[i] *= x
			moment += k[i] * x
		case 2:
			k[i] *= x*x - sigma*sigma
		}
	}
	if order == 2 {
		var mean float64
		for _, v := range k {
			mean += v / float64(len(k))
		}
		for i := range k {
			x := float64(i - radius)
			k[i] -= mean
			moment += k[i] * x * x / 2
		}
	}
	out := make([]float32, len(k))
	for i := range k {
		if order > 0 {
			k[i] /= moment
		}
		out[i] = float32(k[i])
	}
	return out
}
