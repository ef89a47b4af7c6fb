// Package working holds what a ledger promises; its one door is Promises.
package working

import (
	"slices"

	"varde/store/storetest"
)

// Promises are what a ledger promises about jobs and workers, what they find, and the models
// that they run.
func Promises() []storetest.Promise {
	return slices.Concat(agingPromises, jobPromises, modelPromises, queuePromises, resultPromises, reportPromises)
}
