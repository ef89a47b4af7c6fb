// Package receiving holds what a ledger promises; its one door is Promises.
package receiving

import (
	"slices"

	"varde/store/storetest"
)

// Promises are what a ledger promises about objects, studies, priors and cases, and about
// what the hospital's systems say of them: orders, merges and reports.
func Promises() []storetest.Promise {
	return slices.Concat(arrivalPromises, settlePromises, casePromises, orderPromises, paperPromises, priorPromises, searchPromises)
}
