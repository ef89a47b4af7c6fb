package inference

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"varde/study"
)

// featuresMagic begins an object of features; numbers of tiles and of features
// follow, and then the features, tile by tile, all little-endian.
const featuresMagic = "VFEA\x01\x00\x00\x00"

const (
	featuresHead = len(featuresMagic) + 8
	// maxFeatures bounds an object of features: 4,096 numbers of 256 patches are
	// 4 MB.
	maxFeatures = 64 << 20
)

// FeaturesKey is where the features of a part lie: beside it.
func FeaturesKey(p study.Part) string { return strings.TrimSuffix(PartKey(p), ".json") + ".features" }

// encodeFeatures writes features: the same bytes for the same numbers.
func encodeFeatures(f study.Features) []byte {
	b := make([]byte, 0, featuresHead+4*len(f.Values))
	b = append(b, featuresMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Count))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Dim))
	for _, v := range f.Values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// decodeFeatures reads what encodeFeatures wrote, and checks that it is what the
// part names.
func decodeFeatures(b []byte, f study.Features) ([]float32, error) {
	bad := func(what string) error { return fmt.Errorf("features %s: %s: %w", f.Key, what, study.ErrInvalid) }
	switch {
	case study.Hash(sha256.Sum256(b)) != f.SHA256:
		return nil, bad("another hash than the part names")
	case len(b) < featuresHead || string(b[:len(featuresMagic)]) != featuresMagic:
		return nil, bad("no features")
	}
	count := int(binary.LittleEndian.Uint32(b[len(featuresMagic):]))
	dim := int(binary.LittleEndian.Uint32(b[len(featuresMagic)+4:]))
	body := b[featuresHead:]
	if count != f.Count || dim != f.Dim || dim <= 0 || len(body) != 4*count*dim {
		return nil, bad(fmt.Sprintf("%d bytes for %d of %d numbers", len(body), f.Count, f.Dim))
	}
	v := make([]float32, count*dim)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[4*i:]))
	}
	return v, nil
}

// putFeatures keeps the features of a part, and notes in it where they are.
func (w *Worker) putFeatures(ctx context.Context, p *study.Part) error {
	b := nameFeatures(p)
	if b == nil {
		return nil
	}
	return w.Objects.Put(ctx, p.Features.Key, bytes.NewReader(b), int64(len(b)))
}

// nameFeatures gives the features of a part as they are kept, and notes in it
// where they belong. A part without any gives nil.
func nameFeatures(p *study.Part) []byte {
	if p.Features == nil {
		return nil
	}
	b := encodeFeatures(*p.Features)
	p.Features.Key, p.Features.Bytes, p.Features.SHA256 = FeaturesKey(*p), int64(len(b)), sha256.Sum256(b)
	return b
}

// getFeatures reads the features of a part back into it.
func (w *Worker) getFeatures(ctx context.Context, p *study.Part) error {
	f := p.Features
	if f == nil {
		return nil
	}
	body, err := w.Objects.Range(ctx, f.Key, 0, -1)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxFeatures+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read features %s: %w", f.Key, err)
	}
	f.Values, err = decodeFeatures(b, *f)
	return err
}
