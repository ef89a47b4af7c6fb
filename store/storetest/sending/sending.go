// Package sending holds what a ledger promises; its one door is Promises.
package sending

import (
	"slices"

	"varde/store/storetest"
)

// Promises are what a ledger promises about reports and where they go, commitments and
// recalls.
func Promises() []storetest.Promise {
	return slices.Concat(matrixPromises, noticePromises, owedPromises)
}
