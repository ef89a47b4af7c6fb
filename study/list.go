package study

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Cursor names a row of the reading order: a list goes on behind it, whatever
// has come or gone since.
type Cursor struct {
	Class int
	Key   time.Time // to the millisecond
	UID   UID
}

// Cursor names the row of a study that stands at p.
func (p Place) Cursor(uid UID) Cursor { return Cursor{p.Class, p.Key, uid} }

// Zero reports whether the cursor names no row: a list begins at its beginning.
func (c Cursor) Zero() bool { return c.UID == "" }

// String packs the cursor, for a URL. The zero one is empty.
func (c Cursor) String() string {
	if c.Zero() {
		return ""
	}
	return fmt.Sprintf("%d_%d_%s", c.Class, c.Key.UnixMilli(), c.UID)
}

// ParseCursor reads what [Cursor.String] wrote.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	parts := strings.Split(s, "_")
	if len(parts) != 3 {
		return Cursor{}, fmt.Errorf("place in the list %q: %w", s, ErrInvalid)
	}
	class, err1 := strconv.Atoi(parts[0])
	ms, err2 := strconv.ParseInt(parts[1], 10, 64)
	uid, err3 := ParseUID(parts[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return Cursor{}, fmt.Errorf("place in the list %q: %w", s, ErrInvalid)
	}
	return Cursor{class, time.UnixMilli(ms).UTC(), uid}, nil
}

// A Standing is where a study stands on the list, and what decides whether a reader may
// know what the AI says of it.
type Standing struct {
	Study      UID
	Rev        int
	Status     Status
	Class      int
	Key        time.Time // as in [Place]
	ReceivedAt time.Time
	Pathway    string
	// Models are those that readers hear and that have answered, or were asked about
	// the study as it is now and have not.
	Models []ModelRef
}

// Cursor names the study's row where the ledger has it.
func (s Standing) Cursor() Cursor { return Cursor{s.Class, s.Key, s.Study} }

// A WorklistFilter picks rows of the reading order. What is empty lets all pass.
type WorklistFilter struct {
	Status   Status // empty: whatever is still to be read
	Modality Modality
	List     string // of screenings: [ListSecond], [ListConsensus] or [ListDiscordance]
	Reader   string // leaves out, of screenings, what this person has read already; consensus and discordance lists show all
	Text     string // part of the patient's name or ID, or of the accession number, in any case
	After    Cursor // rows behind this one
	Last     bool   // the last rows of the list instead of the first; After is not used
	Limit    int    // 0 = 100
}

// A CaseFilter picks studies, latest first. What is empty lets all pass; patient
// and accession must match exactly.
type CaseFilter struct {
	Status    Status
	PatientID string
	Accession string
	After     Cursor // studies behind this one: received before Key, or then and with a lower UID
	Limit     int    // 0 = 100
}

// Received names a study in the order in which studies came, for [CaseFilter].
func (s Study) Received() Cursor { return Cursor{Key: s.ReceivedAt, UID: s.UID} }

// Counts is how much there is of everything, for operators and for metrics.
type Counts struct {
	Studies    map[Status]int
	Jobs       []JobCount     // sorted by pool, lane and state
	Deliveries map[string]int // by [Delivery] status
}

// A JobCount is how many jobs of one lane are in one state.
type JobCount struct {
	Pool   string
	Lane   Lane
	State  string // ready, enqueued, running, done, failed, canceled
	Count  int
	Oldest time.Time // when the oldest of them was made; zero when there is none
}
