package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"varde/models/modelcard"
	"varde/study"
)

func addModel(ctx context.Context, d *desk, args []string) error {
	card, network, second, err := readModel(args[0])
	if err != nil {
		return err
	}
	kept, err := d.Registry.Add(ctx, card, network, d.Who, second...)
	if err != nil {
		return err
	}
	d.print(line(kept, study.ModelDraft), "%s kept as a draft; varde model promote %s lets it run in shadow", kept.Ref(), kept.Ref())
	return nil
}

// readModel reads a folder with a card.toml and the networks that it names: one,
// or two where the card has a section mil.
func readModel(folder string) (card, network []byte, second [][]byte, err error) {
	if card, err = os.ReadFile(filepath.Join(folder, "card.toml")); err != nil {
		return nil, nil, nil, fmt.Errorf("read the model's card: %w", err)
	}
	c, err := modelcard.Parse(card)
	if err != nil {
		return nil, nil, nil, err
	}
	if network, err = os.ReadFile(filepath.Join(folder, filepath.Base(c.Network))); err != nil {
		return nil, nil, nil, fmt.Errorf("read the model's network: %w", err)
	}
	if c.MIL != nil {
		b, err := os.ReadFile(filepath.Join(folder, filepath.Base(c.MIL.Network)))
		if err != nil {
			return nil, nil, nil, fmt.Errorf("read the model's second network: %w", err)
		}
		second = append(second, b)
	}
	return card, network, second, nil
}
