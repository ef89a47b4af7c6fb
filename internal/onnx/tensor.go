package onnx

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/study"
)

// Float16 holds IEEE half-precision numbers as their bits. As the Data of a
// tensor it tells them from plain 16-bit integers.
type Float16 []uint16

// BFloat16 holds the upper halves of 32-bit floats, told apart like [Float16].
type BFloat16 []uint16

// A form is what must be known of an element type to carry it over.
type form struct {
	// in makes a value that shares its memory with data, and pins that memory.
	in func(shape ort.Shape, data any, pin *runtime.Pinner) (ort.Value, error)
	// scalar makes a single number to be filled; nil for 16-bit floats.
	scalar func() (ort.Value, error)
	// count gives the number of elements, and false for data of another type.
	count func(data any) (int, bool)
}

// forms lists the element types that go in.
var forms = map[graph.Type]form{
	graph.Float: formOf[float32](), graph.Double: formOf[float64](), graph.Bool: formOf[bool](),
	graph.Uint8: formOf[uint8](), graph.Int8: formOf[int8](), graph.Uint16: formOf[uint16](),
	graph.Int16: formOf[int16](), graph.Int32: formOf[int32](), graph.Int64: formOf[int64](),
	graph.Float16: {in: halfIn, count: halfCount[Float16]}, graph.BFloat16: {in: halfIn, count: halfCount[BFloat16]},
}

func formOf[T ort.TensorData]() form {
	return form{
		in: func(shape ort.Shape, data any, pin *runtime.Pinner) (ort.Value, error) {
			v := data.([]T)
			pin.Pin(&v[0])
			if len(shape) == 0 {
				return ort.NewScalar(v[0])
			}
			return ort.NewTensor(shape, v)
		},
		scalar: func() (ort.Value, error) { return ort.NewEmptyScalar[T]() },
		count: func(data any) (int, bool) {
			v, ok := data.([]T)
			return len(v), ok
		},
	}
}

func halfCount[T ~[]uint16](data any) (int, bool) {
	v, ok := data.(T)
	return len(v), ok
}

// halfIn carries 16-bit floats, which the binding has no type for, as bytes.
func halfIn(shape ort.Shape, data any, pin *runtime.Pinner) (ort.Value, error) {
	var v []uint16
	var t ort.TensorElementDataType
	switch d := data.(type) {
	case Float16:
		v, t = d, ort.TensorElementDataTypeFloat16
	case BFloat16:
		v, t = d, ort.TensorElementDataTypeBFloat16
	}
	pin.Pin(&v[0])
	return ort.NewCustomDataTensor(shape, unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 2*len(v)), t)
}

// half reports whether the binding has no type for the elements.
func half(t graph.Type) bool { return t == graph.Float16 || t == graph.BFloat16 }

// check holds a tensor against an input that the network declares. bound keeps
// the sizes that symbols stand for in this run.
func check(v graph.Value, t pixel.Tensor, bound map[string]int64) error {
	count, ok := forms[v.Type].count(t.Data)
	if !ok {
		return fmt.Errorf("input %s takes %s and was given %T: %w", v.Name, v.Type, t.Data, study.ErrInvalid)
	}
	n := int64(1)
	for _, d := range t.Shape {
		if d <= 0 || d > math.MaxInt64/n {
			return fmt.Errorf("input %s was given the shape %v: %w", v.Name, t.Shape, study.ErrInvalid)
		}
		n *= d
	}
	if n != int64(count) {
		return fmt.Errorf("input %s was given %d elements for the shape %v: %w", v.Name, count, t.Shape, study.ErrInvalid)
	}
	if !v.Ranked {
		return nil
	}
	fits := len(t.Shape) == len(v.Dims)
	for i := 0; fits && i < len(v.Dims); i++ {
		d := v.Dims[i]
		if d.Size < 0 && d.Name != "" {
			if seen, ok := bound[d.Name]; ok {
				d.Size = seen
			}
			bound[d.Name] = t.Shape[i]
		}
		fits = d.Size < 0 || d.Size == t.Shape[i]
	}
	if !fits {
		return fmt.Errorf("input %s takes the shape %v and was given %v: %w", v.Name, v.Dims, t.Shape, study.ErrInvalid)
	}
	return nil
}

// vessel makes the value that an output is to be written into, or nil when the
// library shall make it. The binding cannot take over single numbers, nor
// 16-bit floats, from the library.
func vessel(v graph.Value, bound map[string]int64) (ort.Value, error) {
	if v.Kind != graph.Tensor {
		return nil, nil
	}
	if half(v.Type) {
		shape, n := ort.Shape{}, int64(1)
		for _, d := range v.Dims {
			size := d.Size
			if size < 0 {
				size = bound[d.Name]
			}
			shape, n = append(shape, size), n*size
		}
		if len(shape) == 0 || n <= 0 {
			return nil, fmt.Errorf("output %s is %s of a shape that the inputs do not settle: %w", v.Name, v.Type, study.ErrUnsupported)
		}
		t := ort.TensorElementDataType(ort.TensorElementDataTypeFloat16)
		if v.Type == graph.BFloat16 {
			t = ort.TensorElementDataTypeBFloat16
		}
		return ort.NewCustomDataTensor(shape, make([]byte, 2*n), t)
	}
	if f, ok := forms[v.Type]; ok && v.Ranked && len(v.Dims) == 0 {
		return f.scalar()
	}
	return nil, nil
}

// take copies an output into a tensor of ours.
func take(v ort.Value, declared graph.Value) (pixel.Tensor, error) {
	t := pixel.Tensor{Shape: slices.Clone([]int64(v.GetShape()))}
	switch x := v.(type) {
	case *ort.Tensor[float32]:
		t.Data = x.GetData()
	case *ort.Tensor[float64]:
		t.Data = x.GetData()
	case *ort.Tensor[uint8]:
		t.Data = x.GetData()
	case *ort.Tensor[int8]:
		t.Data = x.GetData()
	case *ort.Tensor[uint16]:
		t.Data = x.GetData()
	case *ort.Tensor[int16]:
		t.Data = x.GetData()
	case *ort.Tensor[int32]:
		t.Data = x.GetData()
	case *ort.Tensor[int64]:
		t.Data = x.GetData()
	case *ort.Tensor[bool]:
		t.Data = x.GetData()
	case *ort.StringTensor:
		text, err := x.GetContents()
		if err != nil {
			return t, fmt.Errorf("read output %s: %w", declared.Name, err)
		}
		t.Data = cloned(text)
	case *ort.CustomDataTensor:
		t.Data = halves(x.GetData(), declared.Type)
	default:
		if data := single(v); data != nil {
			return pixel.Tensor{Data: data}, nil
		}
		return t, fmt.Errorf("output %s is a %s, which nothing here can hold: %w", declared.Name, declared.Type, study.ErrUnsupported)
	}
	return t, nil
}

// single gives the number of a value without dimensions.
func single(v ort.Value) any {
	switch x := v.(type) {
	case *ort.Scalar[float32]:
		return []float32{x.GetData()}
	case *ort.Scalar[float64]:
		return []float64{x.GetData()}
	case *ort.Scalar[uint8]:
		return []uint8{x.GetData()}
	case *ort.Scalar[int8]:
		return []int8{x.GetData()}
	case *ort.Scalar[uint16]:
		return []uint16{x.GetData()}
	case *ort.Scalar[int16]:
		return []int16{x.GetData()}
	case *ort.Scalar[int32]:
		return []int32{x.GetData()}
	case *ort.Scalar[int64]:
		return []int64{x.GetData()}
	case *ort.Scalar[bool]:
		return []bool{x.GetData()}
	}
	return nil
}

func halves(b []byte, t graph.Type) any {
	v := make([]uint16, len(b)/2)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(b)), b)
	if t == graph.BFloat16 {
		return BFloat16(v)
	}
	return Float16(v)
}

func cloned(text []string) []string {
	out := make([]string, len(text))
	for i, s := range text {
		out[i] = strings.Clone(s)
	}
	return out
}
