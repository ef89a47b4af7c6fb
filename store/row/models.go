package row

import (
	"database/sql"
	"errors"
	"fmt"
	"varde/store/sqldb"
	"varde/study"
)

// ChangeColumns are the columns that [ScanModelChange] reads.
const ChangeColumns = `model_id, model_version, model_sha256, was, state, share, beside, actor, second, reason, at, installed`

// LatestChanges gives what was last decided of each model that is known.
func LatestChanges(a sqldb.Asker) ([]study.ModelChange, error) {
	return sqldb.List(a, ScanModelChange, `SELECT `+ChangeColumns+` FROM model_change
		WHERE id IN (SELECT MAX(id) FROM model_change GROUP BY model_id, model_version, model_sha256)
		ORDER BY model_id, model_version, model_sha256`)
}

// ScanModelChange reads what was decided of a model.
func ScanModelChange(rows *sql.Rows) (c study.ModelChange, err error) {
	var sum []byte
	var when, beside, installed int64
	err = rows.Scan(&c.Model.ID, &c.Model.Version, &sum, &c.From, &c.State, &c.Share, &beside, &c.By, &c.Second, &c.Reason, &when, &installed)
	c.Model.SHA256, c.At, c.Beside, c.Installed = sqldb.Hash(sum), sqldb.At(when), beside == 1, installed == 1
	return c, err
}

// LastChange is what was last decided of a model; the zero change where nothing
// ever was.
func LastChange(a sqldb.Asker, m study.ModelRef) (study.ModelChange, error) {
	c, err := sqldb.One(a, ScanModelChange, `SELECT `+ChangeColumns+` FROM model_change WHERE id =
		(SELECT MAX(id) FROM model_change WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3)`, m.ID, m.Version, m.SHA256[:])
	if errors.Is(err, study.ErrNotFound) {
		return study.ModelChange{}, nil
	}
	return c, err
}

// FindModelPlan reads what a model was asked about a revision, without its blocks.
func FindModelPlan(a sqldb.Asker, uid study.UID, rev int, m study.ModelRef) (p study.ModelPlan, err error) {
	text, err := sqldb.One(a, sqldb.Word, `SELECT plan FROM model_plan
		WHERE study_uid = $1 AND rev = $2 AND model_id = $3 AND model_version = $4 AND model_sha256 = $5`,
		uid, rev, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return p, fmt.Errorf("plan of model %s for revision %d of study %s: %w", m, rev, uid, err)
	}
	return p, sqldb.Unpack(text, &p)
}

// Spoke picks the results of an alias in which the model told something.
func Spoke(alias string) string {
	return fmt.Sprintf(`%[1]s AND %[2]s.shadow = 0 AND %[2]s.ai NOT IN ('failed', 'out_of_scope', 'running')`, OfModel(alias), alias)
}

// OfModel picks the rows of an alias that are of the model $1, $2, $3.
func OfModel(alias string) string {
	return fmt.Sprintf(`%[1]s.model_id = $1 AND %[1]s.model_version = $2 AND %[1]s.model_sha256 = $3`, alias)
}

// Work is one revision of one study.
type Work struct {
	Study study.UID
	Rev   int
}

// ScanWork reads a study and its revision.
func ScanWork(rows *sql.Rows) (w Work, err error) { return w, rows.Scan(&w.Study, &w.Rev) }
