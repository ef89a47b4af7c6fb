package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"varde/cmd/varde/settings"
	"varde/internal/hl7"
	"varde/internal/metrics"
	"varde/internal/onnx"
	"varde/internal/webui"
	"varde/models"
	"varde/queue"
	"varde/store"
	"varde/store/objects"
	"varde/study"
	"varde/worldlist"
	"varde/worldlist/pathway"
)

// A house is one Varde that runs: what the stages stand on, and the doors.
type house struct {
	settings.Settings
	log      *slog.Logger
	objects  objects.Store
	ledger   *store.Ledger
	registry *models.Registry
	runtime  *onnx.Runtime // nil unless this process scores
	engine   *engine       // likewise
	conveyor *queue.Conveyor
	metrics  *metrics.Metrics
	speeds   queue.Speeds // of the models that we score with
	site     *webui.Site
	dicom    net.Listener // nil unless this process takes studies in, in the clear
	tls      net.Listener // nil unless it does so over TLS
	web      net.Listener
	hl7      net.Listener // nil unless other systems' messages are taken
	hospital *hl7.Server  // who takes them
	token    string       // the first administrator's
	pathways *pathway.Tables
	outlook  *worldlist.Outlook
	veil     *worldlist.Veil    // what of the AI each reader may see
	rules    func() study.Rules // the strictest that any model is read by
	placed   bool               // what another rule or other tables placed is placed anew
	door     slideDoor
	demo     bool
	close    []func() error
}

// openHouse opens everything that this process needs before it says that it is
// ready. What can't be had is an error with its remedy, and nothing stays open.
func openHouse(ctx context.Context, s settings.Settings, log *slog.Logger, demo bool) (*house, error) {
	h := &house{Settings: s, log: log, demo: demo}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *house) open(ctx context.Context) error {
	if err := os.MkdirAll(h.Dir, 0o750); err != nil {
		return fmt.Errorf("make the data folder; choose another with --dir: %w", err)
	}
	for _, open := range []func(context.Context) error{h.openDoors, h.openStore, h.openModels, h.openQueue, h.openSite} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	debug.FreeOSMemory() // what only the start needed
	handBackProgram()
	return nil
}

// Close gives everything back, in reverse order.
func (h *house) Close() error {
	var errs []error
	for i := len(h.close) - 1; i >= 0; i-- {
		errs = append(errs, h.close[i]())
	}
	h.close = nil
	return errors.Join(errs...)
}

// closing remembers what to give back.
func (h *house) closing(f func() error) { h.close = append(h.close, f) }

// openDoors binds the ports first: a port in use must end the start before
// anything is touched.
func (h *house) openDoors(context.Context) (err error) {
	if h.Has("ingest") && h.DICOMAddr != "" {
		if h.dicom, err = h.listen("DICOM", h.DICOMAddr, "--dicom-addr"); err != nil {
			return err
		}
	}
	if h.Has("ingest") && h.TLSAddr != "" {
		if h.tls, err = h.listenTLS(); err != nil {
			return err
		}
	}
	if h.web, err = h.listen("HTTP", h.HTTPAddr, "--http-addr"); err != nil {
		return err
	}
	return h.openHL7()
}

func (h *house) listen(what, addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s; free the port or choose another with %s: %w", what, flag, err)
	}
	h.closing(func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// openStore opens the objects and the ledger.
func (h *house) openStore(ctx context.Context) error {
	where := h.Store
	if where == "" {
		where = h.Folder("objects")
	}
	var err error
	h.objects, err = objects.Open(ctx, where, objects.Credentials{AccessKey: h.S3AccessKey, SecretKey: h.S3SecretKey})
	if err != nil {
		return fmt.Errorf("open the object store; see --store: %w", err)
	}
	h.closing(h.objects.Close)
	options, tables, err := ledgerOptions(h.Settings)
	if err != nil {
		return err
	}
	h.pathways = tables
	h.ledger, err = store.OpenLedger(ctx, h.LedgerPath(), options)
	if errors.Is(err, study.ErrBusy) {
		return fmt.Errorf("one process serves a data folder; stop it, or choose another with --dir: %w", err)
	}
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	h.closing(h.ledger.Close)
	if h.token, err = firstToken(ctx, h.Settings, h.ledger); err != nil {
		return err
	}
	h.metrics = metrics.New(h.ledger)
	h.outlook = worldlist.NewOutlook(h.ledger, nil, nil)
	return nil
}

// openModels opens the registry, keeps the reference models in it and, where
// this process scores, loads ONNX Runtime.
func (h *house) openModels(ctx context.Context) error {
	var err error
	if h.registry, err = models.Open(h.Folder("models"), h.ledger); err != nil {
		return err
	}
	if h.Shared() {
		if err := h.registry.Share(ctx, h.objects); err != nil {
			return err
		}
	}
	if err := h.registry.Faults(); err != nil {
		h.log.WarnContext(ctx, "models left out", "err", err)
	}
	if h.ReferenceModels {
		if err := h.registry.AddReference(ctx, "varde"); err != nil {
			return err
		}
	}
	if !h.Has("score") {
		return nil
	}
	if h.runtime, err = onnx.Open(onnx.Options{Library: h.ONNXLibrary}); err != nil {
		return err
	}
	i := h.runtime.Info()
	h.log.InfoContext(ctx, "ONNX Runtime loaded", "version", i.Version, "route", i.Route, "sha256", i.SHA256.Short())
	h.metrics.BuildInfo(settings.Version, i.Version, i.SHA256.Short(), h.Runners())
	h.engine, err = newEngine(ctx, h.Settings, h.runtime, h.registry, h.log, h.lostDevice)
	if err == nil {
		h.engine.prover.Quiet = func(ctx context.Context) error { return h.speeds.Quiet(ctx, quietFor) }
		h.closing(h.engine.fleet.Close)
	}
	return err
}

// describe logs the settings that are in force, once. Secrets are not among
// those that have a key.
func (h *house) describe(ctx context.Context) {
	roles := strings.Join(h.Roles, ",")
	dicom, secure := "", ""
	if h.dicom != nil {
		dicom = h.dicom.Addr().String()
	}
	if h.tls != nil {
		secure = h.tls.Addr().String()
	}
	h.log.InfoContext(ctx, "varde ready", "version", settings.Version, "dicom", dicom, "dicom_tls", secure, "aet", h.AET, "http", h.web.Addr().String(),
		"roles", roles, "objects", h.objects.String(), "ledger", store.HideSecret(h.LedgerPath()), "workers", h.Runners(), "lang", h.Lang,
		"destinations", len(h.Destinations))
}

// listenTLS opens the secure door after the profile, with certificates on both
// sides where it is said who may sign them.
func (h *house) listenTLS() (net.Listener, error) {
	config, err := h.ServerTLS()
	if err != nil {
		return nil, err
	}
	l, err := h.listen("DICOM over TLS", h.TLSAddr, "--tls-addr")
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, config), nil
}
