package viewer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"

	"varde/internal/mask"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

const (
	// maxMasks bounds an object of masks, as the worker that writes it does.
	maxMasks = 256 << 20
	// maxDrawings bounds the drawings that are kept decoded: one of every organ of a
	// chest has some ten megabytes.
	maxDrawings = 4
)

// A drawing is what one model drew over a study, as it is laid on its frames.
type drawing struct {
	study study.UID
	rev   int
	model study.ModelRef
	busy  chan struct{} // one slot: whoever comes while it is read wants the same
	done  bool          // guarded by busy
	grids []laid        // guarded by busy until done
}

// A laid grid is the mask of one block of a volume, or of one image.
type laid struct {
	study.MaskGrid
	series study.UID // of a volume
	image  study.UID // of an image
	frame  int       // of it, from 0
	// planes holds the runs of each segment by plane: row, first and last column.
	planes []map[int32][]int32
}

// A portfolio keeps the drawings that readers look at.
type portfolio struct {
	mu  sync.Mutex // held for a look, never for a read
	all []*drawing // the latest first
}

func (f *portfolio) of(c study.Study, m study.ModelRef) *drawing {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.all, func(d *drawing) bool { return d.study == c.UID && d.rev == c.Rev && d.model == m })
	if i < 0 {
		f.all, i = append(f.all, &drawing{study: c.UID, rev: c.Rev, model: m, busy: make(chan struct{}, 1)}), len(f.all)
	}
	d := f.all[i]
	copy(f.all[1:i+1], f.all[:i])
	f.all[0] = d
	f.all = f.all[:min(len(f.all), maxDrawings)]
	return d
}

// read gives the grids of a drawing; none where the model drew nothing.
func (d *drawing) read(ctx context.Context, v *Viewer) ([]laid, error) {
	select {
	case d.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-d.busy }()
	if d.done {
		return d.grids, nil
	}
	rows, err := v.Heats.Parts(ctx, d.study, d.rev, d.model)
	if err != nil {
		return nil, err
	}
	var all []laid
	for _, row := range rows {
		if row.State != study.JobDone || row.Key == "" {
			continue // a part that failed saw nothing
		}
		part, err := v.Heats.Part(ctx, row.Key)
		if err != nil {
			return nil, err
		}
		if part.Masks == nil {
			continue
		}
		grids, err := v.masks(ctx, *part.Masks)
		if err != nil {
			return nil, err
		}
		for _, g := range grids {
			if l, ok := lay(part.Block, g); ok {
				all = append(all, l)
			}
		}
	}
	d.grids, d.done = all, true
	return all, nil
}

// masks reads masks back, and checks that they are what their part names.
func (v *Viewer) masks(ctx context.Context, m study.Masks) ([]study.MaskGrid, error) {
	body, err := v.Objects.Range(ctx, m.Key, 0, -1)
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

// lay prepares a grid for the frames that it covers; false when it covers none.
func lay(b study.Block, g study.MaskGrid) (laid, bool) {
	if g.Tile < 0 || g.Tile >= len(b.Tiles) || g.Columns < 1 || g.Rows < 1 || !(g.Scale[0] > 0 && g.Scale[1] > 0) {
		return laid{}, false
	}
	l := laid{MaskGrid: g, series: b.Series}
	if b.Kind != study.Volume {
		l.series, l.image, l.frame = "", b.Tiles[g.Tile].Instance, b.Tiles[g.Tile].Frame
	} else if g.Position == nil || g.Orientation == nil || !(g.StepMM > 0 && g.SpacingMM[0] > 0 && g.SpacingMM[1] > 0) {
		return laid{}, false
	}
	for _, runs := range g.Runs {
		planes := map[int32][]int32{}
		for i := 0; i+3 < len(runs); i += 4 {
			planes[runs[i]] = append(planes[runs[i]], runs[i+1:i+4]...)
		}
		l.planes = append(l.planes, planes)
	}
	l.Runs = nil
	return l, true
}

// A gridJSON lays columns and rows of a mask on a frame: the left edge of column c
// is at x + c·dx, in pixels of the frame, 0 being the left edge of the image.
type gridJSON struct {
	X  float64 `json:"x"`
	Y  float64 `json:"y"`
	DX float64 `json:"dx"`
	DY float64 `json:"dy"`
}

// onFrame says which plane of the grid a frame shows and where; false when none.
func (l laid) onFrame(in study.Instance, frame int) (int32, gridJSON, bool) {
	if l.image != "" {
		return int32(l.First), gridJSON{DX: l.Scale[0], DY: l.Scale[1]}, l.image == in.UID && l.frame == frame
	}
	at := in.Image.Position
	if frame < len(in.Image.FramePositions) {
		at = &in.Image.FramePositions[frame]
	}
	mm := [2]float64{in.Image.SpacingMM[1], in.Image.SpacingMM[0]}
	if l.series != in.Series || at == nil || !(mm[0] > 0 && mm[1] > 0) {
		return 0, gridJSON{}, false
	}
	o := *l.Orientation
	away := [3]float64{at[0] - l.Position[0], at[1] - l.Position[1], at[2] - l.Position[2]}
	plane := math.Round(dot(away, normalOf(o)) / l.StepMM)
	if plane < float64(l.First) || plane >= float64(l.First+l.Planes) {
		return 0, gridJSON{}, false
	}
	// Pixel 0 of the frame has its center origin voxels from the grid's first one,
	// and its neighbors step further.
	edge := func(k int) (origin, size float64) {
		step := mm[k] / l.SpacingMM[k]
		first := dot(away, [3]float64(o[3*k:3*k+3])) / l.SpacingMM[k]
		return (-0.5-first)/step + 0.5, 1 / step
	}
	var g gridJSON
	g.X, g.DX = edge(0)
	g.Y, g.DY = edge(1)
	return int32(plane), g, true
}

// A layerJSON is one segment that a model drew.
type layerJSON struct {
	Key   string `json:"key"`
	Text  string `json:"text"`
	Model string `json:"model"`
	// Frames are where there is something of it, as INSTANCE/FRAME.
	Frames []string `json:"frames"`
}

type layersJSON struct {
	Layers []layerJSON `json:"layers"`
}

// drawings gives what the models drew over a study that the visitor may see: none
// where they may see nothing of the AI, nor of models that are bare or stopped.
func (v *Viewer) drawings(ctx context.Context, uid study.UID) (map[study.ModelRef][]laid, veil.Seen, error) {
	c, err := v.Veil.OnPage(ctx, uid)
	if err != nil || v.Heats == nil || v.Objects == nil || c.OwnFirst {
		return nil, c, err
	}
	all := map[study.ModelRef][]laid{}
	for _, r := range c.Results {
		if !r.AI.Judged() || c.Bare(r.Model) || v.silent(c.Case, r.Model) {
			continue
		}
		grids, err := v.drawn.of(c.Study, r.Model).read(ctx, v)
		if err != nil {
			return nil, c, err
		}
		if len(grids) > 0 {
			all[r.Model] = grids
		}
	}
	return all, c, nil
}

// segmentText is what a segment is called.
func (v *Viewer) segmentText(l webui.Lang, m study.ModelRef, k int) string {
	if v.Segments != nil {
		if all := v.Segments(l, m); k < len(all) && all[k] != "" {
			return all[k]
		}
	}
	return l.T("viewer.segment", k+1)
}

// layers lists what was drawn over the frames of a study.
func (v *Viewer) layers(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	all, c, err := v.drawings(r.Context(), uid)
	var instances []study.Instance
	if err == nil && len(all) > 0 {
		instances, err = v.Instances.Instances(r.Context(), uid)
	}
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	l := webui.VisitOf(r.Context()).Lang
	out := layersJSON{Layers: []layerJSON{}}
	for _, one := range c.Results {
		grids := all[one.Model]
		for k := range segmentsOf(grids) {
			layer := layerJSON{Key: fmt.Sprintf("%s#%d", one.Model, k), Text: v.segmentText(l, one.Model, k), Model: one.Name, Frames: []string{}}
			for _, in := range instances {
				if in.Image == nil || in.Image.Slide != nil {
					continue
				}
				for n := range in.Image.Frames {
					if slices.ContainsFunc(grids, func(g laid) bool { return len(g.runsOn(k, in, n)) > 0 }) {
						layer.Frames = append(layer.Frames, fmt.Sprintf("%s/%d", in.UID, n+1))
					}
				}
			}
			if len(layer.Frames) > 0 {
				out.Layers = append(out.Layers, layer)
			}
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	sendJSON(w, r, out)
}

func segmentsOf(grids []laid) int {
	n := 0
	for _, g := range grids {
		n = max(n, len(g.planes))
	}
	return n
}

// runsOn gives the runs of a segment on a frame.
func (l laid) runsOn(k int, in study.Instance, frame int) []int32 {
	plane, _, ok := l.onFrame(in, frame)
	if !ok || k >= len(l.planes) {
		return nil
	}
	return l.planes[k][plane]
}

// A pieceJSON is what lies of a layer on one frame: runs of row, first and last
// column of its grid.
type pieceJSON struct {
	Key  string   `json:"key"`
	Grid gridJSON `json:"grid"`
	Runs []int32  `json:"runs"`
}

// pieces sends what was drawn over one frame.
func (v *Viewer) pieces(w http.ResponseWriter, r *http.Request) {
	in, n, err := v.frameIn(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	all, c, err := v.drawings(r.Context(), in.Study)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	out := []pieceJSON{}
	for _, one := range c.Results {
		for _, g := range all[one.Model] {
			_, at, _ := g.onFrame(in, n-1)
			for k := range g.planes {
				if runs := g.runsOn(k, in, n-1); len(runs) > 0 {
					out = append(out, pieceJSON{fmt.Sprintf("%s#%d", one.Model, k), at, runs})
				}
			}
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	sendJSON(w, r, out)
}
