package modelcard

import (
	"fmt"

	"varde/study"
)

// A Use is the intended use, as a text and as filters that bite: what fails a
// filter is out of scope, and the study says so. An empty filter lets all pass.
// [Use.Outside] asks them.
type Use struct {
	Text     string   `toml:"text"`
	NotFor   []string `toml:"not_for"`
	Measures string   `toml:"measures"` // what the number is, in one sentence
	Limits   string   `toml:"limits"`   // what it cannot do

	Modality     []study.Modality `toml:"modality"`
	Classes      []study.UID      `toml:"sop_classes"`
	BodyParts    []string         `toml:"body_parts"` // (0018,0015) or (0008,2218): a DICOM term, a synonym of it, or scheme and code as in SCT:51185008
	Intents      []string         `toml:"intents"`    // (0008,0068)
	MinImages    int              `toml:"min_images"` // slices of a volume
	MaxSpacingMM float64          `toml:"max_spacing_mm"`
	MaxStepMM    float64          `toml:"max_step_mm"` // between slices

	Views          []string   `toml:"views"`            // (0018,5101) or (0054,0220): PA, AP, CC, MLO …, or scheme and code
	Laterality     []string   `toml:"laterality"`       // L, R
	MinAge         float64    `toml:"min_age"`          // years
	MaxAge         float64    `toml:"max_age"`          // years; a whole number means up to the birthday that ends it
	Sex            []string   `toml:"sex"`              // (0010,0040): F, M, O
	Manufacturers  []string   `toml:"manufacturers"`    // (0008,0070), the words that the header begins with, in any case
	Scanners       []string   `toml:"scanners"`         // (0008,1090), likewise
	MinThicknessMM float64    `toml:"min_thickness_mm"` // (0018,0050)
	MaxThicknessMM float64    `toml:"max_thickness_mm"`
	KVP            [2]float64 `toml:"kvp"`         // (0018,0060), lowest and highest
	Tesla          [2]float64 `toml:"tesla"`       // (0018,0087), lowest and highest
	Kernels        []string   `toml:"kernels"`     // (0018,1210)
	Photometric    []string   `toml:"photometric"` // (0028,0004)
	Stains         []string   `toml:"stains"`      // all that the slide was stained with: H&E, PAS …, or scheme and code
	Organs         []string   `toml:"organs"`      // (0008,2228) of the specimen, words as for body parts
	Specimens      []string   `toml:"specimens"`   // (0040,059A), the kind of specimen

	// Missing says of a filter, by its key, whether an image whose header does
	// not say passes: pass or refuse. Without a word body_parts and intents pass,
	// and all others refuse.
	Missing Missing `toml:"missing"`
}

// Missing is a word for each filter, by its key.
type Missing map[string]string

// UnmarshalTOML reads the words. Anything but a table of texts is refused.
func (m *Missing) UnmarshalTOML(v any) error {
	table, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("use.missing is no table of %s and %s: %w", MissingPass, MissingRefuse, study.ErrInvalid)
	}
	*m = Missing{}
	for key, word := range table {
		text, ok := word.(string)
		if !ok {
			return fmt.Errorf("use.missing.%s is neither %s nor %s: %w", key, MissingPass, MissingRefuse, study.ErrInvalid)
		}
		(*m)[key] = text
	}
	return nil
}

// The words for a header that does not say.
const (
	MissingPass   = "pass"
	MissingRefuse = "refuse"
)

// The keys of the filters that ask the header and may find nothing there.
const (
	filterBodyParts     = "body_parts"
	filterIntents       = "intents"
	filterViews         = "views"
	filterLaterality    = "laterality"
	filterSex           = "sex"
	filterAge           = "age"
	filterManufacturers = "manufacturers"
	filterScanners      = "scanners"
	filterThickness     = "thickness"
	filterKVP           = "kvp"
	filterTesla         = "tesla"
	filterKernels       = "kernels"
	filterPhotometric   = "photometric"
	filterStains        = "stains"
	filterOrgans        = "organs"
	filterSpecimens     = "specimens"
)

// filterKeys lists the keys that [Use.Missing] may have.
func filterKeys() []string {
	keys := make([]string, len(headerFilters))
	for i, f := range headerFilters {
		keys[i] = f.key
	}
	return keys
}

// sets reports whether the use has a filter of that key.
func (u Use) sets(key string) bool {
	switch key {
	case filterBodyParts:
		return len(u.BodyParts) > 0
	case filterIntents:
		return len(u.Intents) > 0
	case filterViews:
		return len(u.Views) > 0
	case filterLaterality:
		return len(u.Laterality) > 0
	case filterSex:
		return len(u.Sex) > 0
	case filterAge:
		return u.MinAge > 0 || u.MaxAge > 0
	case filterManufacturers:
		return len(u.Manufacturers) > 0
	case filterScanners:
		return len(u.Scanners) > 0
	case filterThickness:
		return u.MinThicknessMM > 0 || u.MaxThicknessMM > 0
	case filterKVP:
		return u.KVP != [2]float64{}
	case filterTesla:
		return u.Tesla != [2]float64{}
	case filterKernels:
		return len(u.Kernels) > 0
	case filterPhotometric:
		return len(u.Photometric) > 0
	case filterStains:
		return len(u.Stains) > 0
	case filterOrgans:
		return len(u.Organs) > 0
	case filterSpecimens:
		return len(u.Specimens) > 0
	}
	return false
}

// passes reports whether an image that does not say passes a filter.
func (u Use) passes(key string) bool {
	if word, ok := u.Missing[key]; ok {
		return word == MissingPass
	}
	return key == filterBodyParts || key == filterIntents
}
