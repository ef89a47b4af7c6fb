package house

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"varde/internal/dimse"
	"varde/internal/metrics"
	"varde/study"
)

// poolNames is what a pool may be called.
var poolNames = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// scale answers GET /internal/scale?pool=cpu: how much work there is for one pool
// of workers, for whoever starts and stops them.
func (h *House) scale(w http.ResponseWriter, r *http.Request) {
	pool := r.URL.Query().Get("pool")
	if pool == "" {
		pool = study.PoolCPU
	}
	if !poolNames.MatchString(pool) {
		h.Site.Fail(w, r, fmt.Errorf("pool %q: %w", pool, study.ErrInvalid))
		return
	}
	q, err := h.Ledger.Queue(r.Context())
	if err != nil {
		h.Site.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(metrics.ScaleOf(q, pool, time.Now()))
}

// watchWork has the metrics ask for what they can't count: the queue, the models,
// the disk.
func (h *House) watchWork(ctx context.Context) {
	h.metrics.WatchLine(h.Ledger)
	h.metrics.WatchModels(func(ctx context.Context) (map[string]study.ModelState, error) {
		entries, err := h.Registry.Cards(ctx)
		states := map[string]study.ModelState{}
		for _, e := range entries {
			states[e.Card.Ref().String()] = e.State
		}
		return states, err
	})
	h.metrics.WatchNumber("varde_runners", "Networks that this process runs at once. What varde_network_run_seconds_total grows by in a second, divided by this, is how busy they are.",
		func() float64 {
			if h.Runtime == nil {
				return 0
			}
			return float64(h.Runners())
		})
	if _, ok := h.Objects.Free(ctx); ok {
		h.metrics.WatchNumber("varde_disk_free_bytes", "Bytes free where objects are kept. Below min_free senders are refused.", func() float64 {
			free, _ := h.Objects.Free(context.Background())
			return float64(free)
		})
		h.metrics.WatchNumber("varde_disk_min_free_bytes", "Bytes that must stay free.", func() float64 { return float64(h.MinFree) })
	}
}

// watchAssociations has the metrics tell how many DICOM associations are open.
func (h *House) watchAssociations(total *dimse.Total) {
	h.metrics.WatchNumber("varde_dicom_associations", "DICOM associations that are open.", func() float64 { return float64(total.Open()) })
	h.metrics.WatchNumber("varde_dicom_associations_limit", "DICOM associations that may be open at once.", func() float64 { return float64(h.Associations) })
}

// A tape counts what is read through it.
type tape struct {
	io.Reader
	n int64
}

// Read counts.
func (t *tape) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.n += int64(n)
	return n, err
}
