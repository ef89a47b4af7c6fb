package storetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A Shelf is an object store beside a ledger.
type Shelf struct {
	*Bench
	*objects.Dir
	Root     string
	Arrivals map[string]study.Arrival // by key
}

// NewShelf puts an empty object store beside a ledger.
func NewShelf(b *Bench) *Shelf {
	b.T.Helper()
	root := b.T.TempDir()
	dir, err := objects.OpenDir(root)
	b.OK(err)
	return &Shelf{b, dir, root, map[string]study.Arrival{}}
}

// Put keeps bytes.
func (s *Shelf) Put(key string, text string) {
	s.T.Helper()
	s.OK(s.Dir.Put(context.Background(), key, strings.NewReader(text), int64(len(text))))
}

// Take keeps an object and receives it.
func (s *Shelf) Take(uid study.UID, first, last int) {
	s.T.Helper()
	for n := first; n <= last; n++ {
		a := Arrival(uid, n, "")
		a.Instance.Key = fmt.Sprintf("dicom/%s/%s/%s.dcm", uid, a.Instance.Series, a.Instance.UID)
		s.Put(a.Instance.Key, string(a.Instance.UID))
		s.Arrivals[a.Instance.Key] = a
		_, err := s.Bench.Ledger.Receive(context.Background(), a)
		s.OK(err)
	}
}

// Report keeps the reports that are due, and their bytes.
func (s *Shelf) Report(destinations ...string) {
	s.T.Helper()
	for _, j := range s.Claim(study.PoolReport, 1000) {
		r := ReportOf(j)
		s.Put(r.Key, string(r.UID))
		s.OK(s.Reported(context.Background(), j, To(r, destinations...)))
	}
}

// Scan knows an object again by its key, as long as its bytes are its own.
func (s *Shelf) Scan(ctx context.Context, key string) (study.Arrival, error) {
	a, ok := s.Arrivals[key]
	body, err := s.Range(ctx, key, 0, -1)
	if err != nil {
		return a, err
	}
	text, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return a, err
	}
	if !ok {
		return a, fmt.Errorf("%d bytes of something else: %w", len(text), study.ErrInvalid)
	}
	a.Instance.SHA256 = sha256.Sum256(text)
	return a, nil
}

// Write writes all manifests that are due.
func (s *Shelf) Write() {
	s.T.Helper()
	m := store.Manifester{Ledger: s.Bench.Ledger, Objects: s.Dir, Log: slog.New(slog.DiscardHandler)}
	s.OK(m.Sweep(context.Background()))
}

// Rebuild makes a new ledger on the shelf.
func (s *Shelf) Rebuild() (*Shelf, store.Rebuilt) {
	s.T.Helper()
	b := &Bench{Ledger: s.Make(s.T, store.LedgerOptions{Now: s.Clock.Now, Place: Place}), T: s.T, Clock: s.Clock, Make: s.Make}
	anew := &Shelf{b, s.Dir, s.Root, s.Arrivals}
	r := &store.Rebuilder{Ledger: b.Ledger, Objects: s.Dir, Scan: s.Scan, Log: slog.New(slog.DiscardHandler)}
	got, err := r.Run(context.Background(), "ops")
	s.OK(err)
	_, err = b.VerifyAudit(context.Background())
	s.OK(err)
	return anew, got
}

// Rows is what a manifest says of a study, without its head.
func (s *Shelf) Rows(name string) string {
	s.T.Helper()
	b, _, err := s.Manifest(context.Background(), name)
	s.OK(err)
	z, err := gzip.NewReader(bytes.NewReader(b))
	s.OK(err)
	text, err := io.ReadAll(z)
	s.OK(err)
	_, rows, _ := strings.Cut(string(text), "\n")
	return rows
}

// Due names the manifests that are to be written.
func (s *Shelf) Due() string {
	s.T.Helper()
	names, err := s.DueManifests(context.Background(), 100)
	s.OK(err)
	return strings.Join(names, " ")
}
