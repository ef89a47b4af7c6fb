package pixel

// A Tensor is numbers with a shape, in row-major order: what goes into a network
// and what comes out of it.
type Tensor struct {
	Shape []int64
	// Data is one of []float32, []float64, []uint8, []int8, []uint16, []int16,
	// []int32, []int64 and []bool, with as many elements as the shape has.
	Data any
}

// Len is the number of elements that the shape has; 1 for a shape without
// dimensions.
func (t Tensor) Len() int {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return int(n)
}
