package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// openFolder opens the objects in a folder, as one process does.
func openFolder(t *testing.T, folder string) objects.Store {
	t.Helper()
	o, err := objects.Open(t.Context(), folder, objects.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func put(t *testing.T, o objects.Store, key, text string) {
	t.Helper()
	if err := o.Put(t.Context(), key, strings.NewReader(text), int64(len(text))); err != nil {
		t.Fatal(err)
	}
}

// TestProcessesThatStartTogetherAreOneInstallation: eight processes open a new store, and
// each opens it again later.
func TestProcessesThatStartTogetherAreOneInstallation(t *testing.T) {
	folder := t.TempDir()
	if _, err := store.KnownInstallation(t.Context(), openFolder(t, folder)); !errors.Is(err, study.ErrNotFound) {
		t.Fatalf("a new store has an installation: %v", err)
	}
	var all [8]study.Installation
	var errs [8]error
	start := make(chan struct{})
	var g sync.WaitGroup
	for n := range all {
		o := openFolder(t, folder)
		g.Go(func() {
			<-start
			all[n], errs[n] = store.Installation(context.WithoutCancel(t.Context()), o)
		})
	}
	close(start)
	g.Wait()
	for n, i := range all {
		if errs[n] != nil || i.ID == "" || i != all[0] || !i.Since.IsZero() {
			t.Errorf("process %d: %+v, %v; the first %+v", n, i, errs[n], all[0])
		}
	}
	if again, err := store.KnownInstallation(t.Context(), openFolder(t, folder)); err != nil || again != all[0] {
		t.Errorf("later: %+v, %v", again, err)
	}
	if other, err := store.Installation(t.Context(), openFolder(t, t.TempDir())); err != nil || other.ID == all[0].ID {
		t.Errorf("another store: %+v, %v", other, err)
	}
}

// TestResultsThatWereSentKeepTheirNames: where there are results already, what was
// received until now goes on under the names that it has, and what comes gets new ones.
func TestResultsThatWereSentKeepTheirNames(t *testing.T) {
	o := openFolder(t, t.TempDir())
	put(t, o, "results/1.2/rev-1/ct@1/0/report.dcm", "told")
	before := time.Now().Add(-time.Minute)
	i, err := store.Installation(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if name := i.Of(study.Study{ReceivedAt: before}); name != "" {
		t.Errorf("what was told before is named anew, by %q", name)
	}
	if name := i.Of(study.Study{ReceivedAt: i.Since}); name == "" || name != i.ID {
		t.Errorf("what comes is named by %q of %+v", name, i)
	}
	if again, err := store.Installation(t.Context(), o); err != nil || !again.Since.Equal(i.Since) || again.ID != i.ID {
		t.Errorf("at the next start %+v, %v, and %+v before", again, err, i)
	}
}

// TestDamagedInstallationIsNotMadeAnew: another identity would name again what was sent.
func TestDamagedInstallationIsNotMadeAnew(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": `{"format":"varde-inst`, "nameless": `{"format":"varde-installation"}`, "foreign": `{"id":"A"}`} {
		o := openFolder(t, t.TempDir())
		put(t, o, "installation.json", text)
		if i, err := store.Installation(t.Context(), o); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
	}
}
