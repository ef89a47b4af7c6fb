package scores

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"varde/study"
)

// Sources gives the objects that hold the pixels of a block, by UID: those that
// its tiles name, and of a slide all of its series, for a tile names its level by
// one instance only.
func Sources(instances []study.Instance, b study.Block) []study.Instance {
	named := map[study.UID]bool{}
	for _, t := range b.Tiles {
		named[t.Instance] = true
	}
	var all []study.Instance
	for _, in := range instances {
		if named[in.UID] || b.Kind == study.Patches && in.Series == b.Series {
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b study.Instance) int { return cmp.Compare(a.UID, b.UID) })
	return all
}

// objectsHash is the digest of the objects of a block: names, hashes, and the
// hashes of the slide files that hold their pixels.
func objectsHash(instances []study.Instance, b study.Block) study.Hash {
	h := sha256.New()
	for _, in := range Sources(instances, b) {
		fmt.Fprintf(h, "%s %s", in.UID, in.SHA256)
		if in.Image != nil && in.Image.Origin != nil {
			fmt.Fprintf(h, " %s", in.Image.Origin.SHA256)
		}
		fmt.Fprintln(h)
	}
	return study.Hash(h.Sum(nil))
}
