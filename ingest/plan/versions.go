package plan

import (
	"cmp"
	"slices"

	"varde/models"
	"varde/study"
)

// versions picks of the models those that are asked about one study. Of several
// live versions of one model it is the newest whose share the study belongs to, so
// that a reader hears one of them, and the exams outside the share of a new version
// keep the old one. A version beside others is asked about its share whatever they
// are, and so is one in shadow, whom no reader hears.
func versions(all []Asked, uid study.UID) []Asked {
	newest := map[string]string{} // version by ID
	for _, m := range all {
		if m.Shadow || m.Beside || !m.Share.Takes(uid, m.Card.ID) {
			continue
		}
		if v, ok := newest[m.Card.ID]; !ok || models.CompareVersions(m.Card.Version, v) > 0 {
			newest[m.Card.ID] = m.Card.Version
		}
	}
	picked := slices.DeleteFunc(slices.Clone(all), func(m Asked) bool {
		if m.Shadow || m.Beside {
			return !m.Share.Takes(uid, m.Card.ID)
		}
		return newest[m.Card.ID] != m.Card.Version
	})
	slices.SortFunc(picked, func(a, b Asked) int {
		return cmp.Or(cmp.Compare(a.Card.ID, b.Card.ID), cmp.Compare(a.Card.Version, b.Card.Version))
	})
	return picked
}
