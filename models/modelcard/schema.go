package modelcard

import (
	"embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"varde/study"
)

// SchemaID names the published schema of a card.
const SchemaID = "urn:varde:card:1"

// cardSources are the files in which the types of a card are declared. What the
// schema says of a key is what stands beside its field there.
//
//go:embed card.go use.go device.go outputs.go engine.go text.go
var cardSources embed.FS

// Schema gives the JSON Schema (draft 2020-12) of a card, made from the types of
// this package. It holds what can be said of one key at a time: names, types,
// words, ranges, and what must be there. [Card.Validate] asks more, so that a card
// which fails the schema is faulty, and one which passes may still be.
func Schema() ([]byte, error) {
	s := schema{said: map[string]string{}}
	if err := s.read(); err != nil {
		return nil, fmt.Errorf("make the schema of a card: %w", err)
	}
	root := s.object(reflect.TypeFor[Card](), "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "Varde model card (card.toml)"
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("make the schema of a card: %w", err)
	}
	return append(b, '\n'), nil
}

// A schema is one being made. said holds the comments: of types by their name,
// and of fields by Type.Field.
type schema struct{ said map[string]string }

// link is how a comment names another declaration.
var link = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// read takes the comments out of the sources.
func (s schema) read() error {
	files, err := cardSources.ReadDir(".")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := cardSources.ReadFile(f.Name())
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), b, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range tree.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				s.types(g)
			}
		}
	}
	return nil
}

func (s schema) types(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		s.said[t.Name.Name] = prose(g.Doc)
		fields, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				s.said[t.Name.Name+"."+name.Name] = strings.TrimSpace(prose(f.Doc) + " " + prose(f.Comment))
			}
		}
	}
}

// prose makes one line of a comment.
func prose(c *ast.CommentGroup) string {
	return link.ReplaceAllString(strings.Join(strings.Fields(c.Text()), " "), "$1")
}

// object describes a table. path is its key in the card, with a dot behind it.
func (s schema) object(t reflect.Type, path string) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("toml")
		if key == "-" || key == "" {
			continue
		}
		p := s.value(f.Type, path+key)
		if text := s.said[t.Name()+"."+f.Name]; text != "" {
			p["description"] = text
		}
		properties[key] = p
		if slices.Contains(requiredKeys, path+key) {
			required = append(required, key)
		}
	}
	o := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	if text := s.said[t.Name()]; text != "" {
		o["description"] = text
	}
	return o
}

// value describes what a key may be.
func (s schema) value(t reflect.Type, path string) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[study.Hash]():
		return map[string]any{"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
	case reflect.TypeFor[study.Code]():
		word := func(most int) map[string]any { return map[string]any{"type": "string", "maxLength": most} }
		return map[string]any{"type": "object", "additionalProperties": false, "description": "A code: value, scheme and meaning.",
			"properties": map[string]any{"value": word(16), "scheme": word(16), "meaning": word(64)}}
	}
	var v map[string]any
	switch t.Kind() {
	case reflect.Struct:
		return s.object(t, path+".")
	case reflect.Slice:
		v = map[string]any{"type": "array", "items": s.value(t.Elem(), path)}
		if slices.Contains(requiredKeys, path) {
			v["minItems"] = 1
		}
		return v
	case reflect.Array:
		return map[string]any{"type": "array", "items": s.value(t.Elem(), path), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		keys := filterKeys()
		if t == reflect.TypeFor[map[string]Text]() {
			keys = languages
		}
		return map[string]any{"type": "object", "additionalProperties": s.value(t.Elem(), path), "propertyNames": map[string]any{"enum": keys}}
	case reflect.String:
		v = map[string]any{"type": "string"}
		if words, ok := keyWords[path]; ok {
			v["enum"] = words
		} else if slices.Contains(requiredKeys, path) {
			v["minLength"] = 1
		}
	case reflect.Bool:
		v = map[string]any{"type": "boolean"}
	case reflect.Float64:
		v = map[string]any{"type": "number"}
	default:
		v = map[string]any{"type": "integer"}
	}
	if ends, ok := keyEnds[path]; ok {
		v["minimum"] = ends[0]
		if ends[1] > ends[0] {
			v["maximum"] = ends[1]
		}
	}
	return v
}

// requiredKeys are those that every card has, or every section or list entry of
// the kind.
var requiredKeys = []string{
	"id", "version", "name", "vendor", "regulatory", "network", "sha256", "use", "input", "output", "flag",
	"use.text", "use.measures", "use.limits", "use.modality", "input.name", "input.kind", "input.type", "input.layout", "input.values",
	"output.name", "output.role", "flag.by", "find.what",
	"device.regulation", "device.class", "device.udi_di", "device.manufacturer", "protocol.mode", "protocol.text",
	"claims.metric", "claims.population", "claims.source",
	"golden.input", "golden.input_sha256", "golden.output", "golden.output_sha256",
	"mil.network", "mil.sha256", "mil.features", "mil.input", "mil.output", "mil.output.name",
}

// keyWords are the words that a key may have, where they are few. An empty word
// stands for the key's absence.
var keyWords = map[string][]string{
	"input.kind":            {string(study.Patches), string(study.Volume), string(study.Images)},
	"input.type":            {TypeUint8, TypeFloat32},
	"input.layout":          {LayoutNHWC, LayoutNCHW, LayoutNCDHW},
	"input.values":          {ValuesRGB, ValuesHU, ValuesUnit, ValuesWindow},
	"input.stain":           {"", study.StainMacenko, study.StainReinhard},
	"output.role":           {RoleScalar, RoleMap, RoleBoxes, RolePoints, RoleScores, RoleClasses, RoleFeatures, RoleLabels, RoleSegments, RoleEmbedding},
	"output.activation":     {"", "none", "sigmoid", "softmax", ActivationCumulative},
	"output.format":         {"", FormatXYXY, FormatCXCYWH},
	"output.tile":           {"", "max", "mean"},
	"mil.output.activation": {"", "none", "sigmoid", "softmax", ActivationCumulative},
	"mil.output.role":       {"", RoleScalar},
	"label.aggregate":       {"", "max", "mean"},
	"masks":                 {"", MasksBinary, MasksFractional, MasksLabelMap},
	"sliding.blend":         {"", BlendGaussian, BlendLinear},
	"pose.geometry":         {"", GeometryRefuse, GeometryResample},
	"pose.orient":           {"", OrientLeft},
	"display.window":        {"", WindowCard, WindowDataset},
	"device.regulation":     {"MDR", "IVDR", "FDA"},
	"protocol.mode":         {ModeTriage, ModeConcurrent, ModeSecond, ModeFirst, ModeIndependent, ModeResearch},
	"use.laterality":        {"L", "R"},
	"use.sex":               {"F", "M", "O"},
	"use.missing":           {MissingPass, MissingRefuse},
}

// keyEnds are the ends of a number's range; the second at or below the first is
// none.
var keyEnds = map[string][2]float64{
	"use.min_images": {0, 0}, "use.max_spacing_mm": {0, 0}, "use.max_step_mm": {0, 0}, "use.min_age": {0, 130}, "use.max_age": {0, 130},
	"use.min_thickness_mm": {0, 0}, "use.max_thickness_mm": {0, 0}, "use.kvp": {0, 0}, "use.tesla": {0, 0},
	"input.width": {0, 0}, "input.height": {0, 0}, "input.microns_per_pixel": {0, 0}, "input.min_tissue": {0, 1}, "input.spacing_mm": {0, 0},
	"input.halo_planes": {0, 512}, "input.batch": {0, maxBatch}, "input.overlap": {0, 0}, "output.index": {-1, -1}, "output.top": {0, 0},
	"find.same": {0, 1}, "find.same_um": {0, 0}, "find.min_mm": {0, 0}, "find.max_mm": {0, 0}, "find.min_volume": {0, 0}, "find.min_cluster": {0, 0},
	"find.cluster_mm": {0, 0}, "find.max": {0, 1000}, "count.window_mm2": {0, mostWindowMM2}, "mil.most": {0, 1_000_000},
	"golden.tolerance": {0, 0.1}, "claims.level": {0, 1}, "claims.cases": {0, 0},
}
