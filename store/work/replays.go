package work

import (
	"context"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// ResultsOf gives what all models found in one revision of a study, also one that
// a later revision has replaced, by model.
func (l *Work) ResultsOf(ctx context.Context, uid study.UID, rev int) ([]study.Result, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanResult, `SELECT body FROM result WHERE study_uid = $1 AND rev = $2
		ORDER BY model_id, model_version, model_sha256`, uid, rev)
}
