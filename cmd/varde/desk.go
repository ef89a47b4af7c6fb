package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/store"
)

// A desk is where a verb works that looks at a data folder, and where it prints.
type desk struct {
	house.Desk
	out    io.Writer
	asJSON bool
}

// deskVerb makes a verb that works at a desk. Every such verb has --dir, --config
// and --json.
func deskVerb(use, short string, args cobra.PositionalArgs, do func(context.Context, *desk, []string) error) *cobra.Command {
	var l settings.Loader
	var asJSON bool
	c := &cobra.Command{Use: use, Short: short, Args: args}
	l.Bind(c.Flags(), "dir", "ledger", "store")
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := l.Load(); err != nil {
			return exitError{exitUsage, err}
		}
		// A folder that is misspelled must not look like an empty one.
		if _, err := os.Stat(l.LedgerPath()); err != nil && !store.IsPostgres(l.LedgerPath()) {
			return fmt.Errorf("look for a ledger; name the data folder with --dir, varde serve makes a new one: %w", err)
		}
		d, err := house.OpenDesk(cmd.Context(), l.Settings)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Ledger.Close()) }()
		return do(cmd.Context(), &desk{*d, cmd.OutOrStdout(), asJSON}, args)
	}
	return c
}

// print writes a value as JSON, or a line of text.
func (d *desk) print(v any, format string, args ...any) {
	if d.asJSON {
		_ = json.NewEncoder(d.out).Encode(v)
		return
	}
	fmt.Fprintf(d.out, format+"\n", args...)
}

// sharing does something at a desk whose models are those of all processes.
func sharing(do func(context.Context, *desk, []string) error) func(context.Context, *desk, []string) error {
	return func(ctx context.Context, d *desk, args []string) error {
		return d.Sharing(ctx, func() error { return do(ctx, d, args) })
	}
}
