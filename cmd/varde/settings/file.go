package settings

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"varde/internal/slip"
	"varde/study"
)

// A file is the TOML file of the settings while it is read.
type file struct {
	name   string
	places []slip.Place
	meta   toml.MetaData
	raw    map[string]toml.Primitive
}

// loadFile reads the file that --config or VARDE_CONFIG names. fatal is why nothing of
// it could be read. Else every key that is sound counts, and each fault of the others
// is told with its line.
func (l *Loader) loadFile() (faults []error, fatal error) {
	if l.file == "" {
		l.file = os.Getenv("VARDE_CONFIG")
	}
	if l.file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(l.file)
	if err != nil {
		return nil, fmt.Errorf("read settings from %s; see --config: %w", l.file, err)
	}
	f := file{name: l.file, places: slip.Read(string(text))}
	if f.meta, err = toml.Decode(string(text), &f.raw); err != nil {
		if fault := (toml.ParseError{}); errors.As(err, &fault) {
			return nil, fmt.Errorf("settings in %s: line %d, %s: %w", l.file, fault.Position.Line, strings.TrimSuffix(fault.Message, ": invalid"), study.ErrInvalid)
		}
		return nil, fmt.Errorf("read settings from %s: %w", l.file, err)
	}
	known := slip.Keys(l.Settings)
	for _, key := range f.keys() {
		at := slip.Lines(f.places, key)
		field, ok := l.field(key)
		if !ok {
			faults = append(faults, f.fault(at, `unknown key %q%s; varde config show lists the known ones`, key, slip.Meant(key, known)))
			continue
		}
		if len(at) > 0 {
			l.lines[key] = at[0]
		}
		l.Source[key] = l.file
		if list, ok := field.Addr().Interface().(*[]Destination); ok {
			faults = append(faults, l.readDestinations(f, key, list)...)
			continue
		}
		value := reflect.New(field.Type())
		if err := f.meta.PrimitiveDecode(f.raw[key], value.Interface()); err != nil {
			faults = append(faults, f.fault(at, "%s is not %s", key, form(field.Interface())))
			continue
		}
		field.Set(value.Elem())
	}
	return faults, nil
}

// keys gives the keys of the file at its top, in the order in which they stand.
func (f *file) keys() (all []string) {
	for _, k := range f.meta.Keys() {
		if !slices.Contains(all, k[0]) {
			all = append(all, k[0])
		}
	}
	return all
}

// fault is one of the file.
func (f *file) fault(lines []int, format string, a ...any) error {
	where := f.name
	if at := slip.At(lines); at != "" {
		where += " " + at
	}
	return invalid("%s: %w", where, invalid(format, a...))
}

// field gives the setting of a key.
func (l *Loader) field(key string) (reflect.Value, bool) {
	v := reflect.ValueOf(&l.Settings).Elem()
	for i := range v.NumField() {
		if key != "-" && v.Type().Field(i).Tag.Get("toml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// form says how a value of a setting is written.
func form(v any) string {
	switch v.(type) {
	case int, int64:
		return "a whole number"
	case bool:
		return "true or false"
	case time.Duration:
		return `a time with its unit in quotes, as "90s", "20m" or "24h"`
	case []string:
		return `a list of texts, as ["one", "two"]`
	}
	return "a text in quotes"
}

// readDestinations reads the tables of a key, or its texts. What is sound of the list
// counts.
func (l *Loader) readDestinations(f file, key string, list *[]Destination) (faults []error) {
	var items []any
	var some any
	if err := f.meta.PrimitiveDecode(f.raw[key], &some); err != nil {
		return []error{f.fault(slip.Lines(f.places, key), "%s: %w", key, err)}
	}
	switch all := some.(type) {
	case []any:
		items = all
	case []map[string]any:
		for _, table := range all {
			items = append(items, table)
		}
	default:
		return []error{f.fault(slip.Lines(f.places, key), "%s is neither a list of texts nor tables, each under a head [[%s]]", key, key)}
	}
	heads := f.heads(key)
	*list = nil
	for n, item := range items {
		at := func(string) []int { return slip.Lines(f.places, key) }
		if len(heads) == len(items) {
			at = func(k string) []int { return f.within(heads, n, key, k) }
		}
		d, bad := readDestination(item)
		slices.SortStableFunc(bad, func(a, b tableFault) int { return slices.Compare(at(a.key), at(b.key)) })
		for _, b := range bad {
			faults = append(faults, f.fault(at(b.key), "%w", b.err))
		}
		if len(bad) > 0 {
			continue
		}
		*list = append(*list, d)
		l.lines[fmt.Sprintf("%s %d", key, len(*list)-1)] = append(at(""), 0)[0]
	}
	return faults
}

// heads gives the lines of the tables of a key.
func (f *file) heads(key string) (lines []int) {
	for _, p := range f.places {
		if p.Path == key && p.Head {
			lines = append(lines, p.Line)
		}
	}
	return lines
}

// within gives the line of a key in the n-th table, or else of that table's head.
func (f *file) within(heads []int, n int, table, key string) []int {
	for _, p := range f.places {
		if p.Path == table+"."+key && p.Line > heads[n] && (n+1 == len(heads) || p.Line < heads[n+1]) {
			return []int{p.Line}
		}
	}
	return []int{heads[n]}
}

// where says where a setting came from, to stand before a fault of it: a line of the
// file, a variable or a flag; nothing for a default.
func (l *Loader) where(key string) string {
	list, _, _ := strings.Cut(key, " ") // destinations 2
	switch source := l.Source[list]; source {
	case "", "default":
		return ""
	case "flag":
		return "--" + flagName(list) + ": "
	case l.file:
		if n := max(l.lines[key], 0); n > 0 {
			return fmt.Sprintf("%s line %d: ", source, n)
		}
		return source + ": "
	default:
		return source + ": "
	}
}

// Misspelled lists the variables of the environment that are no setting and nearly one.
// Others that begin with VARDE_ are somebody else's: Kubernetes names those so that
// tell of a service called varde.
func Misspelled(environment []string) (all []string) {
	known := []string{"VARDE_CONFIG"}
	t := reflect.TypeFor[Settings]()
	for i := range t.NumField() {
		known = append(known, variable(t.Field(i)))
	}
	for _, e := range environment {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "VARDE_") || slices.Contains(known, name) {
			continue
		}
		word := strings.TrimPrefix(name, "VARDE_")
		var words []string
		for _, k := range known {
			words = append(words, strings.TrimPrefix(k, "VARDE_"))
		}
		if near := slip.Nearest(word, words); near != "" {
			all = append(all, fmt.Sprintf("%s is no setting; did you mean VARDE_%s?", name, near))
		}
	}
	slices.Sort(all)
	return all
}

// variable names a setting in the environment.
func variable(f reflect.StructField) string {
	if name := f.Tag.Get("env"); name != "" {
		return name
	}
	return "VARDE_" + strings.ToUpper(f.Tag.Get("toml"))
}
