package peers_test

import (
	"runtime"
	"strings"
	"testing"

	"varde/internal/studytest/peers"
)

// An outcome is a test that remembers how it ended.
type outcome struct {
	testing.TB
	skipped, failed bool
	said            string
}

func (o *outcome) Skipf(format string, args ...any) {
	o.skipped, o.said = true, format
	o.say(args)
}

func (o *outcome) Fatalf(format string, args ...any) {
	o.failed, o.said = true, format
	o.say(args)
}

func (o *outcome) say(args []any) {
	for _, a := range args {
		if text, ok := a.(string); ok {
			o.said += " " + text
		}
	}
	runtime.Goexit()
}

func TestMissingPeerIsSkippedAtHomeAndFailsWhereAllAreInstalled(t *testing.T) {
	for _, name := range []string{"no-such-program", "/no/such/plugin.so"} {
		for _, ci := range []string{"", "true"} {
			t.Setenv("CI", ci)
			o := &outcome{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				peers.Need(o, name, "no-such-package")
			}()
			<-done
			if o.failed != (ci == "true") || o.skipped == o.failed || !strings.Contains(o.said, name) || !strings.Contains(o.said, "no-such-package") {
				t.Errorf("CI=%q, %s: failed %t, skipped %t: %s", ci, name, o.failed, o.skipped, o.said)
			}
		}
	}
}
