package models_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"varde/models"
	"varde/models/modelcard"
	"varde/models/modelcard/cardtest"
	"varde/study"
)

// TestSecondNetworkIsKeptBesideTheFirst: it outlives the process, is found by its
// own hash, never runs once altered, and is put right when it is added again.
func TestSecondNetworkIsKeptBesideTheFirst(t *testing.T) {
	states := &memory{}
	r, dir := registry(t, states)
	text, network, second := cardtest.Head(t, cardtest.MILHead)
	if _, err := r.Add(t.Context(), []byte(text), network, "anna"); !errors.Is(err, study.ErrInvalid) {
		t.Fatalf("without it: %v", err)
	}
	c, err := r.Add(t.Context(), []byte(text), network, "anna", second...)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = models.Open(dir, states); err != nil {
		t.Fatal(err)
	}
	for _, card := range []modelcard.Card{c, c.Second()} {
		if b, err := r.Network(card.Ref()); err != nil || study.Hash(sha256.Sum256(b)) != card.SHA256 {
			t.Errorf("network %s: %d bytes, %v", card.Network, len(b), err)
		}
	}
	other := c.Second().Ref()
	other.SHA256[0]++
	if _, err := r.Network(other); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a network of another hash: %v", err)
	}
	file := filepath.Join(dir, "head@1.0", "mil.onnx")
	if err := os.WriteFile(file, second[0][1:], 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Network(c.Second().Ref()); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("altered: %v", err)
	}
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "anna", "tests"); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a model runs with an altered second network: %v", err)
	}
	if _, err := r.Add(t.Context(), []byte(text), network, "anna", second...); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Network(c.Second().Ref()); err != nil {
		t.Errorf("put right: %v", err)
	}
}

// TestLooseModelHasItsSecondNetwork: a folder outside the registry has both.
func TestLooseModelHasItsSecondNetwork(t *testing.T) {
	r, _ := registry(t, &memory{})
	text, network, second := cardtest.Head(t, cardtest.MILHead)
	folder := t.TempDir()
	for name, b := range map[string][]byte{"card.toml": []byte(text), "head.onnx": network, "mil.onnx": second[0]} {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := r.Resolve(folder)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Card(ref)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := r.Network(c.Second().Ref()); err != nil || string(b) != string(second[0]) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := os.Remove(filepath.Join(folder, "mil.onnx")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(folder); err == nil {
		t.Error("a folder without its second network is a model")
	}
}
