package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"varde/store/objects"
	"varde/store/sqldb"
	"varde/study"
)

// House is the manifest of what belongs to no study: the states of the models and
// their calibrations, and which records of patients are one person's.
const House = "house"

// People is the manifest of what people and their programs have set for themselves: how
// each likes the pages, and what workstations have subscribed to. Who has a study in
// hand is not in it: such a claim ends by itself when its holder gives no sign, and one
// that came back from an old manifest would keep a study from whoever reads it now. Nor
// are tokens: whoever may write into the object store must not make himself one.
const People = "people"

// manifestFolder is where manifests lie in the object store.
const manifestFolder = "manifests/"

// ManifestKey is where a manifest lies. Its number is the ledger's count of
// changes, so that of two that lie side by side the later one is known.
func ManifestKey(name string, changed int64) string {
	return fmt.Sprintf("%s%s/%016d.json.gz", manifestFolder, name, changed)
}

// A keptTable is a table of which a manifest holds rows: those for which the
// condition is true of $1, the study.
type keptTable struct {
	name, rows string
	numbered   bool // its column id counts rows, and is given anew
}

// studyTables are the tables of a study, each after those that it refers to. What
// is not among them is told again by whoever told it, or learned again; blocks
// are kept while they wait, for afterwards they stand in their parts.
func studyTables() []keptTable {
	const ofStudy = `study_uid = $1`
	return []keptTable{
		{name: "study", rows: `uid = $1`},
		{name: "instance", rows: ofStudy},
		{name: "frame_index", rows: `sop_uid IN (SELECT sop_uid FROM instance WHERE study_uid = $1 AND image LIKE '%"Origin"%')`},
		{name: "conflict", rows: ofStudy},
		{name: "dispute", rows: ofStudy},
		{name: "revision", rows: ofStudy},
		{name: "model_plan", rows: ofStudy},
		{name: "job", rows: ofStudy},
		{name: "block", rows: `job_id IN (SELECT id FROM job WHERE study_uid = $1 AND state IN ('ready', 'enqueued'))`},
		{name: "part", rows: `job_id IN (SELECT id FROM job WHERE study_uid = $1)`},
		{name: "result", rows: ofStudy},
		{name: "report", rows: ofStudy},
		{name: "delivery", rows: ofStudy},
		{name: "owed", rows: `delivery_id IN (SELECT id FROM delivery WHERE study_uid = $1)`},
		{name: "reading", rows: ofStudy, numbered: true},
		{name: "reading_step", rows: ofStudy, numbered: true},
		{name: "screening", rows: ofStudy},
		{name: "screening_read", rows: ofStudy, numbered: true},
		{name: "case_wait", rows: ofStudy, numbered: true},
		{name: "slide_view", rows: ofStudy},
		{name: "prior", rows: ofStudy},
		{name: "prior_search", rows: ofStudy},
	}
}

// houseTables are the tables of [House].
func houseTables() []keptTable {
	const ofHouse = `$1 = 'house'`
	return []keptTable{
		{name: "model_change", rows: ofHouse, numbered: true},
		{name: "model_proposal", rows: ofHouse},
		{name: "calibration", rows: ofHouse, numbered: true},
		{name: "patient_merge", rows: ofHouse},
	}
}

// peopleTables are the tables of [People].
func peopleTables() []keptTable {
	const ofPeople = `$1 = 'people'`
	return []keptTable{
		{name: "preference", rows: ofPeople},
		{name: "workitem_subscription", rows: ofPeople},
	}
}

func tablesOf(name string) []keptTable {
	switch name {
	case House:
		return houseTables()
	case People:
		return peopleTables()
	}
	return studyTables()
}

// ofNoStudy reports whether a name of a manifest is no study's.
func ofNoStudy(name string) bool { return name == House || name == People }

// A manifestHead is the first line of a manifest. The rows follow, one a line.
type manifestHead struct {
	Format  string     `json:"format"`
	Version int        `json:"version"`
	Of      string     `json:"of"`
	Changed int64      `json:"changed"`
	At      time.Time  `json:"at"`
	Audit   int64      `json:"audit_rows"` // how long the audit's chain was, and its end
	Chain   study.Hash `json:"audit_hash"`
}

const (
	manifestFormat  = "varde-manifest"
	manifestVersion = 1
)

// A keptRow is one row of a table.
type keptRow struct {
	Table  string         `json:"t"`
	Values map[string]any `json:"v"`
}

// DueManifests names what has changed since its manifest was written: studies by
// their UID, [House] and [People]. What has waited the longest comes first.
func (l *Ledger) DueManifests(ctx context.Context, limit int) ([]string, error) {
	return sqldb.List(l.db.Ask(ctx), sqldb.Word, `SELECT name FROM manifest WHERE changed > kept ORDER BY changed, name LIMIT $1`, limit)
}

// Manifest writes down the rows of a study, of [House] or of [People], as they are at one
// moment, from which [Rebuilder] can make them again. Of objects that can be read
// again it holds what they don't tell of themselves. changed is for
// [Ledger.KeptManifest], once the manifest is durable.
func (l *Ledger) Manifest(ctx context.Context, name string) (manifest []byte, changed int64, err error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	lines := json.NewEncoder(z)
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		h := manifestHead{Format: manifestFormat, Version: manifestVersion, Of: name, At: l.db.Now().UTC()}
		if h.Changed, err = sqldb.One(a, sqldb.Number, `SELECT changed FROM manifest WHERE name = $1`, name); err != nil {
			return err
		}
		changed = h.Changed
		if h.Audit, err = sqldb.One(a, sqldb.Number, `SELECT n FROM audit_end WHERE id = 1`); err != nil {
			return err
		}
		if h.Chain, err = sqldb.One(a, sqldb.ScanHash, `SELECT hash FROM audit_end WHERE id = 1`); err != nil {
			return err
		}
		if err := lines.Encode(h); err != nil {
			return err
		}
		for _, t := range tablesOf(name) {
			if err := t.write(a, name, lines); err != nil {
				return fmt.Errorf("rows of %s: %w", t.name, err)
			}
		}
		return nil
	})
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("manifest of %s: %w", name, err)
	}
	return b.Bytes(), changed, nil
}

// write writes a table's rows, in the order of their keys.
func (t keptTable) write(a sqldb.Asker, name string, lines *json.Encoder) (err error) {
	rows, err := a.Query(`SELECT * FROM `+t.name+` WHERE `+t.rows+` ORDER BY 1, 2`, name)
	if err != nil {
		return err
	}
	defer func() {
		if closed := sqldb.Refine(rows.Close()); err == nil {
			err = closed
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		r, err := t.row(columns, rows)
		if err != nil {
			return err
		}
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	return sqldb.Refine(rows.Err())
}

func (t keptTable) row(columns []string, rows *sql.Rows) (keptRow, error) {
	values, places := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	if err := rows.Scan(places...); err != nil {
		return keptRow{}, err
	}
	r := keptRow{t.name, make(map[string]any, len(columns))}
	for i, c := range columns {
		switch v := values[i].(type) {
		case []byte:
			r.Values[c] = map[string][]byte{"blob": v}
		case string:
			if t.name == "instance" && c == "image" && !strings.Contains(v, `"Origin"`) {
				v = "" // the object says it again
			}
			r.Values[c] = v
		default:
			r.Values[c] = v
		}
	}
	if t.numbered {
		delete(r.Values, "id")
	}
	return r, nil
}

// KeptManifest records that the manifest with this count of changes is durable.
func (l *Ledger) KeptManifest(ctx context.Context, name string, changed int64) error {
	return l.change(ctx, func(t *tx) error {
		_, err := t.Exec(`UPDATE manifest SET kept = $2 WHERE name = $1 AND kept < $2`, name, changed)
		return err
	})
}

// A Manifester writes into the object store what of the ledger could not be read
// out of the objects, so that a ledger which is lost can be made anew. It lags
// behind the ledger by a few seconds and holds up nobody.
type Manifester struct {
	Ledger  *Ledger
	Objects objects.Store
	Log     *slog.Logger
}

const (
	// manifestsEvery is how long changes of one study are gathered.
	manifestsEvery = 2 * time.Second
	// manifestsLook is when it is looked though nothing seems to have changed:
	// another process may have.
	manifestsLook = 30 * time.Second
	// manifestsOnce is how many are written between two looks.
	manifestsOnce = 100
	// manifestsGrace is how long the last ones may take when the service stops.
	manifestsGrace = 5 * time.Second
)

// Run writes what is due until ctx ends, and then what is still due. A store that
// is away is tried again.
func (m *Manifester) Run(ctx context.Context) error {
	for {
		moved := m.Ledger.Changed()
		if err := m.Sweep(ctx); err != nil && ctx.Err() == nil {
			m.Log.WarnContext(ctx, "manifests not written; tried again", "err", err)
		}
		select {
		case <-moved:
		case <-time.After(manifestsLook):
		case <-ctx.Done():
		}
		select {
		case <-time.After(manifestsEvery):
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), manifestsGrace)
			defer cancel()
			if err := m.Sweep(last); err != nil {
				m.Log.WarnContext(last, "manifests are left for the next start", "err", err)
			}
			return nil
		}
	}
}

// Sweep writes all that is due now.
func (m *Manifester) Sweep(ctx context.Context) error {
	for {
		names, err := m.Ledger.DueManifests(ctx, manifestsOnce)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := m.keep(ctx, name); err != nil {
				return err
			}
		}
		if len(names) < manifestsOnce {
			return nil
		}
	}
}

// keep writes one manifest, and removes those that it replaces only when it is
// durable. Of two processes that do so at once both leave the later one.
func (m *Manifester) keep(ctx context.Context, name string) error {
	b, changed, err := m.Ledger.Manifest(ctx, name)
	if err != nil {
		return err
	}
	key := ManifestKey(name, changed)
	if err := m.Objects.Put(ctx, key, bytes.NewReader(b), int64(len(b))); err != nil {
		return err
	}
	if err := m.Ledger.KeptManifest(ctx, name, changed); err != nil {
		return err
	}
	var old []string
	for k, err := range m.Objects.List(ctx, path.Dir(key)+"/") {
		if err != nil {
			return err
		}
		if k < key {
			old = append(old, k)
		}
	}
	for _, k := range old {
		if err := m.Objects.Delete(ctx, k); err != nil {
			return err
		}
	}
	return nil
}
