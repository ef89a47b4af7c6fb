package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"varde/cmd/varde/settings"
	"varde/ingest"
	"varde/ingest/dicomweb"
	"varde/internal/dimse"
	"varde/internal/webui"
	"varde/models"
	"varde/oversight"
	"varde/store"
	"varde/study"
	"varde/worldlist"
)

// dicomwebBase is where STOW-RS, QIDO-RS and WADO-RS live.
const dicomwebBase = "/dicom-web"

// openSite puts the pages of the stages together.
func (h *house) openSite(ctx context.Context) (err error) {
	h.site, err = webui.New(webui.Options{Tokens: h.ledger, Sessions: h.ledger, Preferences: h.ledger, Log: h.log, Version: settings.Version, Demo: h.demo, Notices: oversight.Notices(h.ledger, nil)},
		h.parts()...)
	if err != nil {
		return err
	}
	if h.veil, err = h.newVeil(); err != nil {
		return err
	}
	where := ""
	if h.dicom != nil {
		where = h.AET + " at " + h.dicom.Addr().String()
	}
	worldlist.Simulator{History: h.ledger}.Add(h.site)
	worldlist.Pages{Outlook: h.outlook, Cases: h.ledger, Readings: h.ledger, Instances: h.ledger, Counter: h.ledger,
		Desk: h.ledger, Judged: h.ledger, Screenings: h.screenings(), Lab: h.ledger, Record: h.ledger, Veil: h.veil, Idle: h.ClaimIdle, Build: settings.Version,
		Frames: worldlist.Decoder{Objects: h.objects, Index: h.ledger.Frames}, Headers: worldlist.Decoder{Objects: h.objects, Index: h.ledger.Frames},
		Segments: h.segments, PACS: h.PACSLink,
		Slides: h.slides(), Objects: h.objects, Heats: heats{h}, About: h.about, Print: h.print, Hint: where}.Add(h.site)
	oversight.Pages{Switch: h.registry, Council: models.Council{Registry: h.registry, Proposals: h.ledger}, Exams: h.ledger, History: h.ledger, Counter: h.ledger, Disputes: h.ledger, Holds: h.ledger, Told: h.ledger, Crew: h.ledger,
		Line: h.ledger, Valve: h.ledger, Mender: h.ledger, Post: h.ledger,
		Watcher: h.ledger, Trail: h.ledger, Class: worldlist.ClassWord, Sees: h.sees}.Add(h.site)
	h.site.Open("GET /healthz", http.HandlerFunc(alive))
	h.site.Handle("GET /readyz", webui.SignedIn, http.HandlerFunc(h.ready))
	h.watchWork(ctx)
	h.site.Handle("GET /metrics", webui.SeeMetrics, h.metrics.Handler())
	h.site.Handle("GET /internal/scale", webui.SeeMetrics, http.HandlerFunc(h.scale))
	return nil
}

// routes adds DICOMweb, which needs the receiver, and gives the whole.
func (h *house) routes(receiver *ingest.Receiver, traffic *ingest.Traffic) http.Handler {
	s := &dicomweb.Service{Receiver: h.countedWeb(receiver), Finder: h.ledger, Catalog: h.ledger, Objects: h.objects,
		Mask: h.mask, Base: dicomwebBase, Ended: traffic.StudiesEnded, Charset: h.Charset, Log: h.log}
	handler := http.StripPrefix(dicomwebBase, s.Handler())
	h.site.Handle("GET "+dicomwebBase+"/", webui.SeeStudies, handler)
	h.addExports()
	h.addFHIR()
	h.addUPS()
	if h.Has("ingest") {
		h.site.Handle("POST "+dicomwebBase+"/", webui.SendStudies, handler)
		h.addUpload(receiver, traffic)
	}
	return h.site
}

// segments tells what a model draws, out of its card.
func (h *house) segments(ref study.ModelRef) (all []study.Code) {
	c, err := h.registry.Card(ref)
	if err != nil {
		return nil
	}
	for _, s := range c.Segment {
		what := s.What
		if what.Meaning == "" {
			what.Meaning = s.Name
		}
		all = append(all, what)
	}
	return all
}

// about tells a reader of a model, out of its card.
func (h *house) about(ref study.ModelRef) (worldlist.About, bool) {
	c, err := h.registry.Card(ref)
	if err != nil {
		return worldlist.About{}, false
	}
	return worldlist.About{Regulatory: c.Regulatory, Use: c.Use.Text, NotFor: c.Use.NotFor, Measures: c.Use.Measures,
		Limits: c.Use.Limits, Withheld: h.registry.Allowed(ref) != nil}, true
}

func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// A dependency is one line of /readyz.
type dependency struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// ready asks each thing that this process stands on. It answers 503 when one of
// them is away.
func (h *house) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	all, code := h.dependencies(ctx), http.StatusOK
	for _, d := range all {
		if !d.OK {
			code = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": code == http.StatusOK, "version": settings.Version, "dependencies": all})
}

func (h *house) dependencies(ctx context.Context) []dependency {
	line := func(name, detail string, err error) dependency {
		if err != nil {
			return dependency{name, false, err.Error()}
		}
		return dependency{name, true, detail}
	}
	_, err := h.ledger.Counts(ctx)
	all := []dependency{line("ledger", store.HideSecret(h.LedgerPath()), err)}
	all = append(all, line("objects", h.objects.String(), h.probeObjects(ctx)))
	all = append(all, line("queue", queueName(h.Queue), h.conveyor.Ping(ctx)))
	entries, err := h.registry.Cards(ctx)
	all = append(all, line("models", fmt.Sprintf("%d, of them live %d", len(entries), live(entries)), err))
	if h.hl7 != nil {
		all = append(all, line("hl7", h.hl7.Addr().String(), nil))
	}
	if h.runtime != nil {
		i := h.runtime.Info()
		all = append(all, line("onnxruntime", i.Version+" "+i.Route, nil))
	}
	return all
}

// queueName tells the embedded queue from one elsewhere, without its password.
func queueName(url string) string {
	if url == "" {
		return "embedded"
	}
	return "redis"
}

// probeObjects asks whether senders would be taken in.
func (h *house) probeObjects(ctx context.Context) error {
	for _, err := range h.objects.List(ctx, "probe/") {
		if err != nil {
			return err
		}
		break
	}
	if free, ok := h.objects.Free(ctx); ok && free < h.MinFree {
		return fmt.Errorf("%d bytes free, fewer than %d: senders are refused; make room or lower --min-free: %w", free, h.MinFree, study.ErrBusy)
	}
	return nil
}

func live(entries []models.Entry) (n int) {
	for _, e := range entries {
		if e.State == study.ModelLive {
			n++
		}
	}
	return n
}

// counted counts what comes in over DIMSE.
func (h *house) counted(next *ingest.Receiver) dimse.Handler { return countingStore{h, next} }

// countedWeb counts what comes in as files.
func (h *house) countedWeb(next *ingest.Receiver) dicomweb.Receiver { return countingReceiver{h, next} }

// A countingStore is a receiver with a counter at the DIMSE door.
type countingStore struct {
	h    *house
	next *ingest.Receiver
}

// Store counts by the status that the sender hears.
func (c countingStore) Store(ctx context.Context, r dimse.StoreRequest) dimse.Status {
	read := &tape{Reader: r.Data}
	r.Data = read
	s := c.next.Store(ctx, r)
	outcome := "stored"
	if !s.OK() {
		outcome, read.n = "refused", 0
	}
	c.h.metrics.Received("dimse", outcome, read.n)
	return s
}

// A countingReceiver is a receiver with a counter at the doors of files: STOW-RS,
// the upload page and the watched folder.
type countingReceiver struct {
	h    *house
	next *ingest.Receiver
}

// Receive counts by the outcome.
func (c countingReceiver) Receive(ctx context.Context, src ingest.Source, o ingest.Object) (ingest.Kept, error) {
	k, err := c.next.Receive(ctx, src, o)
	outcome := string(k.Outcome)
	if err != nil {
		outcome, o.Size = "refused", 0
	}
	c.h.metrics.Received(src.Kind, outcome, o.Size)
	return k, err
}
