// Package house puts the stages together into one Varde that runs. [Open] makes ledger,
// objects, models, queue and pages out of the settings, [House.Run] receives, scores,
// reports and delivers until it is asked to stop, and [House.Close] gives everything
// back. What this process does not do, by its roles, is not opened. A [Desk] is the
// same data folder for who only looks at it or changes something in it, beside a
// service or without one.
//
// house.go opens, and await.go waits where what is opened is away; run.go starts; engine.go is who scores, web.go who shows, peers.go
// and hospital.go who hears, deliver.go who sends, and each other file ties one stage's
// wish to another's answer. Nothing is decided here.
package house

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
	"varde/worldlist/foreign"
	"varde/worldlist/order"
	"varde/worldlist/pathway"
	"varde/worldlist/veil"
)

// A House is one Varde that runs: what the stages stand on, and the doors.
type House struct {
	settings.Settings
	Objects  objects.Store
	Ledger   *store.Ledger // which shadows the setting of that name
	Registry *models.Registry
	// Installation is who this house is among all others.
	Installation study.Installation
	Runtime      *onnx.Runtime // nil unless this process scores
	Site         *webui.Site
	DICOM        net.Listener // nil unless this process takes studies in, in the clear
	TLS          net.Listener // nil unless it does so over TLS
	Web          net.Listener
	HL7          net.Listener // nil unless other systems' messages are taken
	Token        string       // the first administrator's

	log      *slog.Logger
	engine   *engine // nil unless this process scores
	conveyor *queue.Conveyor
	metrics  *metrics.Metrics
	speeds   queue.Speeds // of the models that we score with
	hospital *hl7.Server  // who takes other systems' messages
	pathways *pathway.Tables
	outlook  *order.Outlook
	veil     *veil.Veil         // what of the AI each reader may see
	others   foreign.Room       // what other makers found
	rules    func() study.Rules // the strictest that any model is read by
	placed   bool               // what another rule or other tables placed is placed anew
	door     slideDoor
	demo     bool
	doors    []net.Listener // all that were opened, without TLS
	close    []func() error
}

// Open opens everything that this process needs before it says that it is
// ready, and binds its ports. What can't be had is an error with its remedy, and nothing
// stays open. The pages of a demo say that they are one.
func Open(ctx context.Context, s settings.Settings, log *slog.Logger, demo bool) (*House, error) {
	h := &House{Settings: s, log: log, demo: demo}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *House) open(ctx context.Context) error {
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
func (h *House) Close() error {
	var errs []error
	for i := len(h.close) - 1; i >= 0; i-- {
		errs = append(errs, h.close[i]())
	}
	h.close = nil
	return errors.Join(errs...)
}

// closing remembers what to give back.
func (h *House) closing(f func() error) { h.close = append(h.close, f) }

// openDoors binds the ports first: a port in use must end the start before
// anything is touched.
func (h *House) openDoors(context.Context) (err error) {
	if h.Has("ingest") && h.DICOMAddr != "" {
		if h.DICOM, err = h.listen("DICOM", h.DICOMAddr, "--dicom-addr"); err != nil {
			return err
		}
	}
	if h.Has("ingest") && h.TLSAddr != "" {
		if h.TLS, err = h.listenTLS(); err != nil {
			return err
		}
	}
	if h.Web, err = h.listen("HTTP", h.HTTPAddr, "--http-addr"); err != nil {
		return err
	}
	return h.openHL7()
}

func (h *House) listen(what, addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s; free the port or choose another with %s: %w", what, flag, err)
	}
	h.doors = append(h.doors, l)
	h.closing(func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// openStore opens the objects and the ledger.
func (h *House) openStore(ctx context.Context) error {
	where := h.Store
	if where == "" {
		where = h.Folder("objects")
	}
	open := func(ctx context.Context) (err error) {
		if h.Objects, err = objects.Open(ctx, where, objects.Credentials{AccessKey: h.S3AccessKey, SecretKey: h.S3SecretKey}); err != nil {
			return err
		}
		if h.Installation, err = store.Installation(ctx, h.Objects); err != nil {
			return errors.Join(err, h.Objects.Close())
		}
		return nil
	}
	if err := h.await(ctx, service{"objects", "start the object store, or correct the address of --store", strings.HasPrefix(where, "s3://"), open}); err != nil {
		return fmt.Errorf("open the object store; see --store: %w", err)
	}
	h.closing(h.Objects.Close)
	options, tables, err := ledgerOptions(h.Settings)
	if err != nil {
		return err
	}
	h.pathways = tables
	elsewhere := store.IsPostgres(h.LedgerPath())
	open = func(ctx context.Context) (err error) {
		h.Ledger, err = store.OpenLedger(ctx, h.LedgerPath(), options)
		return err
	}
	err = h.await(ctx, service{"ledger", "start the database, or correct the address of --ledger", elsewhere, open})
	if errors.Is(err, study.ErrBusy) && !elsewhere {
		return fmt.Errorf("one process serves a data folder; stop it, or choose another with --dir: %w", err)
	}
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	h.closing(h.Ledger.Close)
	if h.Token, err = firstToken(ctx, h.Settings, h.Ledger); err != nil {
		return err
	}
	h.metrics = metrics.New(h.Ledger)
	h.outlook = order.NewOutlook(h.Ledger, nil, nil)
	return nil
}

// openModels opens the registry, keeps the reference models in it and, where
// this process scores, loads ONNX Runtime.
func (h *House) openModels(ctx context.Context) error {
	var err error
	if h.Registry, err = models.Open(h.Folder("models"), h.Ledger); err != nil {
		return err
	}
	if h.Shared() {
		if err := h.Registry.Share(ctx, h.Objects); err != nil {
			return err
		}
	}
	if err := h.Registry.Faults(); err != nil {
		h.log.WarnContext(ctx, "models left out", "err", err)
	}
	if h.ReferenceModels {
		if err := h.Registry.AddReference(ctx, "varde"); err != nil {
			return err
		}
	}
	if !h.Has("score") {
		return nil
	}
	if h.Runtime, err = onnx.Open(onnx.Options{Library: h.ONNXLibrary}); err != nil {
		return err
	}
	i := h.Runtime.Info()
	h.log.InfoContext(ctx, "ONNX Runtime loaded", "version", i.Version, "route", i.Route, "sha256", i.SHA256.Short())
	h.metrics.BuildInfo(settings.Version, i.Version, i.SHA256.Short(), h.Runners())
	h.engine, err = newEngine(ctx, h.Settings, h.Runtime, h.Registry, h.log, h.lostDevice)
	if err == nil {
		h.engine.prover.Quiet = func(ctx context.Context) error { return h.speeds.Quiet(ctx, quietFor) }
		h.closing(h.engine.fleet.Close)
	}
	return err
}

// describe logs the settings that are in force, once. Secrets are not among
// those that have a key.
func (h *House) describe(ctx context.Context) {
	roles := strings.Join(h.Roles, ",")
	dicom, secure := "", ""
	if h.DICOM != nil {
		dicom = h.DICOM.Addr().String()
	}
	if h.TLS != nil {
		secure = h.TLS.Addr().String()
	}
	h.log.InfoContext(ctx, "varde ready", "version", settings.Version, "dicom", dicom, "dicom_tls", secure, "aet", h.AET, "http", h.Web.Addr().String(),
		"roles", roles, "objects", h.Objects.String(), "ledger", store.HideSecret(h.LedgerPath()), "workers", h.Runners(), "lang", h.Lang,
		"destinations", len(h.Destinations))
}

// listenTLS opens the secure door after the profile, with certificates on both
// sides where it is said who may sign them.
func (h *House) listenTLS() (net.Listener, error) {
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
