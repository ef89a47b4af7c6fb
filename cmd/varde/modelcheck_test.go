package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryFaultOfAModelIsListedAtOnce spoils card and network together.
func TestEveryFaultOfAModelIsListedAtOnce(t *testing.T) {
	folder := modelFolder(t, func(b []byte) []byte { return append(b, 0x42, 2, 0x10, 99) }, false)
	path := filepath.Join(folder, "card.toml")
	card, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]string{{`layout = "NCHW"`, `layout = "NCWH"`}, {`name = "cand"`, `name = "sand"`}, {`vendor = "Varde"`, ``}, {`flagged = 1`, "flagged = 1\nflags = 2"}} {
		card = bytes.Replace(card, []byte(r[0]), []byte(r[1]), 1)
	}
	write(t, path, string(card))
	e := run(t, "model", "check", folder, "--json")
	var c struct {
		OK     bool
		Faults []string
	}
	if err := json.Unmarshal([]byte(e.stdout), &c); err != nil || e.code != 3 || c.OK {
		t.Fatalf("%d, %v: %s", e.code, err, e.stdout)
	}
	for _, want := range []string{"input.layout", "vendor must be", "flag.flags: no such key", "SHA-256", "operator set 99", `no output "sand"`, "find.map"} {
		if !strings.Contains(strings.Join(c.Faults, "\n"), want) || !strings.Contains(e.stderr, want) {
			t.Errorf("nothing of %q in %q", want, c.Faults)
		}
	}
	if e := run(t, "model", "check", t.TempDir()); e.code != 3 || !strings.Contains(e.stderr, "no card.toml") {
		t.Errorf("an empty folder: %d %s", e.code, e.stderr)
	}
}

// TestTextsInOtherLanguagesAreLookedAt: one that is missing is a remark, and a language
// that nobody here reads is a fault.
func TestTextsInOtherLanguagesAreLookedAt(t *testing.T) {
	folder := modelFolder(t, intact, false)
	path := filepath.Join(folder, "card.toml")
	card, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) (e ending, c struct {
		OK              bool
		Faults, Remarks []string
	}) {
		t.Helper()
		write(t, path, text)
		e = run(t, "model", "check", folder, "--static", "--json")
		if err := json.Unmarshal([]byte(e.stdout), &c); err != nil {
			t.Fatalf("%v: %s", err, e.stdout)
		}
		return e, c
	}
	if e, c := check(string(card)); e.code != 0 || !c.OK || len(c.Remarks) != 0 {
		t.Errorf("a whole card: %d %+v", e.code, c)
	}
	before, _, _ := strings.Cut(string(card), "\n[text.da]")
	if e, c := check(before); e.code != 0 || !c.OK || len(c.Remarks) != 1 || !strings.Contains(c.Remarks[0], "text.da: without description, regulatory, use") {
		t.Errorf("a card without Danish: %d %+v", e.code, c)
	}
	says(t, run(t, "model", "check", folder, "--static"), `card and network fit`, `remark: text\.da: without description`)
	if e, c := check(strings.Replace(string(card), "[text.da]", "[text.sv]", 1)); e.code != 3 || c.OK || !strings.Contains(strings.Join(c.Faults, " "), "text.sv: no such language") {
		t.Errorf("a card in Swedish: %d %+v", e.code, c)
	}
}

// TestGoldenCaseMustReproduce records one, runs it, and alters what was recorded.
func TestGoldenCaseMustReproduce(t *testing.T) {
	folder := modelFolder(t, intact, false)
	says(t, run(t, "model", "check", folder), `card and network fit`, `empty input: .* ms a run of 1 tile`, `tiles/s`)
	study, _ := files(t, smallMG(t, 3, true))
	if e := run(t, "model", "check", folder, "--golden", folder); e.code != 3 {
		t.Errorf("a golden case of no study: %d", e.code)
	}
	run(t, "model", "check", folder, "--golden", study).must(t)
	says(t, run(t, "model", "check", folder), `the golden case reproduces to the last bit`, `golden input`)
	if e := run(t, "model", "check", folder, "--golden", study); e.code != 3 || !strings.Contains(e.stderr, "the card has one") {
		t.Errorf("recorded twice: %d %s", e.code, e.stderr)
	}
	var c struct {
		Golden struct {
			BitExact bool `json:"bit_exact"`
			SameCPU  bool `json:"same_cpu_class"`
		}
		Speed struct {
			TilesS float64 `json:"tiles_per_s"`
		}
	}
	if err := json.Unmarshal([]byte(run(t, "model", "check", folder, "--json").must(t)), &c); err != nil || !c.Golden.BitExact || !c.Golden.SameCPU || c.Speed.TilesS <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
	path := filepath.Join(folder, "golden-input.npz")
	input, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "no archive")
	if e := run(t, "model", "check", folder); e.code != 3 || !strings.Contains(e.stderr, "golden-input.npz has SHA-256") {
		t.Errorf("an altered file: %d %s", e.code, e.stderr)
	}
	// The other file in its place, with the right hash: another shape, so it must
	// not pass.
	output, err := os.ReadFile(filepath.Join(folder, "golden-output.npz"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(output))
	card, err := os.ReadFile(filepath.Join(folder, "card.toml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "card.toml"), strings.Replace(string(card), fmt.Sprintf("%x", sha256.Sum256(input)), fmt.Sprintf("%x", sha256.Sum256(output)), 1))
	if e := run(t, "model", "check", folder); e.code != 3 || !strings.Contains(e.stderr, "golden case does not reproduce") {
		t.Errorf("another input: %d %s", e.code, e.stderr)
	}
}
