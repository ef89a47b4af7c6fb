package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// recallsAtOnce is how many exams, or objects, one transaction calls back: senders
// must not wait for thousands.
const recallsAtOnce = 64

// recaller is who calls back in the audit where no person asks for it: whoever
// withdrew the model stands in the row of that.
const recaller = "recall"

// Recall has the results of a stopped model taken back where they have left the house,
// in one study or, with an empty uid, in all: a job for each writes what tells its
// destinations that it does not hold any more. It is done under a name and with a
// reason, and done again it changes nothing. It gives the number of results. A model
// that still runs is [study.ErrRefused]: stop it first.
//
// Of a model that was withdrawn [Outbox.RecallWithdrawn] calls everything back by itself.
func (l *Outbox) Recall(ctx context.Context, m study.ModelRef, uid study.UID, by, reason string) (n int, err error) {
	if err := row.Signed(by, reason); err != nil {
		return 0, err
	}
	c, err := row.LastChange(l.db.Ask(ctx), m)
	if err == nil && (c.State == "" || c.State.Runs()) {
		err = fmt.Errorf("it is %s; suspend or withdraw it first: %w", c.State, study.ErrRefused)
	}
	if err == nil {
		n, err = l.callBack(ctx, m, uid, by, reason)
	}
	if err != nil {
		return n, fmt.Errorf("recall results of model %s: %w", m, err)
	}
	return n, nil
}

func (l *Outbox) callBack(ctx context.Context, m study.ModelRef, uid study.UID, by, reason string) (n int, err error) {
	for {
		some, err := l.told(ctx, m, uid)
		if err != nil || len(some) == 0 {
			return n, err
		}
		err = l.change(ctx, func(t *tx) error {
			for _, w := range some {
				if err := t.recall(w, m, by, reason); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += len(some)
	}
}

// RecallWithdrawn calls back what models that were withdrawn have told, and takes
// their objects out of what is found here. What it has done it finds done: whoever
// dies amid it is followed by the next sweep.
func (l *Outbox) RecallWithdrawn(ctx context.Context) error {
	changes, err := row.LatestChanges(l.db.Ask(ctx))
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.State != study.ModelWithdrawn {
			continue
		}
		if _, done := l.calledBack.Load(c.Model); done {
			continue
		}
		if _, err := l.callBack(ctx, c.Model, "", recaller, c.Reason); err != nil {
			return fmt.Errorf("recall results of model %s: %w", c.Model, err)
		}
		if err := l.reject(ctx, c.Model); err != nil {
			return fmt.Errorf("reject objects of model %s: %w", c.Model, err)
		}
		// A model that was withdrawn says nothing any more, and stays withdrawn.
		l.calledBack.Store(c.Model, true)
	}
	return nil
}

// reject takes the objects that were written of a model out of what is found here.
// Their bytes and their rows stay.
func (l *Outbox) reject(ctx context.Context, m study.ModelRef) error {
	for {
		some, err := sqldb.List(l.db.Ask(ctx), sqldb.Word, `SELECT r.sop_uid FROM report r JOIN instance i ON i.sop_uid = r.sop_uid AND i.own = 1 AND i.rejected = 0`+saying("r")+`
			WHERE `+row.OfModel("r")+` AND (r.kind NOT LIKE '%!%' OR r.kind LIKE '%!patient') ORDER BY r.sop_uid LIMIT $4`, m.ID, m.Version, m.SHA256[:], recallsAtOnce)
		if err != nil || len(some) == 0 {
			return err
		}
		if err := l.change(ctx, func(t *tx) error {
			t.Shown = true
			for _, uid := range some {
				if _, err := t.Exec(`UPDATE instance SET rejected = 1 WHERE sop_uid = $1`, uid); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}

// hasTaken picks the deliveries of an alias of which the destination has the report,
// or may have it: it was handed over, whatever became of that.
func hasTaken(alias string) string {
	return fmt.Sprintf(`(%[1]s.handed = 1 OR %[1]s.status IN ('delivered', 'sent'))`, alias)
}

// saying joins to the reports of an alias the results of the model $1, $2, $3 in which
// it told something. A report that the model was stopped, or failed, says nothing that
// could be taken back.
func saying(alias string) string {
	return fmt.Sprintf(` JOIN result o ON o.study_uid = %[1]s.study_uid AND o.rev = %[1]s.rev AND `, alias) + row.Spoke("o")
}

// told lists, by study, the latest revision with results of a model of which a
// destination has something, and that is not called back yet.
func (l *Outbox) told(ctx context.Context, m study.ModelRef, uid study.UID) ([]row.Work, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanWork, `SELECT r.study_uid, MAX(r.rev) FROM report r
		JOIN delivery d ON d.study_uid = r.study_uid AND d.report_uid = r.sop_uid AND `+hasTaken("d")+saying("r")+`
		WHERE `+row.OfModel("r")+` AND (r.kind NOT LIKE '%!%' OR r.kind LIKE '%!patient') AND ($4 = '' OR r.study_uid = $4)
		AND NOT EXISTS (SELECT 1 FROM job j WHERE j.study_uid = r.study_uid AND j.rev >= r.rev AND j.task = 'withdraw' AND `+row.OfModel("j")+`)
		GROUP BY r.study_uid ORDER BY r.study_uid LIMIT $5`, m.ID, m.Version, m.SHA256[:], uid, recallsAtOnce)
}

func (t *tx) recall(w row.Work, m study.ModelRef, by, reason string) error {
	n, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM job j WHERE j.study_uid = $4 AND j.rev = $5 AND j.task = 'withdraw' AND `+row.OfModel("j"),
		m.ID, m.Version, m.SHA256[:], w.Study, w.Rev)
	if err != nil || n > 0 { // another process was faster
		return err
	}
	o, err := t.FindRevision(w.Study, w.Rev)
	if err != nil {
		return err
	}
	o.Lane = min(o.Lane, study.Urgent)
	if err := t.FollowUp(o, study.TaskWithdraw, m); err != nil {
		return err
	}
	// What was held back of it never goes, also when the model speaks again.
	if _, err := t.Exec(`UPDATE delivery SET status = 'dropped', next_at = 0, error = 'its result was called back' WHERE study_uid = $4 AND status = 'withheld'
		AND report_uid IN (SELECT r.sop_uid FROM report r WHERE r.study_uid = $4 AND r.rev <= $5 AND `+row.OfModel("r")+`)`,
		m.ID, m.Version, m.SHA256[:], w.Study, w.Rev); err != nil {
		return err
	}
	t.Shown = true
	return t.Audit(by, "recalled", row.Entity(w.Study), fmt.Sprintf("revision %d, model %s: %s", w.Rev, m, reason))
}

// hasIt reports whether a destination has something of what a report is about, by what
// has picks of the deliveries d. What a reader has answered for is something only where it
// is replaced: nothing else takes it back.
func (t *tx) hasIt(r study.Report, destination, has string) (bool, error) {
	readers := ""
	if r.Purpose == study.PurposeCorrected {
		readers = ` OR r.kind LIKE '%!verified'`
	}
	_, err := sqldb.One(t, func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) }, `SELECT 1 FROM delivery d
		JOIN report r ON r.sop_uid = d.report_uid WHERE d.study_uid = $4 AND d.destination = $5 AND `+has+`
		AND `+row.OfModel("r")+` AND (r.kind NOT LIKE '%!%' OR r.kind LIKE '%!patient'`+readers+`) LIMIT 1`,
		r.Model.ID, r.Model.Version, r.Model.SHA256[:], r.Study, destination)
	if errors.Is(err, study.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Told gives what was written of a model's results of a study, of this revision and
// of earlier ones, and has left the house or may have: each with those of its
// deliveries of which that is so, under the facts of the patient that held then and as
// they were corrected, and what readers have answered for, as [study.PurposeVerified]. What
// takes something back is not among it.
func (l *Outbox) Told(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (told []study.Report, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		all, err := sqldb.List(a, row.ScanReport, `SELECT r.`+strings.Join(strings.Split(strings.Join(strings.Fields(row.ReportColumns), ""), ","), ", r.")+` FROM report r`+saying("r")+` WHERE `+row.OfModel("r")+` AND r.study_uid = $4 AND r.rev <= $5
			AND (r.kind NOT LIKE '%!%' OR r.kind LIKE '%!patient' OR r.kind LIKE '%!verified') ORDER BY r.rev, r.kind, r.sop_uid`, m.ID, m.Version, m.SHA256[:], uid, rev)
		if err != nil {
			return err
		}
		for _, r := range all {
			r.Deliveries, err = sqldb.List(a, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery d WHERE d.study_uid = $1 AND d.report_uid = $2
				AND `+hasTaken("d")+` ORDER BY d.destination`, uid, r.UID)
			if err != nil {
				return err
			}
			if len(r.Deliveries) > 0 {
				told = append(told, r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("what was told of study %s by model %s: %w", uid, m, err)
	}
	return told, nil
}

// RecallOf tells how far it has come that results of a model are taken back.
func (l *Outbox) RecallOf(ctx context.Context, m study.ModelRef) (study.Recall, error) {
	r := study.Recall{Model: m}
	err := l.db.View(ctx, func(a sqldb.Asker) (err error) {
		r, err = recallOf(a, m)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("recall of model %s: %w", m, err)
	}
	return r, nil
}

func recallOf(a sqldb.Asker, m study.ModelRef) (study.Recall, error) {
	r := study.Recall{Model: m}
	ref := []any{m.ID, m.Version, m.SHA256[:]}
	const notes = ` FROM delivery n JOIN report w ON w.sop_uid = n.report_uid WHERE `
	err := each(a, func(rows *sql.Rows) error {
		var state string
		var n int
		err := rows.Scan(&state, &n)
		switch r.Exams += n; state {
		case study.JobFailed:
			r.Failed += n
		case study.JobReady, study.JobEnqueued:
			r.Open += n
		}
		return err
	}, `SELECT j.state, COUNT(*) FROM job j WHERE j.task = 'withdraw' AND `+row.OfModel("j")+` GROUP BY j.state`, ref...)
	if err != nil {
		return r, err
	}
	at := func(name string) *study.RecallAt {
		for i := range r.Destinations {
			if r.Destinations[i].Destination == name {
				return &r.Destinations[i]
			}
		}
		r.Destinations = append(r.Destinations, study.RecallAt{Destination: name})
		return &r.Destinations[len(r.Destinations)-1]
	}
	err = each(a, func(rows *sql.Rows) error {
		var name string
		var exams, untold int
		err := rows.Scan(&name, &exams, &untold)
		d := at(name)
		d.Exams, d.Untold = exams, untold
		return err
	}, `SELECT has.destination, COUNT(*), SUM(CASE WHEN EXISTS (SELECT 1`+notes+`n.study_uid = has.study_uid AND n.destination = has.destination
			AND `+row.OfModel("w")+` AND w.kind LIKE '%!withdrawn') THEN 0 ELSE 1 END)
		FROM (SELECT DISTINCT d.destination, d.study_uid FROM report r
			JOIN delivery d ON d.study_uid = r.study_uid AND d.report_uid = r.sop_uid AND `+hasTaken("d")+saying("r")+`
			WHERE `+row.OfModel("r")+` AND (r.kind NOT LIKE '%!%' OR r.kind LIKE '%!patient')) has GROUP BY has.destination ORDER BY has.destination`, ref...)
	if err != nil {
		return r, err
	}
	err = each(a, func(rows *sql.Rows) error {
		var name, status string
		var n int
		err := rows.Scan(&name, &status, &n)
		d := at(name)
		switch d.Notes += n; status {
		case row.DeliveryDelivered:
			d.Delivered += n
		case row.DeliveryFailed, row.DeliveryDropped, row.DeliveryHeld:
			d.Failed += n
		}
		return err
	}, `SELECT n.destination, n.status, COUNT(*)`+notes+row.OfModel("w")+` AND w.kind LIKE '%!withdrawn' GROUP BY n.destination, n.status`, ref...)
	return r, err
}

// each calls f with every row.
func each(a sqldb.Asker, f func(*sql.Rows) error, text string, args ...any) error {
	_, err := sqldb.List(a, func(rows *sql.Rows) (struct{}, error) { return struct{}{}, f(rows) }, text, args...)
	return err
}
