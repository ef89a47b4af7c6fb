package house

import (
	"varde/worldlist/ups"
)

// addUPS gives the reading worklist to other workstations, below the base of
// DICOMweb.
func (h *House) addUPS() {
	ups.Service{Items: h.Ledger, Performers: h.Ledger, Events: h.Ledger, Subscriptions: h.Ledger, Desk: h.Ledger, Orders: h.Ledger.Orders,
		Veil: h.veil, Changed: h.Ledger.Changed, Idle: h.ClaimIdle, Base: DICOMwebBase, Log: h.log}.Add(h.Site)
}
