package course

import (
	"sync/atomic"

	"varde/study"
)

// Rules are what the site has decided of the course of its studies, and whether
// models answer just now.
type Rules struct {
	Place    study.Placer   // gives a study its place in the reading order
	Timer    study.Timer    // reads the pathway and the remarks out of an order
	Screener study.Screener // says how examinations of screenings are read; nil: there are none
	Verified bool           // a final answer calls for what tells of it

	mute atomic.Bool
}

// Mute notes whether nobody answers for the models in use, and gives what was so
// before.
func (r *Rules) Mute(mute bool) (was bool) { return r.mute.Swap(mute) }

// Muted reports whether nobody answers for the models in use.
func (r *Rules) Muted() bool { return r.mute.Load() }
