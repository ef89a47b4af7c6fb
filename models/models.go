// Package models is the registry: network files with their cards, states, the stop
// switch, and the reference models.
//
//	Registry.Add        a card and its network are kept for good, pinned by SHA-256
//	Registry.Change     a model runs in shadow, is suspended, is withdrawn
//	Council             one person proposes that it goes live, another confirms
//	Registry.Allowed    may it still speak? asked before every batch of tiles
//	Reference           three models of our own that need no training
//
// What a card says and how it is held against its network is in modelcard; what
// the numbers of a model are worth here, in calibration; cards begun from what
// others publish, in draft.
//
// A model is a folder {id}@{version} with card.toml and the network beside it.
// Folders never change; a new network is a new version. What a model may do is
// not in the folder but in the ledger, with who said so and why.
package models

import (
	"context"

	"varde/study"
)

// States keeps what each model may do. The ledger is one.
type States interface {
	// Models gives the latest change of each model.
	Models(ctx context.Context) ([]study.ModelChange, error)
	// SetModel records a change for good, unless [study.ModelChange.Follows] has
	// something against it.
	SetModel(ctx context.Context, c study.ModelChange) error
}
