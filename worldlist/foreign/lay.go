package foreign

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"varde/internal/codec"
	"varde/internal/evidence"
	"varde/internal/words"
	"varde/study"
)

// A Layer is one segment over the frames of a study.
type Layer struct {
	Key   string `json:"key"`
	Label string `json:"label"` // on images
	Text  string `json:"text"`
	Model string `json:"model"` // what drew it
	// Frames are where there may be something of it, as INSTANCE/FRAME.
	Frames []string `json:"frames"`
}

// A Grid lays columns and rows of a segmentation on a frame: the left edge of column
// c is at X + c·DX, in pixels of the frame, 0 being the left edge of the image.
type Grid struct {
	X  float64 `json:"x"`
	Y  float64 `json:"y"`
	DX float64 `json:"dx"`
	DY float64 `json:"dy"`
}

// A Piece is what lies of a layer on one frame: runs of row, first and last column of
// its grid.
type Piece struct {
	Key  string  `json:"key"`
	Grid Grid    `json:"grid"`
	Runs []int32 `json:"runs"`
}

// A sheet is a frame of a segmentation that lies on a frame of an image.
type sheet struct {
	plane int // from 0
	grid  Grid
}

// A lie says which frames of a segmentation lie on which frames of images.
type lie map[string][]sheet

// lay finds them: by where both are in the patient, else by the image that a frame of
// the segmentation says it was drawn on.
func lay(s *evidence.Segmentation, at places) lie {
	out := lie{}
	if s.Tiled || s.Rows < 1 || s.Columns < 1 {
		return out
	}
	groups := stacked(s)
	for _, in := range at {
		for n := range in.Image.Frames {
			key := spot{in, n + 1}.name()
			if all, known := groups.on(s, in, n); known {
				if len(all) > 0 {
					out[key] = all
				}
				continue
			}
		}
	}
	for k, p := range s.Planes {
		for _, r := range p.From {
			in, ok := at[r.Instance]
			n := max(1, r.Frame)
			if !ok || n > in.Image.Frames || s.FrameOfRef != "" && in.Image.FrameOfRef == s.FrameOfRef && placed(in, n-1) && p.Placed() {
				continue
			}
			key := spot{in, n}.name()
			out[key] = append(out[key], sheet{k, Grid{DX: float64(in.Image.Columns) / float64(s.Columns), DY: float64(in.Image.Rows) / float64(s.Rows)}})
		}
	}
	return out
}

// placed reports whether it is known where a frame lies.
func placed(in study.Instance, n int) bool {
	_, ok := positionOf(in, n)
	return ok && in.Image.Orientation != nil && in.Image.SpacingMM[0] > 0 && in.Image.SpacingMM[1] > 0
}

// A heap holds the planes of a segmentation that have one direction, by their depth.
type heap struct {
	o      [6]float64
	normal [3]float64
	depths []float64 // each once, in order
	planes [][]int   // at each depth
	reach  float64   // how far from a plane an image may lie and be of it, mm
}

type heaps []heap

// sameDepth is by how much planes may differ that lie at the same place, mm.
const sameDepth = 0.01

// stacked sorts the planes of a segmentation into heaps.
func stacked(s *evidence.Segmentation) (all heaps) {
	type at struct {
		depth float64
		plane int
	}
	var members [][]at
	for k, p := range s.Planes {
		if !p.Placed() {
			continue
		}
		i := slices.IndexFunc(all, func(h heap) bool { return alike(h.o, *p.Orientation) })
		if i < 0 {
			if len(all) == 16 {
				continue // one of so many directions is no segmentation of slices
			}
			all = append(all, heap{o: *p.Orientation, normal: cross(*p.Orientation)})
			members = append(members, nil)
			i = len(all) - 1
		}
		members[i] = append(members[i], at{dot(*p.Position, all[i].normal), k})
	}
	for i := range all {
		h := &all[i]
		slices.SortFunc(members[i], func(a, b at) int { return cmp.Or(cmp.Compare(a.depth, b.depth), a.plane-b.plane) })
		for _, m := range members[i] {
			if n := len(h.depths); n == 0 || m.depth-h.depths[n-1] > sameDepth {
				h.depths, h.planes = append(h.depths, m.depth), append(h.planes, nil)
			}
			last := len(h.planes) - 1
			h.planes[last] = append(h.planes[last], m.plane)
		}
		step := math.Inf(1)
		for k := 1; k < len(h.depths); k++ {
			step = min(step, h.depths[k]-h.depths[k-1])
		}
		if math.IsInf(step, 1) {
			step = 1
		}
		h.reach = step/2 + sameDepth
	}
	return all
}

// alike reports whether two directions are the same, or one is the other turned round
// in its plane: what lies on the one can be laid on the other's rows and columns.
func alike(a, b [6]float64) bool {
	row := dot([3]float64(a[:3]), [3]float64(b[:3]))
	column := dot([3]float64(a[3:]), [3]float64(b[3:]))
	return math.Abs(row) > 0.9995 && math.Abs(column) > 0.9995
}

// on gives the planes that lie on a frame of an image, counted from 0; known tells
// whether that can be told at all.
func (hs heaps) on(s *evidence.Segmentation, in study.Instance, n int) (all []sheet, known bool) {
	if s.FrameOfRef == "" || in.Image.FrameOfRef != s.FrameOfRef || !placed(in, n) {
		return nil, false
	}
	pos, _ := positionOf(in, n)
	for _, h := range hs {
		if !alike(h.o, *in.Image.Orientation) {
			continue
		}
		known = true
		depth := dot(pos, h.normal)
		k, _ := slices.BinarySearch(h.depths, depth)
		best := -1
		for _, c := range []int{k - 1, k} {
			if c >= 0 && c < len(h.depths) && (best < 0 || math.Abs(h.depths[c]-depth) < math.Abs(h.depths[best]-depth)) {
				best = c
			}
		}
		if best < 0 || math.Abs(h.depths[best]-depth) > h.reach {
			continue
		}
		for _, plane := range h.planes[best] {
			if g, ok := gridOn(s.Planes[plane], pos, in.Image); ok {
				all = append(all, sheet{plane, g})
			}
		}
	}
	return all, known
}

// gridOn lays the pixels of a plane on those of an image in the same direction.
func gridOn(p evidence.Plane, pos [3]float64, img *study.Image) (g Grid, ok bool) {
	o := *img.Orientation
	away := [3]float64{p.Position[0] - pos[0], p.Position[1] - pos[1], p.Position[2] - pos[2]}
	edge := func(k int) (origin, size float64) {
		axis := [3]float64(o[3*k : 3*k+3])
		mm := img.SpacingMM[1-k]
		size = p.SpacingMM[1-k] / mm
		if dot(axis, [3]float64(p.Orientation[3*k:3*k+3])) < 0 {
			size = -size
		}
		return dot(away, axis)/mm + 0.5 - size/2, size
	}
	g.X, g.DX = edge(0)
	g.Y, g.DY = edge(1)
	ok = finite([]float64{g.X, g.Y, g.DX, g.DY}) && g.DX != 0 && g.DY != 0
	return g, ok
}

// Lay lists what is drawn over the frames of a study.
func Lay(l words.Lang, docs []Document, images []study.Instance) []Layer {
	at, all := placesOf(images), []Layer{}
	for i, d := range docs {
		if d.Segments == nil {
			continue
		}
		on := frames(d.Segments, at)
		for _, x := range d.Segments.Segments {
			var names []string
			for _, s := range on[x.Number] {
				names = append(names, s.name())
			}
			if len(names) > 0 {
				all = append(all, Layer{layerKey(d.In.UID, x.Number), fmt.Sprint(letter(i), x.Number), segmentText(l, x), maker(d), names})
			}
		}
	}
	return all
}

// frames gives the frames on which there may be something of each segment, in the
// order of the images.
func frames(s *evidence.Segmentation, at places) map[int][]spot {
	on, all := lay(s, at), map[int][]spot{}
	if len(on) == 0 {
		return all
	}
	var spots []spot
	for _, in := range at {
		for n := range in.Image.Frames {
			spots = append(spots, spot{in, n + 1})
		}
	}
	slices.SortFunc(spots, compareSpots)
	for _, spot := range spots {
		seen := map[int]bool{}
		for _, sheet := range on[spot.name()] {
			for _, n := range s.Numbers(sheet.plane) {
				if !seen[n] {
					seen[n] = true
					all[n] = append(all[n], spot)
				}
			}
		}
	}
	return all
}

// maker is who drew it, in few words.
func maker(d Document) string {
	if all := full(d.Source.Maker, d.Source.Model); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// maxDrafts bounds the frames of segmentations whose outlines are kept.
const maxDrafts = 256

// maxRuns bounds the numbers of one outline: beyond, it is noise and no outline.
const maxRuns = 600_000

// drafts keeps outlines, so that a frame that is looked at twice is decoded once.
type drafts struct {
	mu   sync.Mutex // held for a look, never for a read
	keys []string
	all  map[string]map[int][]int32
}

func (p *drafts) find(key string) (map[int][]int32, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.all[key]
	return m, ok
}

func (p *drafts) keep(key string, m map[int][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]map[int][]int32{}
	}
	if _, had := p.all[key]; !had {
		p.keys = append(p.keys, key)
	}
	p.all[key] = m
	if len(p.keys) > maxDrafts {
		delete(p.all, p.keys[0])
		p.keys = p.keys[1:]
	}
}

// Pieces gives what is drawn over one frame of a study, counted from 1.
func (l *Library) Pieces(ctx context.Context, docs []Document, in study.Instance, frame int) ([]Piece, error) {
	at := placesOf([]study.Instance{in})
	type part struct {
		doc   Document
		sheet sheet
		runs  map[int][]int32
	}
	var parts []part
	for _, d := range docs {
		if d.Segments == nil {
			continue
		}
		for _, s := range lay(d.Segments, at)[spot{in, frame}.name()] {
			parts = append(parts, part{doc: d, sheet: s})
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(decoders)
	for i := range parts {
		group.Go(func() (err error) {
			parts[i].runs, err = l.runs(ctx, parts[i].doc, parts[i].sheet.plane)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := []Piece{}
	for _, p := range parts {
		for _, x := range p.doc.Segments.Segments {
			if r := p.runs[x.Number]; len(r) > 0 {
				out = append(out, Piece{layerKey(p.doc.In.UID, x.Number), p.sheet.grid, r})
			}
		}
	}
	return out, nil
}

// decoders is how many frames of segmentations are read at once for one image: some
// have a frame for each of a hundred segments.
const decoders = 6

// runs decodes one frame of a segmentation, counted from 0.
func (l *Library) runs(ctx context.Context, d Document, plane int) (map[int][]int32, error) {
	key := fmt.Sprintf("%s/%d", d.In.SHA256, plane)
	if m, ok := l.pages.find(key); ok {
		return m, nil
	}
	if l.Index == nil {
		return nil, nil
	}
	index, err := l.Index(ctx, d.In.UID)
	if err != nil {
		return nil, fmt.Errorf("find the frames of segmentation %s: %w", d.In.UID, err)
	}
	f, err := codec.ReadFrame(ctx, l.Objects, d.In, index, plane)
	if err != nil {
		return nil, fmt.Errorf("read segmentation: %w", err)
	}
	m, err := outlined(d.Segments, plane, f)
	if err != nil {
		return nil, err
	}
	l.pages.keep(key, m)
	return m, nil
}

// outlined gives the runs of each segment on a frame.
func outlined(s *evidence.Segmentation, plane int, f codec.Frame) (map[int][]int32, error) {
	segment, err := segmentOf(s, plane, s.NumberOf(plane), f)
	if err != nil {
		return nil, err
	}
	out, total := map[int][]int32{}, 0
	for y := range f.Rows {
		for x := 0; x < f.Columns; {
			n, from := segment(y*f.Columns+x), x
			for x++; x < f.Columns && segment(y*f.Columns+x) == n; x++ {
			}
			if n == 0 {
				continue
			}
			out[n] = append(out[n], int32(y), int32(from), int32(x-1))
			if total += 3; total > maxRuns {
				return nil, fmt.Errorf("segmentation %s: frame %d has too many edges to be drawn: %w", s.UID, plane+1, study.ErrUnsupported)
			}
		}
	}
	return out, nil
}

// segmentOf tells the segment at each pixel of a frame, 0 where there is none; number is
// that of the frame's segment, where it holds one alone.
func segmentOf(s *evidence.Segmentation, plane, number int, f codec.Frame) (func(i int) int, error) {
	size := max(1, f.Bits/8)
	if f.Samples != 1 || f.Float || f.Bits > 16 || len(f.Data) < f.Rows*f.Columns*size || f.Rows != s.Rows || f.Columns != s.Columns {
		return nil, fmt.Errorf("segmentation %s: frame %d is no mask of %d × %d: %w", s.UID, plane+1, s.Columns, s.Rows, study.ErrInvalid)
	}
	value := func(i int) int {
		if size == 2 {
			return int(binary.LittleEndian.Uint16(f.Data[2*i:]))
		}
		return int(f.Data[i])
	}
	if s.Form == "LABELMAP" {
		return value, nil
	}
	least := 1
	if s.Form == "FRACTIONAL" {
		least = max(1, (cmp.Or(s.MostPercent, 255)+1)/2)
	}
	return func(i int) int {
		if value(i) < least {
			return 0
		}
		return number
	}, nil
}
