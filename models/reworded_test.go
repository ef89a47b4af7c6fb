package models_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// earlier puts the reference models into a folder with the cards that they had before
// they spoke other languages than English, each altered as the test says.
func earlier(t *testing.T, dir string, alter func(string) string) map[string]modelcard.Card {
	t.Helper()
	all := map[string]modelcard.Card{}
	for _, d := range models.Reference() {
		before, _, found := bytes.Cut(d.CardTOML, []byte("\n# What readers of other languages see."))
		if !found {
			t.Fatal("a reference card speaks English alone")
		}
		text := []byte(alter(string(before)))
		c, err := modelcard.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(dir, c.Ref().String())
		if err := os.MkdirAll(folder, 0o750); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{modelcard.CardFile: text, c.Network: d.Network} {
			if err := os.WriteFile(filepath.Join(folder, name), b, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		all[c.ID] = c
	}
	return all
}

func TestEarlierReferenceCardStaysWithItsHashAfterAnUpdate(t *testing.T) {
	r, dir := registry(t, &memory{})
	before := earlier(t, dir, func(s string) string { return s })
	if err := r.AddReference(t.Context(), "varde"); err != nil {
		t.Fatal(err)
	}
	entries, err := r.Cards(t.Context())
	if err != nil || len(entries) != len(before) {
		t.Fatalf("%d models, %v", len(entries), err)
	}
	for _, e := range entries {
		was := before[e.Card.ID]
		if e.Card.Hash != was.Hash || e.State != study.ModelLive {
			t.Errorf("%s is %s with card %s, and its results name card %s", e.Card.Ref(), e.State, e.Card.Hash.Short(), was.Hash.Short())
		}
		if e.Card.In("da").Use.Text != was.Use.Text {
			t.Errorf("%s says what its card does not", e.Card.Ref())
		}
	}
}

func TestReferenceCardThatAsksForSomethingElseIsRefused(t *testing.T) {
	r, dir := registry(t, &memory{})
	earlier(t, dir, func(s string) string { return strings.Replace(s, "flagged = 1\n", "flagged = 2\n", 1) })
	if err := r.AddReference(t.Context(), "varde"); !errors.Is(err, study.ErrRefused) {
		t.Errorf("a card with another threshold: %v", err)
	}
}
