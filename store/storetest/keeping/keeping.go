// Package keeping holds what a ledger promises; its one door is Promises.
package keeping

import (
	"varde/store/storetest"
)

// Promises are what manifests promise: a ledger that is lost is made anew from them.
func Promises() []storetest.Promise {
	return manifestPromises
}
