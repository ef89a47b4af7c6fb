package settings

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"varde/internal/slip"
	"varde/study"
)

var _ toml.Unmarshaler = (*Destination)(nil)

// UnmarshalTOML reads a destination of the settings' file: a table with the names of
// its fields, or the one text that UnmarshalText reads. A name that is unknown is
// refused, so that a slip in it is not taken for its absence.
func (d *Destination) UnmarshalTOML(value any) error {
	read, faults := readDestination(value)
	var errs []error
	for _, f := range faults {
		errs = append(errs, f.err)
	}
	if len(errs) == 0 {
		*d = read
	}
	return errors.Join(errs...)
}

// A tableFault is a fault of one key of a table; of the whole it has no key.
type tableFault struct {
	key string
	err error
}

// readDestination is UnmarshalTOML with every fault by itself.
func readDestination(value any) (d Destination, faults []tableFault) {
	if s, ok := value.(string); ok {
		if err := d.UnmarshalText([]byte(s)); err != nil {
			faults = append(faults, tableFault{"", err})
		}
		return d, faults
	}
	table, ok := value.(map[string]any)
	if !ok {
		return d, []tableFault{{"", fmt.Errorf("destination %v is neither a table nor a text: %w", value, study.ErrInvalid)}}
	}
	name := nameOf(table)
	v, known := reflect.ValueOf(&d).Elem(), slip.Keys(d)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		n := slices.Index(known, key) // the fields are no structs: one key for each, in their order
		if n < 0 {
			faults = append(faults, tableFault{key, fmt.Errorf("destination %s: unknown key %q%s: %w", name, key, slip.Meant(key, known), study.ErrInvalid)})
			continue
		}
		if err := decodeInto(v.Field(n), table[key]); err != nil {
			faults = append(faults, tableFault{key, fmt.Errorf("destination %s: %s is not %s: %w", name, key, form(v.Field(n).Interface()), study.ErrInvalid)})
		}
	}
	d.URL = strings.TrimRight(d.URL, "/")
	return d, faults
}

// nameOf names a table in a fault: by its name, or else by what it has of an address.
func nameOf(table map[string]any) string {
	for _, key := range []string{"name", "aet", "addr", "url", "path"} {
		if v, ok := table[key]; ok {
			return fmt.Sprint(v)
		}
	}
	return "without a name"
}

// decodeInto puts a value of a file into a field of its type.
func decodeInto(field reflect.Value, value any) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(map[string]any{"v": value}); err != nil {
		return err
	}
	into := reflect.New(reflect.MapOf(reflect.TypeFor[string](), field.Type()))
	if _, err := toml.Decode(b.String(), into.Interface()); err != nil {
		return err
	}
	field.Set(into.Elem().MapIndex(reflect.ValueOf("v")))
	return nil
}
