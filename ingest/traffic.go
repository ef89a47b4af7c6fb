package ingest

import (
	"sync"
	"time"

	"varde/internal/dimse"
	"varde/study"
)

// A Source is who sends.
type Source struct {
	Kind   string // dimse, get and move (we asked for it), stow, folder, upload
	AE     string // calling AE title, when there is one
	Remote string // address, host:port
}

// Name is how the ledger calls the sender: its AE title or, without one, the
// kind of door that it came through.
func (s Source) Name() string {
	if s.AE != "" {
		return s.AE
	}
	return s.Kind
}

// Traffic knows what is on its way: which studies have an object half received,
// and when senders last ended what they were doing. The zero value is ready.
// Receiver and Settler share one.
type Traffic struct {
	turns turns // how objects share the disk

	mu      sync.Mutex // held for a few map accesses
	busy    map[study.UID]int
	from    map[study.UID]string    // who sent the last object, by Source.Name
	senders map[string]time.Time    // by Source.Name
	studies map[study.UID]time.Time // told by requests that name their studies
	moving  map[move]int            // what we have asked archives to send us
}

// A move is a C-MOVE of ours: a study that an archive sends us over an association
// of its own.
type move struct {
	from  string // AE title
	study study.UID
}

// BeginMove tells that an archive is asked to send us a study, until end is
// called. Not all archives say in each object who asked for it.
func (t *Traffic) BeginMove(from string, uid study.UID) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.moving == nil {
		t.moving = map[move]int{}
	}
	m := move{from, uid}
	t.moving[m]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.moving[m]--; t.moving[m] == 0 {
			delete(t.moving, m)
		}
	}
}

// moves reports whether a sender sends a study because we asked for it.
func (t *Traffic) moves(from string, uid study.UID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moving[move{from, uid}] > 0
}

// maxEnds is how many ends of each kind are remembered. One that is forgotten
// makes its studies wait for the learned gap instead.
const maxEnds = 4096

// AssociationEnded takes what a [dimse.Server] tells of an association that is
// over. One that brought nothing says nothing of any study.
func (t *Traffic) AssociationEnded(s dimse.Summary) {
	if s.Stored > 0 {
		t.SenderEnded(s.Calling)
	}
}

// SenderEnded tells that a sender has ended what it was doing.
func (t *Traffic) SenderEnded(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.senders = remember(t.senders, name, time.Now())
}

// StudiesEnded tells that a request which brought objects of these studies is
// over.
func (t *Traffic) StudiesEnded(uids ...study.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, uid := range uids {
		t.studies = remember(t.studies, uid, time.Now())
	}
}

func remember[K comparable](ends map[K]time.Time, k K, now time.Time) map[K]time.Time {
	if ends == nil {
		ends = map[K]time.Time{}
	}
	if len(ends) >= maxEnds {
		for old, at := range ends {
			if now.Sub(at) > time.Minute {
				delete(ends, old)
			}
		}
		if len(ends) >= maxEnds {
			clear(ends)
		}
	}
	ends[k] = now
	return ends
}

// begin tells that an object of a study is on its way, until the answer is
// called.
func (t *Traffic) begin(uid study.UID, sender string) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy == nil {
		t.busy = map[study.UID]int{}
	}
	if t.from == nil || len(t.from) >= maxEnds {
		t.from = map[study.UID]string{}
	}
	t.busy[uid]++
	t.from[uid] = sender
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.busy[uid]--; t.busy[uid] == 0 {
			delete(t.busy, uid)
		}
	}
}

// underway reports whether an object of the study is half received.
func (t *Traffic) underway(uid study.UID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.busy[uid] > 0
}

// endedSince reports whether whoever sent a study's last object, or a request
// that brought some of it, has ended at or after a time. sender is who sent its
// first one, and counts when the last is not known.
func (t *Traffic) endedSince(sender string, uid study.UID, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.from[uid]; ok {
		sender = last
	}
	for _, end := range []time.Time{t.senders[sender], t.studies[uid]} {
		if !end.IsZero() && !end.Before(at) {
			return true
		}
	}
	return false
}
