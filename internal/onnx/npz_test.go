package onnx

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"varde/internal/pixel"
	"varde/study"
)

func TestArraysAreReadAsTheyWereWritten(t *testing.T) {
	want := map[string]pixel.Tensor{
		"f32": {Shape: []int64{1, 2, 3}, Data: []float32{0, -1.5, float32(math.Inf(1)), 3, 4, math.MaxFloat32}}, "f64": {Shape: []int64{2}, Data: []float64{math.Pi, math.SmallestNonzeroFloat64}},
		"u8": {Shape: []int64{0, 4}, Data: []uint8{}}, "i8": {Shape: []int64{1}, Data: []int8{-3}}, "u16": {Shape: []int64{1}, Data: []uint16{65535}},
		"i16": {Shape: []int64{1}, Data: []int16{-2}}, "i32": {Shape: []int64{1}, Data: []int32{-5}}, "i64": {Shape: nil, Data: []int64{1 << 60}}, "bool": {Shape: []int64{2}, Data: []bool{true, false}},
	}
	b, err := WriteNPZ(want)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := WriteNPZ(want); !bytes.Equal(b, again) {
		t.Error("the same arrays are other bytes")
	}
	got, err := ReadNPZ(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant %+v", err, got, want)
	}
	if _, err := WriteNPZ(map[string]pixel.Tensor{"x": {Shape: []int64{1}, Data: []string{"x"}}}); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("texts: %v", err)
	}
}

// TestDamagedArraysAreRefused cuts and alters an archive byte by byte.
func TestDamagedArraysAreRefused(t *testing.T) {
	b, err := WriteNPZ(map[string]pixel.Tensor{"x": {Shape: []int64{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if _, err := ReadNPZ(b[:i]); !errors.Is(err, study.ErrInvalid) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		c := bytes.Clone(b)
		c[i] ^= 0x55
		if _, err := ReadNPZ(c); err != nil && !errors.Is(err, study.ErrInvalid) {
			t.Fatalf("altered at %d: %v", i, err)
		}
	}
}

func FuzzReadNPZ(f *testing.F) {
	b, err := WriteNPZ(map[string]pixel.Tensor{"x": {Shape: []int64{2}, Data: []float32{1, 2}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := ReadNPZ(b); err == nil {
			for _, a := range got {
				if a.Len() != reflect.ValueOf(a.Data).Len() {
					t.Errorf("%v", a.Shape)
				}
			}
		}
	})
}
