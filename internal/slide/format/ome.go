package format

import (
	"slices"
	"strings"
)

// ome reads OME-TIFF of one brightfield picture, as Bio-Formats, QuPath and
// others write it: coarser levels hang as sub-directories from the finest one.
// Stacks and channels are refused.
func ome() format {
	return format{name: "ome-tiff", recognize: isOME, levels: omeLevels, facts: omeFacts}
}

func isOME(s *source) bool {
	return len(s.dirs) > 0 && strings.Contains(s.dirs[0].text, "<OME") && strings.Contains(s.dirs[0].text, "openmicroscopy.org")
}

// omeImages gives the one picture that is no view of label or glass, and the
// others.
func (s *source) omeImages() (root, main *node, others []*node, err error) {
	if root, err = s.document(s.dirs[0], tagDescription, nil); err != nil {
		return nil, nil, nil, err
	}
	for _, image := range root.all("Image") {
		if omeKind(image) != "" {
			others = append(others, image)
			continue
		}
		if main != nil {
			return nil, nil, nil, refused("export one picture to a file", "an OME-TIFF of several pictures")
		}
		main = image
	}
	if main == nil {
		return nil, nil, nil, refused("export it as a file of its own", "an OME-TIFF that describes no picture")
	}
	return root, main, others, nil
}

// omeKind tells the views of label and glass by their names.
func omeKind(image *node) string {
	name := strings.ToLower(image.attr("Name"))
	for _, k := range [][2]string{{"label", "label"}, {"barcode", "label"}, {"macro", "macro"}, {"overview", "macro"}, {"thumbnail", "thumbnail"}} {
		if strings.Contains(name, k[0]) {
			return k[1]
		}
	}
	return ""
}

// omeDirectory is the directory that holds a picture.
func (s *source) omeDirectory(pixels *node) (*directory, error) {
	data := pixels.all("TiffData")
	if len(data) > 1 {
		return nil, refused("export one plane to a file", "an OME-TIFF of %d planes", len(data))
	}
	i := 0
	if len(data) == 1 {
		if name := data[0].child("UUID").attr("FileName"); strings.Contains(name, "/") || strings.Contains(name, "\\") {
			return nil, refused("export everything to one file", "an OME-TIFF of several files")
		}
		i = int(number(data[0].attr("IFD")))
	}
	if i >= len(s.dirs) {
		return nil, damaged("OME-TIFF with a picture in directory %d of %d", i, len(s.dirs))
	}
	return s.dirs[i], nil
}

func omeLevels(s *source) ([]Level, error) {
	_, main, _, err := s.omeImages()
	if err != nil {
		return nil, err
	}
	pixels := main.child("Pixels")
	for _, axis := range []struct{ size, what string }{{"SizeZ", "focal planes"}, {"SizeT", "points in time"}} {
		if n := number(pixels.attr(axis.size)); n > 1 {
			return nil, refused("export one plane to a file", "an OME-TIFF of %g %s", n, axis.what)
		}
	}
	if channels := pixels.all("Channel"); len(channels) > 1 || number(pixels.attr("SizeC")) != 3 ||
		len(channels) == 1 && channels[0].attr("SamplesPerPixel") != "" && channels[0].attr("SamplesPerPixel") != "3" {
		return nil, refused("export it as RGB", "an OME-TIFF of %s channels", pixels.attr("SizeC"))
	}
	d, err := s.omeDirectory(pixels)
	if err != nil {
		return nil, err
	}
	if !d.tiled() {
		return nil, refused(exportOther, "an OME-TIFF in strips")
	}
	var levels []Level
	for _, d := range append([]*directory{d}, d.subs...) {
		if !d.tiled() {
			return nil, refused(exportOther, "an OME-TIFF with a level in strips")
		}
		l, err := s.level(d)
		if err != nil {
			return nil, err
		}
		levels = append(levels, l)
	}
	if l := levels[0]; float64(l.Columns) != number(pixels.attr("SizeX")) || float64(l.Rows) != number(pixels.attr("SizeY")) {
		return nil, damaged("OME-TIFF that describes %s×%s pixels and has %d×%d", pixels.attr("SizeX"), pixels.attr("SizeY"), l.Columns, l.Rows)
	}
	return levels, nil
}

// omeMicrometers gives the µm of a unit of length; 0 for one that is none, such
// as "pixel". Without a unit a length is in µm.
func omeMicrometers(unit string) float64 {
	return map[string]float64{
		"": 1, "µm": 1, "\u03bcm": 1, "um": 1, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "in": 25400,
	}[unit]
}

func omeFacts(s *source, out *Slide) error {
	root, main, others, err := s.omeImages()
	if err != nil {
		return err
	}
	pixels := main.child("Pixels")
	for i, axis := range []string{"X", "Y"} {
		out.MPP[i] = number(pixels.attr("PhysicalSize"+axis)) * omeMicrometers(pixels.attr("PhysicalSize"+axis+"Unit"))
	}
	scope := root.child("Instrument", "Microscope")
	out.Manufacturer, out.Model, out.Serial = scope.attr("Manufacturer"), scope.attr("Model"), scope.attr("SerialNumber")
	out.Software = root.attr("Creator")
	out.Scanned = moment("2006-01-02T15:04:05", strings.TrimSuffix(strings.TrimSpace(main.child("AcquisitionDate").text), "Z"))
	objectives := root.child("Instrument").all("Objective")
	id := main.child("ObjectiveSettings").attr("ID")
	if i := slices.IndexFunc(objectives, func(o *node) bool { return o.attr("ID") == id }); i >= 0 {
		out.Objective = number(objectives[i].attr("NominalMagnification"))
	}
	for _, o := range others {
		p := o.child("Pixels")
		out.Associated = append(out.Associated, Associated{Kind: omeKind(o), Columns: int(number(p.attr("SizeX"))), Rows: int(number(p.attr("SizeY")))})
	}
	d, err := s.omeDirectory(pixels)
	if err == nil {
		out.ICC, err = s.profile(d)
	}
	return err
}
