package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"varde/models/modelcard"
	"varde/study"
)

func modelVerb() *cobra.Command {
	c := &cobra.Command{Use: "model", Short: "See, add, promote and stop models"}
	c.AddCommand(
		deskVerb("list", "List the models and what they may do", cobra.NoArgs, sharing(listModels)),
		deskVerb("show MODEL", "Show a model's card, hash and history", cobra.ExactArgs(1), sharing(showModel)),
		deskVerb("card MODEL", "Print a model's card", cobra.ExactArgs(1), sharing(printCard)),
		deskVerb("add FOLDER", "Check a card.toml and its network, and keep them as a draft", cobra.ExactArgs(1), sharing(addModel)),
		checkModelVerb(),
		schemaModelVerb(),
		importModelVerb(),
		calibrateModelVerb(),
	)
	c.AddCommand(stateVerbs()...)
	return c
}

// A modelLine is what a list tells of a model.
type modelLine struct {
	Model      string     `json:"model"`
	Version    string     `json:"version"`
	Name       string     `json:"name"`
	State      string     `json:"state"`
	SHA256     study.Hash `json:"model_sha256"`
	Regulatory string     `json:"regulatory"`
}

func line(c modelcard.Card, s study.ModelState) modelLine {
	return modelLine{c.ID, c.Version, c.Name, string(s), c.SHA256, c.Regulatory}
}

func listModels(ctx context.Context, d *desk, _ []string) error {
	entries, err := d.Registry.Cards(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		d.print(line(e.Card, e.State), "%-44s %-10s %s  %s", e.Card.Ref(), e.State, e.Card.SHA256.Short(), e.Card.Regulatory)
	}
	return d.Registry.Faults()
}

func showModel(ctx context.Context, d *desk, args []string) error {
	card, state, err := d.find(ctx, args[0])
	if err != nil {
		return err
	}
	history, err := d.Ledger.ModelHistory(ctx, card.Ref())
	if err != nil {
		return err
	}
	calibrations, err := d.Ledger.Calibrations(ctx, card.Ref())
	if err != nil {
		return err
	}
	d.print(map[string]any{"card": card, "state": state, "history": history, "calibrations": calibrations},
		"%s  %s\n%s: %s\nsha256 %s\nfor: %s\nmeasures: %s\ncannot: %s", card.Ref(), state, card.Name, card.Regulatory, card.SHA256,
		card.Use.Text, card.Use.Measures, card.Use.Limits)
	if card.MIL != nil && !d.asJSON {
		d.print(nil, "second network %s, sha256 %s: judges a slide by %s", card.MIL.Network, card.MIL.SHA256, card.MIL.Features)
	}
	if !d.asJSON {
		d.showFacts(card)
		d.showCalibrations(card, calibrations)
		for _, h := range history {
			d.print(nil, "%s  %-10s by %s: %s", h.At.Format("2006-01-02 15:04:05"), h.State, h.By, h.Reason)
		}
	}
	return nil
}

func printCard(ctx context.Context, d *desk, args []string) error {
	card, _, err := d.find(ctx, args[0])
	if err != nil {
		return err
	}
	b, err := os.ReadFile(d.Folder("models", card.Ref().String(), "card.toml"))
	if err != nil {
		return fmt.Errorf("read card: %w", err)
	}
	d.print(card, "%s", b)
	return nil
}

// find resolves what a person typed.
func (d *desk) find(ctx context.Context, text string) (modelcard.Card, study.ModelState, error) {
	ref, err := d.Registry.Resolve(text)
	if err != nil {
		return modelcard.Card{}, "", err
	}
	card, err := d.Registry.Card(ref)
	if err != nil {
		return card, "", err
	}
	state, err := d.Registry.State(ctx, card.Ref())
	return card, state, err
}
