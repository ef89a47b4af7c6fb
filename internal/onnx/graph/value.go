package graph

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// valueKinds maps the fields of TypeProto's oneof to our words.
var valueKinds = map[protowire.Number]Kind{1: Tensor, 4: Sequence, 5: Map, 8: Sparse, 9: Optional}

// appendValue reads a ValueInfoProto.
func appendValue(to []Value, b []byte) ([]Value, error) {
	if len(to) >= maxValues {
		return nil, fmt.Errorf("more than %d inputs or outputs", maxValues)
	}
	v := Value{Kind: Unknown}
	err := each(b, func(f field) error {
		switch {
		case f.is(1, protowire.BytesType):
			v.Name = string(f.b)
		case f.is(2, protowire.BytesType):
			return each(f.b, v.typeProto)
		}
		return nil
	})
	return append(to, v), err
}

func (v *Value) typeProto(f field) error {
	kind, ok := valueKinds[f.num]
	if !ok || f.kind != protowire.BytesType {
		return nil
	}
	v.Kind = kind
	if kind != Tensor {
		return nil
	}
	return each(f.b, func(f field) error {
		switch {
		case f.is(1, protowire.VarintType):
			v.Type = Type(f.n)
		case f.is(2, protowire.BytesType):
			v.Ranked = true
			return each(f.b, v.dim)
		}
		return nil
	})
}

// dim reads one dimension of a TensorShapeProto.
func (v *Value) dim(f field) error {
	if !f.is(1, protowire.BytesType) {
		return nil
	}
	if len(v.Dims) >= maxRank {
		return fmt.Errorf("%s has more than %d dimensions", v.Name, maxRank)
	}
	d := Dim{Size: -1}
	err := each(f.b, func(f field) error {
		switch {
		case f.is(1, protowire.VarintType):
			if d.Size = int64(f.n); d.Size < 0 {
				d.Size = -1
			}
		case f.is(2, protowire.BytesType):
			d.Name = string(f.b)
		}
		return nil
	})
	v.Dims = append(v.Dims, d)
	return err
}
