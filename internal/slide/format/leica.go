package format

import (
	"strings"
	"time"
)

// leica reads SCN files of the Leica SCN400: BigTIFF with a collection in XML,
// which says which directory is which level of which picture and where on the
// glass it lies. A slide of one scanned area is read here; several areas on one
// glass are for OpenSlide.
func leica() format {
	return format{name: "leica", recognize: isLeica, levels: leicaLevels, facts: leicaFacts}
}

func isLeica(s *source) bool {
	return len(s.dirs) > 0 && strings.Contains(s.dirs[0].text, "http://www.leica-microsystems.com/scn/")
}

// leicaImages gives the one area that was scanned, and the views of the whole
// glass.
func (s *source) leicaImages() (main *node, macros []*node, err error) {
	root, err := s.document(s.dirs[0], tagDescription, nil)
	if err != nil {
		return nil, nil, err
	}
	glass := root.child("collection")
	for _, image := range glass.all("image") {
		view := image.child("view")
		if view.attr("offsetX") == "0" && view.attr("offsetY") == "0" &&
			view.attr("sizeX") == glass.attr("sizeX") && view.attr("sizeY") == glass.attr("sizeY") {
			macros = append(macros, image)
			continue
		}
		if main != nil {
			return nil, nil, &NeedsOpenSlideError{Format: "leica", Why: "of several scanned areas"}
		}
		main = image
	}
	if main == nil {
		return nil, nil, refused(exportOther, "a Leica file with nothing but an overview")
	}
	return main, macros, nil
}

func leicaLevels(s *source) ([]Level, error) {
	main, _, err := s.leicaImages()
	if err != nil {
		return nil, err
	}
	light := main.child("scanSettings", "illuminationSettings", "illuminationSource").text
	if strings.TrimSpace(light) != "brightfield" {
		return nil, refused("scan it in brightfield", "a slide scanned in %q light", strings.TrimSpace(light))
	}
	var levels []Level
	for _, dim := range main.child("pixels").all("dimension") {
		if z := dim.attr("z"); z != "" && z != "0" {
			continue // another focal plane
		}
		if c := dim.attr("c"); c != "" && c != "0" {
			return nil, refused(exportOther, "a slide of several channels")
		}
		i := int(number(dim.attr("ifd")))
		if dim.attr("ifd") == "" || i >= len(s.dirs) || !s.dirs[i].tiled() {
			return nil, damaged("Leica level in directory %q of %d", dim.attr("ifd"), len(s.dirs))
		}
		l, err := s.level(s.dirs[i])
		if err != nil {
			return nil, err
		}
		if float64(l.Columns) != number(dim.attr("sizeX")) || float64(l.Rows) != number(dim.attr("sizeY")) {
			return nil, damaged("Leica level of %s×%s pixels in a directory of %d×%d", dim.attr("sizeX"), dim.attr("sizeY"), l.Columns, l.Rows)
		}
		levels = append(levels, l)
	}
	return levels, nil
}

func leicaFacts(s *source, out *Slide) error {
	main, macros, err := s.leicaImages()
	if err != nil {
		return err
	}
	out.Manufacturer = "Leica"
	device := main.child("device")
	out.Model, _, _ = strings.Cut(device.attr("model"), ";")
	out.Software = device.attr("version")
	out.Scanned = moment(time.RFC3339, main.child("creationDate").text)
	out.Objective = number(main.child("scanSettings", "objectiveSettings", "objective").text)
	// The view is in nm, and so is the true size of a pixel.
	pixels, view := main.child("pixels"), main.child("view")
	for i, side := range []string{"sizeX", "sizeY"} {
		if n := number(pixels.attr(side)); n > 0 {
			out.MPP[i] = number(view.attr(side)) / n / 1000
		}
	}
	for _, m := range macros {
		p := m.child("pixels")
		out.Associated = append(out.Associated, Associated{Kind: "macro", Columns: int(number(p.attr("sizeX"))), Rows: int(number(p.attr("sizeY")))})
	}
	out.ICC, err = s.profile(s.dirs[0])
	return err
}
