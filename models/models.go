// Package models is the registry: cards, network files, states, the stop switch,
// and the reference models.
package models
