package draft

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"varde/study"
)

// A monaiBundle is what of a bundle's metadata has a place in a card.
type monaiBundle struct {
	Version     string             `json:"version"`
	Name        string             `json:"name"`
	Task        string             `json:"task"`
	Description string             `json:"description"`
	Authors     string             `json:"authors"`
	Data        string             `json:"data_source"`
	Intended    string             `json:"intended_use"`
	Predicts    string             `json:"pred_classes"`
	Metrics     map[string]float64 `json:"eval_metrics"`
	References  []string           `json:"references"`
	Format      struct {
		Inputs  map[string]monaiTensor `json:"inputs"`
		Outputs map[string]monaiTensor `json:"outputs"`
	} `json:"network_data_format"`
}

// A monaiTensor is one input or output. Sizes may be numbers or formulas such as
// "16*n", and values are read as far as they are what they should be.
type monaiTensor struct {
	Type     string            `json:"type"`
	Format   string            `json:"format"`
	Modality string            `json:"modality"`
	Channels int               `json:"num_channels"`
	Shape    []json.RawMessage `json:"spatial_shape"`
	DType    string            `json:"dtype"`
	Range    []float64         `json:"value_range"`
	Patch    bool              `json:"is_patch_data"`
	Classes  map[string]string `json:"channel_def"`
}

// size gives a spatial size that is a number, 0 for a formula.
func (t monaiTensor) size(i int) int {
	var n int
	if i < 0 || i >= len(t.Shape) || json.Unmarshal(t.Shape[i], &n) != nil || n < 0 {
		return 0
	}
	return n
}

// MONAI makes a draft of the metadata of a bundle. Whatever is no such metadata
// wraps [study.ErrInvalid].
func MONAI(file []byte) (Draft, error) {
	var m monaiBundle
	if len(file) > maxFile {
		return Draft{}, fmt.Errorf("read bundle metadata: %d bytes, more than %d: %w", len(file), maxFile, study.ErrInvalid)
	}
	if err := json.Unmarshal(file, &m); err != nil {
		return Draft{}, fmt.Errorf("read bundle metadata: %w: %w", err, study.ErrInvalid)
	}
	if len(m.Format.Inputs) == 0 || len(m.Format.Outputs) == 0 {
		return Draft{}, fmt.Errorf("read bundle metadata: no network_data_format with inputs and outputs: %w", study.ErrInvalid)
	}
	name := m.Name
	if name == "" {
		name = m.Task
	}
	w := &writer{}
	w.b.WriteString("# Draft made of the metadata of a MONAI bundle.\n")
	w.text("id", identifier(name), "letters, digits and .-_+")
	w.version(m.Version)
	w.short("name", oneLine(name), 64, "for people")
	w.short("vendor", oneLine(m.Authors), 64, "who makes it")
	w.text("description", m.Description, "what it is")
	w.missing("regulatory", `""`, "not a medical device, or a section device")
	w.network()
	input := slices.Sorted(maps.Keys(m.Format.Inputs))[0]
	in := m.Format.Inputs[input]
	if n := len(m.Format.Inputs); n > 1 {
		w.say("the bundle has %d inputs, and a card describes one", n)
	}
	w.section("use")
	w.text("text", m.Intended, "the intended use")
	w.text("measures", m.Predicts, "what the number is, in one sentence")
	w.missing("limits", `""`, "what it cannot do")
	if found := modalities(in.Modality); len(found) > 0 {
		w.words("modality", found)
	} else {
		w.missing("modality", "[]", "DICOM's code of what makes the images; the bundle says: "+oneLine(in.Modality))
	}
	w.say("use: body_parts, ages and the like; a bundle does not say who it is for")
	w.monaiInput(input, in)
	for _, out := range slices.Sorted(maps.Keys(m.Format.Outputs)) {
		w.monaiOutput(out, m.Format.Outputs[out])
	}
	w.section("flag")
	w.missing("by", `""`, "what decides: findings, or an output with an aggregate")
	w.missing("flagged", "0.0", "the threshold that was validated")
	source := oneLine(strings.Join(m.References, " "))
	for _, metric := range slices.Sorted(maps.Keys(m.Metrics)) {
		w.entry("claims")
		w.text("metric", metric, "what was measured")
		w.number("value", m.Metrics[metric])
		w.text("population", oneLine(m.Data), "who it was measured on")
		w.text("source", source, "who says so")
	}
	w.say("text.nb, text.da: readers of Norwegian and Danish see this card in English until somebody translates it")
	return Draft{TOML: []byte(w.b.String()), Gaps: w.gaps}, nil
}

// monaiInput writes the input's section.
func (w *writer) monaiInput(name string, in monaiTensor) {
	w.section("input")
	w.text("name", name, "of the graph's input")
	volume := len(in.Shape) == 3
	color := in.Channels == 3
	switch {
	case volume:
		w.text("kind", "volume", "")
		w.text("layout", "NCDHW", "")
		w.say("input.layout: a bundle names its axes in the order of the training data; make sure that the graph takes planes, rows, columns")
	case color:
		w.text("kind", "patches", "")
		w.text("layout", "NCHW", "")
		w.missing("microns_per_pixel", "0.0", "the resolution that it was trained at")
	default:
		w.text("kind", "images", "")
		w.text("layout", "NCHW", "")
	}
	if in.Channels != 1 && in.Channels != 3 {
		w.say("input: %d channels, and a card describes 1 or 3", in.Channels)
	}
	switch {
	case strings.EqualFold(in.DType, "uint8"):
		w.text("type", "uint8", "")
	default:
		w.text("type", "float32", "")
	}
	switch {
	case color:
		w.text("values", "rgb", "")
	case strings.EqualFold(in.Format, "hounsfield"):
		w.text("values", "hu", "")
	default:
		w.missing("values", `"unit"`, "hu, unit or window; the bundle calls it "+oneLine(in.Format))
	}
	if len(in.Range) == 2 {
		w.say("input.scale, offset, mean and std: the network expects values from %g to %g; take the window from the bundle's transforms", in.Range[0], in.Range[1])
	}
	if !volume && in.size(0) > 0 && in.size(1) > 0 {
		w.integer("width", in.size(1))
		w.integer("height", in.size(0))
	}
	if volume && in.Patch {
		w.say("sliding: the network sees windows of %d × %d × %d; add the section sliding", in.size(0), in.size(1), in.size(2))
	}
	if volume {
		w.missing("spacing_mm", "[0.0, 0.0, 0.0]", "z, y, x, from Spacingd of the bundle's transforms")
	}
}

// monaiOutput writes one output.
func (w *writer) monaiOutput(name string, out monaiTensor) {
	w.entry("output")
	w.text("name", name, "of the graph's output")
	role := map[string]string{"segmentation": "map", "probability": "scalar", "classification": "scalar", "probabilities": "scalar", "labels": "scalar", "regression": "scalar"}[strings.ToLower(out.Format)]
	if role == "" {
		w.missing("role", `""`, "scalar, map, boxes …; the bundle calls it "+oneLine(out.Format))
	} else {
		w.text("role", role, "")
	}
	if out.Channels > 1 {
		w.integer("index", 1)
		var classes []string
		for _, k := range slices.Sorted(maps.Keys(out.Classes)) {
			classes = append(classes, k+" "+oneLine(out.Classes[k]))
		}
		w.say("output %s: index 1 of %d channels was taken (%s); look at it", name, out.Channels, strings.Join(classes, ", "))
	}
	w.missing("activation", `"none"`, "none, sigmoid or softmax, unless the graph does it")
	if role == "map" && !strings.Contains(w.b.String(), "\n[find]\n") {
		w.section("find")
		w.text("map", name, "")
		w.missing("threshold", "0.5", "the threshold that was validated")
		w.missing("what", `{ value = "", scheme = "", meaning = "" }`, "the code of a finding")
	}
}
