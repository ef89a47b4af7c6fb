package ingest

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLongObjectsMakeWayForShortOnes counts in virtual time how long a long object
// waits: not at all while it is alone, until the short one is over, and never longer
// than its share allows.
func TestLongObjectsMakeWayForShortOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		long := all.begin()
		waits := func(bytes int) time.Duration {
			began := time.Now()
			long.took(bytes)
			return time.Since(began)
		}
		if d := waits(longBytes - 1); d != 0 {
			t.Errorf("a short one waits %v", d)
		}
		if d := waits(turnBytes); d != 0 {
			t.Errorf("a long one waits %v for nobody", d)
		}
		short := all.begin()
		if d := waits(1); d != 0 {
			t.Errorf("it waits %v within its turn", d)
		}
		go func() {
			time.Sleep(3 * time.Millisecond)
			short.end()
		}()
		if d := waits(turnBytes); d != 3*time.Millisecond {
			t.Errorf("it waits %v for a short one that takes 3 ms", d)
		}
		other := all.begin()
		if d := waits(turnBytes); d != yieldFor {
			t.Errorf("it waits %v for one that takes long", d)
		}
		other.end()
		long.end()
		if all.short != 0 {
			t.Errorf("%d are left", all.short)
		}
	})
}
