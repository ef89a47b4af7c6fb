package models

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"time"

	"varde/models/modelcard"
	"varde/study"
)

// A Shelf keeps the files of models where every process reaches them. The object
// store is one.
type Shelf interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Range gives all of an object with off 0 and n −1. One that isn't there is
	// [study.ErrNotFound].
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}

const (
	// shelfPrefix begins the key of every file of a model; id@version and the
	// file's name follow.
	shelfPrefix = "models/"
	// fetchTime bounds the fetching of one model.
	fetchTime = 5 * time.Minute
	// fetchAgain is how long a model that could not be fetched is not asked for.
	fetchAgain = 5 * time.Second
	// maxMissed bounds how many of those are remembered.
	maxMissed = 256
	// maxShelved bounds a file that is read back: as long as a network may be.
	maxShelved = 4 << 30
)

// Share makes the registry one of several that have the same models: what is added
// here is put on the shelf, and a model that another process added, and the ledger
// tells of, is fetched from there into the folder when it is first asked for. What
// the folder already holds is put on the shelf now. It must be called before
// anything else is.
func (r *Registry) Share(ctx context.Context, shelf Shelf) error {
	there := map[string]bool{}
	for key, err := range shelf.List(ctx, shelfPrefix) {
		if err != nil {
			return fmt.Errorf("look for models in the object store: %w", err)
		}
		if path.Base(key) == modelcard.CardFile {
			there[path.Base(path.Dir(key))] = true
		}
	}
	r.mu.Lock()
	r.shelf = shelf
	var missing []modelcard.Card
	for name, c := range r.cards {
		if !there[name] {
			missing = append(missing, c)
		}
	}
	r.mu.Unlock()
	for _, c := range missing {
		files := map[string][]byte{}
		for _, name := range filesOf(c) {
			b, err := os.ReadFile(filepath.Join(r.dir, c.Ref().String(), name))
			if err != nil {
				return fmt.Errorf("keep model %s for other processes: %w", c.Ref(), err)
			}
			files[name] = b
		}
		if err := r.shelve(ctx, c, files); err != nil {
			return err
		}
	}
	return nil
}

// filesOf lists a model's files, the card last.
func filesOf(c modelcard.Card) []string {
	names := []string{c.Network}
	if c.MIL != nil {
		names = append(names, c.MIL.Network)
	}
	return append(names, modelcard.CardFile)
}

// shelfKey is where a file of a model lies on the shelf.
func shelfKey(ref study.ModelRef, name string) string { return shelfPrefix + ref.String() + "/" + name }

// shelve puts a model on the shelf, its card last: whoever finds the card finds the
// rest. A model that lies there with another card is [study.ErrRefused].
func (r *Registry) shelve(ctx context.Context, c modelcard.Card, files map[string][]byte) error {
	if r.shelf == nil {
		return nil
	}
	old, err := r.fromShelf(ctx, c.Ref(), modelcard.CardFile)
	switch {
	case err == nil && sha256.Sum256(old) == sha256.Sum256(files[modelcard.CardFile]):
		return nil
	case err == nil:
		return fmt.Errorf("keep model %s for other processes: it is there with another card; give the new one a version of its own: %w", c.Ref(), study.ErrRefused)
	case !errors.Is(err, study.ErrNotFound):
		return fmt.Errorf("keep model %s for other processes: %w", c.Ref(), err)
	}
	for _, name := range filesOf(c) {
		b := files[name]
		if err := r.shelf.Put(ctx, shelfKey(c.Ref(), name), bytes.NewReader(b), int64(len(b))); err != nil {
			return fmt.Errorf("keep model %s for other processes: %w", c.Ref(), err)
		}
	}
	return nil
}

func (r *Registry) fromShelf(ctx context.Context, ref study.ModelRef, name string) ([]byte, error) {
	body, err := r.shelf.Range(ctx, shelfKey(ref, name), 0, -1)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxShelved+1))
	if err = errors.Join(err, body.Close()); err == nil && len(b) > maxShelved {
		err = fmt.Errorf("%s is longer than %d bytes: %w", name, maxShelved, study.ErrInvalid)
	}
	return b, err
}

// fetch brings a model from the shelf into the folder. What it brings is held
// against the card, and the card against the hash that was decided on: a shelf
// that was meddled with is [study.ErrInvalid]. One fetches at a time, and what
// could not be had is not asked for again at once.
func (r *Registry) fetch(ref study.ModelRef) error {
	r.fetching.Lock()
	defer r.fetching.Unlock()
	r.mu.Lock()
	_, here := r.cards[ref.String()]
	missed, again := r.missed[ref.String()]
	r.mu.Unlock()
	if here {
		return nil
	}
	if again && time.Since(missed.at) < fetchAgain {
		return missed.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	card, files, err := r.takeDown(ctx, ref)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		err = keep(filepath.Join(r.dir, ref.String()), files)
	}
	if err != nil {
		err = fmt.Errorf("fetch model %s from the object store: %w", ref, err)
		if len(r.missed) >= maxMissed {
			clear(r.missed) // somebody asks for names at random
		}
		r.missed[ref.String()] = miss{time.Now(), err}
		return err
	}
	delete(r.missed, ref.String())
	r.cards[ref.String()] = card
	return nil
}

// A miss is a model that could not be fetched.
type miss struct {
	at  time.Time
	err error
}

// takeDown reads a model from the shelf and checks it.
func (r *Registry) takeDown(ctx context.Context, ref study.ModelRef) (c modelcard.Card, files map[string][]byte, err error) {
	text, err := r.fromShelf(ctx, ref, modelcard.CardFile)
	if err != nil {
		return c, nil, err
	}
	if c, err = modelcard.Parse(text); err != nil {
		return c, nil, err
	}
	if c.Ref().String() != ref.String() || ref.SHA256 != (study.Hash{}) && ref.SHA256 != c.SHA256 {
		return c, nil, fmt.Errorf("what lies there is %s with network %s: %w", c.Ref(), c.SHA256.Short(), study.ErrInvalid)
	}
	files = map[string][]byte{modelcard.CardFile: text}
	want := map[string]study.Hash{c.Network: c.SHA256}
	if c.MIL != nil {
		want[c.MIL.Network] = c.MIL.SHA256
	}
	for name, h := range want {
		b, err := r.fromShelf(ctx, ref, name)
		if err != nil {
			return c, nil, err
		}
		if got := study.Hash(sha256.Sum256(b)); got != h {
			return c, nil, fmt.Errorf("%s has SHA-256 %s, and the card names %s: altered or damaged: %w", name, got, h, study.ErrInvalid)
		}
		files[name] = b
	}
	return c, files, nil
}

// gather fetches the models that the ledger tells of and that are not here. One that
// can't be had does not keep the others from working: it is tried again, and
// [Registry.Faults] names it.
func (r *Registry) gather(s *snapshot) {
	if r.shelf == nil {
		return
	}
	for ref := range s.latest {
		if s.of(ref) == study.ModelWithdrawn {
			continue
		}
		r.mu.Lock()
		_, here := r.cards[ref.String()]
		r.mu.Unlock()
		if !here {
			_ = r.fetch(ref) // remembered in missed
		}
	}
}
