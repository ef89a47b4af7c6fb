package intake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// PriorsDue gives studies whose priors are to be looked for: new ones that have
// settled since a time and have a patient ID, and those of which a search is to be
// made again, in order of arrival.
func (l *Intake) PriorsDue(ctx context.Context, since time.Time, limit int) ([]study.Study, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanStudy, `SELECT `+row.StudyColumns+` FROM study WHERE received_at >= $1 AND waiting = 1
		AND status <> 'receiving' AND status <> 'refused' AND patient_id <> ''
		AND NOT EXISTS (SELECT 1 FROM prior_search p WHERE p.study_uid = study.uid AND (p.state <> 'waiting' OR p.next_at > $2))
		ORDER BY received_at, uid LIMIT $3`, sqldb.MS(since), sqldb.MS(l.db.Now()), limit)
}

// WantPriors records which priors of a study are wanted, before they are asked for:
// so what comes is known for what it is. It gives those that have yet to come; a
// study that is here already is none of them.
func (l *Intake) WantPriors(ctx context.Context, found []study.Prior) (wanted []study.Prior, err error) {
	err = l.change(ctx, func(t *tx) error {
		wanted = nil
		for _, p := range found {
			is, err := t.want(p)
			if err != nil {
				return err
			}
			if is {
				wanted = append(wanted, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("want priors: %w", err)
	}
	return wanted, nil
}

func (t *tx) want(p study.Prior) (bool, error) {
	state, err := sqldb.One(t, sqldb.Word, `SELECT state FROM prior WHERE study_uid = $1`, p.Study)
	if err == nil {
		return state == "wanted" || state == "failed", nil
	}
	if !errors.Is(err, study.ErrNotFound) {
		return false, err
	}
	if n, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM study WHERE uid = $1`, p.Study); err != nil || n > 0 {
		return false, err
	}
	evidence, err := sqldb.Pack(p.Evidence)
	if err != nil {
		return false, err
	}
	if _, err := t.Exec(`INSERT INTO prior (study_uid, of_study, ae, how, state, evidence, objects, asked_at, fetched_at, error)
		VALUES ($1, $2, $3, '', 'wanted', $4, $5, $6, 0, '')`, p.Study, p.Of, sqldb.Clean(p.AE), sqldb.Clean(evidence), p.Objects, sqldb.MS(t.Now)); err != nil {
		return false, err
	}
	return true, t.Audit("ingest", "prior asked", row.Entity(p.Study), fmt.Sprintf("for study %s, of %s", p.Of, sqldb.Clean(p.AE)))
}

// PriorCame records that a prior is here, and how it came: "get" or "move". A cause
// says that it did not come, or not whole.
func (l *Intake) PriorCame(ctx context.Context, uid study.UID, how, cause string) error {
	state, action := "fetched", "prior fetched"
	if cause != "" {
		state, action = "failed", "prior not fetched"
	}
	err := l.change(ctx, func(t *tx) error {
		n, err := t.Exec(`UPDATE prior SET how = $2, state = $3, fetched_at = $4, error = $5 WHERE study_uid = $1 AND state IN ('wanted', 'failed')`,
			uid, how, state, sqldb.MS(t.Now), sqldb.Clean(cause))
		if err != nil || n == 0 {
			return err
		}
		return t.Audit("ingest", action, row.Entity(uid), how)
	})
	if err != nil {
		return fmt.Errorf("record prior %s: %w", uid, err)
	}
	return nil
}

// PriorsSearched records a search for a study's priors, and why it failed in words
// without a patient. The next one is due at next; the zero time ends it.
func (l *Intake) PriorsSearched(ctx context.Context, of study.UID, found int, cause string, next time.Time) error {
	state := "waiting"
	switch {
	case next.IsZero() && cause != "":
		state = "failed"
	case next.IsZero():
		state = "done"
	}
	err := l.change(ctx, func(t *tx) error {
		_, err := t.Exec(`INSERT INTO prior_search (study_uid, state, tries, next_at, found, at, error) VALUES ($1, $2, 1, $3, $4, $5, $6)
			ON CONFLICT (study_uid) DO UPDATE SET state = excluded.state, tries = prior_search.tries + 1, next_at = excluded.next_at,
				found = excluded.found, at = excluded.at, error = excluded.error`,
			of, state, sqldb.MS(next), found, sqldb.MS(t.Now), sqldb.Clean(cause))
		return err
	})
	if err != nil {
		return fmt.Errorf("record the search for priors of study %s: %w", of, err)
	}
	return nil
}

// PriorTries tells how often a study's priors were looked for.
func (l *Intake) PriorTries(ctx context.Context, of study.UID) (int, error) {
	n, err := sqldb.One(l.db.Ask(ctx), sqldb.Number, `SELECT tries FROM prior_search WHERE study_uid = $1`, of)
	if errors.Is(err, study.ErrNotFound) {
		return 0, nil
	}
	return int(n), err
}

// Priors gives the priors that were asked for because of a study, the latest first.
func (l *Intake) Priors(ctx context.Context, of study.UID) ([]study.Prior, error) {
	scan := func(rows *sql.Rows) (p study.Prior, err error) {
		var asked, came int64
		var evidence string
		if err := rows.Scan(&p.Study, &p.Of, &p.AE, &p.How, &p.State, &evidence, &p.Objects, &asked, &came, &p.Error); err != nil {
			return p, err
		}
		p.AskedAt, p.At = sqldb.At(asked), sqldb.At(came)
		return p, sqldb.Unpack(evidence, &p.Evidence)
	}
	all, err := sqldb.List(l.db.Ask(ctx), scan, `SELECT study_uid, of_study, ae, how, state, evidence, objects, asked_at, fetched_at, error FROM prior
		WHERE of_study = $1 ORDER BY asked_at DESC, study_uid`, of)
	if err != nil {
		return nil, fmt.Errorf("priors of study %s: %w", of, err)
	}
	return all, nil
}

// IsPrior reports whether a study is here only because we asked for it as a prior.
func (l *Intake) IsPrior(ctx context.Context, uid study.UID) (bool, error) {
	return isPrior(l.db.Ask(ctx), uid)
}

func isPrior(a sqldb.Asker, uid study.UID) (bool, error) {
	n, err := sqldb.One(a, sqldb.Number, `SELECT COUNT(*) FROM prior WHERE study_uid = $1 AND state <> 'pushed'`, uid)
	return n > 0, err
}

// arrivesAsPrior says whether an object belongs to a prior and came because we asked
// for it. An object of a prior that a sender pushes makes the study new work: it
// comes to the worklist, and is planned like any other.
func (t *tx) arrivesAsPrior(s *study.Study, a arrival) (prior, reopened bool, err error) {
	if prior, err = isPrior(t, a.Instance.Study); err != nil || !prior || a.Fetched {
		return prior, false, err
	}
	if _, err := t.Exec(`UPDATE prior SET state = 'pushed' WHERE study_uid = $1`, a.Instance.Study); err != nil {
		return false, false, err
	}
	if err := t.Audit("ingest", "prior pushed", row.Entity(a.Instance.Study), "it is new work now"); err != nil || s.UID == "" {
		return false, false, err
	}
	if s.Status != study.Receiving && s.Status != study.Refused {
		if err := t.Reopen(s); err != nil {
			return false, false, err
		}
		reopened = true
	}
	t.Shown = true
	_, err = t.Exec(`UPDATE study SET waiting = 1, read_at = 0, status = $2, note = $3, sender = $4 WHERE uid = $1`, s.UID, s.Status, s.Note, a.Study.Sender)
	s.Sender = a.Study.Sender
	return false, reopened, err
}
