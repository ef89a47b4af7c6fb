package sessions

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"varde/internal/pixel"
	"varde/study"
)

// bucket is the least power of two that holds so many tiles. Devices choose how
// they calculate anew for each shape that they see, so that there should be few.
func bucket(tiles int) int {
	size := 1
	for size < tiles {
		size *= 2
	}
	return size
}

// tilesOf counts the tiles of a request, which are the first dimension of each of
// its tensors.
func tilesOf(in map[string]pixel.Tensor) int {
	for _, t := range in {
		if len(t.Shape) > 0 {
			return int(t.Shape[0])
		}
	}
	return 1
}

// alike reports whether tensors differ in their number of tiles only.
func alike(a, b map[string]pixel.Tensor) bool {
	if len(a) != len(b) {
		return false
	}
	for name, t := range a {
		u, ok := b[name]
		if !ok || len(t.Shape) == 0 || len(u.Shape) == 0 || !slices.Equal(t.Shape[1:], u.Shape[1:]) || reflect.TypeOf(t.Data) != reflect.TypeOf(u.Data) {
			return false
		}
	}
	return true
}

// packed puts the tiles of requests that are alike behind each other, and as many
// empty ones behind them as make size. What fits by itself is not copied.
func packed(batch []*request, size int) (map[string]pixel.Tensor, error) {
	if len(batch) == 1 && batch[0].tiles == size {
		return batch[0].in, nil
	}
	in := map[string]pixel.Tensor{}
	for name, first := range batch[0].in {
		each := 1
		for _, n := range first.Shape[1:] {
			each *= int(n)
		}
		t := pixel.Tensor{Shape: slices.Clone(first.Shape)}
		t.Shape[0] = int64(size)
		var err error
		switch first.Data.(type) {
		case []float32:
			t.Data, err = gathered[float32](batch, name, each, size)
		case []uint8:
			t.Data, err = gathered[uint8](batch, name, each, size)
		default:
			err = fmt.Errorf("tiles of %T can't go together: %w", first.Data, study.ErrUnsupported)
		}
		if err != nil {
			return nil, err
		}
		in[name] = t
	}
	return in, nil
}

func gathered[T any](batch []*request, name string, each, size int) ([]T, error) {
	all := make([]T, 0, each*size)
	for _, r := range batch {
		v, ok := r.in[name].Data.([]T)
		if !ok || len(v) != each*r.tiles {
			return nil, fmt.Errorf("%d tiles of %s hold %d numbers, not %d each: %w", r.tiles, name, len(v), each, study.ErrInvalid)
		}
		all = append(all, v...)
	}
	return all[:each*size], nil // what was not written is 0
}

// cut gives the tiles from one to before another of each tensor. They share their
// memory with the whole.
func cut(whole map[string]pixel.Tensor, from, to int) map[string]pixel.Tensor {
	out := map[string]pixel.Tensor{}
	for name, t := range whole {
		data := reflect.ValueOf(t.Data)
		each := data.Len() / int(t.Shape[0])
		shape := slices.Clone(t.Shape)
		shape[0] = int64(to - from)
		out[name] = pixel.Tensor{Shape: shape, Data: data.Slice(from*each, to*each).Interface()}
	}
	return out
}

// joined puts two answers behind each other.
func joined(a, b map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	out := maps.Clone(a)
	for name, t := range a {
		u, ok := b[name]
		if !ok || len(t.Shape) == 0 || len(u.Shape) == 0 || !slices.Equal(t.Shape[1:], u.Shape[1:]) || reflect.TypeOf(t.Data) != reflect.TypeOf(u.Data) {
			return nil, fmt.Errorf("output %s has the shape %v for some tiles and %v for others: %w", name, t.Shape, u.Shape, study.ErrInvalid)
		}
		shape := slices.Clone(t.Shape)
		shape[0] += u.Shape[0]
		whole := reflect.AppendSlice(reflect.MakeSlice(reflect.TypeOf(t.Data), 0, 0), reflect.ValueOf(t.Data))
		out[name] = pixel.Tensor{Shape: shape, Data: reflect.AppendSlice(whole, reflect.ValueOf(u.Data)).Interface()}
	}
	return out, nil
}
