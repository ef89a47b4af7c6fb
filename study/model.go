package study

import "time"

// A ModelState is what a model may do.
type ModelState string

// The states. Only a live model speaks to readers; a shadow one is run and
// compared in silence.
const (
	ModelDraft     ModelState = "draft"
	ModelShadow    ModelState = "shadow"
	ModelLive      ModelState = "live"
	ModelSuspended ModelState = "suspended"
	ModelWithdrawn ModelState = "withdrawn"
)

// Runs reports whether a model in this state is run at all.
func (s ModelState) Runs() bool { return s == ModelLive || s == ModelShadow }

// A ModelChange is one change of a model's state, kept for good.
type ModelChange struct {
	Model  ModelRef
	State  ModelState
	By     string // who asked for it
	Reason string
	At     time.Time
}
