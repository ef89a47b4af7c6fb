package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/report/identity"
	"varde/report/marks"
	"varde/study"
)

// basic gives the kind without the number of a second object of it.
func basic(kind string) string {
	kind, _, _ = strings.Cut(kind, "-")
	return kind
}

// numbered names the n-th object of a kind, from 0.
func numbered(kind string, n int) string {
	if n == 0 {
		return kind
	}
	return fmt.Sprintf("%s-%d", kind, n+1)
}

// marks writes the rings and key images that are wanted, and keeps them. What
// can't be made is left out, and the report goes its way.
func (w *Writer) marks(ctx context.Context, s study.Study, instances []study.Instance, r study.Result) ([]study.Report, error) {
	if len(w.Marks) == 0 || !answered(r) {
		return nil, nil
	}
	id := identity.Identity{Study: s, Device: w.Device.Filled(), At: r.At.In(cmp.Or(w.Location, time.Local))}
	var kept []study.Report
	for _, kind := range []string{KindRings, KindKeys} {
		if !slices.Contains(w.Marks, kind) {
			continue
		}
		work := marks.Work{Result: r, Instances: instances, Identity: id, Lang: w.Lang,
			Name: func(n int) (object, series study.UID) { return names(r, numbered(kind, n), "") }}
		var objects [][]byte
		var err error
		if kind == KindRings {
			objects, err = work.Presentations()
		} else if b, fault := work.Keys(); b != nil || fault != nil {
			objects, err = [][]byte{b}, fault
		}
		if err != nil {
			logger(w.Log).WarnContext(ctx, "object not written", "study", r.Study, "model", r.Model.String(), "kind", kind, "err", err)
			continue
		}
		for n, b := range objects {
			o, err := w.keep(ctx, r, numbered(kind, n), "", b)
			if err != nil {
				return nil, err
			}
			kept = append(kept, o)
		}
	}
	return kept, nil
}
