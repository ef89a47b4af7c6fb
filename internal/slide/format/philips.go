package format

import (
	"math"
	"slices"
	"strings"
)

// philips reads Philips TIFF, the export of Philips's image management. Its
// description is a data set in XML. The sizes of all levels but the finest are
// filled up to whole tiles there; their true ones follow from each level's
// spacing. Tiles of glass are left out.
func philips() format {
	return format{name: "philips-tiff", recognize: isPhilips, levels: philipsLevels, facts: philipsFacts}
}

func isPhilips(s *source) bool {
	return len(s.dirs) > 0 && strings.Contains(s.dirs[0].text, "DPUfsImport") && strings.Contains(s.dirs[0].text, "<DataObject")
}

// dpAttribute gives the values of an attribute of a Philips data object: quoted,
// with blanks between.
func (n *node) dpAttribute(name string) []string {
	for _, a := range n.all("Attribute") {
		if a.attr("Name") == name {
			return strings.Fields(strings.ReplaceAll(a.text, `"`, " "))
		}
	}
	return nil
}

// dpObjects gives the data objects in an attribute of one.
func (n *node) dpObjects(name string) []*node {
	for _, a := range n.all("Attribute") {
		if a.attr("Name") == name {
			return a.child("Array").all("DataObject")
		}
	}
	return nil
}

// dpSpacing gives mm per pixel, x and y: DICOM has the distance of rows first.
func (n *node) dpSpacing() [2]float64 {
	v := n.dpAttribute("DICOM_PIXEL_SPACING")
	if len(v) != 2 {
		return [2]float64{}
	}
	return [2]float64{number(v[1]), number(v[0])}
}

// philipsImage gives the data set and in it the description of the slide.
func (s *source) philipsImage() (*node, *node, error) {
	root, err := s.document(s.dirs[0], tagDescription, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, image := range root.dpObjects("PIM_DP_SCANNED_IMAGES") {
		if slices.Equal(image.dpAttribute("PIM_DP_IMAGE_TYPE"), []string{"WSI"}) {
			return root, image, nil
		}
	}
	return nil, nil, refused(exportOther, "a Philips file without a slide")
}

func philipsLevels(s *source) ([]Level, error) {
	_, image, err := s.philipsImage()
	if err != nil {
		return nil, err
	}
	parts := image.dpObjects("PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE")
	slices.SortStableFunc(parts, func(a, b *node) int { return a.philipsNumber() - b.philipsNumber() })
	var levels []Level
	for _, d := range s.dirs {
		if !d.tiled() {
			continue
		}
		l, err := s.level(d)
		if err != nil {
			return nil, err
		}
		if n := len(levels); n > 0 {
			if n >= len(parts) {
				return nil, damaged("Philips file that describes %d levels", len(parts))
			}
			if err := l.trim(levels[0], parts[0].dpSpacing(), parts[n].dpSpacing()); err != nil {
				return nil, err
			}
		}
		levels = append(levels, l)
	}
	return levels, nil
}

// philipsNumber is a level's number in the sequence, which need not be in order.
func (n *node) philipsNumber() int {
	if v := n.dpAttribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER"); len(v) == 1 {
		return int(number(v[0]))
	}
	return 0
}

// trim cuts a level down to its true size: as many times smaller than the finest
// one as its pixels are larger. Tiles beyond it go.
func (l *Level) trim(finest Level, fine, coarse [2]float64) error {
	if min(fine[0], fine[1], coarse[0], coarse[1]) <= 0 {
		return refused(exportOther, "a level of %d×%d pixels whose spacing is missing", l.Columns, l.Rows)
	}
	// Scanners shrink by powers of 2, and write spacings with few digits.
	down := math.Round(math.Log2((coarse[0]/fine[0] + coarse[1]/fine[1]) / 2))
	times := math.Exp2(down)
	if down < 1 || down > 20 || !near(times, coarse[0]/fine[0], 0.05) || !near(times, coarse[1]/fine[1], 0.05) {
		return refused(exportOther, "a level whose pixels are %.3g×%.3g times those of the finest", coarse[0]/fine[0], coarse[1]/fine[1])
	}
	w, h := max(int(float64(finest.Columns)/times), 1), max(int(float64(finest.Rows)/times), 1)
	if w > l.Columns || h > l.Rows {
		return refused(exportOther, "a level of %d×%d pixels where %d×%d belong", l.Columns, l.Rows, w, h)
	}
	l.crop(w, h)
	return nil
}

// crop makes a level smaller and drops the tiles that are beyond it.
func (l *Level) crop(w, h int) {
	across, down := ceil(w, l.TileW), ceil(h, l.TileH)
	old := ceil(l.Columns, l.TileW)
	if across != old || down != ceil(l.Rows, l.TileH) {
		spans := l.Frames.Spans[:0:0]
		for y := range down {
			spans = append(spans, l.Frames.Spans[y*old:][:across]...)
		}
		l.Frames.Spans, l.Frames.First = spans, l.Frames.First[:len(spans)+1]
		l.Image.Frames = len(spans)
	}
	l.Columns, l.Rows = w, h
	l.Image.Slide.TotalColumns, l.Image.Slide.TotalRows = w, h
}

func philipsFacts(s *source, out *Slide) error {
	root, image, err := s.philipsImage()
	if err != nil {
		return err
	}
	first := func(name string) string {
		if v := root.dpAttribute(name); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	out.Manufacturer = first("DICOM_MANUFACTURER")
	out.Model = strings.Join(root.dpAttribute("DICOM_MANUFACTURERS_MODEL_NAME"), " ")
	out.Serial = first("DICOM_DEVICE_SERIAL_NUMBER")
	out.Software = strings.Join(root.dpAttribute("DICOM_SOFTWARE_VERSIONS"), " ")
	when, _, _ := strings.Cut(first("DICOM_ACQUISITION_DATETIME"), ".")
	out.Scanned = moment("20060102150405", when)
	spacing := image.dpSpacing()
	if parts := image.dpObjects("PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"); len(parts) > 0 {
		slices.SortStableFunc(parts, func(a, b *node) int { return a.philipsNumber() - b.philipsNumber() })
		if v := parts[0].dpSpacing(); v[0] > 0 {
			spacing = v
		}
	}
	out.MPP = [2]float64{spacing[0] * 1000, spacing[1] * 1000}
	for _, d := range s.dirs {
		if d.tiled() {
			continue
		}
		kind := "other"
		switch text := strings.ToLower(d.text); {
		case strings.HasPrefix(text, "macro"):
			kind = "macro"
		case strings.HasPrefix(text, "label"):
			kind = "label"
		}
		if err := s.associate(out, d, kind); err != nil {
			return err
		}
	}
	out.ICC, err = s.profile(s.dirs[0])
	return err
}
