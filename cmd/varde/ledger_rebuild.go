package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/store"
	"varde/store/objects"
	"varde/study"
	"varde/worldlist/order"
)

// restoreVerb puts a backup in the ledger's place.
func restoreVerb() *cobra.Command {
	var force bool
	c := archiveVerb("restore FILE", "Put a backup in the ledger's place, and take in what has come since", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, keep objects.Store, args []string) error {
			var got store.Rebuilt
			err := store.RestoreLedger(ctx, args[0], d.LedgerPath(), store.LedgerOptions{Place: order.Place}, force, func(l *store.Ledger) (err error) {
				got, err = d.rebuilder(l, keep).CatchUp(ctx, d.Who, filepath.Base(args[0]))
				return err
			})
			if err != nil {
				return err
			}
			d.print(map[string]any{"file": args[0], "ledger": store.HideSecret(d.LedgerPath()), "came_since": got.Unplanned, "skipped": got.Skipped},
				"ledger restored from %s; %d objects had come since", args[0], got.Unplanned)
			return nil
		})
	c.Flags().BoolVar(&force, "force", false, "also when there is a ledger: it is kept beside the new one, with the time in its name")
	return c
}

// rebuildVerb makes the ledger anew from the object store.
func rebuildVerb() *cobra.Command {
	return archiveVerb("rebuild", "Make a lost ledger anew from the object store", cobra.NoArgs,
		func(ctx context.Context, d *desk, keep objects.Store, _ []string) error {
			var got store.Rebuilt
			err := store.FillLedger(ctx, d.LedgerPath(), store.LedgerOptions{Place: order.Place}, func(l *store.Ledger) (err error) {
				got, err = d.rebuilder(l, keep).Run(ctx, d.Who)
				return err
			})
			if err != nil {
				return err
			}
			d.print(got, "ledger made anew from %s:\n%d studies, %d results and %d reports of %d objects\n%d objects without a manifest: their studies are received anew\n"+
				"%d objects missing, %d changed and left out, %d files and %d manifests passed over\n"+
				"settings of %d persons, %d subscriptions of workstations; tokens are given out anew, see varde user token", keep, got.Studies, got.Results, got.Reports, got.Objects,
				got.Unplanned, got.Missing, got.Changed, got.Skipped, got.Manifests, got.Settings, got.Subscriptions)
			if !got.Models && !d.asJSON {
				d.print(nil, "the states of the models are not known: see varde model list before anyone is let in")
			}
			return nil
		})
}

// rebuilder is who reads the object store into a ledger.
func (d *desk) rebuilder(l *store.Ledger, keep objects.Store) *store.Rebuilder {
	files := &slidefile.Files{Archive: keep}
	return &store.Rebuilder{Ledger: l, Objects: keep, Log: logger(d.Settings), Scan: func(ctx context.Context, key string) (study.Arrival, error) {
		a, err := ingest.Rescan(ctx, keep, key, d.Charset)
		if err != nil || a.Frames.Len() > 0 {
			return a, err
		}
		e, err := files.Of(ctx, a.Instance)
		e.Put(&a)
		return a, err
	}}
}
