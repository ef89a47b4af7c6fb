package identity_test

import (
	"strings"
	"testing"

	"varde/report/identity"
)

func TestACutTextFitsByBytesToo(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("a", 64): strings.Repeat("a", 64),
		strings.Repeat("a", 65): strings.Repeat("a", 61) + "...",
		`left\right`:            "left/right",
		strings.Repeat("ø", 65): strings.Repeat("ø", 61) + "...",
	} {
		got := identity.Cut(text, 64)
		if got != want {
			t.Errorf("%q is cut to %q", text, got)
		}
		if text[0] == 'a' && len(got) > 64 {
			t.Errorf("%q takes %d bytes", got, len(got))
		}
	}
}
