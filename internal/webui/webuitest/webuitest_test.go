package webuitest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"varde/internal/webui/webuitest"
)

func TestAxeIsAsItWasPublished(t *testing.T) {
	const want = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c" // axe-core 4.14.1
	sum := sha256.Sum256([]byte(webuitest.Axe))
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("axe.min.js has SHA-256 %s", got)
	}
}
