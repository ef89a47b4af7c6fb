package house

import (
	"context"
	"slices"
	"time"

	"varde/cmd/varde/settings"
	"varde/report"
	"varde/store"
	"varde/worldlist/desk"
	"varde/worldlist/order"
	"varde/worldlist/pathway"
	"varde/worldlist/screening"
)

// ledgerOptions are the ledger's choices: how studies are placed, by which tables
// orders are timed, and how examinations of screenings are read.
func ledgerOptions(s settings.Settings) (store.LedgerOptions, *pathway.Tables, error) {
	t, err := s.PathwayTables()
	if err != nil {
		return store.LedgerOptions{}, nil, err
	}
	programs, err := screening.Load(s.Screening)
	if err != nil {
		return store.LedgerOptions{}, nil, err
	}
	o := store.LedgerOptions{Place: order.Place, Timer: t.Read, Verified: verified(s)}
	if len(programs.All) > 0 {
		o.Screener = programs.Plan
	}
	return o, t, nil
}

// screenings are how far examinations of screenings are; nil where the site has no
// program, and the pages say nothing of any.
func (h *House) screenings() desk.Screenings {
	if h.Screening == "" {
		return nil
	}
	return h.Ledger
}

// lookEvery is how often the line is looked at for deadlines that pass or are at
// risk, and for models that nobody answers for.
const lookEvery = 30 * time.Second

// watchLine moves studies up when the clock says so, while nothing else happens to
// them. First it places anew what an older rule placed, and times anew what other
// tables timed; and before that it looks once, for over very many studies the first look
// takes seconds, and whoever opens the first list shall not wait for all of it.
func (h *House) watchLine(ctx context.Context) error {
	if _, err := h.outlook.Forecast(ctx); err != nil && ctx.Err() == nil {
		h.log.WarnContext(ctx, "outlook not made; the first list makes it", "err", err)
	}
	for tick := time.NewTicker(lookEvery); ; {
		if err := h.lookAtLine(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "waiting line not looked at; tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
	}
}

func (h *House) lookAtLine(ctx context.Context) error {
	if !h.placed {
		n, err := h.Ledger.PlaceByRule(ctx, order.Rule)
		if err != nil {
			return err
		}
		timed, err := h.Ledger.TimeAgain(ctx, h.pathways.Version)
		if err != nil {
			return err
		}
		if h.placed = true; n+timed > 0 {
			h.log.InfoContext(ctx, "studies placed anew", "rule", order.Rule, "studies", n, "pathways", h.pathways.Version, "timed", timed)
		}
	}
	return h.outlook.Watch(ctx, h.Ledger, h.log)
}

// verified reports whether a destination wants to know what readers make of results.
func verified(s settings.Settings) bool {
	return slices.ContainsFunc(s.Destinations, func(d settings.Destination) bool {
		return slices.ContainsFunc(d.Kinds, report.Verifies)
	})
}
