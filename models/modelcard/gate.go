package modelcard

import (
	"slices"

	"varde/study"
)

// A bound is one of the gate's, by its name.
type bound struct {
	name  string
	value **float64
}

func (g *Gate) bounds() []bound {
	return []bound{
		{"min_contrast", &g.MinContrast}, {"min_body", &g.MinBody}, {"max_body", &g.MaxBody}, {"max_border", &g.MaxBorder},
		{"max_clipped", &g.MaxClipped}, {"max_noise", &g.MaxNoise}, {"min_sharp", &g.MinSharp}, {"max_backdrop", &g.MaxBackdrop},
		{"min_extent_mm", &g.MinExtentMM}, {"min_field_mm", &g.MinFieldMM},
	}
}

// The bounds that hold for every card that does not say otherwise: what fails
// them is no picture of a patient, whatever the model. Anything stricter depends
// on the model, and is for its card to say.
const (
	leastContrastHU = 150 // from air or fat to soft tissue
	// leastContrastUnit is a share of the range that a flat field does not reach.
	// Counts, as of PET and scintigraphy, may use a four-hundredth of theirs.
	leastContrastUnit   = 0.01
	leastContrastCounts = 0.001
	leastBodyCT         = 0.01
	// mostClipped is how much of the body may lie at the end of the range. Metal
	// is a percent or two of a slice.
	mostClipped = 0.6
	// mostBackdrop is the gray of air beside a breast, which is black however it
	// was windowed; MONOCHROME1 that was not turned round is above 0.9.
	mostBackdrop = 0.6
	// failing is the share of a volume's frames that may fail: the first and the
	// last slices of a scan are often empty.
	failing = 0.25
)

// Bounds gives the card's gate with the default of every bound that it does not
// name; what stays nil is not asked. HU says that values are Hounsfield units.
func (c Card) Bounds() Gate {
	var g Gate
	if c.Gate != nil {
		g = *c.Gate
	}
	preset := func(to **float64, v float64) {
		if *to == nil {
			*to = &v
		}
	}
	if c.Input.Kind == study.Patches || c.Input.Values == ValuesRGB {
		return Gate{}
	}
	if c.GatedInHU() {
		preset(&g.MinContrast, leastContrastHU)
		preset(&g.MinBody, leastBodyCT)
	} else if c.projections() {
		preset(&g.MinContrast, leastContrastUnit)
	} else {
		preset(&g.MinContrast, leastContrastCounts)
	}
	preset(&g.MaxClipped, mostClipped)
	if slices.Equal(c.Use.Modality, []study.Modality{study.MG}) {
		preset(&g.MaxBackdrop, mostBackdrop)
	}
	if g.Share == 0 {
		g.Share = failing
	}
	for _, b := range g.bounds() {
		if slices.Contains(g.Off, b.name) {
			*b.value = nil
		}
	}
	return g
}

// GatedInHU reports whether the gate judges in Hounsfield units; else it judges
// in shares of the stored range.
func (c Card) GatedInHU() bool {
	return c.Input.Values == ValuesHU || c.Input.Values == ValuesWindow && slices.Equal(c.Use.Modality, []study.Modality{study.CT})
}

// projections reports whether all that the card is for are X-ray projections.
func (c Card) projections() bool {
	xray := []study.Modality{"CR", "DX", study.MG, "RG", "XA", "RF", "IO", "PX"}
	return len(c.Use.Modality) > 0 && !slices.ContainsFunc(c.Use.Modality, func(m study.Modality) bool { return !slices.Contains(xray, m) })
}
