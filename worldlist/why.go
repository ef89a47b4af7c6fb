package worldlist

import (
	"time"

	"varde/internal/webui"
	"varde/study"
)

// WhyWords tells in a reader's language why a study stands where it stands, one
// reason each.
func WhyWords(p study.Place, l webui.Lang) []string { return whyWords(l, p, time.Now()) }
