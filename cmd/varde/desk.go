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

	"varde/cmd/varde/settings"
	"varde/models"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A desk is what a verb needs that looks at a data folder or changes something
// in it, whether or not a service runs on it.
type desk struct {
	settings.Settings
	ledger   *store.Ledger
	registry *models.Registry
	out      io.Writer
	asJSON   bool
	who      string // for the audit trail
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
func openDesk(ctx context.Context, s settings.Settings) (*desk, error) {
	options, _, err := ledgerOptions(s)
	if err != nil {
		return nil, err
	}
	l, err := store.OpenLedger(ctx, s.LedgerPath(), options)
	if errors.Is(err, study.ErrBusy) {
		options.Guest = true
		l, err = store.OpenLedger(ctx, s.LedgerPath(), options)
	}
	if err != nil {
		return nil, err
	}
	r, err := models.Open(s.Folder("models"), l)
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

// sharing does something at a desk whose models are those of all processes.
func sharing(do func(context.Context, *desk, []string) error) func(context.Context, *desk, []string) error {
	return func(ctx context.Context, d *desk, args []string) (err error) {
		if !d.Shared() {
			return do(ctx, d, args)
		}
		objects, err := d.openObjects(ctx)
		if err != nil {
			return fmt.Errorf("open the object store; see --store: %w", err)
		}
		defer func() { err = errors.Join(err, objects.Close()) }()
		if err := d.registry.Share(ctx, objects); err != nil {
			return err
		}
		return do(ctx, d, args)
	}
}

// openObjects opens the objects of the folder beside whoever serves it.
func (d *desk) openObjects(ctx context.Context) (objects.Store, error) {
	where := d.Store
	if where == "" {
		where = d.Folder("objects")
	}
	return objects.Open(ctx, where, objects.Credentials{AccessKey: d.S3AccessKey, SecretKey: d.S3SecretKey})
}
