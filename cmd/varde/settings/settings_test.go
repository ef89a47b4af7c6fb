package settings

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"varde/study"
)

// TestFaultsAreSaidOnce: what another package says of a word of its own is passed on
// as it is.
func TestFaultsAreSaidOnce(t *testing.T) {
	for _, flag := range []string{
		"--oru-charset=LATIN", "--oru-version=9", "--oru-country=XX", "--charset=LATIN", "--lang=sv",
		"--destinations=R=mllp://h:1?charset=LATIN", "--destinations=R=mllp://h:1?version=9", "--destinations=V=https://h/x?token_file=missing",
	} {
		var l Loader
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		l.Bind(flags)
		if err := flags.Parse([]string{flag}); err != nil {
			t.Fatal(err)
		}
		if err := l.Load(); !errors.Is(err, study.ErrInvalid) || strings.Count(err.Error(), ": invalid") != 1 {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
