// Package promises holds a ledger to all that it promises.
package promises

import (
	"context"
	"slices"
	"testing"

	"varde/store"
	"varde/store/storetest"
	"varde/store/storetest/keeping"
	"varde/store/storetest/reading"
	"varde/store/storetest/receiving"
	"varde/store/storetest/sending"
	"varde/store/storetest/working"
)

// TestLedger holds the ledger that open makes to its promises. Each call of open
// must make an empty one. It is one text for every engine.
func TestLedger(t *testing.T, open func(testing.TB, store.LedgerOptions) *store.Ledger) {
	all := slices.Concat(receiving.Promises(), working.Promises(), sending.Promises(), reading.Promises(), keeping.Promises())
	for _, p := range all {
		t.Run(p.Name, func(t *testing.T) {
			b := storetest.NewBench(t, open, nil)
			p.Test(b)
			if _, err := b.VerifyAudit(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
