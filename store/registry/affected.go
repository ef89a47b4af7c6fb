package registry

import (
	"context"
	"database/sql"
	"fmt"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// affectedExams lists the exams that the model $1, $2, $3 was asked about while
// live, each in one state: the worst to undo that holds. An exam is empty where
// nothing of the model is known and nothing under way.
func affectedExams() string {
	return `SELECT p.study_uid, p.rev, s.accession, s.modality, s.opened_at, s.read_at, COALESCE(r.ai, '') AS ai, COALESCE(r.at, 0) AS at,
	CASE
	WHEN s.read_at <> 0 AND EXISTS (SELECT 1 FROM result o WHERE o.study_uid = p.study_uid AND ` + row.Spoke("o") + `) THEN 'read'
	WHEN EXISTS (SELECT 1 FROM report e JOIN delivery d ON d.report_uid = e.sop_uid
		JOIN result o ON o.study_uid = e.study_uid AND o.rev = e.rev AND ` + row.Spoke("o") + `
		WHERE e.study_uid = p.study_uid AND ` + row.OfModel("e") + ` AND d.status IN ('delivered', 'sent')) THEN 'delivered'
	WHEN r.ai IS NULL AND EXISTS (SELECT 1 FROM job j WHERE j.study_uid = p.study_uid AND j.rev = p.rev
		AND j.task IN ('score', 'conclude') AND j.state = 'enqueued' AND ` + row.OfModel("j") + `) THEN 'running'
	WHEN r.ai IS NULL AND EXISTS (SELECT 1 FROM job j WHERE j.study_uid = p.study_uid AND j.rev = p.rev
		AND j.task IN ('score', 'conclude') AND j.state = 'ready' AND ` + row.OfModel("j") + `) THEN 'waiting'
	WHEN r.code = 'stopped' THEN 'stopped'
	WHEN r.ai IN ('failed', 'out_of_scope') THEN ''
	WHEN r.ai IS NULL THEN ''
	ELSE 'scored' END AS exam
	FROM model_plan p JOIN study s ON s.uid = p.study_uid
	LEFT JOIN result r ON r.study_uid = p.study_uid AND r.rev = p.rev AND ` + row.OfModel("r") + `
	WHERE ` + row.OfModel("p") + ` AND p.shadow = 0 AND COALESCE(r.shadow, 0) = 0
	AND NOT EXISTS (SELECT 1 FROM model_plan n WHERE n.study_uid = p.study_uid AND n.rev > p.rev AND ` + row.OfModel("n") + `)`
}

// AffectedCounts tells how many exams a live model was asked about are in each of
// [study.ExamStates].
func (l *Registry) AffectedCounts(ctx context.Context, m study.ModelRef) (map[string]int, error) {
	type count struct {
		exam string
		n    int
	}
	rows, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (c count, err error) { return c, rows.Scan(&c.exam, &c.n) },
		`SELECT exam, COUNT(*) FROM (`+affectedExams()+`) exams WHERE exam <> '' GROUP BY exam`, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return nil, fmt.Errorf("count exams of model %s: %w", m, err)
	}
	counts := map[string]int{}
	for _, c := range rows {
		counts[c.exam] = c.n
	}
	return counts, nil
}

// Affected gives the exams that a live model was asked about, by study, with what
// was written of it and where that went. What ran in shadow is not among them: it
// has reached nobody.
func (l *Registry) Affected(ctx context.Context, m study.ModelRef, f study.AffectedFilter) ([]study.AffectedExam, error) {
	var exams []study.AffectedExam
	err := l.db.View(ctx, func(a sqldb.Asker) (err error) {
		exams, err = sqldb.List(a, scanAffected, `SELECT study_uid, rev, accession, modality, opened_at, read_at, ai, at, exam,
			COALESCE((SELECT reader FROM reading g WHERE g.study_uid = exams.study_uid ORDER BY g.id DESC LIMIT 1), '')
			FROM (`+affectedExams()+`) exams WHERE exam <> '' AND ($4 = '' OR exam = $4) AND study_uid > $5 ORDER BY study_uid LIMIT $6`,
			m.ID, m.Version, m.SHA256[:], f.State, f.After, row.LimitOf(f.Limit))
		for i := range exams {
			if err == nil {
				exams[i].Objects, err = written(a, exams[i].Study, m)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list exams of model %s: %w", m, err)
	}
	return exams, nil
}

func scanAffected(rows *sql.Rows) (e study.AffectedExam, err error) {
	var opened, read, when int64
	err = rows.Scan(&e.Study, &e.Rev, &e.Accession, &e.Modality, &opened, &read, &e.AI, &when, &e.State, &e.ReadBy)
	e.Opened, e.ReadAt, e.At = opened != 0, sqldb.At(read), sqldb.At(when)
	return e, err
}

// written gives all that was written of a model about a study, with its
// deliveries.
func written(a sqldb.Asker, uid study.UID, m study.ModelRef) ([]study.Report, error) {
	reports, err := sqldb.List(a, row.ScanReport, `SELECT `+row.ReportColumns+` FROM report WHERE study_uid = $1
		AND model_id = $2 AND model_version = $3 AND model_sha256 = $4 ORDER BY rev, kind`, uid, m.ID, m.Version, m.SHA256[:])
	for i := range reports {
		if err == nil {
			reports[i].Deliveries, err = sqldb.List(a, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery
				WHERE study_uid = $1 AND report_uid = $2 ORDER BY destination`, uid, reports[i].UID)
		}
	}
	return reports, err
}

// mostPairs bounds a comparison: the latest ten thousand exams tell enough.
const mostPairs = 10_000

// ResultPairs gives what two models said of the same studies, the latest first, at
// most ten thousand.
func (l *Registry) ResultPairs(ctx context.Context, a, b study.ModelRef) ([]study.ResultPair, error) {
	pairs, err := sqldb.List(l.db.Ask(ctx), scanPair, `SELECT a.study_uid, a.at, a.ai, b.ai, a.probability, b.probability
		FROM result a JOIN result b ON b.study_uid = a.study_uid AND b.rev = a.rev
		WHERE a.model_id = $1 AND a.model_version = $2 AND a.model_sha256 = $3
		AND b.model_id = $4 AND b.model_version = $5 AND b.model_sha256 = $6
		ORDER BY a.at DESC, a.study_uid, a.rev LIMIT $7`, a.ID, a.Version, a.SHA256[:], b.ID, b.Version, b.SHA256[:], mostPairs)
	if err != nil {
		return nil, fmt.Errorf("compare models %s and %s: %w", a, b, err)
	}
	return pairs, nil
}

func scanPair(rows *sql.Rows) (p study.ResultPair, err error) {
	var when int64
	var scores [2]float64
	err = rows.Scan(&p.Study, &when, &p.AI[0], &p.AI[1], &scores[0], &scores[1])
	p.At = sqldb.At(when)
	for i, s := range scores {
		if s >= 0 {
			p.Scores[i] = &s
		}
	}
	return p, err
}
