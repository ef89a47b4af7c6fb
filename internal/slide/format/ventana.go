package format

import (
	"strings"
)

// ventana reads TIFF and BIF files of Ventana's (Roche's) scanners whose tiles do
// not overlap. The scanner's settings stand in XML under the tag of XMP; in a BIF
// the finest level has more of it, which says how its tiles meet.
func ventana() format {
	return format{name: "ventana", recognize: isVentana, levels: ventanaLevels, facts: ventanaFacts}
}

// isVentana asks for the settings, or for the joints if a file has lost them.
func isVentana(s *source) bool {
	return len(s.dirs) > 0 && (strings.Contains(s.xmp, "<iScan") || strings.Contains(s.xmp, "<EncodeInfo"))
}

// ventanaLevel gives a number that a directory has of itself, such as its level.
func ventanaLevel(d *directory) (values map[string]string, ok bool) {
	values = map[string]string{}
	for part := range strings.FieldsSeq(d.text) {
		if k, v, found := strings.Cut(part, "="); found {
			values[k] = v
		}
	}
	_, ok = values["level"]
	return values, ok && d.tiled()
}

func ventanaLevels(s *source) ([]Level, error) {
	var levels []Level
	for _, d := range s.dirs {
		values, ok := ventanaLevel(d)
		if !ok {
			continue
		}
		l, err := s.level(d)
		if err != nil {
			return nil, err
		}
		if values["level"] == "0" && d.has(tagXMP) {
			if err := s.joints(d, &l); err != nil {
				return nil, err
			}
		}
		levels = append(levels, l)
	}
	return levels, nil
}

const ventanaElsewhere = "whose tiles overlap or do not fill it"

// joints refuses a level whose tiles overlap, or lie elsewhere than in the rows
// and columns of the file.
func (s *source) joints(d *directory, l *Level) error {
	apart := true
	root, err := s.document(d, tagXMP, func(n *node) bool {
		if n.name != "TileJointInfo" {
			return false
		}
		for _, axis := range []string{"OverlapX", "OverlapY"} {
			v := n.attr(axis)
			apart = apart && (v == "0" || v == "")
		}
		return true
	})
	if err != nil {
		return err
	}
	if root.name != "EncodeInfo" { // nothing but the settings
		return nil
	}
	var areas []*node
	for _, a := range root.child("SlideStitchInfo").all("ImageInfo") {
		if a.attr("AOIScanned") != "0" {
			areas = append(areas, a)
		}
	}
	across, down := ceil(l.Columns, l.TileW), ceil(l.Rows, l.TileH)
	if !apart || len(areas) != 1 || number(areas[0].attr("NumCols")) != float64(across) || number(areas[0].attr("NumRows")) != float64(down) {
		return &NeedsOpenSlideError{Format: "ventana", Why: ventanaElsewhere}
	}
	return nil
}

func ventanaFacts(s *source, out *Slide) error {
	out.Manufacturer = "Roche (Ventana)"
	var scan *node
	for _, d := range s.dirs {
		if !d.has(tagXMP) {
			continue
		}
		root, err := s.document(d, tagXMP, func(n *node) bool { return n.name == "TileJointInfo" })
		if err != nil {
			return err
		}
		if scan = root.find("iScan"); scan != nil {
			break
		}
	}
	if scan == nil {
		scan = &node{}
	}
	if number(scan.attr("Z-layers")) > 1 {
		return refused("export one focal plane", "a slide of %s focal planes", scan.attr("Z-layers"))
	}
	mpp := number(scan.attr("ScanRes"))
	out.MPP = [2]float64{mpp, mpp}
	out.Objective = number(scan.attr("Magnification"))
	out.Model, out.Serial = scan.attr("ScannerModel"), scan.attr("UnitNumber")
	var err error
	if out.Software, err = s.text(s.dirs[0], tagSoftware, 64); err != nil {
		return err
	}
	var profile *directory
	for _, d := range s.dirs {
		if _, level := ventanaLevel(d); level {
			if profile == nil {
				profile = d
			}
			continue
		}
		kind := "other"
		switch text := strings.ToLower(d.text); {
		case strings.HasPrefix(text, "label"):
			kind = "label"
		case strings.HasPrefix(text, "thumbnail"):
			kind = "thumbnail"
		}
		if err := s.associate(out, d, kind); err != nil {
			return err
		}
	}
	if profile != nil {
		out.ICC, err = s.profile(profile)
	}
	return err
}
