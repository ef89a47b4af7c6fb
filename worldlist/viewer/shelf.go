package viewer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"sync"

	"varde/internal/slide"
	"varde/study"
)

// maxShelf bounds the slides that are kept open. One of 300,000×300,000 pixels
// has an index of 40 MB; most have less than one.
const maxShelf = 24

// A shelf keeps the slides that readers look at open, so that a tile costs one
// ranged read and no look into the ledger. A slide is kept under its content:
// when one of its instances changes it is another slide.
type shelf struct {
	mu   sync.Mutex // held for a look, never for a read
	open []*openSlide
}

// An openSlide is one slide with its tiles.
type openSlide struct {
	study, series study.UID
	version       string
	levels        []slide.Level
	steps         []slide.Step
	mu            sync.Mutex
	tiles         []*slide.Tiles // by step; nil until asked for
}

// step opens one resolution for tiles, once.
func (s *openSlide) step(from Slides, n int) (*slide.Tiles, error) {
	if n < 0 || n >= len(s.steps) {
		return nil, fmt.Errorf("level %d of %d: %w", n, len(s.steps), study.ErrNotFound)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tiles[n] == nil {
		t, err := from.Tiles(s.levels, s.steps[n])
		if err != nil {
			return nil, err
		}
		s.tiles[n] = t
	}
	return s.tiles[n], nil
}

// find gives a slide that is open, and moves it to the front.
func (s *shelf) find(uid, series study.UID, version string) *openSlide {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.open, func(o *openSlide) bool {
		return o.study == uid && o.series == series && o.version == version
	})
	if i < 0 {
		return nil
	}
	o := s.open[i]
	copy(s.open[1:i+1], s.open[:i])
	s.open[0] = o
	return o
}

// add puts a slide in front; the one that was looked at longest ago goes.
func (s *shelf) add(o *openSlide) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = slices.Insert(s.open, 0, o)
	if len(s.open) > maxShelf {
		s.open = slices.Delete(s.open, maxShelf, len(s.open))
	}
}

// slideIn gives a slide of a study. An empty version stands for the one of now;
// another one than that is of kind [study.ErrNotFound], for the slide has changed
// under the page that asks.
func (v *Viewer) slideIn(ctx context.Context, uid, series study.UID, version string) (*openSlide, error) {
	if version != "" {
		if o := v.shelf.find(uid, series, version); o != nil {
			return o, nil
		}
	}
	instances, err := v.Instances.Instances(ctx, uid)
	if err != nil {
		return nil, err
	}
	own := instancesOf(instances, series)
	if len(own) == 0 {
		return nil, fmt.Errorf("slide %s: %w", series, study.ErrNotFound)
	}
	now := versionOf(own)
	if version != "" && version != now {
		return nil, fmt.Errorf("slide %s has changed: load the page again: %w", series, study.ErrNotFound)
	}
	if o := v.shelf.find(uid, series, now); o != nil {
		return o, nil
	}
	levels, err := slide.Levels(own)
	if err == nil && len(levels) == 0 {
		err = fmt.Errorf("slide %s has no level: %w", series, study.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	o := &openSlide{study: uid, series: series, version: now, levels: levels, steps: slide.Steps(levels)}
	o.tiles = make([]*slide.Tiles, len(o.steps))
	v.shelf.add(o)
	return o, nil
}

// instancesOf are those of a slide.
func instancesOf(instances []study.Instance, series study.UID) []study.Instance {
	var own []study.Instance
	for _, in := range instances {
		if in.Series == series && in.Image != nil && in.Image.Slide != nil {
			own = append(own, in)
		}
	}
	return own
}

// versionOf names the content of a slide: its instances and their bytes.
func versionOf(instances []study.Instance) string {
	h := sha256.New()
	for _, in := range instances {
		_, _ = io.WriteString(h, string(in.UID)) // a hash takes everything
		h.Write(in.SHA256[:])
		if in.Image.Origin != nil {
			h.Write(in.Image.Origin.SHA256[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
