package graph

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"varde/study"
)

// The bounds of Inspect. Real networks stay far below them; a file beyond them
// is refused.
const (
	maxDepth    = 32      // of graphs within graphs: If, Loop, Scan
	maxValues   = 4096    // inputs or outputs
	maxRank     = 64      // dimensions of one value
	maxKinds    = 4096    // distinct operators, domains or metadata keys
	maxNodes    = 1 << 21 // nodes of all graphs together
	maxElements = 1 << 50 // parameters: more is a lie
)

// A Summary is what a network's file says of itself.
type Summary struct {
	IR         int64
	Opsets     map[string]int64 // by domain; the standard one is called ai.onnx
	Producer   string           // name and version
	Graph      string
	Doc        string
	Inputs     []Value // those that a run must give: constants that old exporters repeat here are left out
	Outputs    []Value
	Ops        map[string]int // how often each operator occurs, in subgraphs and functions too
	Unknown    []string       // operators that the file counts among the standard ones and that its operator set does not have
	Domains    []string       // of operators that are not ONNX's own and that the file does not define itself
	Nodes      int            // of the outermost graph
	Parameters int64          // elements of all constants
	External   bool           // some tensor lies in another file
	Metadata   map[string]string
}

// Inspect reads an ONNX file without loading it. Errors wrap [study.ErrInvalid].
func Inspect(file []byte) (Summary, error) {
	in := inspector{
		sum: Summary{Opsets: map[string]int64{}, Ops: map[string]int{}, Metadata: map[string]string{}},
		own: map[string]bool{}, foreign: map[string]bool{}, standard: map[string]bool{},
	}
	if err := in.model(file); err != nil {
		return Summary{}, fmt.Errorf("read ONNX file: %w: %w", err, study.ErrInvalid)
	}
	for d := range in.foreign {
		if in.own[d] {
			delete(in.foreign, d)
		}
	}
	in.sum.Domains = slices.Sorted(maps.Keys(in.foreign))
	if !in.own[""] && !in.own[standardDomain] { // or it brings its own
		in.sum.Unknown = unknown(slices.Sorted(maps.Keys(in.standard)), in.sum.Opset())
	}
	return in.sum, nil
}

// Opset gives the version of the standard operator set, 0 when none is named.
func (s Summary) Opset() int64 { return s.Opsets[standardDomain] }

const standardDomain = "ai.onnx"

// builtin are the domains whose operators every runtime brings along.
var builtin = map[string]bool{"": true, standardDomain: true, "ai.onnx.ml": true, "com.microsoft": true}

type inspector struct {
	sum      Summary
	graphs   int // outermost graphs seen: one is allowed
	nodes    int
	own      map[string]bool // domains of functions that the file defines
	foreign  map[string]bool
	standard map[string]bool // operators that are said to be ONNX's own
}

// A field is one field of a message: number, wire type, and either a varint or
// bytes that alias the file.
type field struct {
	num  protowire.Number
	kind protowire.Type
	n    uint64
	b    []byte
}

func (f field) is(num protowire.Number, kind protowire.Type) bool {
	return f.num == num && f.kind == kind
}

// each walks the fields of one message.
func each(b []byte, visit func(field) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		f := field{num: num, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// varints gives the numbers of a repeated field in either form, packed or not.
func varints(f field, use func(uint64) error) error {
	if f.kind == protowire.VarintType {
		return use(f.n)
	}
	for b := f.b; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := use(v); err != nil {
			return err
		}
	}
	return nil
}

// model reads a ModelProto.
func (in *inspector) model(b []byte) error {
	var version string
	err := each(b, func(f field) error {
		switch {
		case f.is(1, protowire.VarintType):
			in.sum.IR = int64(f.n)
		case f.is(2, protowire.BytesType):
			in.sum.Producer = string(f.b)
		case f.is(3, protowire.BytesType):
			version = string(f.b)
		case f.is(6, protowire.BytesType):
			in.sum.Doc = string(f.b)
		case f.is(7, protowire.BytesType):
			if in.graphs++; in.graphs > 1 {
				return fmt.Errorf("more than one graph")
			}
			return in.graph(f.b, 0)
		case f.is(8, protowire.BytesType):
			return in.opset(f.b)
		case f.is(14, protowire.BytesType):
			return in.metadata(f.b)
		case f.is(25, protowire.BytesType):
			return in.function(f.b)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case in.graphs == 0:
		return fmt.Errorf("no graph in it: not an ONNX file")
	case in.sum.IR == 0:
		return fmt.Errorf("no IR version in it: not an ONNX file")
	}
	if version != "" {
		in.sum.Producer += " " + version
	}
	return nil
}

func (in *inspector) opset(b []byte) error {
	domain, version := "", int64(0)
	err := each(b, func(f field) error {
		switch {
		case f.is(1, protowire.BytesType):
			domain = string(f.b)
		case f.is(2, protowire.VarintType):
			version = int64(f.n)
		}
		return nil
	})
	if domain == "" {
		domain = standardDomain
	}
	if len(in.sum.Opsets) >= maxKinds {
		return fmt.Errorf("more than %d operator sets", maxKinds)
	}
	in.sum.Opsets[domain] = max(version, in.sum.Opsets[domain])
	return err
}

func (in *inspector) metadata(b []byte) error {
	var key, value string
	err := each(b, func(f field) error {
		switch {
		case f.is(1, protowire.BytesType):
			key = string(f.b)
		case f.is(2, protowire.BytesType):
			value = string(f.b)
		}
		return nil
	})
	if len(in.sum.Metadata) >= maxKinds {
		return fmt.Errorf("more than %d metadata entries", maxKinds)
	}
	in.sum.Metadata[key] = value
	return err
}

// graph reads a GraphProto; depth 0 is the outermost one.
func (in *inspector) graph(b []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs nested deeper than %d", maxDepth)
	}
	constants := map[string]bool{}
	var inputs, outputs []Value
	err := each(b, func(f field) (err error) {
		if f.kind != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 1:
			if depth == 0 {
				in.sum.Nodes++
			}
			return in.node(f.b, depth)
		case 2:
			if depth == 0 {
				in.sum.Graph = string(f.b)
			}
		case 5:
			name, err := in.tensor(f.b, true)
			constants[name] = true
			return err
		case 11:
			if depth == 0 {
				inputs, err = appendValue(inputs, f.b)
			}
		case 12:
			if depth == 0 {
				outputs, err = appendValue(outputs, f.b)
			}
		case 15:
			return in.sparse(f.b, constants)
		}
		return err
	})
	if depth == 0 {
		in.sum.Inputs = slices.DeleteFunc(inputs, func(v Value) bool { return constants[v.Name] })
		in.sum.Outputs = outputs
	}
	return err
}

func (in *inspector) sparse(b []byte, constants map[string]bool) error {
	return each(b, func(f field) error {
		if f.is(1, protowire.BytesType) || f.is(2, protowire.BytesType) {
			name, err := in.tensor(f.b, f.num == 1)
			constants[name] = true
			return err
		}
		return nil
	})
}

// node reads a NodeProto, and what its attributes hold.
func (in *inspector) node(b []byte, depth int) error {
	if in.nodes++; in.nodes > maxNodes {
		return fmt.Errorf("more than %d nodes", maxNodes)
	}
	var op, domain string
	err := each(b, func(f field) error {
		if f.kind != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 4:
			op = string(f.b)
		case 5:
			return in.attribute(f.b, depth)
		case 7:
			domain = string(f.b)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !builtin[domain] {
		in.foreign[domain] = true
	}
	if domain == "" || domain == standardDomain {
		in.standard[op] = true
	}
	in.sum.Ops[op]++
	if len(in.sum.Ops) > maxKinds || len(in.foreign) > maxKinds {
		return fmt.Errorf("more than %d kinds of operator", maxKinds)
	}
	return nil
}

// attribute reads an AttributeProto: only tensors and graphs in it matter.
func (in *inspector) attribute(b []byte, depth int) error {
	return each(b, func(f field) error {
		if f.kind != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 5, 10:
			_, err := in.tensor(f.b, false)
			return err
		case 6, 11:
			return in.graph(f.b, depth+1)
		case 22, 23:
			return in.sparse(f.b, map[string]bool{})
		}
		return nil
	})
}

// tensor reads a TensorProto without its data. count says whether its elements
// are parameters.
func (in *inspector) tensor(b []byte, count bool) (name string, err error) {
	elements := int64(1)
	err = each(b, func(f field) error {
		switch {
		case f.num == 1 && (f.kind == protowire.VarintType || f.kind == protowire.BytesType):
			return varints(f, func(d uint64) error {
				if d > uint64(maxElements/max(elements, 1)) {
					return fmt.Errorf("a tensor of more than %d elements", int64(maxElements))
				}
				elements *= int64(d)
				return nil
			})
		case f.is(8, protowire.BytesType):
			name = string(f.b)
		case f.is(13, protowire.BytesType), f.is(14, protowire.VarintType) && f.n != 0:
			in.sum.External = true
		}
		return nil
	})
	if count && err == nil {
		if in.sum.Parameters += elements; in.sum.Parameters > maxElements {
			err = fmt.Errorf("more than %d parameters", int64(maxElements))
		}
	}
	return name, err
}

// function reads a FunctionProto: an operator that the file defines itself.
func (in *inspector) function(b []byte) error {
	var domain string
	err := each(b, func(f field) error {
		if f.kind != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 7:
			return in.node(f.b, 1)
		case 10:
			domain = string(f.b)
		case 11:
			return in.attribute(f.b, 1)
		}
		return nil
	})
	in.own[domain] = true
	if len(in.own) > maxKinds {
		return fmt.Errorf("more than %d domains", maxKinds)
	}
	return err
}
