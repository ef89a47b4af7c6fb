package ingest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"varde/study"
)

// Memory is where what is learned of senders is kept.
type Memory interface {
	// Rhythms gives what was learned, of those that sent last first.
	Rhythms(ctx context.Context, limit int) ([]study.Rhythm, error)
	KeepRhythms(ctx context.Context, all []study.Rhythm) error
}

// keepEvery is how often what is learned of senders is kept.
const keepEvery = time.Minute

// A sender is what is learned of one sender.
type sender struct {
	within rhythm // pauses between the objects of one study
	ended  rhythm // how long after the end of an association a study went on; 0 where it did not
	fresh  bool   // since it was kept
}

// sender finds or begins what is learned of a sender; mu is held.
func (s *Settler) sender(name string) *sender {
	known := s.senders[name]
	if known == nil {
		if s.senders == nil || len(s.senders) >= maxSenders {
			s.senders = map[string]*sender{}
		}
		known = &sender{}
		s.senders[name] = known
	}
	return known
}

// learn takes the pauses of a study that was settled into what is known of its
// sender. Pauses beyond the cap are no rhythm: someone sent an image by hand.
func (s *Settler) learn(st study.Study, instances []study.Instance) {
	limit := cmp.Or(s.Cap, defaultCap)
	at := make([]time.Time, 0, len(instances))
	for _, in := range instances {
		at = append(at, in.ReceivedAt)
	}
	slices.SortFunc(at, time.Time.Compare)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, w := s.sender(st.Sender), s.watch(st.UID)
	for i := 1; i < len(at); i++ {
		pause := at[i].Sub(at[i-1])
		switch {
		case w.settled && !at[i].After(w.settledAt), pause > limit: // learned before, or none
		case w.wasEnded && !at[i-1].After(w.settledAt): // it went on after the end
			known.ended.add(pause * 5 / 4)
		default:
			known.within.add(pause)
		}
	}
	if w.ended {
		known.ended.add(0)
	}
	known.fresh = true
	w.settled, w.wasEnded, w.settledAt = true, w.ended, st.LastInstanceAt
}

// remember begins with what was learned before this process.
func (s *Settler) remember(ctx context.Context) {
	if s.Memory == nil {
		return
	}
	all, err := s.Memory.Rhythms(ctx, maxSenders/2)
	if err != nil {
		s.Log.WarnContext(ctx, "what was learned of senders not read", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range all {
		known := s.sender(r.Sender)
		known.within.take(r.Pauses)
		known.ended.take(r.Ends)
	}
}

// keep keeps what was learned since it was kept last.
func (s *Settler) keep(ctx context.Context) {
	if s.Memory == nil {
		return
	}
	var all []study.Rhythm
	s.mu.Lock()
	for name, known := range s.senders {
		if known.fresh {
			known.fresh = false
			all = append(all, study.Rhythm{Sender: name, Pauses: known.within.keep(), Ends: known.ended.keep()})
		}
	}
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	if err := s.Memory.KeepRhythms(ctx, all); err != nil {
		s.Log.WarnContext(ctx, "what was learned of senders not kept", "senders", len(all), "err", err)
	}
}
