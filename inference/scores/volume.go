package scores

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"varde/inference/outputs"
	"varde/inference/place"
	"varde/inference/regions"
	"varde/internal/pixel"
	"varde/study"
)

const (
	// slicesAtOnce is how many slices of a block are read and decoded at the
	// same time. Most of it is waiting for the store.
	slicesAtOnce = 4
	// bridged is how far apart, in distances of two slices, two slices may lie
	// for the planes between them to be searched: one slice between them may be
	// missing. What lies in a wider gap nobody has seen.
	bridged = 2.05
	// beside is how far from a slice, in distances of two slices, a plane may
	// lie that has slices on one side only.
	beside = 0.55
)

// A stack is the slices of a block that could be decoded, at the size that the
// card asks for.
type stack struct {
	sites         []place.Site // in order along the normal
	planes        [][]float32
	width, height int
	missed        []study.Miss
	looks         []study.Look
	decoders      []string
}

// volume scores a block of slices in one run.
func (w *work) volume(ctx context.Context) error {
	if err := w.checkVolume(); err != nil {
		return err
	}
	s, err := w.stack(ctx)
	if err != nil {
		return err
	}
	w.take(batch{missed: s.missed, decoders: s.decoders})
	w.part.Looks = s.looks
	own := slices.ContainsFunc(s.sites, func(at place.Site) bool { return !at.Tile.Context })
	if !own { // nothing that this block answers for was seen
		return nil
	}
	in, err := w.tensor(s)
	if err != nil {
		return err
	}
	halo := w.Card.Input.HaloPlanes
	var out map[string]outputs.Output
	if w.Card.Sliding != nil {
		v, _ := in.Data.([]float32)
		out, err = w.slide(ctx, v, w.Block.First-halo, w.Block.First, w.Block.Last+1, s.height, s.width)
		halo = 0
	} else {
		out, err = w.run(ctx, in)
	}
	if err != nil {
		return err
	}
	return w.read(s, out, halo)
}

func (w *work) checkVolume() error {
	b := w.Block
	if b.Last < b.First || b.First < 0 || !(b.StepMM > 0) || len(b.Tiles) == 0 {
		return fmt.Errorf("planes %d to %d of %g mm over %d slices: %w", b.First, b.Last, b.StepMM, len(b.Tiles), study.ErrInvalid)
	}
	for _, t := range b.Tiles {
		if img := w.instances[t.Instance].Image; img.Orientation == nil || place.NewSite(0, t, w.instances[t.Instance]).Pos == nil {
			return fmt.Errorf("slice %s has no place: %w", t.Instance, study.ErrInvalid)
		}
	}
	return nil
}

// stack reads and decodes the slices.
func (w *work) stack(ctx context.Context) (stack, error) {
	type one struct {
		values  []float32
		decoder string
		reason  study.Reason
		look    *study.Look
	}
	tiles := w.Block.Tiles
	got := make([]one, len(tiles))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(slicesAtOnce)
	for i, t := range tiles {
		group.Go(func() error {
			f, err := w.frame(ctx, t)
			if err == nil {
				got[i].decoder = f.Decoder
				got[i].values, err = gray(w.Card, w.instances[t.Instance].Image, f)
			}
			if err == nil {
				got[i].values, got[i].reason = w.moved(w.site(i), got[i].values)
			}
			if err == nil && got[i].values != nil && !t.Context {
				got[i].look, err = look(w.Card, i, w.instances[t.Instance].Image, f)
			}
			if err != nil {
				reason, its := fault(err, t)
				if !its {
					return err
				}
				got[i] = one{reason: reason}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return stack{}, err
	}
	var s stack
	for i, t := range tiles {
		if got[i].values == nil {
			if !t.Context { // else its own block says so
				s.missed = append(s.missed, study.Miss{Tile: i, Reason: got[i].reason})
			}
			continue
		}
		width, height := size(w.Card.Input, w.instances[t.Instance].Image, t.W, t.H)
		if len(s.sites) == 0 {
			s.width, s.height = width, height
		}
		if width != s.width || height != s.height {
			return stack{}, fmt.Errorf("slice %s is of another size than the others: %w", t.Instance, study.ErrInvalid)
		}
		s.sites = append(s.sites, w.site(i))
		s.planes = append(s.planes, got[i].values)
		s.decoders = append(s.decoders, got[i].decoder)
		if l := got[i].look; l != nil {
			s.looks = append(s.looks, *l)
		}
	}
	return s, s.sort()
}

// sort brings the slices into their order along the normal.
func (s *stack) sort() error {
	order := make([]int, len(s.sites))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.sites[a].At, s.sites[b].At) })
	sites, planes := s.sites, s.planes
	s.sites, s.planes = nil, nil
	for n, i := range order {
		if n > 0 && sites[i].At <= s.sites[n-1].At {
			return fmt.Errorf("slices %s and %s lie in one place: %w", s.sites[n-1].Tile.Instance, sites[i].Tile.Instance, study.ErrInvalid)
		}
		s.sites, s.planes = append(s.sites, sites[i]), append(s.planes, planes[i])
	}
	return nil
}

// tensor makes the planes of the block and of its halo. Beyond the first and the
// last slice that slice goes on.
func (w *work) tensor(s stack) (pixel.Tensor, error) {
	b, halo := w.Block, w.Card.Input.HaloPlanes
	count := b.Last - b.First + 1 + 2*halo
	zs := make([]float64, len(s.sites))
	for i, at := range s.sites {
		zs[i] = at.At
	}
	n := normalize(w.Card.Input)
	if err := n.Check(1); err != nil {
		return pixel.Tensor{}, err
	}
	v, err := pixel.Volume(zs, s.planes, b.OriginMM+float64(b.First-halo)*b.StepMM, b.StepMM, count)
	if err != nil {
		return pixel.Tensor{}, err
	}
	n.Plane(v, v, 0)
	return pixel.Tensor{Shape: []int64{1, 1, int64(count), int64(s.height), int64(s.width)}, Data: v}, nil
}

// read takes down what the network gave for the volume, the planes of the block
// and halo more on either side. A scalar is one number for the whole block, and
// stands beside its first own slice.
func (w *work) read(s stack, out map[string]outputs.Output, halo int) error {
	scores, err := outputs.Scalars(w.Card, out, 1)
	if err != nil {
		return err
	}
	first := s.sites[slices.IndexFunc(s.sites, func(at place.Site) bool { return !at.Tile.Context })].Index
	for _, v := range slices.Concat(scores...) {
		if outputs.IsNone(v) {
			w.missAll(s)
			return nil
		}
	}
	embedded, err := outputs.Embedding(w.Card, out, 0, 1)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(embedded, outputs.IsNone) {
		w.missAll(s)
		return nil
	}
	if ok, err := w.drawVolume(s, out, halo); err != nil || !ok {
		return err
	}
	if ok, err := w.chancesOfVolume(s, out, halo); err != nil {
		return err
	} else if !ok {
		w.missAll(s)
		return nil
	}
	if len(scores) > 0 {
		w.part.Scores = append(w.part.Scores, study.Score{Tile: first, Values: scores[0]})
	} else if len(embedded) > 0 {
		w.part.Scores = append(w.part.Scores, study.Score{Tile: first, Values: []float32{}})
	}
	w.embed(embedded)
	if w.Card.Find == nil || w.Card.Find.Map == "" {
		return nil
	}
	return w.searchVolume(s, out[w.Card.Find.Map], halo)
}

// missAll says of all own slices that the network gave no numbers for them.
func (w *work) missAll(s stack) {
	w.part.Scores, w.part.Masks, w.part.Chances, w.part.Features = nil, nil, nil, nil
	for _, at := range s.sites {
		if !at.Tile.Context {
			w.part.Missed = append(w.part.Missed, study.Miss{Tile: at.Index, Reason: notANumber})
		}
	}
	slices.SortFunc(w.part.Missed, func(a, b study.Miss) int { return cmp.Compare(a.Tile, b.Tile) })
}

// searchVolume looks for candidates in the planes that the block answers for.
// What touches the first or the last of them may go on in the next block, and
// keeps a seam.
func (w *work) searchVolume(s stack, o outputs.Output, halo int) error {
	b := w.Block
	count := b.Last - b.First + 1
	m, err := o.Volume(count + 2*halo)
	if err != nil {
		return err
	}
	size := m.Width * m.Height
	m.Values = slices.Clone(m.Values[halo*size:][:count*size])
	m.Planes, m.First = count, b.First
	if slices.ContainsFunc(m.Values, outputs.IsNone) {
		w.missAll(s)
		return nil
	}
	g, err := place.NewGrain(s.sites[0], s.width, s.height, m)
	if err != nil {
		return err
	}
	g.Origin, g.Step = b.OriginMM, b.StepMM
	g.Voxel *= b.StepMM
	w.blind(s, m)
	pieces, err := regions.Components(m, w.Card.Find.Threshold)
	if err != nil {
		return err
	}
	for _, p := range place.Strongest(pieces) {
		if b.First == 0 {
			p.Low = nil
		}
		c := place.Candidate(p, g, s.sites)
		if len(p.Low) > 0 || len(p.High) > 0 {
			c.Seam = place.Seam(p, g)
		}
		w.part.Candidates = append(w.part.Candidates, c)
	}
	return nil
}

// blind takes the planes out of the search that no slice is near enough to.
func (w *work) blind(s stack, m regions.Field) {
	size := m.Width * m.Height
	for k, hidden := range w.hidden(s) {
		if hidden {
			for i := range size {
				m.Values[k*size+i] = float32(math.Inf(-1))
			}
		}
	}
}

// hidden says of each plane of the block whether no slice is near enough to it.
func (w *work) hidden(s stack) []bool {
	b := w.Block
	apart := w.apart()
	all := make([]bool, b.Last-b.First+1)
	for k := range all {
		z := b.OriginMM + float64(b.First+k)*b.StepMM
		above, _ := slices.BinarySearchFunc(s.sites, z, func(at place.Site, z float64) int { return cmp.Compare(at.At, z) })
		seen := false
		if above < len(s.sites) {
			seen = s.sites[above].At-z <= beside*apart
		}
		if above > 0 {
			below := s.sites[above-1].At
			seen = seen || z-below <= beside*apart || above < len(s.sites) && s.sites[above].At-below <= bridged*apart
		}
		all[k] = !seen
	}
	return all
}

// apart is the usual distance of two slices of the block, those included that
// could not be decoded.
func (w *work) apart() float64 {
	var zs, gaps []float64
	for i := range w.Block.Tiles {
		zs = append(zs, w.site(i).At)
	}
	slices.Sort(zs)
	for i := 1; i < len(zs); i++ {
		gaps = append(gaps, zs[i]-zs[i-1])
	}
	if len(gaps) == 0 {
		return max(w.Block.StepMM, w.site(0).In.Image.ThicknessMM)
	}
	slices.Sort(gaps)
	return max(w.Block.StepMM, gaps[len(gaps)/2])
}
