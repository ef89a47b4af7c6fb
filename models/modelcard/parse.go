package modelcard

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"

	"varde/internal/onnx/graph"
	"varde/study"
)

// CardFile is the name of the card in a model's folder.
const CardFile = "card.toml"

// maxCard bounds a card, which is prose and a few dozen values.
const maxCard = 1 << 20

// Parse reads a card and validates it. A key that means nothing is a fault, for
// it is most likely a misspelled one. All faults come in one error, which wraps
// [study.ErrInvalid].
func Parse(file []byte) (Card, error) {
	c, faults := read(file)
	if len(faults) > 0 {
		return Card{}, fmt.Errorf("read card of %s: %w", c.Ref(), invalid(faults))
	}
	return c, nil
}

// read gives a card with all its faults. One that is no TOML has that alone.
func read(file []byte) (Card, []error) {
	var c Card
	if len(file) > maxCard {
		return c, []error{fmt.Errorf("%d bytes, more than %d", len(file), maxCard)}
	}
	meta, err := toml.Decode(string(file), &c)
	if err != nil {
		return c, []error{err}
	}
	var faults []error
	for _, key := range meta.Undecoded() {
		faults = append(faults, fmt.Errorf("%s: no such key", key))
	}
	for _, key := range meta.Keys() {
		// The decoder takes a key in any case; the guide and the schema have one.
		if s := key.String(); s != strings.ToLower(s) {
			faults = append(faults, fmt.Errorf("%s: no such key; keys are in small letters", key))
		}
	}
	c.Hash = sha256.Sum256(file)
	return c, append(faults, c.faults()...)
}

// Examine lists every fault of a card and of its network together, by reading the
// files alone: what [Parse] and [Check] say, the latter also of a faulty card as
// far as it goes. files are those that lie beside the card, by their names; of
// those that the card names each must be there, with its hash.
func Examine(card []byte, files map[string][]byte) (Card, graph.Summary, []error) {
	c, faults := read(card)
	if c.Hash == (study.Hash{}) {
		return c, graph.Summary{}, faults // no TOML: nothing more can be said
	}
	network, ok := files[c.Network]
	if !ok {
		return c, graph.Summary{}, append(faults, fmt.Errorf("the network, %q, does not lie beside the card", c.Network))
	}
	var second [][]byte
	if c.MIL != nil {
		if b, ok := files[c.MIL.Network]; ok {
			second = append(second, b)
		}
	}
	sum, err := Check(c, network, second...)
	var several faulty
	switch {
	case errors.As(err, &several):
		faults = append(faults, several.all...)
	case err != nil:
		faults = append(faults, err)
	}
	if c.Golden != nil {
		for _, g := range []struct {
			name string
			sum  study.Hash
		}{{c.Golden.Input, c.Golden.InputSHA256}, {c.Golden.Output, c.Golden.OutputSHA256}} {
			b, ok := files[g.name]
			switch h := study.Hash(sha256.Sum256(b)); {
			case !ok:
				faults = append(faults, fmt.Errorf("the golden file %q does not lie beside the card", g.name))
			case h != g.sum:
				faults = append(faults, fmt.Errorf("the golden file %s has SHA-256 %s, and the card names %s", g.name, h, g.sum))
			}
		}
	}
	return c, sum, faults
}

// Validate names every fault of the card at once. The error wraps
// [study.ErrInvalid].
func (c Card) Validate() error {
	if faults := c.faults(); len(faults) > 0 {
		return fmt.Errorf("card of %s: %w", c.Ref(), invalid(faults))
	}
	return nil
}

// A faulty is several faults as one error of kind [study.ErrInvalid].
type faulty struct{ all []error }

func invalid(faults []error) error { return faulty{faults} }

// Error gives one fault a line.
func (f faulty) Error() string {
	if len(f.all) == 1 {
		return f.all[0].Error()
	}
	lines := make([]string, len(f.all))
	for i, e := range f.all {
		lines[i] = "\n  " + e.Error()
	}
	return fmt.Sprintf("%d faults:%s", len(f.all), strings.Join(lines, ""))
}

// Unwrap gives the faults and their kind.
func (f faulty) Unwrap() []error { return append([]error{study.ErrInvalid}, errors.Join(f.all...)) }
