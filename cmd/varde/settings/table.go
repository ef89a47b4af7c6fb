package settings

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"

	"varde/study"
)

var _ toml.Unmarshaler = (*Destination)(nil)

// UnmarshalTOML reads a destination of the settings' file: a table with the names of
// its fields, or the one text that UnmarshalText reads. A name that is unknown is
// refused, so that a slip in it is not taken for its absence.
func (d *Destination) UnmarshalTOML(value any) error {
	if s, ok := value.(string); ok {
		return d.UnmarshalText([]byte(s))
	}
	table, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("destination %v is neither a table nor a text: %w", value, study.ErrInvalid)
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(table); err != nil {
		return fmt.Errorf("destination %v: %w", table["name"], err)
	}
	type fields Destination // without the methods, by which this one would be asked again
	var read fields
	meta, err := toml.Decode(b.String(), &read)
	if err != nil {
		return fmt.Errorf("destination %v: %w", table["name"], err)
	}
	if un := meta.Undecoded(); len(un) > 0 {
		return fmt.Errorf("destination %v: unknown key %q: %w", table["name"], un[0], study.ErrInvalid)
	}
	read.URL = strings.TrimRight(read.URL, "/")
	*d = Destination(read)
	return nil
}
