package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/store/objects"
	"varde/store/sqldb"
	"varde/study"
)

func decodeBlob(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

// firstRule is the rule whose classes had none for deadlines at risk.
const firstRule = "virtual-arrival/1"

// restoreRows puts rows into a table. A column that the table does not have is
// [study.ErrInvalid]: a newer Varde wrote it.
func (t *tx) restoreRows(table string, rows []map[string]any) error {
	if len(rows) == 0 {
		return nil
	}
	known, err := t.columns(table)
	if err != nil {
		return err
	}
	for _, row := range rows {
		var names []string
		var given []any
		for _, c := range known {
			if v, ok := row[c]; ok {
				names, given = append(names, c), append(given, v)
			}
		}
		if len(names) != len(row) {
			return fmt.Errorf("a column of %s that this Varde does not know: %w", table, study.ErrInvalid)
		}
		if _, err := t.Exec(`INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES `+sqldb.Values(len(names)), given...); err != nil {
			return err
		}
		if table == "study" && row["rule"] == firstRule {
			// A manifest of before: its classes are counted on as migration 18 does.
			if _, err := t.Exec(`UPDATE study SET class = CASE WHEN class >= 2 THEN class + 1 ELSE class END, rule = $2 WHERE uid = $1`,
				row["uid"], firstRule+".1"); err != nil {
				return err
			}
		}
	}
	return nil
}

// columns lists the columns of a table.
func (t *tx) columns(table string) ([]string, error) {
	rows, err := t.Query(`SELECT * FROM ` + table + ` WHERE 1 = 0`)
	if err != nil {
		return nil, err
	}
	columns, err := rows.Columns()
	return columns, errors.Join(sqldb.Refine(err), sqldb.Refine(rows.Close()))
}

// An untold object is one of which no manifest tells.
type untold struct {
	uid study.UID
	key string
	at  time.Time // when its bytes came, as far as the store knows
	study.Arrival
	err error
}

// rescan takes in the objects of which the ledger knows nothing, like objects that
// have just come, in the order in which they came.
func (r *Rebuilder) rescan(ctx context.Context, out *Rebuilt) error {
	var all []untold
	for _, folder := range objectFolders {
		for key, err := range r.Objects.List(ctx, folder) {
			if err != nil {
				return err
			}
			u, err := r.look(ctx, key)
			switch {
			case errors.Is(err, errKnown):
			case hopeless(err):
				out.Skipped++
				r.Log.WarnContext(ctx, "file passed over: it is no object of ours", "key", key, "err", err)
			case err != nil:
				return err
			default:
				all = append(all, u)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b untold) int { return a.at.Compare(b.at) })
	for some := range slices.Chunk(all, 16*scanners) {
		if err := r.take(ctx, some, out); err != nil {
			return err
		}
	}
	return nil
}

// errKnown says that there is nothing to do for a key.
var errKnown = errors.New("known")

// hopeless tells what is no object of ours from a store that is away.
func hopeless(err error) bool {
	return errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrUnsupported) || errors.Is(err, study.ErrNotFound)
}

// look finds out what an object's key tells.
func (r *Rebuilder) look(ctx context.Context, key string) (u untold, err error) {
	uid, ok := nameOf(key)
	if !ok {
		return u, fmt.Errorf("name of no object: %w", study.ErrInvalid)
	}
	if known, err := r.knows(ctx, uid, key); known || err != nil || r.unsound[key] {
		return u, cmp.Or(err, errKnown)
	}
	u = untold{uid: uid, key: key}
	u.at, err = r.came(ctx, key)
	return u, err
}

// came gives when the bytes under a key came; zero when nobody can say.
func (r *Rebuilder) came(ctx context.Context, key string) (at time.Time, err error) {
	if d, ok := r.Objects.(objects.Dated); ok {
		return d.At(ctx, key)
	}
	return at, nil
}

// take scans some objects at once and receives them one after the other.
func (r *Rebuilder) take(ctx context.Context, some []untold, out *Rebuilt) error {
	g, scanning := errgroup.WithContext(ctx)
	g.SetLimit(scanners)
	for i := range some {
		g.Go(func() error {
			u := &some[i]
			if u.Arrival, u.err = r.Scan(scanning, u.key); u.err == nil && u.Instance.UID != u.uid {
				u.err = fmt.Errorf("it holds instance %s: %w", u.Instance.UID, study.ErrInvalid)
			}
			if hopeless(u.err) {
				return nil
			}
			return u.err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, u := range some {
		if u.err != nil {
			out.Skipped++
			r.Log.WarnContext(ctx, "file passed over: it is no object of ours", "key", u.key, "err", u.err)
			continue
		}
		if !u.at.IsZero() {
			u.Instance.ReceivedAt = u.at
		}
		if _, err := r.Ledger.Receive(ctx, u.Arrival); err != nil {
			return err
		}
		out.Unplanned++
		out.Objects++
	}
	return nil
}

// nameOf gives the SOP Instance UID that a key names: dicom/STUDY/SERIES/UID.dcm
// or conflict/UID/SHA256.dcm.
func nameOf(key string) (study.UID, bool) {
	segments := strings.Split(strings.TrimSuffix(key, ".dcm"), "/")
	n := slices.Index([]string{"dicom", "conflict"}, segments[0])
	if n < 0 || !strings.HasSuffix(key, ".dcm") || len(segments) != []int{4, 3}[n] {
		return "", false
	}
	for _, s := range segments[1 : 4-2*n] {
		if _, err := study.ParseUID(s); err != nil {
			return "", false
		}
	}
	return study.UID(segments[3-2*n]), true
}

// knows reports whether a manifest has told of the object under a key: as one in
// use, as one that contradicts, or as one that gave way to another.
func (r *Rebuilder) knows(ctx context.Context, uid study.UID, key string) (bool, error) {
	n, err := sqldb.One(r.Ledger.db.Ask(ctx), sqldb.Number, `SELECT (SELECT COUNT(*) FROM instance WHERE sop_uid = $1 AND object_key = $2) +
		(SELECT COUNT(*) FROM conflict WHERE sop_uid = $1 AND object_key = $2) + (SELECT COUNT(*) FROM dispute WHERE sop_uid = $1 AND object_key = $2) +
		(SELECT COUNT(*) FROM dispute WHERE sop_uid = $1 AND kind = $3 AND state = $4)`, uid, key, study.ConflictContent, study.ConflictAccepted)
	return n > 0, err
}
