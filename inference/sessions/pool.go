package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"

	"golang.org/x/sync/singleflight"

	"varde/models/modelcard"
	"varde/study"
)

// defaultSessions is how many networks a [Pool] keeps that nobody uses. A
// network of the clinic takes a hundred megabytes to a gigabyte.
const defaultSessions = 4

// Networks gives the network file of a model, its hash checked.
type Networks interface {
	Network(ref study.ModelRef) ([]byte, error)
}

// A Pool keeps one session a model, shared by all who run it. A network is
// loaded once, however many ask for it at the same time; of those that nobody
// uses the ones longest unused are closed.
type Pool struct {
	Networks Networks
	// Load makes a session of a network. A session that is an [io.Closer] is
	// closed when the pool lets it go.
	Load func(card modelcard.Card, network []byte) (Session, error)
	Idle int // how many unused ones are kept; 0 = 4

	loads singleflight.Group

	mu     sync.Mutex             // held for map work and never while a network loads or closes
	shared map[study.Hash]*shared // by network file; guarded by mu
	clock  int                    // counts uses; guarded by mu
	closed bool                   // guarded by mu
}

// shared is one session; its fields are guarded by the pool's mu.
type shared struct {
	session Session
	users   int
	last    int // clock when it was last let go
}

// Acquire gives the session of a model and what to call when done with it.
func (p *Pool) Acquire(ctx context.Context, card modelcard.Card) (Session, func(), error) {
	for {
		if s, release, err := p.take(card.SHA256); s != nil || err != nil {
			return s, release, err
		}
		done := p.loads.DoChan(card.SHA256.String(), func() (any, error) { return nil, p.load(card) })
		select {
		case r := <-done:
			if r.Err != nil {
				return nil, nil, fmt.Errorf("load %s: %w", card.Ref(), r.Err)
			}
		case <-ctx.Done(): // the load goes on, for the next who asks
			return nil, nil, ctx.Err()
		}
	}
}

// take gives a session that is there.
func (p *Pool) take(network study.Hash) (Session, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, fmt.Errorf("session pool is closed: %w", study.ErrBusy)
	}
	s := p.shared[network]
	if s == nil {
		return nil, nil, nil
	}
	s.users++
	return s.session, sync.OnceFunc(func() { p.release(s) }), nil
}

// load is never run twice at a time for one network. Whoever looked before the
// last load ended comes here after it, and finds the session.
func (p *Pool) load(card modelcard.Card) error {
	p.mu.Lock()
	there := p.shared[card.SHA256] != nil
	p.mu.Unlock()
	if there {
		return nil
	}
	network, err := p.Networks.Network(card.Ref())
	if err != nil {
		return err
	}
	session, err := p.Load(card, network)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.shared == nil {
		p.shared = map[study.Hash]*shared{}
	}
	p.clock++
	p.shared[card.SHA256] = &shared{session: session, last: p.clock}
	gone := p.surplus(card.SHA256)
	p.mu.Unlock()
	return shut(gone)
}

func (p *Pool) release(s *shared) {
	p.mu.Lock()
	s.users--
	p.clock++
	s.last = p.clock
	gone := p.surplus(study.Hash{})
	p.mu.Unlock()
	// Whoever releases is done with the session; that it could not be freed is
	// nothing that they could mend.
	_ = shut(gone)
}

// surplus takes out the unused sessions that are too many, the longest unused
// first, and not the one that was just loaded. The caller holds mu.
func (p *Pool) surplus(fresh study.Hash) []Session {
	keep := p.Idle
	if keep == 0 {
		keep = defaultSessions
	}
	if p.closed {
		keep = 0
	}
	var gone []Session
	for {
		idle := 0
		var oldest *shared
		for k, s := range p.shared {
			if s.users > 0 || k == fresh && !p.closed {
				continue
			}
			idle++
			if oldest == nil || s.last < oldest.last {
				oldest = s
			}
		}
		if idle <= keep {
			return gone
		}
		gone = append(gone, oldest.session)
		maps.DeleteFunc(p.shared, func(_ study.Hash, s *shared) bool { return s == oldest })
	}
}

// Close closes all sessions that nobody uses, and the others when they are
// released. Nothing can be acquired afterwards.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	gone := p.surplus(study.Hash{})
	p.mu.Unlock()
	return shut(gone)
}

func shut(sessions []Session) error {
	var errs []error
	for _, s := range sessions {
		if c, ok := s.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
