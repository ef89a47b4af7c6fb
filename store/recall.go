package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"varde/study"
)

// recallsAtOnce is how many exams one transaction calls back: senders must not wait
// for thousands.
const recallsAtOnce = 64

// Recall has the results of a stopped model taken back where they have left the house,
// in one study or, with an empty uid, in all: a job for each writes what tells its
// destinations that it does not hold any more. It is done under a name and with a
// reason, and done again it changes nothing. It gives the number of results. A model
// that still runs is [study.ErrRefused]: stop it first.
func (l *Ledger) Recall(ctx context.Context, m study.ModelRef, uid study.UID, by, reason string) (n int, err error) {
	if err := signed(by, reason); err != nil {
		return 0, err
	}
	c, err := lastChange(l.ask(ctx), m)
	if err == nil && (c.State == "" || c.State.Runs()) {
		err = fmt.Errorf("it is %s; suspend or withdraw it first: %w", c.State, study.ErrRefused)
	}
	for err == nil {
		var some []work
		if some, err = l.told(ctx, m, uid); err != nil || len(some) == 0 {
			break
		}
		err = l.change(ctx, func(t *tx) error {
			for _, w := range some {
				if err := t.recall(w, m, by, reason); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			n += len(some)
		}
	}
	if err != nil {
		return n, fmt.Errorf("recall results of model %s: %w", m, err)
	}
	return n, nil
}

// told lists the latest results of a model of which a destination has something, and
// that are not called back yet.
func (l *Ledger) told(ctx context.Context, m study.ModelRef, uid study.UID) ([]work, error) {
	return list(l.ask(ctx), scanWork, `SELECT DISTINCT r.study_uid, r.rev FROM report r
		JOIN delivery d ON d.study_uid = r.study_uid AND d.report_uid = r.sop_uid AND d.status IN ('delivered', 'sent')
		WHERE r.model_id = $1 AND r.model_version = $2 AND r.model_sha256 = $3 AND ($4 = '' OR r.study_uid = $4)
		AND NOT EXISTS (SELECT 1 FROM report n WHERE n.study_uid = r.study_uid AND n.rev > r.rev AND n.model_id = r.model_id
			AND n.model_version = r.model_version AND n.model_sha256 = r.model_sha256)
		AND NOT EXISTS (SELECT 1 FROM job j WHERE j.study_uid = r.study_uid AND j.rev = r.rev AND j.task = 'withdraw'
			AND j.model_id = r.model_id AND j.model_version = r.model_version AND j.model_sha256 = r.model_sha256)
		ORDER BY r.study_uid, r.rev LIMIT $5`, m.ID, m.Version, m.SHA256[:], uid, recallsAtOnce)
}

func (t *tx) recall(w work, m study.ModelRef, by, reason string) error {
	if _, err := t.exec(`UPDATE study SET rev = rev WHERE uid = $1`, w.study); err != nil { // the study first, as in finish
		return err
	}
	o, err := t.findOrder(w.study, w.rev)
	if err != nil {
		return err
	}
	if err := t.followUp(o, study.TaskWithdraw, m); err != nil {
		return err
	}
	return t.audit(by, "recalled", entity(w.study), fmt.Sprintf("revision %d, model %s: %s", w.rev, m, reason))
}

// hasIt reports whether a destination has something of what a report takes back.
func (t *tx) hasIt(r study.Report, destination string) (bool, error) {
	_, err := one(t, func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) }, `SELECT 1 FROM delivery d
		JOIN report r ON r.sop_uid = d.report_uid WHERE d.study_uid = $1 AND d.destination = $2 AND d.status IN ('delivered', 'sent')
		AND r.model_id = $3 AND r.model_version = $4 AND r.model_sha256 = $5 LIMIT 1`,
		r.Study, destination, r.Model.ID, r.Model.Version, r.Model.SHA256[:])
	if errors.Is(err, study.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
