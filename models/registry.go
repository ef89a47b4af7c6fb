package models

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"varde/models/modelcard"
	"varde/study"
)

// An Entry is a model with what it may do now.
type Entry struct {
	Card   modelcard.Card
	State  study.ModelState
	Share  study.Share // of the exams that it is asked about
	Beside bool        // whatever other versions are asked about
}

// A Registry is a folder of models and their states. Its methods may be called
// from any number of goroutines.
type Registry struct {
	dir    string
	states States

	mu     sync.Mutex                // held to read the folder or to add to it
	cards  map[string]modelcard.Card // by id@version; guarded by mu
	loose  map[string]kept           // outside the folder, by SHA-256 of card and network; guarded by mu
	fault  map[string]error
	missed map[string]miss // by id@version: what could not be fetched; guarded by mu
	shelf  Shelf           // nil: this registry is alone

	fetching   sync.Mutex // held to fetch a model, so that one caller fetches at a time
	deciding   sync.Mutex // held from reading a state to changing it
	refreshing sync.Mutex // held to ask for the states, so that one caller asks at a time
	known      atomic.Pointer[snapshot]
}

// kept is a model that lies somewhere else.
type kept struct {
	card    modelcard.Card
	network []byte
	second  []byte // nil when the card names none
}

// Open reads the models in a folder, which is made if it does not exist. A folder
// in it that cannot be read as a model does not keep the others from working:
// [Registry.Faults] names it.
func Open(dir string, states States) (*Registry, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("open models: %w", err)
	}
	r := &Registry{dir: dir, states: states, cards: map[string]modelcard.Card{}, loose: map[string]kept{}, fault: map[string]error{}, missed: map[string]miss{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.scan(); err != nil {
		return nil, err
	}
	return r, nil
}

// scan reads the folders that are not known yet. mu is held.
func (r *Registry) scan() error {
	folders, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("read models: %w", err)
	}
	for _, f := range folders {
		if _, ok := r.cards[f.Name()]; ok || !f.IsDir() || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		card, err := readCard(filepath.Join(r.dir, f.Name()))
		if err == nil && card.Ref().String() != f.Name() {
			err = fmt.Errorf("the folder holds the card of %s: %w", card.Ref(), study.ErrInvalid)
		}
		if err != nil {
			r.fault[f.Name()] = fmt.Errorf("read model %s: %w", f.Name(), err)
			continue
		}
		delete(r.fault, f.Name())
		r.cards[f.Name()] = card
	}
	return nil
}

func readCard(folder string) (modelcard.Card, error) {
	b, err := os.ReadFile(filepath.Join(folder, modelcard.CardFile))
	if err != nil {
		return modelcard.Card{}, err
	}
	return modelcard.Parse(b)
}

// Faults names the folders that cannot be read as a model.
func (r *Registry) Faults() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []error
	for _, err := range r.fault {
		all = append(all, err)
	}
	for _, m := range r.missed {
		all = append(all, m.err)
	}
	slices.SortFunc(all, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}

// Add takes a model in: the card is validated, the network held against it, and
// both are on disk for good when Add returns. Its state is draft. Adding the same
// bytes again changes nothing, except that a network which was damaged on disk is
// put right; other bytes under a known version are refused
// ([study.ErrRefused]), and a faulty card or network wraps [study.ErrInvalid].
// second is the second network of a card that names one.
func (r *Registry) Add(ctx context.Context, cardTOML, network []byte, by string, second ...[]byte) (modelcard.Card, error) {
	card, err := modelcard.Parse(cardTOML)
	if err != nil {
		return modelcard.Card{}, err
	}
	if _, err := modelcard.Check(card, network, second...); err != nil {
		return modelcard.Card{}, err
	}
	if by == "" {
		return modelcard.Card{}, fmt.Errorf("add model %s: nobody says so: %w", card.Ref(), study.ErrInvalid)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	folder := filepath.Join(r.dir, card.Ref().String())
	old, err := readCard(folder)
	switch {
	case err == nil && old.Hash == card.Hash:
		r.cards[card.Ref().String()] = card
		err := mend(filepath.Join(folder, card.Network), network)
		for _, b := range second {
			err = errors.Join(err, mend(filepath.Join(folder, card.MIL.Network), b))
		}
		if err != nil {
			return modelcard.Card{}, fmt.Errorf("add model %s: %w", card.Ref(), err)
		}
		return card, nil
	case err == nil:
		return modelcard.Card{}, fmt.Errorf("add model %s: this version is here with another card; give the new one a version of its own: %w", card.Ref(), study.ErrRefused)
	case !errors.Is(err, fs.ErrNotExist):
		return modelcard.Card{}, fmt.Errorf("add model %s: its folder is here and can't be read: %w: %w", card.Ref(), err, study.ErrRefused)
	}
	// The files go first: a state without a network would be a model that is
	// asked for and can't run. Files without a state are a draft.
	files := map[string][]byte{modelcard.CardFile: cardTOML, card.Network: network}
	for _, b := range second {
		files[card.MIL.Network] = b
	}
	if err := r.shelve(ctx, card, files); err != nil {
		return modelcard.Card{}, fmt.Errorf("add model %s: %w", card.Ref(), err)
	}
	if err := keep(folder, files); err != nil {
		return modelcard.Card{}, fmt.Errorf("add model %s: %w", card.Ref(), err)
	}
	r.cards[card.Ref().String()] = card
	if err := r.added(ctx, card.Ref(), by); err != nil {
		return card, fmt.Errorf("add model %s: %w", card.Ref(), err)
	}
	return card, nil
}

// Cards gives every model in the folder with its state, sorted by ID and, within
// one, by version, oldest first.
func (r *Registry) Cards(ctx context.Context) ([]Entry, error) {
	states, err := r.fresh(ctx)
	if err != nil {
		return nil, err
	}
	r.gather(states)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.scan(); err != nil {
		return nil, err
	}
	all := make([]Entry, 0, len(r.cards))
	for _, c := range r.cards {
		all = append(all, Entry{Card: c, State: states.of(c.Ref()), Share: states.latest[c.Ref()].Share.Whole(), Beside: states.latest[c.Ref()].Beside})
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Card.ID, b.Card.ID), CompareVersions(a.Card.Version, b.Card.Version))
	})
	return all, nil
}

// Card finds a model's card. A ref without a hash means the one in the folder.
// A model that is not here, nor on the shelf, or has another network, is
// [study.ErrNotFound].
func (r *Registry) Card(ref study.ModelRef) (modelcard.Card, error) {
	c, err := r.card(ref)
	if r.shelf == nil || !errors.Is(err, study.ErrNotFound) {
		return c, err
	}
	if fetched := r.fetch(ref); fetched != nil {
		return modelcard.Card{}, fetched
	}
	return r.card(ref)
}

// card finds a card in the folder.
func (r *Registry) card(ref study.ModelRef) (modelcard.Card, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.loose[looseKey(ref)]; ok {
		return l.card, nil
	}
	c, ok := r.cards[ref.String()]
	if !ok { // another process may have added it
		if err := r.scan(); err != nil {
			return modelcard.Card{}, err
		}
		c, ok = r.cards[ref.String()]
	}
	switch {
	case !ok && r.fault[ref.String()] != nil:
		return modelcard.Card{}, r.fault[ref.String()]
	case !ok:
		return modelcard.Card{}, fmt.Errorf("model %s: %w", ref, study.ErrNotFound)
	case ref.SHA256 != study.Hash{} && ref.SHA256 != c.SHA256:
		return modelcard.Card{}, fmt.Errorf("model %s with network %s: the one here has %s: %w", ref, ref.SHA256.Short(), c.SHA256.Short(), study.ErrNotFound)
	}
	return c, nil
}

// Network reads a model's network and checks its hash again: a file that was
// changed or damaged on disk is [study.ErrInvalid] and never runs. A ref with the
// hash of the model's second network gives that one, see [modelcard.Card.Second].
func (r *Registry) Network(ref study.ModelRef) ([]byte, error) {
	card, name, want, err := r.file(ref)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	l, ok := r.loose[looseKey(card.Ref())]
	r.mu.Unlock()
	if ok && want != card.SHA256 {
		return l.second, nil
	}
	if ok {
		return l.network, nil
	}
	path := filepath.Join(r.dir, card.Ref().String(), name)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read network of %s: %w", ref, err)
	}
	if h := study.Hash(sha256.Sum256(b)); h != want {
		return nil, fmt.Errorf("read network of %s: %s has SHA-256 %s, and the card names %s: altered or damaged; add the model again from its source: %w",
			ref, path, h, want, study.ErrInvalid)
	}
	return b, nil
}

// file finds the card that a ref to one of its networks belongs to, and that
// network's name and hash.
func (r *Registry) file(ref study.ModelRef) (c modelcard.Card, name string, h study.Hash, err error) {
	if c, err = r.Card(ref); err == nil {
		return c, c.Network, c.SHA256, nil
	}
	second := func(c modelcard.Card) bool {
		return c.MIL != nil && c.Ref().String() == ref.String() && c.MIL.SHA256 == ref.SHA256
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.cards[ref.String()]; ok && second(c) {
		return c, c.MIL.Network, c.MIL.SHA256, nil
	}
	for _, l := range r.loose {
		if second(l.card) {
			return l.card, l.card.MIL.Network, l.card.MIL.SHA256, nil
		}
	}
	return modelcard.Card{}, "", study.Hash{}, err
}

// Resolve turns what a person typed into a model: "id@version"; "id", which is
// the newest live version, or else the newest; or the path of a model's folder or
// of its card, which need not be in the registry. What is not found is
// [study.ErrNotFound].
func (r *Registry) Resolve(text string) (study.ModelRef, error) {
	if strings.ContainsAny(text, `/\`) || strings.HasSuffix(text, ".toml") || text == "." || text == ".." {
		return r.resolveFolder(text)
	}
	id, version, exact := strings.Cut(text, "@")
	if exact {
		c, err := r.Card(study.ModelRef{ID: id, Version: version})
		return c.Ref(), err
	}
	entries, err := r.Cards(context.Background())
	if err != nil {
		return study.ModelRef{}, err
	}
	var best *Entry
	var ids []string
	for i, e := range entries { // oldest version first
		ids = append(ids, e.Card.Ref().String())
		if e.Card.ID == id && (best == nil || best.State != study.ModelLive || e.State == study.ModelLive) {
			best = &entries[i]
		}
	}
	if best == nil {
		return study.ModelRef{}, fmt.Errorf("model %q: %w; there are %s", text, study.ErrNotFound, strings.Join(ids, ", "))
	}
	return best.Card.Ref(), nil
}

func (r *Registry) resolveFolder(path string) (study.ModelRef, error) {
	if strings.HasSuffix(path, ".toml") {
		path = filepath.Dir(path)
	}
	card, err := readCard(path)
	if errors.Is(err, fs.ErrNotExist) {
		return study.ModelRef{}, fmt.Errorf("model %s: no %s there: %w", path, modelcard.CardFile, study.ErrNotFound)
	}
	if err != nil {
		return study.ModelRef{}, fmt.Errorf("model %s: %w", path, err)
	}
	network, err := os.ReadFile(filepath.Join(path, card.Network))
	if err != nil {
		return study.ModelRef{}, fmt.Errorf("model %s: %w", path, err)
	}
	k := kept{card: card, network: network}
	var second [][]byte
	if card.MIL != nil {
		if k.second, err = os.ReadFile(filepath.Join(path, card.MIL.Network)); err != nil {
			return study.ModelRef{}, fmt.Errorf("model %s: %w", path, err)
		}
		second = append(second, k.second)
	}
	if _, err := modelcard.Check(card, network, second...); err != nil {
		return study.ModelRef{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loose[looseKey(card.Ref())] = k
	return card.Ref(), nil
}

// looseKey tells a loose model from one of the same name in the folder.
func looseKey(ref study.ModelRef) string { return ref.String() + " " + ref.SHA256.String() }

// CompareVersions orders versions as people count: 1.9 before 1.10, and a number
// before a word.
func CompareVersions(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".-_+", r) })
	}
	as, bs := split(a), split(b)
	for i := range min(len(as), len(bs)) {
		x, y := as[i], bs[i]
		if isNumber(x) && isNumber(y) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
		} else if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(as), len(bs)), cmp.Compare(a, b))
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }
