package studytest

import (
	"bytes"
	"image"
	"math"
)

// drawnWhole is up to how many pixels a slide is drawn as one picture. A larger
// one is laid out of a few tiles of tissue and one of glass.
const drawnWhole = 16 << 20

// A mosaic is a slide as a pyramid of tiles, each of which is known by a number:
// 0 is glass, and equal tiles have equal numbers. A tile of a coarser level is
// four of the level below, so that however large the slide is there are few
// different ones.
type mosaic struct {
	side   int
	across int
	ids    []int32
	rgb    map[int32][]byte
}

// draw makes the levels of the file.
func (f SlideFile) draw(encode func([]byte) []byte) ([]slideLevel, error) {
	m := f.finest()
	step := 2
	if f.Kind == AperioSVS || f.Kind == LeicaSCN {
		step = 4
	}
	var levels []slideLevel
	for down := 1; ; down *= 2 {
		w, h := f.Columns/down, f.Rows/down
		if w == 0 || h == 0 {
			break
		}
		if down == power(step, len(levels)) {
			levels = append(levels, m.level(w, h, down, f.Sparse, encode))
			if len(levels) == f.Levels || w <= f.Tile && h <= f.Tile {
				break
			}
		}
		m = m.halve()
	}
	return levels, nil
}

func power(base, n int) int {
	p := 1
	for range n {
		p *= base
	}
	return p
}

// level encodes every different tile once.
func (m *mosaic) level(w, h, down int, sparse bool, encode func([]byte) []byte) slideLevel {
	l := slideLevel{columns: w, rows: h, down: down}
	done := map[int32][]byte{}
	for y := range (h + m.side - 1) / m.side {
		for x := range (w + m.side - 1) / m.side {
			id := m.ids[y*m.across+x]
			if _, ok := done[id]; !ok {
				if done[id] = nil; id != 0 || !sparse {
					done[id] = encode(m.rgb[id])
				}
			}
			l.tiles = append(l.tiles, done[id])
		}
	}
	return l
}

// halve makes the level above.
func (m *mosaic) halve() *mosaic {
	rows := len(m.ids) / m.across
	up := &mosaic{side: m.side, across: (m.across + 1) / 2, rgb: map[int32][]byte{0: m.rgb[0]}}
	known := map[[4]int32]int32{{}: 0}
	for y := range (rows + 1) / 2 {
		for x := range up.across {
			var four [4]int32
			for i := range four {
				if cx, cy := 2*x+i%2, 2*y+i/2; cx < m.across && cy < rows {
					four[i] = m.ids[cy*m.across+cx]
				}
			}
			id, ok := known[four]
			if !ok {
				id = int32(len(known))
				known[four], up.rgb[id] = id, m.join(four)
			}
			up.ids = append(up.ids, id)
		}
	}
	return up
}

// join averages four tiles into one.
func (m *mosaic) join(four [4]int32) []byte {
	out, half := make([]byte, 3*m.side*m.side), m.side/2
	for i, id := range four {
		in := m.rgb[id]
		for y := range half {
			for x := range half {
				from, to := 3*(2*y*m.side+2*x), 3*((y+i/2*half)*m.side+x+i%2*half)
				for c := range 3 {
					sum := int(in[from+c]) + int(in[from+3+c]) + int(in[from+3*m.side+c]) + int(in[from+3*m.side+3+c])
					out[to+c] = byte((sum + 2) / 4)
				}
			}
		}
	}
	return out
}

// finest makes the tiles of the finest level.
func (f SlideFile) finest() *mosaic {
	across, down := (f.Columns+f.Tile-1)/f.Tile, (f.Rows+f.Tile-1)/f.Tile
	m := &mosaic{side: f.Tile, across: across, ids: make([]int32, across*down)}
	m.rgb = map[int32][]byte{0: bytes.Repeat([]byte{243, 242, 244}, f.Tile*f.Tile)}
	if f.Columns*f.Rows <= drawnWhole {
		img := glass{SM{Seed: f.Seed, Cellular: f.Cellular, Columns: f.Columns, Rows: f.Rows}}.draw()
		for i := range m.ids {
			if rgb := tileOf(img, i%across*f.Tile, i/across*f.Tile, f.Tile); !isGlass(rgb) {
				m.ids[i] = int32(len(m.rgb))
				m.rgb[m.ids[i]] = rgb
			}
		}
		return m
	}
	// Tiles from amid a drawn slide, four by four unless more are asked for, and
	// one from its cells.
	n := max(4, int(math.Sqrt(float64(f.Varied))))
	side := 2 * n * f.Tile
	img := glass{SM{Seed: f.Seed, Cellular: false, Columns: side, Rows: side}}.draw()
	for i := range n * n {
		m.rgb[int32(i+1)] = f.grained(tileOf(img, (n/2+i%n)*f.Tile, (n/2+i/n)*f.Tile, f.Tile), i)
	}
	cells := int32(n*n + 1)
	if f.Cellular {
		side := 8 * f.Tile
		img = glass{SM{Seed: f.Seed, Cellular: true, Columns: side, Rows: side}}.draw()
		m.rgb[cells] = f.grained(tileOf(img, 4*f.Tile, 3*f.Tile, f.Tile), n*n)
	}
	for i := range m.ids {
		x, y := i%across, i/across
		fx, fy := (float64(x)+0.5)/float64(across), (float64(y)+0.5)/float64(down)
		switch {
		case f.Cellular && square((fx-0.62)/0.05)+square((fy-0.45)/0.05) < 1:
			m.ids[i] = cells
		case square((fx-0.5)/0.4)+square((fy-0.5)/0.3) < 1: // 38 % of the slide
			m.ids[i] = int32(1 + y%n*n + x%n)
		}
	}
	return m
}

// grained adds the camera's noise to a tile: a grain of light and a weaker one of
// color, each the sum of some uniform numbers.
func (f SlideFile) grained(rgb []byte, tile int) []byte {
	if f.Grain <= 0 {
		return rgb
	}
	noise := func(i, k int) float64 {
		return 2 * f.Grain * (unit(f.Seed, tile, i, k) + unit(f.Seed, tile, i, k+8) + unit(f.Seed, tile, i, k+16) - 1.5) // each of variance 1/12
	}
	for i := 0; i+2 < len(rgb); i += 3 {
		light := noise(i, 0)
		for c := range 3 {
			rgb[i+c] = byte(min(max(float64(rgb[i+c])+light+0.3*noise(i, 1+c), 0), 255))
		}
	}
	return rgb
}

func square(v float64) float64 { return v * v }

// tileOf cuts a tile out of a picture; what lies beyond is glass.
func tileOf(img *image.RGBA, x0, y0, side int) []byte {
	out := bytes.Repeat([]byte{243, 242, 244}, side*side)
	for y := range side {
		for x := range side {
			if p := (image.Point{x0 + x, y0 + y}); p.In(img.Rect) {
				copy(out[3*(y*side+x):], img.Pix[img.PixOffset(p.X, p.Y):][:3])
			}
		}
	}
	return out
}

// isGlass reports whether a tile shows nothing stained.
func isGlass(rgb []byte) bool {
	for i := 0; i < len(rgb); i += 3 {
		if int(rgb[i])-int(rgb[i+1]) > 12 || rgb[i+1] < 230 {
			return false
		}
	}
	return true
}
