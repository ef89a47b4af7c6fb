package viewer

import (
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"varde/internal/codec"
	"varde/study"
)

// A picture is a decoded frame: values, or colors.
type picture struct {
	samples  []byte // int16, little-endian
	geometry geometry
	look     look
	color    *codec.Frame
}

// maxPictures bounds the bytes of the frames that are kept decoded: each is asked
// for twice, as a quick picture and as values.
const maxPictures = 64 << 20

// A memo keeps the frames that were decoded last.
type memo struct {
	mu  sync.Mutex // held for a look, never for a decoding
	all []*slot    // the latest first
}

// A slot is one frame of a memo.
type slot struct {
	key   string
	bytes int           // guarded by the memo's mu
	busy  chan struct{} // one slot: whoever comes while it is decoded wants the same
	got   *picture      // guarded by busy
}

func (m *memo) of(key string) *slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.all, func(s *slot) bool { return s.key == key })
	if i < 0 {
		m.all, i = append(m.all, &slot{key: key, busy: make(chan struct{}, 1)}), len(m.all)
	}
	s := m.all[i]
	copy(m.all[1:i+1], m.all[:i])
	m.all[0] = s
	return s
}

// weigh notes how large a frame is, and lets go what is over the bound.
func (m *memo) weigh(s *slot, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.bytes = bytes
	sum := 0
	for i, one := range m.all {
		if sum += one.bytes; i > 0 && sum > maxPictures || i >= 64 {
			m.all = slices.Delete(m.all, i, len(m.all))
			return
		}
	}
}

// picture gives frame n of an instance, counted from 0, as it is shown. It is not to
// be changed.
func (v *Viewer) picture(ctx context.Context, in study.Instance, n int) (*picture, error) {
	s := v.memo.of(fmt.Sprintf("%s/%s/%d", in.UID, in.SHA256, n))
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.busy }()
	if s.got != nil {
		return s.got, nil
	}
	f, err := v.Frames.Frame(ctx, in, n)
	if err != nil {
		return nil, fmt.Errorf("frame %d of %s: %w", n+1, in.UID, err)
	}
	var c picture
	size := len(f.Data)
	if f.Samples > 1 {
		c.color = &f
	} else {
		if c.look, err = v.lookOf(ctx, in, n); err != nil {
			return nil, err
		}
		if c.samples, c.geometry, err = values(in, f, c.look); err != nil {
			return nil, fmt.Errorf("frame %d of %s: %w", n+1, in.UID, err)
		}
		size = len(c.samples)
	}
	s.got = &c
	v.memo.weigh(s, size)
	return &c, nil
}

const (
	// quickQuality and quickSide make a picture that is here at once: the values
	// that come after it take its place.
	quickQuality = 80
	quickSide    = 1024
)

// quick sends a frame as a JPEG through its own window or table, or through the one
// that the address names (c and w), and no larger than a screen shows at once. The
// header tells of the frame itself.
func (v *Viewer) quick(w http.ResponseWriter, r *http.Request) {
	in, n, err := v.frameIn(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	c, err := v.picture(r.Context(), in, n-1)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	level, err := c.levels(r.URL.Query().Get("c"), r.URL.Query().Get("w"))
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	keepable(w)
	if c.color != nil {
		v.sendColor(w, r, in, *c.color)
		return
	}
	if v.sendGeometry(w, r, c.geometry) {
		w.Header().Set("Content-Type", "image/jpeg")
		_ = jpeg.Encode(w, c.small(level), &jpeg.Options{Quality: quickQuality}) // a visitor who has gone away needs no answer
	}
}

// levels gives the brightness of every sample, 0 to 255, through a window that is
// asked for, or without one as the image wants to be shown. It is indexed by the
// sample's bits.
func (c *picture) levels(center, width string) ([]byte, error) {
	g := c.geometry
	show := window{Center: g.Center, Width: g.Width, Function: "LINEAR"}.level
	switch {
	case center != "" || width != "":
		a, err := strconv.ParseFloat(center, 64)
		b, err2 := strconv.ParseFloat(width, 64)
		if err != nil || err2 != nil || !(b >= 1) || math.IsInf(a, 0) || math.IsNaN(a) {
			return nil, fmt.Errorf("window of center %q and width %q: %w", center, width, study.ErrInvalid)
		}
		show = window{Center: a, Width: b, Function: "LINEAR"}.level
	case len(c.look.Windows) > 0:
		show = c.look.Windows[0].level
	case len(c.look.Tables) > 0:
		t := c.look.Tables[0]
		show = func(v float64) float64 { return t.at(v) / t.Most }
	}
	out := make([]byte, 1<<16)
	for i := range out {
		y := show(float64(int16(uint16(i)))*g.Scale + g.Offset)
		if g.Invert {
			y = 1 - y
		}
		out[i] = byte(min(max(y, 0), 1)*255 + 0.5)
	}
	return out, nil
}

// small draws a gray frame, shrunk by a whole number where it is large.
func (c *picture) small(level []byte) *image.Gray {
	g := c.geometry
	k := max(1, (max(g.Rows, g.Columns)+quickSide-1)/quickSide)
	w, h := (g.Columns+k-1)/k, (g.Rows+k-1)/k
	m := image.NewGray(image.Rect(0, 0, w, h))
	at := func(x, y int) int {
		i := 2 * (y*g.Columns + x)
		return int(level[int(c.samples[i])|int(c.samples[i+1])<<8])
	}
	for y := range h {
		for x := range w {
			sum, n := 0, 0
			for dy := y * k; dy < min((y+1)*k, g.Rows); dy++ {
				for dx := x * k; dx < min((x+1)*k, g.Columns); dx++ {
					sum, n = sum+at(dx, dy), n+1
				}
			}
			m.Pix[y*m.Stride+x] = byte((sum + n/2) / n)
		}
	}
	return m
}

// table sends one of the tables that a frame brings along.
func (v *Viewer) table(w http.ResponseWriter, r *http.Request) {
	in, n, err := v.frameIn(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	k, err := strconv.Atoi(r.PathValue("table"))
	if err != nil {
		v.site.Fail(w, r, fmt.Errorf("table %q: %w", r.PathValue("table"), study.ErrInvalid))
		return
	}
	l, err := v.lookOf(r.Context(), in, n-1)
	if err == nil && (k < 0 || k >= len(l.Tables)) {
		err = fmt.Errorf("table %d of %d: %w", k, len(l.Tables), study.ErrNotFound)
	}
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	keepable(w)
	sendJSON(w, r, l.Tables[k])
}
