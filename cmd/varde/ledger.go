package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/store/objects"
	"varde/study"
)

func ledgerVerb() *cobra.Command {
	c := &cobra.Command{Use: "ledger", Short: "Back up the ledger, restore it, or make it anew"}
	c.AddCommand(deskVerb("backup FILE", "Write a sound copy of the ledger, also while the service runs", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) error {
			if _, err := os.Stat(args[0]); !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s is there already; name a new file: %w", args[0], study.ErrRefused)
			}
			if err := d.Ledger.Backup(ctx, args[0]); err != nil {
				return err
			}
			d.print(map[string]any{"file": args[0]}, "ledger copied to %s", args[0])
			return nil
		}), restoreVerb(), rebuildVerb())
	return c
}

// archiveVerb makes a verb that needs the object store and no ledger that is open.
func archiveVerb(use, short string, args cobra.PositionalArgs, do func(context.Context, *desk, objects.Store, []string) error) *cobra.Command {
	var l settings.Loader
	var asJSON bool
	c := &cobra.Command{Use: use, Short: short, Args: args}
	l.Bind(c.Flags(), "dir", "ledger", "store")
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := l.Load(); err != nil {
			return exitError{exitUsage, err}
		}
		d := &desk{house.Desk{Settings: l.Settings, Who: house.Whoever()}, cmd.OutOrStdout(), asJSON}
		if where := d.Store; where == "" { // a folder that is misspelled must not look like an empty one
			if _, err := os.Stat(d.Folder("objects")); err != nil {
				return fmt.Errorf("look for the objects; name the data folder with --dir, or the object store with --store: %w", err)
			}
		}
		keep, err := d.OpenObjects(cmd.Context())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, keep.Close()) }()
		return do(cmd.Context(), d, keep, args)
	}
	return c
}
