// Package statement writes documents about an installation: what it conforms to and
// which models it has. [Documents] lists them, [Models] gathers the models and [Render]
// writes one. What stands in them is put in from the settings and from the tables that
// negotiation, queries and writers work by, so that no document can say otherwise; the
// sentences lie in the folder docs.
package statement

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

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/models"
	"varde/store"
	"varde/study"
	"varde/worldlist/order"
)

// sentences hold what the documents say in sentences. Tables, names, numbers and
// whatever depends on the settings are put in from the code that works by them.
//
//go:embed docs/*.tmpl
var sentences embed.FS

// A Document is one of the documents.
type Document struct {
	Name, Short string // as on the command line, and in a line of words
	// build gathers what the document is made from.
	build func(s settings.Settings, entries []Model) any
}

// Documents lists them, in the order in which they are written.
func Documents() []Document {
	return []Document{
		{"conformance", "DICOM conformance statement, in the order of PS3.2", func(s settings.Settings, entries []Model) any { return conformance(s, entries) }},
		{"ihe", "IHE integration statement", func(s settings.Settings, entries []Model) any { return integration(s, entries) }},
		{"models", "Inventory of the models", func(s settings.Settings, entries []Model) any { return inventory(s, entries) }},
	}
}

// A Model is a model as the registry has it, with the site's calibration.
type Model struct {
	models.Entry
	Calibration *study.Calibration // that holds here; nil for none
}

// Models reads the models of the data folder. A folder without a ledger has the
// reference models, as they will be installed there.
func Models(ctx context.Context, s settings.Settings) ([]Model, error) {
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
	var out []Model
	for _, e := range all {
		entry := Model{Entry: e}
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
func toBeInstalled(s settings.Settings) ([]Model, error) {
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
	var out []Model
	for _, e := range entries {
		out = append(out, Model{Entry: e})
	}
	return out, err
}

// Render writes one document.
func Render(k Document, s settings.Settings, entries []Model, asJSON bool) ([]byte, error) {
	facts := k.build(s, entries)
	if asJSON {
		b, err := json.MarshalIndent(facts, "", "  ")
		return append(b, '\n'), err
	}
	t, err := template.New(k.Name+".md.tmpl").Funcs(template.FuncMap{"list": list, "cell": cell, "code": codeSpan, "yes": yes}).ParseFS(sentences, "docs/"+k.Name+".md.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read the template of %s: %w", k.Name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, facts); err != nil {
		return nil, fmt.Errorf("write %s: %w", k.Name, err)
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
