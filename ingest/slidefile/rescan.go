package slidefile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"varde/ingest"
	"varde/internal/slide/format"
	"varde/study"
)

// Files finds the slide files that are kept already. It may be used by many
// goroutines at once; Archive must be set.
type Files struct {
	Archive Archive

	mu   sync.Mutex            // held while a file is hashed: each is read once
	sums map[string]study.Hash // by key; guarded by mu
}

// Of finds the slide file whose level an object stands for, and says where its
// frames lie, as [Keeper.Keep] said when the file came. It gives nil for an object
// that stands for none, and [study.ErrInvalid] when the file's bytes have changed.
func (f *Files) Of(ctx context.Context, in study.Instance) (*ingest.Elsewhere, error) {
	if in.Image == nil || in.Image.Slide == nil {
		return nil, nil
	}
	for key, err := range f.Archive.List(ctx, fmt.Sprintf("slides/%s/", in.Series)) {
		if err != nil {
			return nil, fmt.Errorf("look for the file of slide %s: %w", in.Series, err)
		}
		source, ending, _ := strings.Cut(path.Base(key), ".")
		sum, err := study.ParseHash(source)
		if err != nil {
			continue // a picture of the slide
		}
		e, err := f.level(ctx, in, key, sum, strings.HasPrefix(ending, "retiled"))
		if e != nil || err != nil {
			return e, err
		}
	}
	return nil, nil
}

// level gives the level of one file that an object stands for, or nil.
func (f *Files) level(ctx context.Context, in study.Instance, key string, source study.Hash, retiled bool) (*ingest.Elsewhere, error) {
	size, err := f.Archive.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	s, err := format.Open(ctx, format.File{Objects: f.Archive, Key: key, Size: size})
	if errors.Is(err, study.ErrUnsupported) || errors.Is(err, study.ErrInvalid) {
		return nil, nil // its tiles lie in another file, or it is none of ours
	}
	if err != nil {
		return nil, err
	}
	sum, err := f.hash(ctx, key)
	if err != nil {
		return nil, err
	}
	if !retiled && sum != source {
		return nil, fmt.Errorf("slide file %s has changed: %w", key, study.ErrInvalid)
	}
	file := kept{key: key, bytes: size, sha256: sum, source: source}
	for n := range s.Levels {
		l := level{slide: s, file: file, study: in.Study, series: in.Series, n: n}
		if l.instance() != in.UID {
			continue
		}
		if err := l.check(); err != nil {
			return nil, err
		}
		origin := *s.Levels[n].Image.Origin
		origin.Key, origin.Bytes, origin.SHA256 = file.key, file.bytes, file.sha256
		return &ingest.Elsewhere{Origin: origin, Frames: s.Levels[n].Frames, Trouble: l.trouble()}, nil
	}
	return nil, nil
}

// hash reads a file, once.
func (f *Files) hash(ctx context.Context, key string) (study.Hash, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sum, ok := f.sums[key]; ok {
		return sum, nil
	}
	body, err := f.Archive.Range(ctx, key, 0, -1)
	if err != nil {
		return study.Hash{}, err
	}
	h := sha256.New()
	_, err = io.Copy(h, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return study.Hash{}, fmt.Errorf("read slide file %s: %w", key, err)
	}
	if f.sums == nil {
		f.sums = map[string]study.Hash{}
	}
	f.sums[key] = study.Hash(h.Sum(nil))
	return f.sums[key], nil
}
