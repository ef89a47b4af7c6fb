package webui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"varde/study"
)

const (
	// sessionIdle and sessionMax end a session that was left open at a shared
	// workplace: a break, and a shift.
	sessionIdle = 2 * time.Hour
	sessionMax  = 12 * time.Hour
	// sessionCheck is how soon a session ends after its token was revoked.
	sessionCheck = time.Minute
	// maxSessions bounds the table; the one that was idle longest makes room.
	maxSessions = 10_000
)

// A session is one browser that has signed in.
type session struct {
	who     Identity
	token   study.Hash // that opened it; zero when a link did
	started time.Time
	seen    time.Time
	checked time.Time // when the token was last known to be good
	likes   study.Preference
}

// An invitation is a link that opens one session.
type invitation struct {
	who   Identity
	until time.Time
}

// sessions are the open ones. They are used from memory and kept in the ledger,
// if there is one, so that a restart signs nobody out. Keys are known by their
// hash only: whoever sees a table can't open a session with it.
type sessions struct {
	now   func() time.Time
	kept  Sessions    // may be nil
	likes Preferences // may be nil

	mu      sync.Mutex // held for map look-ups only
	open    map[study.Hash]session
	invited map[study.Hash]invitation
}

// newKey makes a secret of 130 bits for a cookie or a link.
func newKey() string { return rand.Text() }

func hashOf(key string) study.Hash { return sha256.Sum256([]byte(key)) }

// start opens a session and returns its key. The key ends with the hash of the
// token that opened it, so that a session which is found again after a restart
// still ends with its token.
func (s *sessions) start(ctx context.Context, who Identity, token study.Hash) (string, error) {
	key := newKey() + "."
	if token != (study.Hash{}) {
		key += token.String()
	}
	now := s.now()
	if s.kept != nil {
		t := study.Token{Hash: hashOf(key), Role: who.Role, Name: who.Name, Expires: now.Add(sessionMax), MadeAt: now}
		if err := s.kept.AddSession(ctx, t); err != nil {
			return "", err
		}
	}
	likes, err := s.likesOf(ctx, who)
	if err != nil {
		return "", err
	}
	s.put(hashOf(key), session{who: who, token: token, started: now, seen: now, checked: now, likes: likes})
	return key, nil
}

// likesOf gives how somebody likes the pages.
func (s *sessions) likesOf(ctx context.Context, who Identity) (study.Preference, error) {
	if s.likes == nil {
		return study.Preference{}, nil
	}
	return s.likes.Preference(ctx, who.Name)
}

// prefer gives every open session of a person their new settings.
func (s *sessions) prefer(who Identity, p study.Preference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.open {
		if v.who.Name == who.Name {
			v.likes = p
			s.open[k] = v
		}
	}
}

// put adds a session to the table, and throws out those that are over.
func (s *sessions) put(h study.Hash, v session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[study.Hash]session{}
	}
	var idle study.Hash
	for k, old := range s.open {
		if s.over(old) {
			delete(s.open, k)
		} else if idle == (study.Hash{}) || old.seen.Before(s.open[idle].seen) {
			idle = k
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, idle)
	}
	s.open[h] = v
}

func (s *sessions) over(v session) bool {
	now := s.now()
	return now.Sub(v.seen) > sessionIdle || now.Sub(v.started) > sessionMax
}

// find gives the session of a key, while it lasts.
func (s *sessions) find(ctx context.Context, key string) (session, bool, error) {
	h := hashOf(key)
	s.mu.Lock()
	v, ok := s.open[h]
	if ok {
		ended := s.over(v)
		v.seen = s.now()
		s.open[h] = v
		if ended {
			delete(s.open, h)
		}
		s.mu.Unlock()
		if ended {
			return session{}, false, s.forget(ctx, h)
		}
		return v, true, nil
	}
	s.mu.Unlock()
	return s.recall(ctx, key)
}

// recall finds a session that an earlier process kept.
func (s *sessions) recall(ctx context.Context, key string) (session, bool, error) {
	if s.kept == nil {
		return session{}, false, nil
	}
	t, err := s.kept.Session(ctx, hashOf(key))
	if errors.Is(err, study.ErrNotFound) {
		return session{}, false, nil
	}
	if err != nil {
		return session{}, false, err
	}
	v := session{who: Identity{Name: t.Name, Role: t.Role}, started: t.MadeAt, seen: s.now()}
	if _, hash, _ := strings.Cut(key, "."); hash != "" {
		if v.token, err = study.ParseHash(hash); err != nil {
			return session{}, false, nil
		}
	}
	if s.over(v) {
		return session{}, false, s.forget(ctx, t.Hash)
	}
	if v.likes, err = s.likesOf(ctx, v.who); err != nil {
		return session{}, false, err
	}
	s.put(t.Hash, v)
	return v, true, nil
}

// forget drops a session that the ledger keeps.
func (s *sessions) forget(ctx context.Context, h study.Hash) error {
	if s.kept == nil {
		return nil
	}
	if err := s.kept.DropToken(ctx, h, "session"); err != nil && !errors.Is(err, study.ErrNotFound) {
		return err
	}
	return nil
}

// confirm notes that the session's token is still good.
func (s *sessions) confirm(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.open[hashOf(key)]; ok {
		v.checked = s.now()
		s.open[hashOf(key)] = v
	}
}

// end closes a session.
func (s *sessions) end(ctx context.Context, key string) error {
	s.mu.Lock()
	delete(s.open, hashOf(key))
	s.mu.Unlock()
	return s.forget(ctx, hashOf(key))
}

// invite makes a key that [sessions.accept] takes once.
func (s *sessions) invite(who Identity, lasts time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.invited == nil {
		s.invited = map[study.Hash]invitation{}
	}
	key := newKey()
	s.invited[hashOf(key)] = invitation{who, s.now().Add(lasts)}
	return key
}

// accept uses a key up.
func (s *sessions) accept(key string) (Identity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := hashOf(key)
	v, ok := s.invited[h]
	delete(s.invited, h)
	return v.who, ok && s.now().Before(v.until)
}
