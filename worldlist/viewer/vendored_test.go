package viewer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestVendoredFilesAreAsTheyWerePublished: what others wrote is listed with its
// hash and its license, and nothing lies there that is not listed.
func TestVendoredFilesAreAsTheyWerePublished(t *testing.T) {
	const dir = "static/vendor/openseadragon"
	notes, err := os.ReadFile(filepath.Join(dir, "VENDORED.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, m := range regexp.MustCompile("\\| `([^`]+)` \\| `([0-9a-f]{64})` \\|").FindAllStringSubmatch(string(notes), -1) {
		listed[m[1]] = m[2]
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(listed)+1 || listed["LICENSE.txt"] == "" {
		t.Errorf("%d files, %d of them listed", len(entries), len(listed))
	}
	for name, want := range listed {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s has another SHA-256 than VENDORED.md says", name)
		}
	}
}
