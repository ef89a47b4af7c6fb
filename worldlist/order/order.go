// Package order is the order in which studies wait to be read, and why each stands
// where it stands: the decisions of the reading worklist that a physician could
// question.
//
//	Place        where one study stands, by its facts alone
//	Order        a list of studies in reading order
//	ShuffledKey  where it stands for a reader who must not know what the AI thinks
//	Foresee      what the present pace means for the deadlines that wait
//	Why, Due …   the same in a reader's language
//
// The AI may raise a study in its class, and never lower or hide it: see [Place].
// All of these take values and return values. An [Outlook] alone asks the ledger, for
// the line that it looks at.
package order

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"varde/study"
)

// An Entry is a study on the list.
type Entry struct {
	Study     study.UID
	ArrivedAt time.Time
	Place     study.Place
}

// Order gives the entries in reading order: by class, then by key, and by UID so
// that the order is one. The argument stays as it is. The ledger keeps the same
// order as an index.
func Order(entries []Entry) []Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int {
		return cmp.Or(
			cmp.Compare(a.Place.Class, b.Place.Class),
			a.Place.Key.Compare(b.Place.Key),
			cmp.Compare(a.Study, b.Study),
		)
	})
	return sorted
}

// ShuffledKey is where a study stands, within its class, for a reader who must not
// learn from its place what the AI thinks: at any time of the day on which it
// arrived, the same for as long as this reader looks, and another for the next
// reader. It depends on nothing else.
func ShuffledKey(reader string, uid study.UID, arrived time.Time) time.Time {
	y, m, d := arrived.Date()
	sum := sha256.Sum256([]byte(reader + "\x00" + string(uid)))
	within := time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(24*time.Hour/time.Millisecond))
	return time.Date(y, m, d, 0, 0, 0, 0, arrived.Location()).Add(within * time.Millisecond).UTC()
}
