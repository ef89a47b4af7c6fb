package onnx

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"varde/internal/pixel"
	"varde/study"
)

// The bounds of an archive of arrays that is read.
const (
	maxArrays     = 64
	maxArrayBytes = 1 << 30
)

// elements maps NumPy's names of element types to makers of slices.
var elements = map[string]func(n int) any{
	"<f4": func(n int) any { return make([]float32, n) }, "<f8": func(n int) any { return make([]float64, n) },
	"|u1": func(n int) any { return make([]uint8, n) }, "|i1": func(n int) any { return make([]int8, n) },
	"<u2": func(n int) any { return make([]uint16, n) }, "<i2": func(n int) any { return make([]int16, n) },
	"<i4": func(n int) any { return make([]int32, n) }, "<i8": func(n int) any { return make([]int64, n) },
	"|b1": func(n int) any { return make([]bool, n) },
}

// element gives NumPy's name of a tensor's element type, and its size in bytes.
func element(data any) (name string, size int) {
	switch data.(type) {
	case []float32:
		return "<f4", 4
	case []float64:
		return "<f8", 8
	case []uint8:
		return "|u1", 1
	case []int8:
		return "|i1", 1
	case []uint16:
		return "<u2", 2
	case []int16:
		return "<i2", 2
	case []int32:
		return "<i4", 4
	case []int64:
		return "<i8", 8
	case []bool:
		return "|b1", 1
	}
	return "", 0
}

// WriteNPZ writes tensors as an archive of NumPy arrays (.npz), which numpy.load
// reads: the same bytes for the same tensors.
func WriteNPZ(tensors map[string]pixel.Tensor) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t := tensors[name]
		typ, size := element(t.Data)
		if size == 0 {
			return nil, fmt.Errorf("write array %s: a tensor of %T: %w", name, t.Data, study.ErrUnsupported)
		}
		dims := make([]string, len(t.Shape))
		for i, d := range t.Shape {
			dims[i] = strconv.FormatInt(d, 10) + ","
		}
		head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", typ, strings.Join(dims, " "))
		head += strings.Repeat(" ", 63-(len(head)+10)%64) + "\n" // the data begin at a multiple of 64
		w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Deflate})
		if err == nil {
			_, err = w.Write(append([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, byte(len(head)), byte(len(head) >> 8)}, head...))
		}
		if err == nil {
			err = binary.Write(w, binary.LittleEndian, t.Data)
		}
		if err != nil {
			return nil, fmt.Errorf("write array %s: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("write arrays: %w", err)
	}
	return b.Bytes(), nil
}

// ReadNPZ reads an archive of NumPy arrays (.npz), format versions 1 to 3, in C
// order and little-endian. Errors wrap [study.ErrInvalid].
func ReadNPZ(b []byte) (map[string]pixel.Tensor, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("read arrays: %w: %w", err, study.ErrInvalid)
	}
	if len(z.File) > maxArrays {
		return nil, fmt.Errorf("read arrays: %d of them, more than %d: %w", len(z.File), maxArrays, study.ErrInvalid)
	}
	all, left := map[string]pixel.Tensor{}, int64(maxArrayBytes)
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		t, read, err := readArray(f, left)
		if err != nil {
			return nil, fmt.Errorf("read array %q: %w: %w", name, err, study.ErrInvalid)
		}
		all[name] = t
		left -= read
	}
	return all, nil
}

// header is that of an array: type, order and shape, as Python writes them.
var header = regexp.MustCompile(`^\{\s*'descr':\s*'([<|][a-z][0-9])',\s*'fortran_order':\s*False,\s*'shape':\s*\(([0-9, ]*)\),?\s*\}\s*$`)

func readArray(f *zip.File, most int64) (t pixel.Tensor, read int64, err error) {
	r, err := f.Open()
	if err != nil {
		return t, 0, err
	}
	defer func() { _ = r.Close() }()
	var fixed [8]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil || string(fixed[:6]) != "\x93NUMPY" || fixed[6] < 1 || fixed[6] > 3 {
		return t, 0, fmt.Errorf("no NumPy array")
	}
	length := make([]byte, 2)
	if fixed[6] > 1 {
		length = make([]byte, 4)
	}
	if _, err := io.ReadFull(r, length); err != nil {
		return t, 0, err
	}
	n := binary.LittleEndian.Uint32(append(length, 0, 0)[:4])
	if n > 1<<16 {
		return t, 0, fmt.Errorf("a header of %d bytes", n)
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(r, head); err != nil {
		return t, 0, err
	}
	m := header.FindSubmatch(head)
	if m == nil || elements[string(m[1])] == nil {
		return t, 0, fmt.Errorf("an element type or order that is not read; write little-endian arrays in C order")
	}
	size := int64(m[1][2] - '0')
	count := int64(1)
	for _, d := range strings.FieldsFunc(string(m[2]), func(r rune) bool { return r == ',' || r == ' ' }) {
		v, err := strconv.ParseInt(d, 10, 64)
		if err != nil || v < 0 || len(t.Shape) >= 16 || v > 0 && count > most/size/v {
			return t, 0, fmt.Errorf("a shape of more than %d bytes", most)
		}
		t.Shape = append(t.Shape, v)
		count *= v
	}
	// What is declared is believed only as far as it is there.
	data, err := io.ReadAll(io.LimitReader(r, count*size+1))
	if err != nil || int64(len(data)) != count*size {
		return t, 0, fmt.Errorf("%d bytes of data for %d elements of %d", len(data), count, size)
	}
	t.Data = elements[string(m[1])](int(count))
	return t, count * size, binary.Read(bytes.NewReader(data), binary.LittleEndian, t.Data)
}
