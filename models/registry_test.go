package models_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/onnx/graph"
	"varde/models"
	"varde/study"
)

// memory keeps states as the ledger does: the latest change of each model.
type memory struct {
	mu     sync.Mutex
	latest map[study.ModelRef]study.ModelChange
	log    []study.ModelChange
	broken error
}

func (m *memory) Models(context.Context) ([]study.ModelChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []study.ModelChange
	for _, c := range m.latest {
		all = append(all, c)
	}
	return all, m.broken
}

func (m *memory) SetModel(_ context.Context, c study.ModelChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.latest == nil {
		m.latest = map[study.ModelRef]study.ModelChange{}
	}
	m.latest[c.Model] = c
	m.log = append(m.log, c)
	return m.broken
}

// plain draws a network that a plain card fits: patches in, one number out.
func plain(t testing.TB, seed float32) []byte {
	t.Helper()
	g := graph.New("plain")
	x := g.Input("in", graph.Float, graph.Free("n"), graph.Fixed(3), graph.Free("h"), graph.Free("w"))
	y := g.Node("ReduceMean", graph.Attrs{"axes": []int64{1, 2, 3}, "keepdims": 0}, x)
	g.Named("p", "Mul", nil, y, g.Scalar(seed))
	g.Output("p", graph.Float, graph.Free("n"))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const plainCard = `
id = "plain"
version = "VERSION"
name = "Plain"
vendor = "Tests"
regulatory = "not a medical device"
network = "plain.onnx"
sha256 = "HASH"
[use]
text = "tests"
measures = "the mean"
limits = "everything"
modality = ["SM"]
[input]
name = "in"
kind = "patches"
type = "float32"
layout = "NCHW"
values = "rgb"
width = 64
height = 64
microns_per_pixel = 0.5
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[[output]]
name = "p"
role = "scalar"
activation = "sigmoid"
aggregate = "top"
probability = true
[flag]
by = "p"
flagged = 0.5
`

func cardFor(network []byte, version string) string {
	h := study.Hash(sha256.Sum256(network))
	return strings.NewReplacer("HASH", h.String(), "VERSION", version).Replace(plainCard)
}

func registry(t testing.TB, states models.States) (*models.Registry, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "models")
	r, err := models.Open(dir, states)
	if err != nil {
		t.Fatal(err)
	}
	return r, dir
}

func add(t testing.TB, r *models.Registry, version string, seed float32) models.Card {
	t.Helper()
	network := plain(t, seed)
	c, err := r.Add(t.Context(), []byte(cardFor(network, version)), network, "anna")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddedModelOutlivesTheProcess(t *testing.T) {
	states := &memory{}
	r, dir := registry(t, states)
	c := add(t, r, "1.0", 1)
	for range 2 { // the second time in a registry that was opened afresh
		if e, err := r.Cards(t.Context()); err != nil || len(e) != 1 || e[0].Card.Hash != c.Hash || e[0].State != study.ModelDraft {
			t.Fatalf("%+v, %v", e, err)
		}
		b, err := r.Network(c.Ref())
		if err != nil || study.Hash(sha256.Sum256(b)) != c.SHA256 {
			t.Errorf("network: %v", err)
		}
		if r, err = models.Open(dir, states); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestModelAddedByAnotherProcessIsSeen(t *testing.T) {
	states := &memory{}
	a, dir := registry(t, states)
	b, err := models.Open(dir, states)
	if err != nil {
		t.Fatal(err)
	}
	c := add(t, b, "1.0", 1)
	if _, err := a.Card(c.Ref()); err != nil {
		t.Error(err)
	}
}

func TestAddingAgainChangesNothingAndOtherBytesAreRefused(t *testing.T) {
	states := &memory{}
	r, _ := registry(t, states)
	add(t, r, "1.0", 1)
	add(t, r, "1.0", 1)
	if len(states.log) != 1 {
		t.Errorf("%d changes for one model", len(states.log))
	}
	other := plain(t, 2)
	if _, err := r.Add(t.Context(), []byte(cardFor(other, "1.0")), other, "anna"); !errors.Is(err, study.ErrRefused) {
		t.Errorf("other bytes under the same version: %v", err)
	}
}

func TestNetworkMustBeTheOneThatTheCardNames(t *testing.T) {
	r, _ := registry(t, &memory{})
	network := plain(t, 1)
	if _, err := r.Add(t.Context(), []byte(cardFor(network, "1.0")), plain(t, 2), "anna"); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if e, err := r.Cards(t.Context()); err != nil || len(e) != 0 {
		t.Errorf("something was kept: %v, %v", e, err)
	}
}

func TestDamagedNetworkNeverRuns(t *testing.T) {
	r, dir := registry(t, &memory{})
	c := add(t, r, "1.0", 1)
	path := filepath.Join(dir, "plain@1.0", "plain.onnx")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Network(c.Ref()); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "altered or damaged") {
		t.Errorf("reading it: %v", err)
	}
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "anna", ""); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("letting it run: %v", err)
	}
	add(t, r, "1.0", 1) // from its source
	if _, err := r.Network(c.Ref()); err != nil {
		t.Errorf("after it was added again: %v", err)
	}
}

func TestUnreadableFolderKeepsNoOtherModelFromWorking(t *testing.T) {
	states := &memory{}
	r, dir := registry(t, states)
	add(t, r, "1.0", 1)
	for name, text := range map[string]string{"broken@1": "id = ", "moved@2": cardFor(plain(t, 1), "1.0")} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, models.CardFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, ".new-123"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := models.Open(dir, states)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := r.Cards(t.Context()); err != nil || len(e) != 1 {
		t.Errorf("%v, %v", e, err)
	}
	faults := r.Faults()
	if faults == nil || !strings.Contains(faults.Error(), "broken@1") || !strings.Contains(faults.Error(), "moved@2") || strings.Contains(faults.Error(), ".new") {
		t.Errorf("faults: %v", faults)
	}
	if _, err := r.Card(study.ModelRef{ID: "broken", Version: "1"}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestModelTakesTheForeseenStepsOnly(t *testing.T) {
	states := [...]study.ModelState{study.ModelDraft, study.ModelShadow, study.ModelLive, study.ModelSuspended, study.ModelWithdrawn}
	legal := map[[2]study.ModelState]bool{
		{study.ModelDraft, study.ModelShadow}: true, {study.ModelDraft, study.ModelWithdrawn}: true,
		{study.ModelShadow, study.ModelLive}: true, {study.ModelShadow, study.ModelSuspended}: true, {study.ModelShadow, study.ModelWithdrawn}: true,
		{study.ModelLive, study.ModelSuspended}: true, {study.ModelLive, study.ModelWithdrawn}: true, {study.ModelLive, study.ModelShadow}: true,
		{study.ModelSuspended, study.ModelLive}: true, {study.ModelSuspended, study.ModelShadow}: true, {study.ModelSuspended, study.ModelWithdrawn}: true,
	}
	ledger := &memory{}
	r, _ := registry(t, ledger)
	c := add(t, r, "1.0", 1)
	for _, from := range states {
		for _, to := range states {
			if err := ledger.SetModel(t.Context(), study.ModelChange{Model: c.Ref(), State: from}); err != nil {
				t.Fatal(err)
			}
			err := r.Set(t.Context(), c.Ref(), to, "anna", "a reason")
			if legal[[2]study.ModelState{from, to}] != (err == nil) || err != nil && !errors.Is(err, study.ErrInvalid) {
				t.Errorf("from %s to %s: %v", from, to, err)
			}
			if allowed := r.Allowed(c.Ref()); err == nil && (allowed == nil) != to.Runs() {
				t.Errorf("%s: allowed %v", to, allowed)
			}
		}
	}
	last := ledger.log[len(ledger.log)-1]
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "", "why"); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("by nobody: %v", err)
	}
	if err := r.Set(t.Context(), c.Ref(), study.ModelWithdrawn, "anna", ""); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
	if last.Model != c.Ref() {
		t.Errorf("recorded for %v", last.Model)
	}
}

func TestStopMadeElsewhereIsSeen(t *testing.T) {
	states := &memory{}
	r, dir := registry(t, states)
	c := add(t, r, "1.0", 1)
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "anna", ""); err != nil {
		t.Fatal(err)
	}
	if err := r.Allowed(c.Ref()); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := models.Open(dir, states)
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Set(t.Context(), c.Ref(), study.ModelSuspended, "bo", "drift"); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := r.Allowed(c.Ref())
		if errors.Is(err, study.ErrWithheld) {
			return
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("never seen: %v", err)
		}
	}
}

func TestModelIsNotAllowedWhileNobodyKnowsItsState(t *testing.T) {
	states := &memory{broken: errors.New("ledger is away")}
	r, _ := registry(t, states)
	err := r.Allowed(study.ModelRef{ID: "plain", Version: "1.0"})
	if err == nil || errors.Is(err, study.ErrWithheld) {
		t.Errorf("%v", err)
	}
	if _, err := r.Cards(t.Context()); err == nil {
		t.Error("cards without states: no model would look like no model for the study")
	}
}

func TestStateOfAnotherNetworkDoesNotCount(t *testing.T) {
	states := &memory{}
	r, _ := registry(t, states)
	c := add(t, r, "1.0", 1)
	other := c.Ref()
	other.SHA256[0]++
	if err := states.SetModel(t.Context(), study.ModelChange{Model: other, State: study.ModelLive}); err != nil {
		t.Fatal(err)
	}
	if s, err := r.State(t.Context(), c.Ref()); err != nil || s != study.ModelDraft {
		t.Errorf("%s, %v", s, err)
	}
	if _, err := r.Card(other); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a card for another network: %v", err)
	}
}

func TestManyMayAskWhileOneDecides(t *testing.T) {
	r, _ := registry(t, &memory{})
	c := add(t, r, "1.0", 1)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 500 {
				_ = r.Allowed(c.Ref())
				if _, err := r.Card(c.Ref()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		for _, s := range []study.ModelState{study.ModelShadow, study.ModelSuspended} {
			if err := r.Set(t.Context(), c.Ref(), s, "anna", "to and fro"); err != nil {
				t.Error(err)
			}
		}
	}
	wait.Wait()
}

func TestNamesOfModelsAreResolved(t *testing.T) {
	r, _ := registry(t, &memory{})
	for i, v := range []string{"1.10", "1.9", "1.2"} {
		add(t, r, v, float32(i+1))
	}
	check := func(text, want string, kind error) {
		t.Helper()
		ref, err := r.Resolve(text)
		if kind != nil {
			if !errors.Is(err, kind) {
				t.Errorf("%s: %v, want %v", text, err, kind)
			}
			return
		}
		if err != nil || ref.String() != want || ref.SHA256 == (study.Hash{}) {
			t.Errorf("%s: %s, %v; want %s", text, ref, err, want)
		}
	}
	check("plain", "plain@1.10", nil)
	check("plain@1.2", "plain@1.2", nil)
	check("plain@3", "", study.ErrNotFound)
	check("unheard-of", "", study.ErrNotFound)
	for _, s := range []study.ModelState{study.ModelShadow, study.ModelLive} {
		if err := r.Set(t.Context(), study.ModelRef{ID: "plain", Version: "1.9"}, s, "anna", ""); err != nil {
			t.Fatal(err)
		}
	}
	check("plain", "plain@1.9", nil)

	elsewhere := t.TempDir()
	network := plain(t, 7)
	for name, b := range map[string][]byte{models.CardFile: []byte(cardFor(network, "7")), "plain.onnx": network} {
		if err := os.WriteFile(filepath.Join(elsewhere, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(elsewhere, "plain@7", nil)
	check(filepath.Join(elsewhere, models.CardFile), "plain@7", nil)
	check(elsewhere+"/nothing", "", study.ErrNotFound)
	ref, err := r.Resolve(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := r.Network(ref); err != nil || len(b) != len(network) {
		t.Errorf("%v", err)
	}
	if e, err := r.Cards(t.Context()); err != nil || len(e) != 3 {
		t.Errorf("a model elsewhere is listed: %v", err)
	}
}

func TestReferenceModelsGoLiveAtFirstStartAndStayStopped(t *testing.T) {
	states := &memory{}
	r, _ := registry(t, states)
	if err := r.AddReference(t.Context(), "varde"); err != nil {
		t.Fatal(err)
	}
	entries, err := r.Cards(t.Context())
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if e.State != study.ModelLive || r.Allowed(e.Card.Ref()) != nil {
			t.Errorf("%s is %s", e.Card.Ref(), e.State)
		}
	}
	stopped := entries[0].Card.Ref()
	if err := r.Set(t.Context(), stopped, study.ModelSuspended, "anna", "demonstration"); err != nil {
		t.Fatal(err)
	}
	changes := len(states.log)
	if err := r.AddReference(t.Context(), "varde"); err != nil {
		t.Fatal(err)
	}
	if err := r.Allowed(stopped); !errors.Is(err, study.ErrWithheld) || len(states.log) != changes {
		t.Errorf("a start revived a stopped model: %v", err)
	}
	c := add(t, r, "1.0", 1)
	if err := r.Set(t.Context(), c.Ref(), study.ModelLive, "anna", ""); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a stranger's model went live from draft: %v", err)
	}
}
