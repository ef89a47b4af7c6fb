package house

import (
	"cmp"
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
	"varde/worldlist/foreign"
	"varde/worldlist/order"
	"varde/worldlist/rehearsal"
	"varde/worldlist/viewer"
)

// DICOMwebBase is where STOW-RS, QIDO-RS and WADO-RS live.
const DICOMwebBase = "/dicom-web"

// openSite puts the pages of the stages together.
func (h *House) openSite(ctx context.Context) (err error) {
	h.Site, err = webui.New(webui.Options{Tokens: h.Ledger, Sessions: h.Ledger, Preferences: h.Ledger, Log: h.log, Version: settings.Version, Demo: h.demo, Notices: oversight.Notices(h.Ledger, nil)},
		h.parts()...)
	if err != nil {
		return err
	}
	if h.veil, err = h.newVeil(); err != nil {
		return err
	}
	h.others = foreign.Room{Veil: h.veil, Instances: h.Ledger, Library: &foreign.Library{Objects: h.Objects, Index: h.Ledger.Frames}}
	where := ""
	if h.DICOM != nil {
		where = h.AET + " at " + h.DICOM.Addr().String()
	}
	rehearsal.Page{History: h.Ledger}.Add(h.Site)
	worldlist.Pages{Outlook: h.outlook, Readings: h.Ledger, Instances: h.Ledger, Counter: h.Ledger, Moves: h.Ledger,
		Desk: h.Ledger, Staff: h.Ledger, Judged: h.Ledger, Screenings: h.screenings(), Lab: h.Ledger, Record: h.Ledger, Veil: h.veil, Idle: h.ClaimIdle, Build: settings.Version,
		Frames: viewer.Decoder{Objects: h.Objects, Index: h.Ledger.Frames}, Headers: viewer.Decoder{Objects: h.Objects, Index: h.Ledger.Frames},
		Others: h.others.Library, Segments: h.segments, PACS: h.PACSLink,
		Slides: h.slides(), Objects: h.Objects, Heats: heats{h}, About: h.about, Print: h.print, Hint: where}.Add(h.Site)
	oversight.Pages{Switch: h.Registry, Council: models.Council{Registry: h.Registry, Proposals: h.Ledger}, Exams: h.Ledger, History: h.Ledger, Counter: h.Ledger, Disputes: h.Ledger, Holds: h.Ledger, Told: h.Ledger, Crew: h.Ledger,
		Line: h.Ledger, Valve: h.Ledger, Mender: h.Ledger, Post: h.Ledger,
		Watcher: h.Ledger, Trail: h.Ledger, Class: order.ClassWord, Sees: h.sees}.Add(h.Site)
	h.Site.Open("GET /healthz", http.HandlerFunc(alive))
	h.Site.Handle("GET /readyz", webui.SignedIn, http.HandlerFunc(h.ready))
	h.watchWork(ctx)
	h.Site.Handle("GET /metrics", webui.SeeMetrics, h.metrics.Handler())
	h.Site.Handle("GET /internal/scale", webui.SeeMetrics, http.HandlerFunc(h.scale))
	return nil
}

// routes adds DICOMweb, which needs the receiver, and gives the whole.
func (h *House) routes(receiver *ingest.Receiver, traffic *ingest.Traffic) http.Handler {
	s := &dicomweb.Service{Receiver: h.countedWeb(receiver), Finder: h.Ledger, Catalog: h.Ledger, Objects: h.Objects,
		Mask: h.mask, Base: DICOMwebBase, Ended: traffic.StudiesEnded, Charset: h.Charset, Log: h.log}
	handler := http.StripPrefix(DICOMwebBase, s.Handler())
	h.Site.Handle("GET "+DICOMwebBase+"/", webui.SeeStudies, handler)
	h.addExports()
	h.addFHIR()
	h.addUPS()
	if h.Has("ingest") {
		h.Site.Handle("POST "+DICOMwebBase+"/", webui.SendStudies, handler)
		h.addUpload(receiver, traffic)
	}
	return h.Site
}

// segments names what a model draws, out of its card.
func (h *House) segments(l webui.Lang, ref study.ModelRef) (all []string) {
	c, err := h.Registry.Card(ref)
	if err != nil {
		return nil
	}
	for _, s := range c.Segment {
		all = append(all, cmp.Or(l.With(c.Terms()).Title(s.What), s.Name))
	}
	return all
}

// about tells a reader of a model, out of its card.
func (h *House) about(l webui.Lang, ref study.ModelRef) (worldlist.About, bool) {
	c, err := h.Registry.Card(ref)
	if err != nil {
		return worldlist.About{}, false
	}
	c = c.In(string(l))
	return worldlist.About{Regulatory: c.Regulatory, Use: c.Use.Text, NotFor: c.Use.NotFor, Measures: c.Use.Measures,
		Limits: c.Use.Limits, Withheld: h.Registry.Allowed(ref) != nil}, true
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
func (h *House) ready(w http.ResponseWriter, r *http.Request) {
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

func (h *House) dependencies(ctx context.Context) []dependency {
	line := func(name, detail string, err error) dependency {
		if err != nil {
			return dependency{name, false, err.Error()}
		}
		return dependency{name, true, detail}
	}
	_, err := h.Ledger.Counts(ctx)
	all := []dependency{line("ledger", store.HideSecret(h.LedgerPath()), err)}
	all = append(all, line("objects", h.Objects.String(), h.probeObjects(ctx)))
	all = append(all, line("queue", queueName(h.Queue), h.conveyor.Ping(ctx)))
	entries, err := h.Registry.Cards(ctx)
	all = append(all, line("models", fmt.Sprintf("%d, of them live %d", len(entries), CountLive(entries)), err))
	if h.HL7 != nil {
		all = append(all, line("hl7", h.HL7.Addr().String(), nil))
	}
	if h.Runtime != nil {
		i := h.Runtime.Info()
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
func (h *House) probeObjects(ctx context.Context) error {
	for _, err := range h.Objects.List(ctx, "probe/") {
		if err != nil {
			return err
		}
		break
	}
	if free, ok := h.Objects.Free(ctx); ok && free < h.MinFree {
		return fmt.Errorf("%d bytes free, fewer than %d: senders are refused; make room or lower --min-free: %w", free, h.MinFree, study.ErrBusy)
	}
	return nil
}

// CountLive counts the models whose results readers see.
func CountLive(entries []models.Entry) (n int) {
	for _, e := range entries {
		if e.State == study.ModelLive {
			n++
		}
	}
	return n
}

// counted counts what comes in over DIMSE.
func (h *House) counted(next *ingest.Receiver) dimse.Handler { return countingStore{h, next} }

// countedWeb counts what comes in as files.
func (h *House) countedWeb(next *ingest.Receiver) dicomweb.Receiver { return countingReceiver{h, next} }

// A countingStore is a receiver with a counter at the DIMSE door.
type countingStore struct {
	h    *House
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
	h    *House
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
