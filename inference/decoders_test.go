package inference_test

import (
	"slices"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/internal/studytest"
)

// TestPartNamesWhatDecodedItsSlide: a score is of pixels that some decoder made,
// and whoever doubts it must know which.
func TestPartNamesWhatDecodedItsSlide(t *testing.T) {
	d, err := studytest.Slide(studytest.SM{Seed: 2, Columns: 2048, Rows: 1536})
	if err != nil {
		t.Fatal(err)
	}
	s := shelve(t, d)
	card := smCard()
	card.Input.Width, card.Input.Height = 256, 256
	p := score(t, s, card, func(in pixel.Tensor) (map[string]pixel.Tensor, error) { return bright(in) }, planFor(t, s, d, card).Blocks[0])
	if len(p.Ran.Decoders) != 1 || !slices.Contains(codec.Decoders(), p.Ran.Decoders[0]) ||
		!strings.HasPrefix(p.Ran.Decoders[0], "libjpeg-turbo ") && !strings.HasPrefix(p.Ran.Decoders[0], "varde-jpeg ") {
		t.Errorf("decoded by %q; here are %q", p.Ran.Decoders, codec.Decoders())
	}
}
