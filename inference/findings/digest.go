package findings

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"varde/study"
)

// digestOf puts the digests of parts together. It is zero when a part has none.
func digestOf(parts []study.Part) study.Hash {
	var all []string
	for _, p := range parts {
		if p.Ran.Objects == (study.Hash{}) {
			return study.Hash{}
		}
		all = append(all, p.Ran.Objects.String())
	}
	if len(all) == 0 {
		return study.Hash{}
	}
	slices.Sort(all)
	h := sha256.New()
	for _, s := range slices.Compact(all) {
		fmt.Fprintln(h, s)
	}
	return study.Hash(h.Sum(nil))
}
