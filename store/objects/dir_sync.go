package objects

import (
	"errors"
	"os"
	"sync"
)

// folders brings folders to the disk. Those who ask for the same folder while a
// sync of it is under way share the next one, for that one begins after all of
// their entries were made: a hundred small objects cost a few syncs.
type folders struct {
	mu   sync.Mutex // held for map work only
	each map[string]*folder
}

// A folder is one that is being synced; users counts who holds it.
type folder struct {
	mu    sync.Mutex // held while a sync runs
	users int        // guarded by folders.mu
	next  *round     // the sync that has not begun; guarded by folders.mu
}

// A round is one sync, for all who came before it began.
type round struct {
	done chan struct{}
	err  error
}

// Sync returns when all entries that dir had when Sync was called are durable.
func (f *folders) Sync(dir string) error {
	f.mu.Lock()
	if f.each == nil {
		f.each = map[string]*folder{}
	}
	at := f.each[dir]
	if at == nil {
		at = &folder{}
		f.each[dir] = at
	}
	at.users++
	mine, leads := at.next, false
	if mine == nil {
		mine, leads = &round{done: make(chan struct{})}, true
		at.next = mine
	}
	f.mu.Unlock()
	if leads {
		at.mu.Lock()
		f.mu.Lock()
		at.next = nil // whoever comes from here on needs the next one
		f.mu.Unlock()
		mine.err = syncFolder(dir)
		at.mu.Unlock()
		close(mine.done)
	}
	<-mine.done
	f.mu.Lock()
	if at.users--; at.users == 0 {
		delete(f.each, dir)
	}
	f.mu.Unlock()
	return mine.err
}

// syncFolder makes durable what names a folder holds.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// maxPaths bounds a [pathSet]: some ten megabytes. Forgetting costs a few syncs.
const maxPaths = 1 << 16

// A pathSet remembers paths.
type pathSet struct {
	mu    sync.RWMutex // held for map work only
	paths map[string]struct{}
}

func (p *pathSet) has(path string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.paths[path]
	return ok
}

func (p *pathSet) add(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paths == nil || len(p.paths) >= maxPaths {
		p.paths = map[string]struct{}{}
	}
	p.paths[path] = struct{}{}
}

func (p *pathSet) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paths = nil
}
