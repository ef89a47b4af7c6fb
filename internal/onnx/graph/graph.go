// Package graph reads and writes ONNX files without a runtime: it knows the
// protobuf of a model, and nothing of how one is run.
//
//	New, Node, Encode     a network of our own, the same bytes every time
//	Inspect               what a stranger's file asks for and gives, before any session exists
//	ResNet18, MobileNetV2 networks of a known size, for measuring
//
// Inspect is for files that nobody vouches for: it takes memory in proportion to
// the names in the file and not to what the file claims, and never panics.
package graph

import (
	"fmt"
	"slices"
	"strconv"

	"varde/study"
)

// The version of the format that is written, and the newest operator set that a
// network may ask for: the one that the pinned runtime implements in full.
const (
	writtenIR    = 8
	writtenOpset = 17
	MaxOpset     = 26
)

// A Type is the type of a tensor's elements, numbered as TensorProto.DataType.
type Type int32

// The element types.
const (
	Float    Type = 1
	Uint8    Type = 2
	Int8     Type = 3
	Uint16   Type = 4
	Int16    Type = 5
	Int32    Type = 6
	Int64    Type = 7
	String   Type = 8
	Bool     Type = 9
	Float16  Type = 10
	Double   Type = 11
	Uint32   Type = 12
	Uint64   Type = 13
	BFloat16 Type = 16
)

var typeNames = map[Type]string{Float: "FLOAT", Uint8: "UINT8", Int8: "INT8", Uint16: "UINT16", Int16: "INT16",
	Int32: "INT32", Int64: "INT64", String: "STRING", Bool: "BOOL", Float16: "FLOAT16", Double: "DOUBLE",
	Uint32: "UINT32", Uint64: "UINT64", BFloat16: "BFLOAT16"}

// String gives the name that the ONNX specification uses.
func (t Type) String() string {
	if n, ok := typeNames[t]; ok {
		return n
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// MarshalText gives the name.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// A Dim is one dimension of a shape. Size is −1 when the file leaves it open;
// Name is then the symbol by which it does, if it gives one.
type Dim struct {
	Size int64
	Name string
}

// Fixed is a dimension of known size.
func Fixed(n int64) Dim { return Dim{Size: n} }

// Free is a dimension that each run may choose; two of one name are equal.
func Free(name string) Dim { return Dim{Size: -1, Name: name} }

// String gives the size, the symbol, or "?".
func (d Dim) String() string {
	switch {
	case d.Size >= 0:
		return strconv.FormatInt(d.Size, 10)
	case d.Name != "":
		return d.Name
	}
	return "?"
}

// MarshalText gives what String gives.
func (d Dim) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// A Kind is what a value is.
type Kind string

// The kinds of value. Only tensors go in; the others may come out.
const (
	Tensor   Kind = "tensor"
	Sequence Kind = "sequence"
	Map      Kind = "map"
	Optional Kind = "optional"
	Sparse   Kind = "sparse_tensor"
	Unknown  Kind = "unknown"
)

// A Value is an input or an output of a network. Ranked says whether the file
// gives a shape at all; a ranked value without dimensions is a single number.
type Value struct {
	Name   string
	Kind   Kind
	Type   Type
	Ranked bool
	Dims   []Dim
}

// String gives the name with type and shape, as in "hu FLOAT[batch 1 d h w]".
func (v Value) String() string {
	if v.Kind != Tensor {
		return v.Name + " " + string(v.Kind)
	}
	if !v.Ranked {
		return v.Name + " " + v.Type.String()
	}
	return fmt.Sprintf("%s %s%v", v.Name, v.Type, v.Dims)
}

// Attrs are the attributes of a node: int, int64, float32, float64, string,
// []int64 or []float32.
type Attrs map[string]any

// A Graph is a network under construction. Nodes are kept in the order in which
// they are added, which must be an order in which they can be run. The first
// mistake is kept and comes out at Encode.
type Graph struct {
	name      string
	doc       string
	meta      map[string]string
	inputs    []Value
	outputs   []Value
	constants []constant
	nodes     []node
	known     map[string]bool // every name that may be used as an input
	err       error
}

type constant struct {
	name string
	typ  Type
	dims []int64
	raw  []byte
}

type node struct {
	op     string
	attrs  Attrs
	inputs []string
	output string
	more   []string // further outputs
}

// New begins a network.
func New(name string) *Graph {
	return &Graph{name: name, meta: map[string]string{}, known: map[string]bool{}}
}

// Doc sets the text that says what the network does.
func (g *Graph) Doc(text string) { g.doc = text }

// Meta adds an entry to the file's metadata.
func (g *Graph) Meta(key, value string) { g.meta[key] = value }

// Input declares an input and returns its name.
func (g *Graph) Input(name string, t Type, dims ...Dim) string {
	g.claim(name)
	g.inputs = append(g.inputs, Value{Name: name, Kind: Tensor, Type: t, Ranked: true, Dims: dims})
	return name
}

// Output declares that the value of this name is an output.
func (g *Graph) Output(name string, t Type, dims ...Dim) {
	if !g.known[name] {
		g.fail("output %s is made by no node", name)
	}
	g.outputs = append(g.outputs, Value{Name: name, Kind: Tensor, Type: t, Ranked: true, Dims: dims})
}

// Node adds a node with one output and returns the output's name.
func (g *Graph) Node(op string, attrs Attrs, inputs ...string) string {
	return g.Named(fmt.Sprintf("%s_%d", op, len(g.nodes)), op, attrs, inputs...)
}

// Named adds a node whose output has a name of the caller's choice. An empty
// input stands for an optional one that is left out.
func (g *Graph) Named(output, op string, attrs Attrs, inputs ...string) string {
	for _, in := range inputs {
		if in != "" && !g.known[in] {
			g.fail("node %s uses %q before it is made", output, in)
		}
	}
	g.claim(output)
	g.nodes = append(g.nodes, node{op: op, attrs: attrs, inputs: inputs, output: output})
	return output
}

// Several adds a node with several outputs and returns their names.
func (g *Graph) Several(outputs int, op string, attrs Attrs, inputs ...string) []string {
	first := g.Node(op, attrs, inputs...)
	names := []string{first}
	for i := 1; i < outputs; i++ {
		names = append(names, fmt.Sprintf("%s_%d", first, i))
		g.claim(names[i])
	}
	g.nodes[len(g.nodes)-1].more = names[1:]
	return names
}

// Floats adds a constant tensor of 32-bit floats and returns its name. No
// dimensions make a single number.
func (g *Graph) Floats(v []float32, dims ...int64) string {
	return g.constant(Float, floatBytes(v), int64(len(v)), dims)
}

// Scalar adds a single 32-bit float.
func (g *Graph) Scalar(v float32) string { return g.Floats([]float32{v}) }

// Ints adds a constant list of 64-bit integers, such as axes, pads or a shape.
func (g *Graph) Ints(v ...int64) string {
	return g.constant(Int64, intBytes(v), int64(len(v)), []int64{int64(len(v))})
}

// constant adds a constant, or finds the equal one that is already there.
func (g *Graph) constant(t Type, raw []byte, elements int64, dims []int64) string {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	if n != elements {
		g.fail("constant of shape %v has %d elements", dims, elements)
	}
	if len(raw) <= 64 { // weights differ; axes and thresholds recur
		for _, c := range g.constants {
			if c.typ == t && slices.Equal(c.dims, dims) && string(c.raw) == string(raw) {
				return c.name
			}
		}
	}
	name := fmt.Sprintf("c%03d", len(g.constants))
	g.claim(name)
	g.constants = append(g.constants, constant{name: name, typ: t, dims: dims, raw: raw})
	return name
}

func (g *Graph) claim(name string) {
	if name == "" || g.known[name] {
		g.fail("the name %q is empty or taken", name)
	}
	g.known[name] = true
}

func (g *Graph) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf("draw network %s: %s: %w", g.name, fmt.Sprintf(format, args...), study.ErrInvalid)
	}
}
