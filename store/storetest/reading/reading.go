// Package reading holds what a ledger promises; its one door is Promises.
package reading

import (
	"slices"

	"varde/store/storetest"
)

// Promises are what a ledger promises about the worklist, claims and answers, screenings,
// work items and the counts on pages.
func Promises() []storetest.Promise {
	return slices.Concat(claimPromises, historyPromises, linePromises, pagePromises, readerPromises, screeningPromises, stallPromises, tallyPromises, workPromises)
}
