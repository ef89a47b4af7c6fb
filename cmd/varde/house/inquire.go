package house

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/settings"
	"varde/ingest"
	"varde/ingest/inquiry"
	"varde/internal/dimse"
)

// inquire has the archive asked about studies that seem whole, where there is one.
func (h *House) inquire(ctx context.Context, g *errgroup.Group, settler *ingest.Settler, receiver *ingest.Receiver, traffic *ingest.Traffic) {
	d, err := h.ArchivePeer()
	if err != nil {
		g.Go(func() error { return err })
		return
	}
	if d.Addr == "" && !h.AskSenders {
		return
	}
	q := &inquiry.Inquirer{Ledger: h.Ledger, Receiver: receiver.Fetched(), Traffic: traffic, AET: d.AET, Own: h.AET, Log: h.log}
	if d.Addr != "" {
		q.Dial = h.dialing(d)
	}
	if h.AskSenders {
		q.Sender = func(ae string) inquiry.Dialing {
			if p, known := h.Peer(ae); known {
				return h.dialing(p)
			}
			return nil
		}
	}
	settler.Archive = q
	g.Go(func() error { return q.Run(ctx) })
	if h.Priors > 0 {
		historian := &inquiry.Historian{Archive: q, History: h.Ledger, Wanted: h.Ledger, Log: h.log, Rule: inquiry.PriorRule{
			Most: h.Priors, Months: h.PriorsMonths,
			SameModality: slices.Contains(h.PriorsSame, "modality"), SameBodyPart: slices.Contains(h.PriorsSame, "body_part")}}
		g.Go(func() error { return historian.Run(ctx) })
	}
}

// dialing calls one peer.
func (h *House) dialing(d settings.Destination) inquiry.Dialing {
	return func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
		return h.call(ctx, d, contexts...)
	}
}
