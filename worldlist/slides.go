package worldlist

import (
	"fmt"
	"net/http"

	"varde/internal/slide"
	"varde/study"
)

const (
	// overviewSide is about how long the longer side of a slide's overview is.
	overviewSide = 1600
	// regionSide bounds a rectangle that a viewer asks for: a screen and more.
	regionSide = 2400
)

// levelsIn finds the levels of the slide in the address.
func (p *pages) levelsIn(r *http.Request) ([]slide.Level, error) {
	uid, err := uidIn(r, "study")
	if err != nil {
		return nil, err
	}
	wanted, err := uidIn(r, "series")
	if err != nil {
		return nil, err
	}
	instances, err := p.Instances.Instances(r.Context(), uid)
	if err != nil {
		return nil, err
	}
	var own []study.Instance
	for _, in := range instances {
		if in.Series == wanted && in.Image != nil && in.Image.Slide != nil {
			own = append(own, in)
		}
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("slide %s: %w", wanted, study.ErrNotFound)
	}
	levels, err := slide.Levels(own)
	if err == nil && len(levels) == 0 {
		err = fmt.Errorf("slide %s has no level: %w", wanted, study.ErrInvalid)
	}
	return levels, err
}

// overview sends the whole slide as one picture.
func (p *pages) overview(w http.ResponseWriter, r *http.Request) {
	levels, err := p.levelsIn(r)
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	fine := levels[0]
	mpp := max(fine.MPP[0]*float64(fine.Columns), fine.MPP[1]*float64(fine.Rows)) / overviewSide
	rgb, columns, rows, _, err := p.Slides.Overview(r.Context(), levels, mpp)
	if err != nil {
		p.site.Fail(w, r, fmt.Errorf("overview: %w", err))
		return
	}
	w.Header().Set("Cache-Control", "private, max-age=3600, immutable")
	w.Header().Set("Vary", "Cookie")
	p.sendJPEG(w, r, rgb, columns, rows)
}

// region sends a rectangle, given in pixels of the finest level, at a size of
// about w × h: from the coarsest level that is fine enough for that.
func (p *pages) region(w http.ResponseWriter, r *http.Request) {
	levels, err := p.levelsIn(r)
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	var q [6]int
	for i, name := range []string{"x", "y", "columns", "rows", "w", "h"} {
		if q[i], err = whole(r, name, -1); err != nil || q[i] < 0 {
			p.site.Fail(w, r, fmt.Errorf("region: %s is missing or no number: %w", name, study.ErrInvalid))
			return
		}
	}
	fine := levels[0]
	x, y := min(q[0], fine.Columns), min(q[1], fine.Rows)
	columns, rows := min(q[2], fine.Columns-x), min(q[3], fine.Rows-y)
	if columns < 1 || rows < 1 || q[4] < 1 || q[5] < 1 || max(q[4], q[5]) > regionSide {
		p.site.Fail(w, r, fmt.Errorf("region %v is empty or too large: %w", q, study.ErrInvalid))
		return
	}
	level := regionLevel(levels, columns, q[4])
	sx := float64(level.Columns) / float64(fine.Columns)
	sy := float64(level.Rows) / float64(fine.Rows)
	lx, ly := int(float64(x)*sx), int(float64(y)*sy)
	lw := max(1, min(int(float64(columns)*sx+0.5), level.Columns-lx))
	lh := max(1, min(int(float64(rows)*sy+0.5), level.Rows-ly))
	if lw > 2*regionSide || lh > 2*regionSide {
		p.site.Fail(w, r, fmt.Errorf("region %v: no level is coarse enough: %w", q, study.ErrInvalid))
		return
	}
	rgb, _, err := p.Slides.Region(r.Context(), level, lx, ly, lw, lh)
	if err != nil {
		p.site.Fail(w, r, fmt.Errorf("region: %w", err))
		return
	}
	w.Header().Set("Cache-Control", "private, max-age=3600, immutable")
	w.Header().Set("Vary", "Cookie")
	p.sendJPEG(w, r, rgb, lw, lh)
}

// regionLevel is the coarsest level on which so many columns of the finest one
// still have at least as many pixels as they are shown on.
func regionLevel(levels []slide.Level, columns, shown int) slide.Level {
	for i := len(levels) - 1; i > 0; i-- {
		if columns*levels[i].Columns/levels[0].Columns >= shown {
			return levels[i]
		}
	}
	return levels[0]
}
