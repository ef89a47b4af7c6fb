package deid

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// A Box is a rectangle of an image in pixels, counted from 0 at the upper left
// corner. What of it lies outside of an image does not count.
type Box struct{ X, Y, Width, Height int }

// ParseBox reads x,y,width,height.
func ParseBox(text string) (Box, error) {
	var v [4]int
	fields := strings.Split(text, ",")
	if len(fields) != len(v) {
		return Box{}, fmt.Errorf("box %.40q is not x,y,width,height: %w", text, study.ErrInvalid)
	}
	for i, f := range fields {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < 0 || n > 0xFFFF || i >= 2 && n == 0 {
			return Box{}, fmt.Errorf("box %.40q is not x,y,width,height in pixels: %w", text, study.ErrInvalid)
		}
		v[i] = n
	}
	return Box{v[0], v[1], v[2], v[3]}, nil
}

// A Region says where devices of one kind write text into their pixels. Modality,
// Manufacturer and Model are patterns as of [path.Match], in any case of letters;
// an empty one lets all pass. Zero rows or columns let all sizes pass.
type Region struct {
	Modality, Manufacturer, Model string
	Rows, Columns                 int
	Boxes                         []Box
}

// ParseRegions reads a table of regions: a line for each kind of device, with
// modality, manufacturer, model, columns×rows and boxes between semicolons, as in
//
//	US; GE*; LOGIQ*; 960x720; 0,0,960,60 800,60,160,20
//
// A star stands for anything. Lines that begin with # say nothing.
func ParseRegions(r io.Reader) ([]Region, error) {
	var all []Region
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		region, err := parseRegion(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of the regions: %w", n, err)
		}
		all = append(all, region)
	}
	return all, lines.Err()
}

func parseRegion(line string) (Region, error) {
	f := strings.Split(line, ";")
	if len(f) != 5 {
		return Region{}, fmt.Errorf("%d fields where 5 are wanted: modality; manufacturer; model; columns×rows; boxes: %w", len(f), study.ErrInvalid)
	}
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	r := Region{Modality: f[0], Manufacturer: f[1], Model: f[2]}
	for _, pattern := range f[:3] {
		if _, err := path.Match(pattern, ""); err != nil {
			return r, fmt.Errorf("pattern %.40q: %w: %w", pattern, err, study.ErrInvalid)
		}
	}
	if f[3] != "*" && f[3] != "" {
		c, rows, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(f[3]), "×", "x"), "x")
		var err1, err2 error
		r.Columns, err1 = strconv.Atoi(c)
		r.Rows, err2 = strconv.Atoi(rows)
		if err1 != nil || err2 != nil || r.Columns < 1 || r.Rows < 1 {
			return r, fmt.Errorf("size %.40q is not columns×rows: %w", f[3], study.ErrInvalid)
		}
	}
	for _, text := range strings.Fields(f[4]) {
		b, err := ParseBox(text)
		if err != nil {
			return r, err
		}
		r.Boxes = append(r.Boxes, b)
	}
	if len(r.Boxes) == 0 {
		return r, fmt.Errorf("no box: %w", study.ErrInvalid)
	}
	return r, nil
}

// of reports whether an object comes from a device of that kind.
func (r Region) of(d *dicom.Dataset, g geometry) bool {
	fits := func(pattern, text string) bool {
		if pattern == "" {
			return true
		}
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(text))
		return ok && err == nil
	}
	return fits(r.Modality, d.Text(dicom.Modality)) && fits(r.Manufacturer, d.Text(dicom.Manufacturer)) &&
		fits(r.Model, d.Text(dicom.ManufacturerModelName)) && (r.Rows == 0 || r.Rows == g.rows) && (r.Columns == 0 || r.Columns == g.columns)
}

// Attributes of the regions that an ultrasound device declares, PS3.3 §C.8.5.5.
const (
	ultrasoundRegions dicom.Tag = 0x00186011
	regionMinX        dicom.Tag = 0x00186018
	regionMinY        dicom.Tag = 0x0018601A
	regionMaxX        dicom.Tag = 0x0018601C
	regionMaxY        dicom.Tag = 0x0018601E
)

// boxes says what is to be covered of an image: the boxes that an operator gave,
// those of its device, and of an ultrasound image whatever lies outside of the
// regions that its device declares. known is false when none of them says
// anything.
func (p *Profile) boxes(d *dicom.Dataset, g geometry) (all []Box, known bool) {
	all = append(all, p.options.Boxes...)
	for _, r := range p.options.Regions {
		if r.of(d, g) {
			all = append(all, r.Boxes...)
		}
	}
	open := declared(d)
	if len(open) > 0 {
		all = append(all, outside(open, g)...)
	}
	return all, len(all) > 0
}

// declared gives the regions of an ultrasound image that hold its pixels.
func declared(d *dicom.Dataset) (open []Box) {
	for item := range d.Each(ultrasoundRegions) {
		x0, ok1 := item.Int(regionMinX)
		y0, ok2 := item.Int(regionMinY)
		x1, ok3 := item.Int(regionMaxX)
		y1, ok4 := item.Int(regionMaxY)
		if ok1 && ok2 && ok3 && ok4 && x1 >= x0 && y1 >= y0 {
			open = append(open, Box{x0, y0, x1 - x0 + 1, y1 - y0 + 1})
		}
		if len(open) == 100 {
			break
		}
	}
	return open
}

// outside gives boxes over all rows that cover what no open box shows: between two
// edges of open boxes every row is covered alike.
func outside(open []Box, g geometry) (all []Box) {
	edges := []int{0, g.rows}
	for _, b := range open {
		edges = append(edges, min(b.Y, g.rows), min(b.Y+b.Height, g.rows))
	}
	edges = sorted(edges)
	for i := 1; i < len(edges); i++ {
		top, bottom := edges[i-1], edges[i]
		columns := []int{0, g.columns}
		for _, b := range open {
			columns = append(columns, min(b.X, g.columns), min(b.X+b.Width, g.columns))
		}
		columns = sorted(columns)
		for j := 1; j < len(columns); j++ {
			left, right := columns[j-1], columns[j]
			shown := false
			for _, b := range open {
				shown = shown || left >= b.X && right <= b.X+b.Width && top >= b.Y && bottom <= b.Y+b.Height
			}
			if !shown {
				all = append(all, Box{left, top, right - left, bottom - top})
			}
		}
	}
	return all
}
