package main

import (
	"varde/worldlist"
	"varde/worldlist/ups"
)

// addUPS gives the reading worklist to other workstations, below the base of
// DICOMweb.
func (h *house) addUPS() {
	ups.Service{Items: h.ledger, Performers: h.ledger, Events: h.ledger, Subscriptions: h.ledger, Desk: h.ledger, Orders: h.ledger.Orders,
		Lister: worldlist.NewLister(h.site, h.ledger, h.veil).Knowing(h.about), Changed: h.ledger.Changed, Idle: h.ClaimIdle, Base: dicomwebBase, Log: h.log}.Add(h.site)
}
