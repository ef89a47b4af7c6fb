package house

import (
	"context"
	"log/slog"
	"time"

	"varde/internal/dimse"
	"varde/internal/hl7"
	"varde/report"
	"varde/report/carry"
)

// carrierTimeout bounds one report on its way to a destination that is no DICOM peer.
const carrierTimeout = 60 * time.Second

// poorer tells of a message whose character set lacks letters, by their number. What
// has become a question mark may be a name, so that is a warning.
func (h *House) poorer(to string) func(carry.Parcel, hl7.Loss) {
	return func(p carry.Parcel, l hl7.Loss) {
		level := slog.LevelInfo
		if l.Lost > 0 {
			level = slog.LevelWarn
		}
		h.log.Log(context.Background(), level, "message told in a poorer character set", "destination", to, "study", p.Study, "instance", p.UID,
			"replaced", l.Replaced, "lost", l.Lost)
	}
}

// deliver sends reports to their destinations until ctx ends.
func (h *House) deliver(ctx context.Context) error {
	d := &report.Deliverer{Ledger: h.Ledger, MayDeliver: h.Ledger.MayDeliver, Owing: h.Ledger, Turns: h.Ledger, Patience: h.CommitLimit, Objects: h.Objects, Calling: h.AET,
		Heard: h.heardCommitment, Log: h.log}
	var asked []string
	for _, to := range h.Destinations {
		carrier, err := h.Carrier(to, carrierTimeout)
		if err != nil {
			return err
		}
		d.Destinations = append(d.Destinations, report.Destination{Name: to.Name, AET: to.AET, Commit: to.Commit, Carrier: carrier,
			Dial: func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
				return h.call(ctx, to, contexts...)
			}})
		if to.Commit {
			asked = append(asked, to.Name)
		}
		switch c := carrier.(type) {
		case *carry.MLLP:
			c.Poorer = h.poorer(to.Name)
			defer c.Dialer.Close()
		case *carry.Folder:
			c.Poorer = h.poorer(to.Name)
		}
	}
	if err := h.Ledger.WaiveCommitments(ctx, asked); err != nil && ctx.Err() == nil {
		return err
	}
	return d.Run(ctx)
}
