package house

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/settings"
	"varde/ingest"
	"varde/ingest/retrieve"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/report"
	"varde/store"
	"varde/study"
)

// serveDICOM answers peers at every door that is open, until ctx ends.
func (h *House) serveDICOM(ctx context.Context, receiver *ingest.Receiver, traffic *ingest.Traffic, services map[study.UID]dimse.Service) error {
	admit, err := h.Admits()
	if err != nil {
		return err
	}
	total := &dimse.Total{Most: h.Associations}
	h.watchAssociations(total)
	g, ctx := errgroup.WithContext(ctx)
	for _, door := range []struct {
		net.Listener
		most int
	}{{h.DICOM, h.PlainAssociations}, {h.TLS, h.TLSAssociations}} {
		if door.Listener == nil {
			continue
		}
		s := &dimse.Server{AET: h.AET, Handler: h.counted(receiver), Services: services, Log: h.log, MaxAssociations: door.most,
			Total: total, Admit: admit, Ended: traffic.AssociationEnded}
		g.Go(func() error { return s.Serve(ctx, door) })
	}
	return g.Wait()
}

// Services lists what a house with these settings answers beside verification and
// storage, by SOP class. It is to be asked for what it negotiates, and serves nobody.
func Services(s settings.Settings) map[study.UID]dimse.Service {
	return (&House{Settings: s, Ledger: &store.Ledger{}}).services(nil)
}

// services lists what we answer beside verification and storage.
func (h *House) services(committer *ingest.Committer) map[study.UID]dimse.Service {
	provider := &retrieve.Provider{Finder: h.Ledger, Objects: h.Objects, Frames: h.Ledger.Frames, AET: h.AET, Allowed: h.mayAsk, Dial: h.dialPeer, Log: h.log}
	notices := &ingest.Notices{Expectations: h.Ledger, Log: h.log}
	return map[study.UID]dimse.Service{
		ingest.CommitmentClass: committer,
		ingest.StepClass:       notices,
		ingest.NoticeClass:     notices,
		retrieve.FindClass:     provider,
		retrieve.MoveClass:     provider,
		retrieve.GetClass:      provider,
	}
}

// mayAsk says who may query and retrieve: whoever is named in callers, peers or
// destinations. A site that lets all in lets them send, and no more.
func (h *House) mayAsk(ae, _ string) bool {
	_, known := h.Peer(ae)
	return known || len(h.Callers) > 0
}

func (h *House) committer() *ingest.Committer {
	return &ingest.Committer{Archive: h.Objects, Promises: h.Ledger, Dial: h.dialPeer, AET: h.AET,
		Heard: h.heardCommitment, Log: h.log}
}

// heardCommitment records what a destination answers for, and what it took and does
// not have: see store.Ledger.CommitmentHeard.
func (h *House) heardCommitment(ctx context.Context, ae string, data *dicom.Dataset) dimse.Status {
	answer, status := report.ReadAnswer(data)
	var names []string
	for _, d := range h.Destinations {
		if d.AET == ae && d.Commit {
			names = append(names, d.Name)
		}
	}
	if status == dimse.Success && len(names) == 0 { // nobody that we ask
		status = dimse.InvalidAttribute
	}
	if status != dimse.Success {
		h.log.WarnContext(ctx, "commitment not understood", "ae", ae, "status", status.String())
		return status
	}
	log := h.log.InfoContext
	if len(answer.Failed) > 0 {
		log = h.log.WarnContext
	}
	log(ctx, "commitment received", "ae", ae, "transaction", answer.Transaction, "kept", len(answer.Kept), "failed", len(answer.Failed))
	err := h.Ledger.CommitmentHeard(ctx, answer, names)
	switch {
	case errors.Is(err, study.ErrNotFound): // not of ours, or of long ago
		h.log.WarnContext(ctx, "commitment that nobody asked for", "ae", ae, "transaction", answer.Transaction)
		return dimse.InvalidAttribute
	case err != nil:
		h.log.ErrorContext(ctx, "commitment not recorded", "ae", ae, "err", err)
		return dimse.ProcessingFailure
	}
	return dimse.Success
}

// dialPeer opens an association with a peer by its AE title.
func (h *House) dialPeer(ctx context.Context, ae string, contexts ...dimse.Context) (*dimse.Association, error) {
	p, ok := h.Peer(ae)
	if !ok {
		return nil, fmt.Errorf("no address of %s; add it to peers: %w", ae, study.ErrNotFound)
	}
	return h.call(ctx, p, contexts...)
}

// call opens an association with a peer, over TLS where that is set.
func (h *House) call(ctx context.Context, d settings.Destination, contexts ...dimse.Context) (*dimse.Association, error) {
	dialer, err := h.Dialer(d, settings.PeerTimeout)
	if err != nil {
		return nil, err
	}
	return dialer.Dial(ctx, d.Addr, contexts...)
}
