package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"varde/ingest"
	"varde/internal/dimse"
	"varde/study"
)

// archive reads who is asked what studies hold; without one it has no address.
func (s Settings) archive() (Destination, error) {
	var d Destination
	if s.Archive == "" {
		return d, nil
	}
	before, _, _ := strings.Cut(s.Archive, "?")
	if strings.Contains(before, "=") || d.UnmarshalText([]byte(s.Archive)) != nil || d.Commit {
		return Destination{}, fmt.Errorf("archive %q is not AET@host:port, with +tls?ca=FILE&cert=FILE&key=FILE&name=HOST behind it as needed: %w", s.Archive, study.ErrInvalid)
	}
	return d, nil
}

// inquire has the archive asked about studies that seem whole, where there is one.
func (h *house) inquire(ctx context.Context, g *errgroup.Group, settler *ingest.Settler, receiver *ingest.Receiver, traffic *ingest.Traffic) {
	d, err := h.archive()
	if err != nil {
		g.Go(func() error { return err })
		return
	}
	if d.Addr == "" && !h.AskSenders {
		return
	}
	q := &ingest.Inquirer{Ledger: h.ledger, Receiver: receiver, Traffic: traffic, AET: d.AET, Own: h.AET, Log: h.log}
	if d.Addr != "" {
		q.Dial = h.dialing(d)
	}
	if h.AskSenders {
		q.Sender = func(ae string) ingest.Dialing {
			if p, known := h.peer(ae); known {
				return h.dialing(p)
			}
			return nil
		}
	}
	settler.Archive = q
	g.Go(func() error { return q.Run(ctx) })
	if h.Priors > 0 {
		historian := &ingest.Historian{Archive: q, History: h.ledger, Wanted: h.ledger, Log: h.log, Rule: ingest.PriorRule{
			Most: h.Priors, Months: h.PriorsMonths,
			SameModality: slices.Contains(h.PriorsSame, "modality"), SameBodyPart: slices.Contains(h.PriorsSame, "body_part")}}
		g.Go(func() error { return historian.Run(ctx) })
	}
}

// dialing calls one peer.
func (h *house) dialing(d Destination) ingest.Dialing {
	return func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
		return h.call(ctx, d, contexts...)
	}
}

// checkPriors holds the settings of priors against each other.
func (s Settings) checkPriors(bad func(format string, a ...any)) {
	if s.Priors < 0 || s.Priors > 100 || s.PriorsMonths < 0 {
		bad("priors %d and priors_months %d are not 0 to 100 and 0 or more", s.Priors, s.PriorsMonths)
	}
	if s.Priors > 0 && s.Archive == "" {
		bad("priors needs archive, who is asked for them")
	}
	for _, same := range s.PriorsSame {
		if same != "modality" && same != "body_part" {
			bad("priors_same %q is none of modality, body_part", same)
		}
	}
}
