package plan

import (
	"fmt"
	"math"
	"slices"

	"varde/models/modelcard"
	"varde/study"
)

// slicesPerJob is the most slices, and planesPerJob the most planes of the
// resampled volume, that one job answers for: few enough that a worker which
// dies loses seconds of work and that a chest fits in its memory, and enough
// that the halo, which two neighbors both compute, stays a small share.
const (
	slicesPerJob = 64
	planesPerJob = 64
)

// planVolume plans the slices of a model that sees volumes.
func planVolume(card modelcard.Card, images []*study.Instance, faults map[study.UID]study.Reason) study.ModelPlan {
	var good []*stack
	var worst *stack // the refused stack with the most slices speaks for the rest
	state := study.OutOfScope
	for _, s := range stacks(images, faults) {
		reason, why := refuseStack(card, s)
		if reason.Zero() {
			good = append(good, s)
			continue
		}
		s.fault = reason
		if worst == nil || len(s.slices) > len(worst.slices) {
			worst, state = s, why
		}
	}
	if len(good) == 0 {
		return study.ModelPlan{State: state, Reason: worst.fault}
	}
	var p study.ModelPlan
	for _, s := range choose(good) {
		p.Blocks = append(p.Blocks, s.blocks(card)...)
		for _, sl := range s.slices {
			if !sl.fault.Zero() {
				p.Unseen++
				p.Reason = firstReason(p.Reason, sl.fault)
			}
		}
	}
	return p
}

// refuseStack says why a stack is not for the model, and with which state: out
// of scope when it is another kind of thing than the model is meant for, failed
// when it is that thing and can't be scored.
func refuseStack(card modelcard.Card, s *stack) (study.Reason, study.AIState) {
	sound, reason := 0, study.Reason{}
	for _, sl := range s.slices {
		if sl.fault.Zero() {
			sound++
		}
		reason = firstReason(reason, sl.fault)
	}
	least := max(1, card.Use.MinImages)
	if s.resampled(card.Pose) {
		s.torn, s.fault = false, study.Reason{}
	}
	switch {
	case s.torn:
		return s.fault, study.Failed
	case !s.fault.Zero():
		return s.fault, study.OutOfScope
	case len(s.slices) < least:
		return study.Reason{Code: study.ReasonTooFew, Detail: fmt.Sprintf("%d < %d", len(s.slices), least)}, study.OutOfScope
	case sound < least:
		return reason, study.Failed
	}
	if r := coarse(card, s.first.Image, "pixel"); !r.Zero() {
		return r, study.OutOfScope
	}
	if limit := card.Use.MaxStepMM; limit > 0 && s.widest > limit*(1+unevenShare) {
		return study.Reason{Code: study.ReasonSpacing, Detail: fmt.Sprintf("%.2f mm > %.2f mm", s.widest, limit)}, study.OutOfScope
	}
	return study.Reason{}, ""
}

// coarse says why the spacing within an image is not for the model: none of the
// kind that is needed, or too coarse. The slack is for rounding.
func coarse(card modelcard.Card, img *study.Image, kind string) study.Reason {
	needed := card.Use.MaxSpacingMM > 0 || card.Input.SpacingMM[1] > 0 || card.Input.SpacingMM[2] > 0 ||
		card.Find != nil && (card.Find.MinMM > 0 || card.Find.MaxMM > 0 || card.Find.MinVolume > 0 || card.Find.ClusterMM > 0)
	if !needed {
		return study.Reason{}
	}
	if img.SpacingMM[0] <= 0 || img.SpacingMM[1] <= 0 || kind != "" && img.SpacingKind != "" && img.SpacingKind != kind {
		return study.Reason{Code: study.ReasonSpacing}
	}
	if limit := card.Use.MaxSpacingMM; limit > 0 && max(img.SpacingMM[0], img.SpacingMM[1]) > limit*1.001 {
		return study.Reason{Code: study.ReasonSpacing, Detail: fmt.Sprintf("%.3f mm > %.3f mm", max(img.SpacingMM[0], img.SpacingMM[1]), limit)}
	}
	return study.Reason{}
}

// A grid is the planes of a stack that is resampled along its normal.
type grid struct {
	origin, step float64 // mm
	planes       int
}

// grid lays planes from the first slice to the last, at the step that the card
// asks for or at the stack's own.
func (s *stack) grid(card modelcard.Card) grid {
	g := grid{origin: s.slices[0].at, step: card.Input.SpacingMM[0], planes: 1}
	if g.step <= 0 {
		g.step = s.step
		if s.bent {
			g.step = s.middle
		}
	}
	if g.step <= 0 { // a single slice
		g.step = max(s.first.Image.ThicknessMM, 1)
		return g
	}
	extent := s.slices[len(s.slices)-1].at - g.origin
	g.planes = int(math.Floor(extent/g.step+1e-3)) + 1
	return g
}

// plane is the plane nearest to a slice.
func (g grid) plane(at float64) int {
	return min(max(int(math.Round((at-g.origin)/g.step)), 0), g.planes-1)
}

// blocks cuts a stack into even runs of planes. A slice is planned in the block
// that holds the plane nearest to it, so that each is planned once; the slices
// within a block's reach (halo, and one step for interpolation) come along as
// context. Slices that can't be decoded are in no block, and a block that is left
// without any of its own is none.
func (s *stack) blocks(card modelcard.Card) []study.Block {
	g := s.grid(card)
	n := s.runs(g)
	reach := float64(card.Input.HaloPlanes)*g.step + max(g.step, s.widest) + samePlaceMM
	var out []study.Block
	for i := range n {
		b := study.Block{Kind: study.Volume, Series: s.first.Series, OriginMM: g.origin, StepMM: g.step, CornerMM: s.corner(),
			First: i * g.planes / n, Last: (i+1)*g.planes/n - 1}
		low, high := g.origin+float64(b.First)*g.step-reach, g.origin+float64(b.Last)*g.step+reach
		for _, sl := range s.slices {
			p := g.plane(sl.at)
			own := p >= b.First && p <= b.Last
			if sl.fault.Zero() && (own || sl.at >= low && sl.at <= high) {
				b.Tiles = append(b.Tiles, study.Tile{Instance: sl.in.UID, Frame: sl.frame,
					W: sl.in.Image.Columns, H: sl.in.Image.Rows, Context: !own})
			}
		}
		if b.Planned() > 0 {
			out = append(out, b)
		}
	}
	return out
}

// runs is into how many runs the planes are cut: as few as keep every run small,
// and few enough that each has a slice of its own.
func (s *stack) runs(g grid) int {
	most := min(g.planes, len(s.slices))
	n := min(most, max(1, ceilDiv(g.planes, planesPerJob), ceilDiv(len(s.slices), slicesPerJob)))
	for n < most && slices.Max(s.share(g, n)) > slicesPerJob {
		n++
	}
	for n > 1 && slices.Min(s.share(g, n)) == 0 {
		n--
	}
	return n
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// share counts the slices of each of n runs of planes.
func (s *stack) share(g grid, n int) []int {
	count := make([]int, n)
	for _, sl := range s.slices {
		p := g.plane(sl.at)
		i := min(p*n/g.planes, n-1)
		for i < n-1 && p >= (i+1)*g.planes/n {
			i++
		}
		count[i]++
	}
	return count
}
