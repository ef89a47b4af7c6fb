package inference

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"varde/internal/mask"
	"varde/study"
)

// maxMasks bounds an object of masks: a chest drawn organ by organ is a few
// megabytes.
const maxMasks = 256 << 20

// MasksKey is where the masks of a part lie: beside it.
func MasksKey(p study.Part) string { return strings.TrimSuffix(PartKey(p), ".json") + ".masks" }

// nameMasks gives the masks of a part as they are kept, and notes in it where
// they belong. A part without any gives nil.
func nameMasks(p *study.Part) ([]byte, error) {
	if p.Masks == nil {
		return nil, nil
	}
	b, err := mask.Encode(*p.Masks)
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
	grids, err := mask.Decode(b)
	if err != nil {
		return fmt.Errorf("masks %s: %w", p.Masks.Key, err)
	}
	p.Masks.Grids = grids
	return nil
}
