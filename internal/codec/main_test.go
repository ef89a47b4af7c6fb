package codec_test

import (
	"os"
	"testing"

	"varde/internal/codec"
)

// watch knows the children that the tests start.
var watch *codec.Watch

func TestMain(m *testing.M) {
	if codec.ServeChild() || codec.ServeFake() {
		return
	}
	watch = codec.WatchChildren()
	os.Exit(m.Run())
}
