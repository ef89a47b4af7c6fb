package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"varde/study"
)

func decodeBlob(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

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
		if _, err := t.exec(`INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES `+values(len(names)), given...); err != nil {
			return err
		}
	}
	return nil
}

// columns lists the columns of a table.
func (t *tx) columns(table string) ([]string, error) {
	rows, err := t.query(`SELECT * FROM ` + table + ` WHERE 1 = 0`)
	if err != nil {
		return nil, err
	}
	columns, err := rows.Columns()
	return columns, errors.Join(refine(err), refine(rows.Close()))
}

// rescan takes in the objects of a folder of which no manifest has told, like
// objects that have just come.
func (r *Rebuilder) rescan(ctx context.Context, folder string, out *Rebuilt) error {
	for key, err := range r.Objects.List(ctx, folder) {
		if err != nil {
			return err
		}
		uid, ok := nameOf(key)
		if !ok {
			out.Skipped++
			continue
		}
		if r.unsound[key] {
			continue // it was told of already
		}
		if known, err := r.knows(ctx, uid, key); err != nil {
			return err
		} else if known {
			continue
		}
		a, err := r.Scan(ctx, key)
		switch {
		case errors.Is(err, study.ErrInvalid), errors.Is(err, study.ErrUnsupported), errors.Is(err, study.ErrNotFound),
			err == nil && a.Instance.UID != uid:
			out.Skipped++
			r.Log.WarnContext(ctx, "file passed over: it is no object of ours", "key", key, "err", err)
			continue
		case err != nil:
			return err
		}
		if _, err := r.Ledger.Receive(ctx, a); err != nil {
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
	n, err := one(r.Ledger.ask(ctx), number, `SELECT (SELECT COUNT(*) FROM instance WHERE sop_uid = $1 AND object_key = $2) +
		(SELECT COUNT(*) FROM conflict WHERE sop_uid = $1 AND object_key = $2) + (SELECT COUNT(*) FROM dispute WHERE sop_uid = $1 AND object_key = $2) +
		(SELECT COUNT(*) FROM dispute WHERE sop_uid = $1 AND kind = $3 AND state = $4)`, uid, key, study.ConflictContent, study.ConflictAccepted)
	return n > 0, err
}
