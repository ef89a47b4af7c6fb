package objects_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/store/objects"
	"varde/store/storetest"
	"varde/study"
)

func openDir(t *testing.T, root string) *objects.Dir {
	t.Helper()
	d, err := objects.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDir(t *testing.T) {
	storetest.TestObjects(t, func(t *testing.T) objects.Store { return openDir(t, t.TempDir()) })
}

func TestDirIsFoundByItsPath(t *testing.T) {
	root := filepath.Join(t.TempDir(), "not", "yet", "there")
	o, err := objects.Open(t.Context(), root, objects.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	if free, ok := o.Free(t.Context()); !ok || free <= 0 {
		t.Errorf("free: %d, %v", free, ok)
	}
	if o.String() != root {
		t.Errorf("the store calls itself %s", o)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownLocationIsRefused(t *testing.T) {
	for _, location := range []string{
		"gs://bucket", "s3://bucket", "s3://?endpoint=h:1", "s3://b?endpoint=h:1&secure=maybe",
		"s3://b?endpoint=h:1&colour=red", "s3://b/folder?endpoint=h:1", "s3://user:word@b?endpoint=h:1",
	} {
		_, err := objects.Open(t.Context(), location, objects.Credentials{})
		if !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", location, err)
		}
		if err != nil && strings.Contains(err.Error(), "word") {
			t.Errorf("%v tells a secret", err)
		}
	}
}

// TestSweepSparesTheLiving: what a dead process left goes, what a living one
// writes stays.
func TestSweepSparesTheLiving(t *testing.T) {
	root := t.TempDir()
	left := filepath.Join(root, ".put", "process-dead")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "half"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	living := openDir(t, root)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the leftover is still there: %v", err)
	}
	in, out := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := living.PutOnce(t.Context(), "slow", in, -1)
		done <- err
	}()
	fmt.Fprint(out, "first half, ")
	second := openDir(t, root)
	fmt.Fprint(out, "second half")
	if err := errors.Join(out.Close(), <-done); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Stat(t.Context(), "slow"); err != nil || n != 23 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := errors.Join(living.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(filepath.Join(root, ".put")); err != nil || len(names) != 0 {
		t.Errorf("after all closed there is %v, %v", names, err)
	}
}

func TestKeyBelowAnObjectIsRefused(t *testing.T) {
	d := openDir(t, t.TempDir())
	defer d.Close()
	if _, err := d.PutOnce(t.Context(), "a", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutOnce(t.Context(), "a/b", strings.NewReader("x"), 1); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a key whose folder is an object: %v", err)
	}
}

func TestTruncatedFileIsNotReadShort(t *testing.T) {
	root := t.TempDir()
	d := openDir(t, root)
	defer d.Close()
	if _, err := d.PutOnce(t.Context(), "a", bytes.NewReader(make([]byte, 100_000)), -1); err != nil {
		t.Fatal(err)
	}
	r, err := d.Range(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(root, "a"), 50_000); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err == nil {
		t.Errorf("%d bytes of a truncated file read without an error", n)
	}
}

// crashWriter is in the environment of the child process of the crash test.
const crashWriter = "VARDE_TEST_CRASH_WRITER"

// TestCrashWriter is no test of its own: it is the child of the crash test. It
// writes with eight goroutines and says each key once it is acknowledged.
func TestCrashWriter(t *testing.T) {
	root := os.Getenv(crashWriter)
	if root == "" {
		t.Skip("the child of TestNothingAcknowledgedIsLostWhenTheWriterIsKilled")
	}
	d := openDir(t, root)
	var wg sync.WaitGroup
	var mu sync.Mutex // held for one line on stdout
	for w := range 8 {
		wg.Go(func() {
			for {
				n := 20_000 + rand.IntN(600_000)
				if w == 0 && rand.IntN(8) == 0 {
					n = 12 << 20
				}
				b := make([]byte, n)
				_, _ = rand.NewChaCha8([32]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}).Read(b)
				sum := sha256.Sum256(b)
				key := fmt.Sprintf("o/%x/%s", sum[:1], hex.EncodeToString(sum[:]))
				_, err := d.PutOnce(context.Background(), key, bytes.NewReader(b), int64(n))
				if err != nil && !errors.Is(err, objects.ErrExists) {
					t.Error(err)
					return
				}
				mu.Lock()
				fmt.Println("kept " + key)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestNothingAcknowledgedIsLostWhenTheWriterIsKilled kills a process in the
// middle of its writing, several times, and then reads and hashes everything.
func TestNothingAcknowledgedIsLostWhenTheWriterIsKilled(t *testing.T) {
	root := t.TempDir()
	kept := map[string]bool{}
	for range 3 {
		c := exec.Command(os.Args[0], "-test.run=^TestCrashWriter$", "-test.v")
		c.Env = append(os.Environ(), crashWriter+"="+root)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var killer *time.Timer
		for in := bufio.NewScanner(out); in.Scan(); {
			_, key, ok := strings.Cut(in.Text(), "kept ")
			if !ok || len(key) < 64 {
				continue
			}
			kept[key] = true
			if killer == nil {
				killer = time.AfterFunc(time.Duration(200+rand.IntN(400))*time.Millisecond, func() { _ = c.Process.Kill() })
			}
		}
		if err := c.Wait(); err == nil || killer == nil {
			t.Fatalf("the writer ended by itself: %v", err)
		}
	}
	d := openDir(t, root)
	defer d.Close()
	there := 0
	for key, err := range d.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		there++
		r, err := d.Range(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(key) != hex.EncodeToString(h.Sum(nil)) {
			t.Errorf("%s holds other bytes", key)
		}
		delete(kept, key)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(kept) > 0 {
		t.Errorf("%d objects were acknowledged and are gone", len(kept))
	}
	t.Logf("%d objects are there", there)
	left, err := os.ReadDir(filepath.Join(root, ".put"))
	if err != nil || len(left) != 1 { // our own
		t.Errorf("%d half-written leftovers, %v", len(left)-1, err)
	}
}
