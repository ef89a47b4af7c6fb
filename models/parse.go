package models

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"

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
	if len(file) > maxCard {
		return Card{}, fmt.Errorf("read card: %d bytes, more than %d: %w", len(file), maxCard, study.ErrInvalid)
	}
	var c Card
	meta, err := toml.Decode(string(file), &c)
	if err != nil {
		return Card{}, fmt.Errorf("read card: %w: %w", err, study.ErrInvalid)
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
	faults = append(faults, c.faults()...)
	if len(faults) > 0 {
		return Card{}, fmt.Errorf("read card of %s: %w", c.Ref(), invalid(faults))
	}
	c.Hash = sha256.Sum256(file)
	return c, nil
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
