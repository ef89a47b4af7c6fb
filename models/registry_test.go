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

	"varde/models"
	"varde/models/modelcard"
	"varde/models/modelcard/cardtest"
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
	if err := c.Follows(m.latest[c.Model]); err != nil {
		return err
	}
	m.keep(c)
	return m.broken
}

// keep writes a change down, whatever it is; mu is held.
func (m *memory) keep(c study.ModelChange) {
	if m.latest == nil {
		m.latest = map[study.ModelRef]study.ModelChange{}
	}
	m.latest[c.Model] = c
	m.log = append(m.log, c)
}

// put writes a change down as it may stand in a ledger.
func (m *memory) put(c study.ModelChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(c)
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

func add(t testing.TB, r *models.Registry, version string, seed float32) modelcard.Card {
	t.Helper()
	network := cardtest.Plain(t, seed)
	c, err := r.Add(t.Context(), []byte(cardtest.Card(network, version)), network, "anna")
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
	other := cardtest.Plain(t, 2)
	if _, err := r.Add(t.Context(), []byte(cardtest.Card(other, "1.0")), other, "anna"); !errors.Is(err, study.ErrRefused) {
		t.Errorf("other bytes under the same version: %v", err)
	}
}

func TestNetworkMustBeTheOneThatTheCardNames(t *testing.T) {
	r, _ := registry(t, &memory{})
	network := cardtest.Plain(t, 1)
	if _, err := r.Add(t.Context(), []byte(cardtest.Card(network, "1.0")), cardtest.Plain(t, 2), "anna"); !errors.Is(err, study.ErrInvalid) {
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
	for name, text := range map[string]string{"broken@1": "id = ", "moved@2": cardtest.Card(cardtest.Plain(t, 1), "1.0")} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, modelcard.CardFile), []byte(text), 0o600); err != nil {
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
	// What one person may do, and what takes two.
	one := map[[2]study.ModelState]bool{
		{study.ModelDraft, study.ModelShadow}: true, {study.ModelDraft, study.ModelWithdrawn}: true,
		{study.ModelShadow, study.ModelSuspended}: true, {study.ModelShadow, study.ModelWithdrawn}: true,
		{study.ModelLive, study.ModelSuspended}: true, {study.ModelLive, study.ModelWithdrawn}: true, {study.ModelLive, study.ModelShadow}: true,
		{study.ModelSuspended, study.ModelShadow}: true, {study.ModelSuspended, study.ModelWithdrawn}: true,
	}
	two := map[[2]study.ModelState]bool{
		{study.ModelShadow, study.ModelLive}: true, {study.ModelSuspended, study.ModelLive}: true,
	}
	ledger := &memory{}
	r, _ := registry(t, ledger)
	c := add(t, r, "1.0", 1)
	for _, from := range states {
		for _, to := range states {
			ledger.put(study.ModelChange{Model: c.Ref(), State: from})
			step := [2]study.ModelState{from, to}
			err := r.Set(t.Context(), c.Ref(), to, "anna", "a reason")
			want := study.ErrInvalid
			if two[step] {
				want = study.ErrRefused
			}
			if one[step] != (err == nil) || err != nil && !errors.Is(err, want) {
				t.Errorf("from %s to %s: %v", from, to, err)
			}
			if allowed := r.Allowed(c.Ref()); err == nil && (allowed == nil) != to.Runs() {
				t.Errorf("%s: allowed %v", to, allowed)
			}
			seconded := study.ModelChange{Model: c.Ref(), State: to, By: "anna", Second: "bo", Reason: "a reason"}
			if err := seconded.Follows(study.ModelChange{State: from}); (err == nil) != (one[step] || two[step]) {
				t.Errorf("from %s to %s by two: %v", from, to, err)
			}
		}
	}
	last := ledger.log[len(ledger.log)-1]
	ledger.put(study.ModelChange{Model: c.Ref(), State: study.ModelSuspended})
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "", "why"); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("by nobody: %v", err)
	}
	for _, to := range []study.ModelState{study.ModelWithdrawn, study.ModelShadow} {
		if err := r.Set(t.Context(), c.Ref(), to, "anna", " "); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("to %s without a reason: %v", to, err)
		}
	}
	if last.Model != c.Ref() {
		t.Errorf("recorded for %v", last.Model)
	}
}

// proposals keeps one proposal.
type proposals struct {
	*memory
	open []study.ModelProposal
}

func (p *proposals) Proposals(context.Context) ([]study.ModelProposal, error) { return p.open, nil }

func (p *proposals) ProposeModel(_ context.Context, c study.ModelChange) (study.ModelProposal, error) {
	p.open = []study.ModelProposal{{ID: "p1", Change: c, Status: study.ProposalOpen}}
	return p.open[0], nil
}

func (p *proposals) DecideModel(ctx context.Context, _ string, confirm bool, by, remark string) (study.ModelProposal, error) {
	one := p.open[0]
	p.open = nil
	one.Change.Second = by
	if !confirm {
		one.Status = study.ProposalDeclined
		return one, nil
	}
	one.Status, one.Remark = study.ProposalConfirmed, remark
	return one, p.SetModel(ctx, one.Change)
}

func TestTwoLetAModelSpeakAndItsNetworkIsLookedAtBothTimes(t *testing.T) {
	states := &memory{}
	r, dir := registry(t, states)
	c := add(t, r, "1.0", 1)
	council := models.Council{Registry: r, Proposals: &proposals{memory: states}}
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "anna", "a trial"); err != nil {
		t.Fatal(err)
	}
	if _, err := council.Decide(t.Context(), c.Ref(), true, "bo", ""); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("what nobody proposed: %v", err)
	}
	short := study.ModelRef{ID: "plain", Version: "1.0"}
	p, err := council.Propose(t.Context(), study.ModelChange{Model: short, State: study.ModelLive, By: "anna", Reason: "a good trial"})
	if err != nil || p.Change.Model != c.Ref() {
		t.Fatalf("%+v, %v", p, err)
	}
	path := filepath.Join(dir, "plain@1.0", "plain.onnx")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := council.Decide(t.Context(), c.Ref(), true, "bo", ""); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a network that was damaged between the two: %v", err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := council.Decide(t.Context(), c.Ref(), true, "bo", "seen it"); err != nil {
		t.Fatal(err)
	}
	if state, err := r.State(t.Context(), c.Ref()); err != nil || state != study.ModelLive {
		t.Errorf("%s, %v", state, err)
	}
}

func TestShareIsTheSameWhereverItIsAsked(t *testing.T) {
	const n = 20000
	var tenth, fifth int
	for i := range n {
		uid := study.DerivedUID("share", string(rune(i)), "of")
		small, large := study.Share(1000).Takes(uid, "plain"), study.Share(2000).Takes(uid, "plain")
		if small && !large {
			t.Fatalf("%s is lost when the share grows", uid)
		}
		if small {
			tenth++
		}
		if large {
			fifth++
		}
		if !study.Share(0).Takes(uid, "plain") || !study.AllExams.Takes(uid, "plain") {
			t.Fatal("all is not all")
		}
	}
	if tenth < 1800 || tenth > 2200 || fifth < 3700 || fifth > 4300 {
		t.Errorf("10%% of %d is %d, 20%% is %d", n, tenth, fifth)
	}
	// Another process, another machine, another year: these do not change.
	if !study.Share(8000).Takes("1.2.3", "plain") || study.Share(1000).Takes("1.2.3", "plain") {
		t.Error("the share of 1.2.3 has changed: exams would change their version after an update")
	}
	for text, want := range map[string]study.Share{"10%": 1000, " 0.25 %": 25, "100": 10000, "33.33%": 3333} {
		if got, err := study.ParseShare(text); err != nil || got != want || got.String() == "" {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1%", "101%", "NaN", "ten"} {
		if _, err := study.ParseShare(text); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestStopMadeElsewhereIsSeen(t *testing.T) {
	states := &memory{}
	r, dir := registry(t, states)
	c := add(t, r, "1.0", 1)
	if err := r.Set(t.Context(), c.Ref(), study.ModelShadow, "anna", "a trial"); err != nil {
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
	states.put(study.ModelChange{Model: other, State: study.ModelLive})
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
	states := &memory{}
	r, _ := registry(t, states)
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
	ref19, err := r.Resolve("plain@1.9")
	if err != nil {
		t.Fatal(err)
	}
	states.put(study.ModelChange{Model: ref19, State: study.ModelLive})
	check("plain", "plain@1.9", nil)

	elsewhere := t.TempDir()
	network := cardtest.Plain(t, 7)
	for name, b := range map[string][]byte{modelcard.CardFile: []byte(cardtest.Card(network, "7")), "plain.onnx": network} {
		if err := os.WriteFile(filepath.Join(elsewhere, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check(elsewhere, "plain@7", nil)
	check(filepath.Join(elsewhere, modelcard.CardFile), "plain@7", nil)
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
	for _, c := range states.log {
		if c.State == study.ModelLive && !c.Installed {
			t.Errorf("%s is live by %s, and nobody decided that", c.Model, c.By)
		}
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
	if err := r.Set(t.Context(), c.Ref(), study.ModelLive, "anna", "why not"); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a stranger's model went live from draft: %v", err)
	}
}
