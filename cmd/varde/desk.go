package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"varde/models"
	"varde/store"
	"varde/study"
)

// A desk is what a verb needs that looks at a data folder or changes something
// in it, whether or not a service runs on it.
type desk struct {
	Settings
	ledger   *store.Ledger
	registry *models.Registry
	out      io.Writer
	asJSON   bool
	who      string // for the audit trail
}

// deskVerb makes a verb that works at a desk. Every such verb has --dir, --config
// and --json.
func deskVerb(use, short string, args cobra.PositionalArgs, do func(context.Context, *desk, []string) error) *cobra.Command {
	var l loader
	var asJSON bool
	c := &cobra.Command{Use: use, Short: short, Args: args}
	l.bindSome(c.Flags(), "dir", "ledger", "store")
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := l.load(); err != nil {
			return exitError{exitUsage, err}
		}
		// A folder that is misspelled must not look like an empty one.
		if _, err := os.Stat(l.ledgerPath()); err != nil && !store.IsPostgres(l.ledgerPath()) {
			return fmt.Errorf("look for a ledger; name the data folder with --dir, varde serve makes a new one: %w", err)
		}
		d, err := openDesk(cmd.Context(), l.Settings)
		if err != nil {
			return err
		}
		d.out, d.asJSON = cmd.OutOrStdout(), asJSON
		defer func() { err = errors.Join(err, d.ledger.Close()) }()
		return do(cmd.Context(), d, args)
	}
	return c
}

// openDesk opens the ledger: alone when no service runs, else as its guest.
func openDesk(ctx context.Context, s Settings) (*desk, error) {
	options, _, err := s.ledgerOptions()
	if err != nil {
		return nil, err
	}
	l, err := store.OpenLedger(ctx, s.ledgerPath(), options)
	if errors.Is(err, study.ErrBusy) {
		options.Guest = true
		l, err = store.OpenLedger(ctx, s.ledgerPath(), options)
	}
	if err != nil {
		return nil, err
	}
	r, err := models.Open(s.folder("models"), l)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &desk{Settings: s, ledger: l, registry: r, who: whoever()}, nil
}

// whoever names for the audit who types.
func whoever() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "command line"
}

// print writes a value as JSON, or a line of text.
func (d *desk) print(v any, format string, args ...any) {
	if d.asJSON {
		_ = json.NewEncoder(d.out).Encode(v)
		return
	}
	fmt.Fprintf(d.out, format+"\n", args...)
}
