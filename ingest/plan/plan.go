// Package plan decides which model is to see which pixels of a study, and why another
// is not asked.
//
//	Survey   where a slide has tissue, and how it is stained
//	Plan     the jobs of every model that is for the study, by these facts alone
//
// Only a survey looks at pixels, and only of slides. A plan is made from values, so
// that it can be made again and compared: of versions the newest that takes the study
// (versions), of frames the stacks that are a volume (stack, volume), and of a slide
// the patches with tissue (patches), with those around them where maps are put together
// (surround).
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"varde/models/modelcard"
	"varde/study"
)

// Asked is one model that may be asked: its card, whether it runs in shadow, and
// about which share of the studies it is asked.
type Asked struct {
	Card   modelcard.Card
	Shadow bool
	Share  study.Share // zero is all
	Beside bool        // whatever other live versions of the model are asked about
}

// Facts is all that a plan depends on.
type Facts struct {
	Study     study.Study
	Instances []study.Instance // received ones, in any order
	Models    []Asked          // live and shadow ones, in any order
	Tissue    map[study.UID]Tissue
	Decodes   func(study.UID) bool // whether this build decodes a transfer syntax
	GPU       bool                 // a living worker has one
}

// pool says where a model's jobs wait. One that would rather have a GPU waits for
// it only while there is one, unless its card does not list the processor.
func (f Facts) pool(c modelcard.Card) string {
	if c.Accelerated() && (f.GPU || !c.AllowsCPU()) {
		return study.PoolGPU
	}
	return study.PoolCPU
}

// Plan says which model is to see which pixels of a study, and why a model is
// not asked. It decides by its argument alone and gives the same plan for the
// same facts in any order.
//
// A model for another modality is left out. A model for this modality is always
// in the plan: with blocks, or out of scope when the images fail a filter of its
// intended use, or failed when they are what it is meant for and can't be scored.
// Images that can't be decoded beside others that can make the result partial:
// they are counted as planned and unseen. When no model is for the study at all,
// Note says so, and where there is nothing to read either, that.
func Plan(f Facts) study.Plan {
	p := study.Plan{Study: f.Study.UID, Rev: f.Study.Rev + 1, Lane: f.Study.Priority.Lane()}
	instances := slices.Clone(f.Instances)
	slices.SortFunc(instances, compareInstances)
	for _, in := range instances {
		p.Instances = append(p.Instances, in.SHA256)
	}
	slices.SortFunc(p.Instances, func(a, b study.Hash) int { return slices.Compare(a[:], b[:]) })
	for _, m := range versions(f.Models, f.Study.UID) {
		images := ofModality(m.Card, instances)
		if len(images) == 0 {
			continue
		}
		plan := f.ask(m.Card, images)
		plan.Model, plan.Card, plan.Shadow, plan.Pool = m.Card.Ref(), m.Card.Hash, m.Shadow, f.pool(m.Card)
		plan.Name, plan.CE = m.Card.Name, m.Card.Device.Marked()
		if m.Card.MIL != nil {
			plan.Concludes = study.PoolCPU
		}
		plan.Planned = plan.Unseen
		for _, b := range plan.Blocks {
			plan.Planned += b.Planned()
		}
		if len(plan.Blocks) > 0 {
			plan.State = study.Running
			plan.EstMS = estimate(m.Card, plan.Blocks)
		}
		p.Models = append(p.Models, plan)
	}
	slices.SortFunc(p.Models, func(a, b study.ModelPlan) int {
		return cmp.Or(cmp.Compare(a.Model.ID, b.Model.ID), cmp.Compare(a.Model.Version, b.Model.Version),
			slices.Compare(a.Model.SHA256[:], b.Model.SHA256[:]))
	})
	if len(p.Models) == 0 {
		p.Note = study.Reason{Code: study.ReasonNoModel}
	}
	if nothingToRead(f.Study, instances) {
		p.Note = study.Reason{Code: study.ReasonNoImages}
	}
	return p
}

func compareInstances(a, b study.Instance) int {
	return cmp.Or(cmp.Compare(a.SeriesNumber, b.SeriesNumber), cmp.Compare(a.Series, b.Series),
		cmp.Compare(a.Number, b.Number), cmp.Compare(a.UID, b.UID))
}

// ofModality gives the images of a modality that the model is for.
func ofModality(card modelcard.Card, instances []study.Instance) []*study.Instance {
	var out []*study.Instance
	for i := range instances {
		in := &instances[i]
		if in.Image != nil && (len(card.Use.Modality) == 0 || slices.Contains(card.Use.Modality, in.Modality)) {
			out = append(out, in)
		}
	}
	return out
}

// ask plans one model over the images of its modality.
func (f Facts) ask(card modelcard.Card, images []*study.Instance) study.ModelPlan {
	var fit []*study.Instance
	var refused study.Reason
	for _, in := range images {
		if r := f.outside(card, in); !r.Zero() {
			refused = firstReason(refused, r)
			continue
		}
		fit = append(fit, in)
	}
	if len(fit) == 0 {
		return study.ModelPlan{State: study.OutOfScope, Reason: refused}
	}
	faults := map[study.UID]study.Reason{}
	for _, in := range fit {
		if r := f.undecodable(in); !r.Zero() {
			faults[in.UID] = r
		}
	}
	switch card.Input.Kind {
	case study.Volume:
		return planVolume(card, fit, faults)
	case study.Patches:
		return planPatches(card, fit, faults, f.Tissue)
	}
	return planImages(card, fit, faults)
}

// outside says which filter of the intended use an image fails, the coarsest
// first, or why its samples are none for the model.
func (f Facts) outside(card modelcard.Card, in *study.Instance) study.Reason {
	if r := card.Use.Outside(f.Study, *in); !r.Zero() {
		return r
	}
	return wrongPixels(card, in.Image)
}

// wrongPixels says why an image's samples are none that the model can take.
func wrongPixels(card modelcard.Card, img *study.Image) study.Reason {
	gray := img.Samples == 1 && strings.HasPrefix(img.Photometric, "MONOCHROME")
	switch card.Input.Values {
	case "rgb":
		if img.Samples != 3 || img.BitsAllocated != 8 {
			return study.Reason{Code: study.ReasonPixels, Detail: codeWord(img.Photometric)}
		}
	case "hu":
		if !gray || !img.HasRescale {
			return study.Reason{Code: study.ReasonPixels, Detail: codeWord(img.Photometric)}
		}
	default:
		if !gray || img.Float {
			return study.Reason{Code: study.ReasonPixels, Detail: codeWord(img.Photometric)}
		}
	}
	return study.Reason{}
}

// undecodable says why the pixels of an image can't be scored.
func (f Facts) undecodable(in *study.Instance) study.Reason {
	switch {
	case f.Decodes != nil && !f.Decodes(in.TransferSyntax):
		return study.Reason{Code: study.ReasonTransferSyntax, Detail: string(in.TransferSyntax)}
	case in.Image.Trouble != "" && in.Image.Origin != nil: // of a slide file it is known what
		return study.PixelReason(in.Image.Trouble)
	case in.Image.Trouble != "":
		return study.Reason{Code: study.ReasonDamaged, Detail: string(in.UID)}
	case in.Image.Rows <= 0 || in.Image.Columns <= 0:
		return study.Reason{Code: study.ReasonDamaged, Detail: string(in.UID)}
	}
	return study.Reason{}
}

// firstReason keeps the first reason that there is.
func firstReason(a, b study.Reason) study.Reason {
	if a.Zero() {
		return b
	}
	return a
}

// codeWord lets a code string (PS3.5 §6.2, CS) through as a detail. Whatever
// else a sender put there may be a person, and does not pass.
func codeWord(s string) string {
	if len(s) > 16 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ") != "" {
		return ""
	}
	return s
}

// What one tile costs on one core, roughly, decoding included. Only the order of
// magnitude matters: it tells how long a backlog will last.
const (
	patchMS     = 12
	sliceMS     = 40
	megapixelMS = 60
)

// estimate is the mean cost of one block, milliseconds.
func estimate(card modelcard.Card, blocks []study.Block) int64 {
	var ms float64
	for _, b := range blocks {
		switch b.Kind {
		case study.Patches:
			ms += patchMS * float64(len(b.Tiles))
		case study.Volume:
			ms += sliceMS * float64(len(b.Tiles))
		default:
			for _, t := range b.Tiles {
				w, h := t.W, t.H
				if card.Input.Width > 0 && card.Input.Height > 0 {
					w, h = card.Input.Width, card.Input.Height
				}
				ms += megapixelMS * float64(w) * float64(h) / 1e6
			}
		}
	}
	return max(1, int64(ms/float64(len(blocks))))
}

// planImages plans the projections of a model that sees single images.
func planImages(card modelcard.Card, images []*study.Instance, faults map[study.UID]study.Reason) study.ModelPlan {
	var p study.ModelPlan
	var refused study.Reason
	n := 0
	var open *study.Block
	pixels := 0
	for _, in := range images {
		img := in.Image
		// A stack of frames is no projection: a model must ask for its class.
		if img.Frames > 1 && !slices.Contains(card.Use.Classes, in.Class) {
			refused = firstReason(refused, study.Reason{Code: study.ReasonModality, Detail: string(in.Class)})
			continue
		}
		if r := coarse(card, img, ""); !r.Zero() {
			refused = firstReason(refused, r)
			continue
		}
		n++
		if r, bad := faults[in.UID]; bad {
			p.Unseen += max(1, img.Frames)
			p.Reason = firstReason(p.Reason, r)
			continue
		}
		for frame := range max(1, img.Frames) {
			if open == nil || open.Series != in.Series || len(open.Tiles) >= slicesPerJob || pixels+img.Rows*img.Columns > pixelsPerJob {
				p.Blocks = append(p.Blocks, study.Block{Kind: study.Images, Series: in.Series})
				open, pixels = &p.Blocks[len(p.Blocks)-1], 0
			}
			open.Tiles = append(open.Tiles, study.Tile{Instance: in.UID, Frame: frame, W: img.Columns, H: img.Rows})
			pixels += img.Rows * img.Columns
		}
	}
	switch {
	case n == 0:
		return study.ModelPlan{State: study.OutOfScope, Reason: refused}
	case n < card.Use.MinImages:
		return study.ModelPlan{State: study.OutOfScope, Reason: study.Reason{Code: study.ReasonTooFew, Detail: fmt.Sprintf("%d < %d", n, card.Use.MinImages)}}
	case len(p.Blocks) == 0:
		p.State = study.Failed
	}
	return p
}

// pixelsPerJob ends a block of projections: a mammogram is a job of its own, and
// small images share one.
const pixelsPerJob = 8 << 20
