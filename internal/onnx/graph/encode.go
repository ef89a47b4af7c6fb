package graph

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A message is a protobuf message under construction; fields go out in the order
// in which they are put in.
type message []byte

func (m message) text(field protowire.Number, s string) message {
	if s == "" {
		return m
	}
	return m.blob(field, []byte(s))
}

func (m message) blob(field protowire.Number, b []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), b)
}

func (m message) number(field protowire.Number, v int64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m message) float(field protowire.Number, v float32) message {
	return protowire.AppendFixed32(protowire.AppendTag(m, field, protowire.Fixed32Type), math.Float32bits(v))
}

// Encode gives the file. The same calls give the same bytes: attributes,
// metadata and constants are sorted by name.
func (g *Graph) Encode() ([]byte, error) {
	body, err := g.encodeGraph()
	if err == nil {
		err = g.err
	}
	if err != nil {
		return nil, err
	}
	m := message(nil).number(1, writtenIR).text(2, "varde").text(6, g.doc).blob(7, body).
		blob(8, message(nil).number(2, writtenOpset))
	for _, k := range slices.Sorted(maps.Keys(g.meta)) {
		m = m.blob(14, message(nil).text(1, k).text(2, g.meta[k]))
	}
	return m, nil
}

func (g *Graph) encodeGraph() (message, error) {
	var m message
	for _, n := range g.nodes {
		b, err := n.encode()
		if err != nil {
			return nil, fmt.Errorf("draw network %s: %w", g.name, err)
		}
		m = m.blob(1, b)
	}
	m = m.text(2, g.name)
	constants := slices.Clone(g.constants)
	slices.SortFunc(constants, func(a, b constant) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	for _, c := range constants {
		m = m.blob(5, c.encode())
	}
	for _, v := range g.inputs {
		m = m.blob(11, v.encode())
	}
	for _, v := range g.outputs {
		m = m.blob(12, v.encode())
	}
	return m, nil
}

func (n node) encode() (message, error) {
	var m message
	for _, in := range n.inputs {
		m = m.blob(1, []byte(in)) // an empty name is meant, and must not be dropped
	}
	m = m.text(2, n.output)
	for _, o := range n.more {
		m = m.text(2, o)
	}
	m = m.text(3, n.output).text(4, n.op)
	for _, k := range slices.Sorted(maps.Keys(n.attrs)) {
		a := message(nil).text(1, k)
		switch v := n.attrs[k].(type) {
		case int:
			a = a.number(3, int64(v)).number(20, 2)
		case int64:
			a = a.number(3, v).number(20, 2)
		case float32:
			a = a.float(2, v).number(20, 1)
		case float64:
			a = a.float(2, float32(v)).number(20, 1)
		case string:
			a = a.blob(4, []byte(v)).number(20, 3)
		case []int64:
			for _, x := range v {
				a = a.number(8, x)
			}
			a = a.number(20, 7)
		case []float32:
			for _, x := range v {
				a = a.float(7, x)
			}
			a = a.number(20, 6)
		default:
			return nil, fmt.Errorf("attribute %s of %s is a %T", k, n.output, v)
		}
		m = m.blob(5, a)
	}
	return m, nil
}

func (c constant) encode() message {
	var m message
	for _, d := range c.dims {
		m = m.number(1, d)
	}
	return m.number(2, int64(c.typ)).text(8, c.name).blob(9, c.raw)
}

func (v Value) encode() message {
	var shape message
	for _, d := range v.Dims {
		if d.Size >= 0 {
			shape = shape.blob(1, message(nil).number(1, d.Size))
		} else {
			shape = shape.blob(1, message(nil).text(2, d.Name))
		}
	}
	tensor := message(nil).number(1, int64(v.Type)).blob(2, shape)
	return message(nil).text(1, v.Name).blob(2, message(nil).blob(1, tensor))
}

func floatBytes(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func intBytes(v []int64) []byte {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return b
}
