package slidefile_test

import (
	"os"
	"testing"

	"varde/internal/codec"
	"varde/internal/slide/openslide"
)

func TestMain(m *testing.M) {
	if codec.ServeChild() || openslide.ServeChild() {
		return
	}
	os.Exit(m.Run())
}
