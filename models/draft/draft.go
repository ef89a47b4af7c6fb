// Package draft makes a draft of a card from what others publish about a model:
//
//	CHAI     an Applied Model Card of the Coalition for Health AI, XML, v0.1 and v0.2
//	MONAI    the metadata.json of a MONAI bundle
//
// A draft holds what carries over, and a list of what does not: what these files
// don't say, or say in prose only. It is no card until a person has filled that in:
// model check refuses it and names what is missing.
package draft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFile bounds a file that is read.
const maxFile = 8 << 20

// A Draft is the beginning of a card.
type Draft struct {
	TOML []byte
	// Gaps lists what a person must still fill in or look at, in plain words.
	Gaps []string
}

// A writer writes TOML, section by section.
type writer struct {
	b    strings.Builder
	gaps []string
}

func (w *writer) section(name string) { fmt.Fprintf(&w.b, "\n[%s]\n", name) }
func (w *writer) entry(name string)   { fmt.Fprintf(&w.b, "\n[[%s]]\n", name) }

// text writes a key with a text; an empty one is left for a person.
func (w *writer) text(key, value, gaps string) {
	if value == "" {
		w.missing(key, `""`, gaps)
		return
	}
	fmt.Fprintf(&w.b, "%s = %s\n", key, quote(value))
}

// short writes a text that a card bounds.
func (w *writer) short(key, value string, most int, gaps string) {
	if len(value) > most {
		w.gaps = append(w.gaps, fmt.Sprintf("%s was cut to %d characters: %q", key, most, value))
		for len(value) > most || !utf8.ValidString(value) {
			value = value[:len(value)-1]
		}
	}
	w.text(key, strings.TrimSpace(value), gaps)
}

// words writes a key with a list of texts; an empty one is left out.
func (w *writer) words(key string, values []string) {
	if len(values) == 0 {
		return
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	fmt.Fprintf(&w.b, "%s = [%s]\n", key, strings.Join(quoted, ", "))
}

func (w *writer) number(key string, v float64) {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	fmt.Fprintf(&w.b, "%s = %s\n", key, s)
}

func (w *writer) integer(key string, v int) { fmt.Fprintf(&w.b, "%s = %d\n", key, v) }

// missing writes a key that a person must fill in.
func (w *writer) missing(key, value, gaps string) {
	fmt.Fprintf(&w.b, "%s = %s # fill in: %s\n", key, value, gaps)
	w.gaps = append(w.gaps, key+": "+gaps)
}

// say adds to the list what no single key stands for.
func (w *writer) say(format string, args ...any) {
	w.gaps = append(w.gaps, fmt.Sprintf(format, args...))
}

// quote writes a TOML basic string on one line.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// identifier makes an id of a name: letters, digits and dashes.
func identifier(name string) string {
	f := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') })
	s := strings.Join(f, "-")
	return strings.TrimRight(s[:min(len(s), 64)], "-")
}

// version makes a version that a card takes of what stands in a file.
func (w *writer) version(v string) {
	kept := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_+", r) {
			return r
		}
		return -1
	}, v)
	kept = strings.TrimLeft(kept[:min(len(kept), 16)], ".-_+")
	if kept != v && v != "" {
		w.say("version is %q there and %q here: letters, digits and .-_+, at most 16", v, kept)
	}
	w.text("version", kept, "the version of this very network")
}

// modalities finds DICOM's codes of what makes images among words.
func modalities(text string) []string {
	var all []string
	add := func(m string) {
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' }) {
		switch upper := strings.ToUpper(word); upper {
		case "CT", "MR", "MG", "DX", "CR", "US", "PT", "NM", "XA", "SM":
			if word == upper || len(text) <= len(word)+8 {
				add(upper)
			}
		case "CTPA", "CBCT":
			add("CT")
		case "MRI":
			add("MR")
		case "PET":
			add("PT")
		case "WSI", "HISTOPATHOLOGY", "PATHOLOGY":
			add("SM")
		case "MAMMOGRAPHY", "MAMMOGRAM", "MAMMOGRAMS":
			add("MG")
		case "ULTRASOUND":
			add("US")
		}
	}
	return all
}

// network writes what neither file says: the network itself.
func (w *writer) network() {
	w.missing("network", `"model.onnx"`, "the ONNX file beside the card; export it from the framework that it was trained in")
	w.missing("sha256", `"`+strings.Repeat("0", 64)+`"`, "of that file: sha256sum model.onnx")
}
