package objects_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"varde/store/objects"
	"varde/study"
)

func TestMovedObjectHasItsNewKeyAlone(t *testing.T) {
	d, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx := t.Context()
	put := func(key, text string) {
		t.Helper()
		if _, err := d.PutOnce(ctx, key, strings.NewReader(text), -1); err != nil {
			t.Fatal(err)
		}
	}
	put("a/1", "one")
	if err := d.Move(ctx, "a/1", "b/c/1"); err != nil {
		t.Fatal(err)
	}
	r, err := d.Range(ctx, "b/c/1", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "one" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := d.Stat(ctx, "a/1"); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("the old key: %v", err)
	}
	put("a/2", "two")
	var taken *objects.ExistsError
	if err := d.Move(ctx, "a/2", "b/c/1"); !errors.As(err, &taken) || taken.Hash != study.Hash(sha256.Sum256([]byte("one"))) {
		t.Errorf("to a key that is taken: %v", err)
	}
	if n, err := d.Stat(ctx, "a/2"); n != 3 || err != nil {
		t.Errorf("what could not be moved: %d %v", n, err)
	}
	if err := d.Move(ctx, "a/none", "a/x"); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	if err := d.Move(ctx, "../x", "a/x"); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("of no key: %v", err)
	}
}
