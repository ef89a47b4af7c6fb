package format_test

import (
	"os"
	"testing"

	"varde/internal/codec"
)

func TestMain(m *testing.M) {
	if codec.ServeChild() {
		return
	}
	os.Exit(m.Run())
}
