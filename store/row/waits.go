package row

import (
	"database/sql"
	"maps"
	"slices"
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

// WaitsOf gives what the case of a study waits for, and has waited for, in order.
func WaitsOf(a sqldb.Asker, s study.Study) ([]study.CaseWait, error) {
	all, err := WaitsOfAll(a, []study.Study{s})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// WaitsOfAll is [WaitsOf] of many studies, in their order. A case is of one patient
// under one accession number.
func WaitsOfAll(a sqldb.Asker, studies []study.Study) ([][]study.CaseWait, error) {
	all := make([][]study.CaseWait, len(studies))
	if len(studies) == 0 {
		return all, nil
	}
	type number struct{ accession, patient string }
	own := map[study.UID]bool{}
	var accessions []string
	for _, s := range studies {
		own[s.UID] = true
		if s.Accession != "" {
			accessions = append(accessions, s.Accession)
		}
	}
	named, of := slices.Collect(maps.Keys(own)), map[study.UID]number{}
	if len(accessions) > 0 {
		in, args := sqldb.In(accessions)
		if _, err := sqldb.List(a, func(rows *sql.Rows) (uid study.UID, err error) {
			var n number
			err = rows.Scan(&uid, &n.accession, &n.patient)
			if of[uid] = n; !own[uid] {
				named = append(named, uid)
			}
			return uid, err
		}, `SELECT uid, accession, patient_id FROM study WHERE accession IN `+in, args...); err != nil {
			return nil, err
		}
	}
	in, args := sqldb.In(named)
	waits, err := sqldb.List(a, scanWait, `SELECT id, `+WaitColumns+` FROM case_wait WHERE study_uid IN `+in+` ORDER BY id`, args...)
	if err != nil {
		return nil, err
	}
	for i, s := range studies {
		mine := number{s.Accession, s.Patient.Reveal().ID}
		for _, w := range waits {
			if w.Study == s.UID || s.Accession != "" && of[w.Study] == mine {
				all[i] = append(all[i], w)
			}
		}
	}
	return all, nil
}
