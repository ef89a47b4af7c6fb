package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/models"
	"varde/store"
	"varde/study"
	"varde/worldlist/order"
)

// docTemplates hold what the documents say in sentences. Tables, names, numbers and
// whatever depends on the settings are put in from the code that works by them.
//
//go:embed docs/*.tmpl
var docTemplates embed.FS

// A docKind is one of the documents.
type docKind struct {
	name, short string
	// build gathers what the document is made from.
	build func(s settings.Settings, entries []modelEntry) any
}

// docKinds lists them, in the order in which they are written.
func docKinds() []docKind {
	return []docKind{
		{"conformance", "DICOM conformance statement, in the order of PS3.2", func(s settings.Settings, entries []modelEntry) any { return conformance(s, entries) }},
		{"ihe", "IHE integration statement", func(s settings.Settings, entries []modelEntry) any { return integration(s, entries) }},
		{"models", "Inventory of the models", func(s settings.Settings, entries []modelEntry) any { return inventory(s, entries) }},
	}
}

// docsVerb prints documents about this installation: of its settings, its models
// and the tables that the code works by.
func docsVerb() *cobra.Command {
	c := &cobra.Command{Use: "docs", Short: "Print what this installation conforms to, and its models, from its settings"}
	for _, k := range docKinds() {
		c.AddCommand(docVerb(k))
	}
	return c
}

func docVerb(k docKind) *cobra.Command {
	var l settings.Loader
	var asJSON bool
	var out string
	c := &cobra.Command{
		Use: k.name, Short: k.short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.Load(); err != nil {
				return exitError{exitUsage, err}
			}
			entries, err := modelsOf(cmd.Context(), l.Settings)
			if err != nil {
				return err
			}
			b, err := renderDoc(k, l.Settings, entries, asJSON)
			if err != nil || out == "" {
				_, _ = cmd.OutOrStdout().Write(b)
				return err
			}
			if err := os.MkdirAll(out, 0o750); err != nil {
				return fmt.Errorf("make the folder of the documents; choose another with --out: %w", err)
			}
			file := filepath.Join(out, k.name+map[bool]string{true: ".json", false: ".md"}[asJSON])
			if err := os.WriteFile(file, b, 0o640); err != nil {
				return fmt.Errorf("write the document; choose another folder with --out: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), file)
			return nil
		},
	}
	l.Bind(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print what the document is made from as JSON")
	c.Flags().StringVar(&out, "out", "", "folder to write the document into, in place of standard output")
	return c
}

// A modelEntry is a model as the registry has it, with the site's calibration.
type modelEntry struct {
	models.Entry
	Calibration *study.Calibration // that holds here; nil for none
}

// modelsOf reads the models of the data folder. A folder without a ledger has the
// reference models, as they will be installed there.
func modelsOf(ctx context.Context, s settings.Settings) ([]modelEntry, error) {
	if _, err := os.Stat(s.LedgerPath()); err != nil && !store.IsPostgres(s.LedgerPath()) {
		return toBeInstalled(s)
	}
	d, err := house.OpenDesk(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Ledger.Close() }()
	if d.Shared() {
		objects, err := d.OpenObjects(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = objects.Close() }()
		if err := d.Registry.Share(ctx, objects); err != nil {
			return nil, err
		}
	}
	all, err := d.Registry.Cards(ctx)
	if err != nil {
		return nil, err
	}
	var out []modelEntry
	for _, e := range all {
		entry := modelEntry{Entry: e}
		c, err := d.Ledger.Calibration(ctx, e.Card.Ref())
		switch {
		case err == nil && !c.Withdrawn():
			entry.Calibration = &c
		case err != nil && !errors.Is(err, study.ErrNotFound):
			return nil, err
		}
		out = append(out, entry)
	}
	return out, nil
}

// toBeInstalled are the models of an installation that was never started.
func toBeInstalled(s settings.Settings) ([]modelEntry, error) {
	if !s.ReferenceModels {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "varde-docs-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := store.OpenLedger(context.Background(), filepath.Join(dir, "ledger.db"), store.LedgerOptions{Place: order.Place})
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	r, err := models.Open(filepath.Join(dir, "models"), l)
	if err != nil {
		return nil, err
	}
	if err := r.AddReference(context.Background(), "varde"); err != nil {
		return nil, err
	}
	entries, err := r.Cards(context.Background())
	var out []modelEntry
	for _, e := range entries {
		out = append(out, modelEntry{Entry: e})
	}
	return out, err
}

// renderDoc writes one document.
func renderDoc(k docKind, s settings.Settings, entries []modelEntry, asJSON bool) ([]byte, error) {
	facts := k.build(s, entries)
	if asJSON {
		b, err := json.MarshalIndent(facts, "", "  ")
		return append(b, '\n'), err
	}
	t, err := template.New(k.name+".md.tmpl").Funcs(template.FuncMap{"list": list, "cell": cell, "code": codeSpan, "yes": yes}).ParseFS(docTemplates, "docs/"+k.name+".md.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read the template of %s: %w", k.name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, facts); err != nil {
		return nil, fmt.Errorf("write %s: %w", k.name, err)
	}
	return []byte(b.String()), nil
}

// list joins words, or says that there are none.
func list(all []string) string {
	if len(all) == 0 {
		return "–"
	}
	return strings.Join(all, ", ")
}

// cell makes a text fit into a cell of a table.
func cell(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "–"
	}
	return strings.ReplaceAll(s, "|", `\|`)
}

// codeSpan writes a value as it is typed.
func codeSpan(s string) string {
	if s == "" {
		return "–"
	}
	return "`" + strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "`", "'") + "`"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
