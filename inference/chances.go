package inference

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strings"

	"varde/internal/mask"
	"varde/study"
)

// ChancesKey is where the probabilities of a part's voxels lie: beside it.
func ChancesKey(p study.Part) string { return strings.TrimSuffix(PartKey(p), ".json") + ".chances" }

// nameChances gives the probabilities of a part as they are kept, and notes in it
// where they belong. A part without any gives nil.
func nameChances(p *study.Part) ([]byte, error) {
	if p.Chances == nil || len(p.Chances.Grids) == 0 {
		return nil, nil
	}
	b, err := mask.EncodeChances(*p.Chances)
	if err != nil {
		return nil, err
	}
	p.Chances.Key, p.Chances.Bytes, p.Chances.SHA256 = ChancesKey(*p), int64(len(b)), sha256.Sum256(b)
	return b, nil
}

// putChances keeps the probabilities of a part, and notes in it where they are. No
// finding is drawn from them: whoever writes a map of them reads them.
func (w *Worker) putChances(ctx context.Context, p *study.Part) error {
	b, err := nameChances(p)
	if b == nil || err != nil {
		return err
	}
	return w.Objects.Put(ctx, p.Chances.Key, bytes.NewReader(b), int64(len(b)))
}
