package row

import (
	"database/sql"
	"varde/store/sqldb"
	"varde/study"
)

// WaitColumns are the columns of what a case waits for, but for its number.
const WaitColumns = `study_uid, kind, reason, slide, container, body, asked_by, asked_at, ended_at, ended_by, ended_why`

func scanWait(rows *sql.Rows) (w study.CaseWait, err error) {
	var asked, ended int64
	err = rows.Scan(&w.N, &w.Study, &w.Kind, &w.Reason, &w.Slide, &w.Container, &w.Text, &w.By, &asked, &ended, &w.EndedBy, &w.EndedWhy)
	w.At, w.EndedAt = sqldb.At(asked), sqldb.At(ended)
	return w, err
}

// ofCase picks the rows of a study's case: of one patient under one accession number.
const ofCase = `(study_uid = $1 OR study_uid IN (SELECT uid FROM study WHERE accession = $2 AND accession <> '' AND patient_id = $3))`

// WaitsOf gives what the case of a study waits for, and has waited for, in order.
func WaitsOf(a sqldb.Asker, s study.Study) ([]study.CaseWait, error) {
	return sqldb.List(a, scanWait, `SELECT id, `+WaitColumns+` FROM case_wait WHERE `+ofCase+` ORDER BY id`, s.UID, s.Accession, s.Patient.Reveal().ID)
}
