package inference

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"varde/study"
)

// masksMagic begins an object of masks. The length of a header follows and the
// header itself, the part's grids as JSON; then for each grid how many segments
// it has, and for each of these how many runs, and the runs: how far on in planes,
// rows and columns, and how long.
const masksMagic = "VMSK\x01\x00\x00\x00"

// maxMasks bounds an object of masks: a chest drawn organ by organ is a few
// megabytes.
const maxMasks = 256 << 20

// MasksKey is where the masks of a part lie: beside it.
func MasksKey(p study.Part) string { return strings.TrimSuffix(PartKey(p), ".json") + ".masks" }

// EncodeMasks writes masks: the same bytes for the same voxels.
func EncodeMasks(m study.Masks) ([]byte, error) {
	head, err := json.Marshal(m.Grids)
	if err != nil {
		return nil, fmt.Errorf("write masks: %w", err)
	}
	b := binary.LittleEndian.AppendUint32([]byte(masksMagic), uint32(len(head)))
	b = append(b, head...)
	for _, g := range m.Grids {
		b = binary.AppendUvarint(b, uint64(len(g.Runs)))
		for _, runs := range g.Runs {
			b = binary.AppendUvarint(b, uint64(len(runs)/4))
			var last [3]int32
			for i := 0; i+3 < len(runs); i += 4 {
				for k := range last {
					b = binary.AppendVarint(b, int64(runs[i+k]-last[k]))
					last[k] = runs[i+k]
				}
				b = binary.AppendUvarint(b, uint64(runs[i+3]-runs[i+2]))
			}
		}
	}
	return b, nil
}

// DecodeMasks reads what [EncodeMasks] wrote, and checks that every voxel lies
// within its grid.
func DecodeMasks(b []byte) ([]study.MaskGrid, error) {
	bad := func(what string) error { return fmt.Errorf("read masks: %s: %w", what, study.ErrInvalid) }
	if len(b) < len(masksMagic)+4 || string(b[:len(masksMagic)]) != masksMagic {
		return nil, bad("no masks")
	}
	n := int64(binary.LittleEndian.Uint32(b[len(masksMagic):]))
	b = b[len(masksMagic)+4:]
	var grids []study.MaskGrid
	if n > int64(len(b)) {
		return nil, bad("cut short")
	}
	if err := json.Unmarshal(b[:n], &grids); err != nil {
		return nil, bad("its header is no JSON")
	}
	r := bytes.NewReader(b[n:])
	for i := range grids {
		g := &grids[i]
		segments, err := binary.ReadUvarint(r)
		if err != nil || segments > 4096 {
			return nil, bad("segments")
		}
		g.Runs = make([][]int32, segments)
		for k := range g.Runs {
			if g.Runs[k], err = readRuns(r, *g); err != nil {
				return nil, err
			}
		}
	}
	if r.Len() > 0 {
		return nil, bad("longer than it says")
	}
	return grids, nil
}

// readRuns reads the runs of one segment.
func readRuns(r *bytes.Reader, g study.MaskGrid) ([]int32, error) {
	bad := fmt.Errorf("read masks: runs are none: %w", study.ErrInvalid)
	count, err := binary.ReadUvarint(r)
	if err != nil || count > uint64(r.Len()) { // a run has four bytes at least
		return nil, bad
	}
	var runs []int32
	var at [3]int64
	for range count {
		for k := range at {
			d, err := binary.ReadVarint(r)
			if err != nil || d > math.MaxInt32 || d < -math.MaxInt32 {
				return nil, bad
			}
			at[k] += d
		}
		long, err := binary.ReadUvarint(r)
		if err != nil || at[0] < int64(g.First) || at[0] >= int64(g.First)+int64(g.Planes) || at[1] < 0 || at[1] >= int64(g.Rows) ||
			at[2] < 0 || at[2] >= int64(g.Columns) || long >= uint64(int64(g.Columns)-at[2]) {
			return nil, bad
		}
		runs = append(runs, int32(at[0]), int32(at[1]), int32(at[2]), int32(at[2]+int64(long)))
	}
	return runs, nil
}

// nameMasks gives the masks of a part as they are kept, and notes in it where
// they belong. A part without any gives nil.
func nameMasks(p *study.Part) ([]byte, error) {
	if p.Masks == nil {
		return nil, nil
	}
	b, err := EncodeMasks(*p.Masks)
	if err != nil {
		return nil, err
	}
	p.Masks.Key, p.Masks.Bytes, p.Masks.SHA256 = MasksKey(*p), int64(len(b)), sha256.Sum256(b)
	return b, nil
}

// putMasks keeps the masks of a part, and notes in it where they are.
func (w *Worker) putMasks(ctx context.Context, p *study.Part) error {
	b, err := nameMasks(p)
	if b == nil || err != nil {
		return err
	}
	return w.Objects.Put(ctx, p.Masks.Key, bytes.NewReader(b), int64(len(b)))
}

// getMasks reads the masks of a part back into it, and checks that they are what
// the part names.
func (w *Worker) getMasks(ctx context.Context, p *study.Part) error {
	if p.Masks == nil {
		return nil
	}
	body, err := w.Objects.Range(ctx, p.Masks.Key, 0, -1)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxMasks+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read masks %s: %w", p.Masks.Key, err)
	}
	if study.Hash(sha256.Sum256(b)) != p.Masks.SHA256 {
		return fmt.Errorf("masks %s: another hash than the part names: %w", p.Masks.Key, study.ErrInvalid)
	}
	grids, err := DecodeMasks(b)
	if err != nil {
		return fmt.Errorf("masks %s: %w", p.Masks.Key, err)
	}
	p.Masks.Grids = grids
	return nil
}
