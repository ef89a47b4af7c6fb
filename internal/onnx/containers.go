package onnx

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/study"
)

// keysOf names the tensor that holds a map's keys.
func keysOf(output string) string { return output + "/keys" }

// takeAll puts an output into out, whatever kind of value it is.
func takeAll(out map[string]pixel.Tensor, v ort.Value, declared graph.Value) error {
	switch x := v.(type) {
	case *ort.Sequence:
		return takeSequence(out, x, declared)
	case *ort.Map:
		keys, values, err := takeMap(x, declared)
		if err == nil {
			out[keysOf(declared.Name)], out[declared.Name] = keys, values
		}
		return err
	}
	t, err := take(v, declared)
	if err == nil {
		out[declared.Name] = t
	}
	return err
}

// takeSequence stacks the elements of a sequence: tensors of one shape, or maps
// of the same keys (what ZipMap makes of a matrix of class probabilities).
func takeSequence(out map[string]pixel.Tensor, s *ort.Sequence, declared graph.Value) error {
	items, err := s.GetValues()
	if err != nil {
		return fmt.Errorf("read output %s: %w", declared.Name, err)
	}
	var keys *pixel.Tensor
	var stack []pixel.Tensor
	for _, item := range items {
		var t pixel.Tensor
		if m, ok := item.(*ort.Map); ok {
			var k pixel.Tensor
			if k, t, err = takeMap(m, declared); err == nil && keys != nil && !reflect.DeepEqual(*keys, k) {
				err = fmt.Errorf("output %s is a sequence of maps with different keys: %w", declared.Name, study.ErrUnsupported)
			}
			keys = &k
		} else {
			t, err = take(item, declared)
		}
		if err == nil && len(stack) > 0 && (!slices.Equal(stack[0].Shape, t.Shape) || reflect.TypeOf(stack[0].Data) != reflect.TypeOf(t.Data)) {
			err = fmt.Errorf("output %s is a sequence of tensors of different shapes: %w", declared.Name, study.ErrUnsupported)
		}
		if err != nil {
			return err
		}
		stack = append(stack, t)
	}
	if keys != nil {
		out[keysOf(declared.Name)] = *keys
	}
	out[declared.Name] = stacked(stack)
	return nil
}

// stacked joins tensors of one shape along a new first dimension. Of none it
// makes an empty tensor of floats.
func stacked(stack []pixel.Tensor) pixel.Tensor {
	if len(stack) == 0 {
		return pixel.Tensor{Shape: []int64{0}, Data: []float32{}}
	}
	data := reflect.MakeSlice(reflect.TypeOf(stack[0].Data), 0, len(stack)*reflect.ValueOf(stack[0].Data).Len())
	for _, t := range stack {
		data = reflect.AppendSlice(data, reflect.ValueOf(t.Data))
	}
	return pixel.Tensor{Shape: append([]int64{int64(len(stack))}, stack[0].Shape...), Data: data.Interface()}
}

// takeMap gives a map's keys and values, sorted by key.
func takeMap(m *ort.Map, declared graph.Value) (keys, values pixel.Tensor, err error) {
	k, v, err := m.GetKeysAndValues()
	if err != nil {
		return keys, values, fmt.Errorf("read output %s: %w", declared.Name, err)
	}
	if keys, err = take(k, declared); err != nil {
		return keys, values, err
	}
	if values, err = take(v, declared); err != nil {
		return keys, values, err
	}
	order := make([]int, reflect.ValueOf(keys.Data).Len())
	for i := range order {
		order[i] = i
	}
	switch data := keys.Data.(type) {
	case []int64:
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(data[a], data[b]) })
	case []string:
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(data[a], data[b]) })
	default:
		return keys, values, fmt.Errorf("output %s is a map with keys of %T: %w", declared.Name, keys.Data, study.ErrUnsupported)
	}
	if len(order) != reflect.ValueOf(values.Data).Len() {
		return keys, values, fmt.Errorf("output %s is a map of more than numbers: %w", declared.Name, study.ErrUnsupported)
	}
	keys.Data, values.Data = permuted(keys.Data, order), permuted(values.Data, order)
	return keys, values, nil
}

func permuted(data any, order []int) any {
	from := reflect.ValueOf(data)
	to := reflect.MakeSlice(from.Type(), len(order), len(order))
	for i, at := range order {
		to.Index(i).Set(from.Index(at))
	}
	return to.Interface()
}
