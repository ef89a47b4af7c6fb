package openslide

import (
	"os"
	"testing"

	"varde/internal/codec"
)

func TestMain(m *testing.M) {
	if codec.ServeChild() || ServeChild() {
		return
	}
	os.Exit(m.Run())
}
