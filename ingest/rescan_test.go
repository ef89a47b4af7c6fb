package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/study"
)

// one is a store of one object.
type one func() io.Reader

func (o one) Range(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(o()), nil
}

func TestKeptObjectIsReadAgainAsItCame(t *testing.T) {
	d, err := studytest.ChestCT(studytest.CT{Seed: 1, Slices: 2, Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	file := d.Objects[0].File
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, want, err := h.Describe()
	if err != nil {
		t.Fatal(err)
	}
	a, err := ingest.Rescan(t.Context(), one(func() io.Reader { return bytes.NewReader(file) }), "a/key", "ISO_IR 100")
	if err != nil {
		t.Fatal(err)
	}
	if a.Instance.ReceivedAt.IsZero() || a.Study.Sender == "" || a.Study.UID != d.Study {
		t.Errorf("%+v", a)
	}
	want.Key, want.Bytes, want.SHA256, want.ReceivedAt = "a/key", int64(len(file)), sha256.Sum256(file), a.Instance.ReceivedAt
	if !reflect.DeepEqual(a.Instance, want) || !reflect.DeepEqual(a.Frames, h.Frames) {
		t.Errorf("read again as %+v, not as %+v", a.Instance, want)
	}
	for what, bad := range map[string][]byte{"cut short": file[:len(file)-100], "no DICOM": bytes.Repeat([]byte("no "), 999), "nothing": nil} {
		if _, err := ingest.Rescan(t.Context(), one(func() io.Reader { return bytes.NewReader(bad) }), "a/key", ""); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A store that breaks off says nothing of the object.
	for _, at := range []int{0, 200, len(file) - 50} {
		broken := one(func() io.Reader { return io.MultiReader(bytes.NewReader(file[:at]), iotest.ErrReader(study.ErrBusy)) })
		if _, err := ingest.Rescan(t.Context(), broken, "a/key", ""); !errors.Is(err, study.ErrBusy) || errors.Is(err, study.ErrInvalid) {
			t.Errorf("broken at %d: %v", at, err)
		}
	}
}
