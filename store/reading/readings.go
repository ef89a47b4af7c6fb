package reading

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

func scanClaim(rows *sql.Rows) (c study.Claim, err error) {
	var since, seen, asked int64
	err = rows.Scan(&c.Study, &c.By, &since, &seen, &c.Asked, &asked)
	c.Since, c.Seen, c.AskedAt = sqldb.At(since), sqldb.At(seen), sqldb.At(asked)
	return c, err
}

const claimColumns = `study_uid, holder, since, seen, asked, asked_at`

// MoveClaim does one thing with the claim of a study, as [study.Claim.After] has
// it, and gives the claim as it is then. Of two who take one study up at the same
// moment, in whatever processes, one gets it and the other a [study.HeldError].
// Whoever keeps what they have leaves no row in the audit.
func (l *Reading) MoveClaim(ctx context.Context, m study.ClaimMove) (study.Claim, error) {
	var next study.Claim
	err := l.change(ctx, func(t *tx) (err error) {
		next, err = t.moveClaim(m)
		return err
	})
	if err != nil {
		return next, fmt.Errorf("claim study %s: %w", m.Study, err)
	}
	return next, nil
}

// moveClaim is [Reading.MoveClaim] in a transaction.
func (t *tx) moveClaim(m study.ClaimMove) (study.Claim, error) {
	if _, err := row.FindStudy(t, m.Study); err != nil {
		return study.Claim{}, err
	}
	was, err := findClaim(t, m.Study)
	if err != nil {
		return was, err
	}
	next, err := was.After(m, t.Now)
	if err != nil {
		return was, err
	}
	if _, err := t.Exec(`INSERT INTO claim (`+claimColumns+`) VALUES `+sqldb.Values(6)+` ON CONFLICT (study_uid) DO UPDATE SET
		holder = excluded.holder, since = excluded.since, seen = excluded.seen, asked = excluded.asked, asked_at = excluded.asked_at`,
		m.Study, sqldb.Clean(next.By), sqldb.MS(next.Since), sqldb.MS(next.Seen), sqldb.Clean(next.Asked), sqldb.MS(next.AskedAt)); err != nil {
		return next, err
	}
	if m.Kind == study.ClaimKeep || m.Kind == study.ClaimTake && was.By == next.By && was.Since.Equal(next.Since) {
		return next, nil
	}
	t.Shown = true
	return next, t.Audit(m.By, "claim "+m.Kind, row.Entity(m.Study), claimDetail(was, next, m, t.Now))
}

// findClaim gives the claim of a study, nobody's where there is none.
func findClaim(a sqldb.Asker, uid study.UID) (study.Claim, error) {
	c, err := sqldb.One(a, scanClaim, `SELECT `+claimColumns+` FROM claim WHERE study_uid = $1`, uid)
	if errors.Is(err, study.ErrNotFound) {
		return study.Claim{Study: uid}, nil
	}
	return c, err
}

// claimDetail tells the audit from whom to whom, and why.
func claimDetail(was, next study.Claim, m study.ClaimMove, now time.Time) string {
	var said []string
	if held := was.HeldBy(now, m.Idle); held != "" && !study.SamePerson(held, m.By) {
		said = append(said, fmt.Sprintf("in the hands of %s since %s", held, was.Since.Format(time.RFC3339)))
	}
	if m.Kind == study.ClaimGive {
		said = append(said, "to "+next.By)
	}
	if m.Reason != "" {
		said = append(said, "reason: "+m.Reason)
	}
	return strings.Join(said, "; ")
}

// Claims gives what is in somebody's hands, and has not been idle for longer than
// idle, by study.
func (l *Reading) Claims(ctx context.Context, idle time.Duration) ([]study.Claim, error) {
	return sqldb.List(l.db.Ask(ctx), scanClaim, `SELECT `+claimColumns+` FROM claim WHERE holder <> '' AND seen >= $1 ORDER BY study_uid`,
		sqldb.MS(l.db.Now().Add(-idle)))
}

// A stepBody is what of a step no query asks for.
type stepBody struct {
	Recall string        `json:"recall,omitempty"`
	Wrong  []string      `json:"wrong,omitempty"`
	Text   string        `json:"text,omitempty"`
	Mark   *study.Region `json:"mark,omitempty"`
	Shown  *study.Shown  `json:"shown,omitempty"`
}

const stepColumns = `study_uid, rev, reader, step, model_id, model_version, model_sha256, tracking, verdict, body, at`

func scanStep(rows *sql.Rows) (s study.ReadingStep, err error) {
	var sum []byte
	var body string
	var when int64
	if err = rows.Scan(&s.N, &s.Study, &s.Rev, &s.By, &s.Step, &s.Model.ID, &s.Model.Version, &sum, &s.Tracking, &s.Verdict, &body, &when); err != nil {
		return s, err
	}
	var b stepBody
	err = sqldb.Unpack(body, &b)
	s.Model.SHA256, s.At = sqldb.Hash(sum), sqldb.At(when)
	s.Wrong, s.Text, s.Mark, s.Shown, s.Recall = b.Wrong, b.Text, b.Mark, b.Shown, b.Recall
	return s, err
}

// Answer keeps steps of one reader with one study, all or none, each with its row
// of the audit; revision and time are the ledger's. A step that names another revision
// than the study's is refused, for it is about images that are not all of them any
// more. A second impression of the same state of a study is refused, and so is whatever but an addendum comes after the
// final answer: [study.ErrRefused]. The final answer marks the study read, as
// [Reading.MarkRead] does, and ends its claim; passing a study over ends the
// reader's own. In a screening the answer is a turn, see [study.Screening.After], and
// only what ends the screening marks the study read.
func (l *Reading) Answer(ctx context.Context, steps ...study.ReadingStep) error {
	for _, s := range steps {
		if err := s.Sound(); err != nil {
			return err
		}
	}
	err := l.change(ctx, func(t *tx) error {
		for _, s := range steps {
			if err := t.step(s); err != nil {
				return fmt.Errorf("%s of study %s: %w", s.Step, s.Study, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep an answer: %w", err)
	}
	return nil
}

func (t *tx) step(s study.ReadingStep) error {
	now, err := row.FindStudy(t, s.Study)
	if err != nil {
		return err
	}
	if s.Rev != 0 && s.Rev != now.Rev {
		return fmt.Errorf("images came since it was opened, and nothing was kept: open it anew, look at them, and answer then: %w", study.ErrRefused)
	}
	before, err := sqldb.List(t, sqldb.Word, `SELECT step FROM reading_step WHERE study_uid = $1 AND rev = $2 AND reader = $3 AND step IN ('own', 'final')`,
		s.Study, now.Rev, sqldb.Clean(s.By))
	if err != nil {
		return err
	}
	for _, b := range before {
		switch {
		case b == study.StepOwn && s.Step == study.StepOwn:
			return fmt.Errorf("%s has locked an impression already: %w", s.By, study.ErrRefused)
		case b == study.StepFinal && s.Step != study.StepAddendum && s.Step != study.StepShown:
			return fmt.Errorf("%s has answered already; what is to be said now is an addendum: %w", s.By, study.ErrRefused)
		}
	}
	body, err := sqldb.Pack(stepBody{Recall: s.Recall, Wrong: s.Wrong, Text: sqldb.Clean(s.Text), Mark: s.Mark, Shown: s.Shown})
	if err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO reading_step (`+stepColumns+`) VALUES `+sqldb.Values(11), s.Study, now.Rev, sqldb.Clean(s.By), s.Step,
		sqldb.Clean(s.Model.ID), sqldb.Clean(s.Model.Version), s.Model.SHA256[:], s.Tracking, sqldb.Clean(s.Verdict), body, sqldb.MS(t.Now)); err != nil {
		return err
	}
	t.Shown = true
	if s.Step == study.StepSkipped {
		if _, err := t.Exec(`DELETE FROM claim WHERE study_uid = $1 AND holder = $2`, s.Study, sqldb.Clean(s.By)); err != nil {
			return err
		}
	}
	if s.Step == study.StepFinal {
		ends, err := t.answerScreening(now, s)
		if err != nil || !ends {
			return err
		}
		if err := t.markRead(s.Study, s.By, verdictText(s)); err != nil || !t.Rules.Verified {
			return err
		}
		return t.verify(s.Study, now.Rev)
	}
	return t.Audit(s.By, stepWords[s.Step], row.Entity(s.Study), stepDetail(s, now.Rev, sha256.Sum256([]byte(body))))
}

// verdictText is a final answer as one text.
func verdictText(s study.ReadingStep) string {
	if s.Text == "" {
		return s.Verdict
	}
	return s.Verdict + ": " + s.Text
}

// stepWords are what the audit calls the steps.
var stepWords = map[string]string{
	study.StepSkipped: "skipped", study.StepOwn: "own read", study.StepShown: "ai shown",
	study.StepFinding: "finding judged", study.StepMissed: "finding missed", study.StepAddendum: "addendum",
}

// stepDetail tells the audit what was done, and binds it to the whole of it by its
// hash. The reader's words stay out of it but for why a study was passed over,
// which is about the reader's work.
func stepDetail(s study.ReadingStep, rev int, body study.Hash) string {
	said := []string{fmt.Sprintf("revision %d", rev)}
	if s.Model.ID != "" {
		said = append(said, "model "+s.Model.String()+", SHA-256 "+s.Model.SHA256.String(), "finding "+string(s.Tracking))
	}
	if s.Verdict != "" {
		said = append(said, s.Verdict)
	}
	if len(s.Wrong) > 0 {
		said = append(said, strings.Join(s.Wrong, " "))
	}
	if s.Step == study.StepSkipped {
		said = append(said, fmt.Sprintf("reason: %q", s.Text))
	}
	if s.Shown != nil {
		said = append(said, "in "+s.Shown.Lang)
		for _, r := range s.Shown.Results {
			said = append(said, fmt.Sprintf("model %s, SHA-256 %s, result %s, %s, %s", r.Model, r.SHA256, r.Result, r.AI, r.Protocol))
		}
	}
	return strings.Join(append(said, "kept with SHA-256 "+body.String()), "; ")
}

// Steps gives what readers did with a study, in the order in which they did it.
func (l *Reading) Steps(ctx context.Context, uid study.UID) ([]study.ReadingStep, error) {
	return sqldb.List(l.db.Ask(ctx), scanStep, `SELECT id, `+stepColumns+` FROM reading_step WHERE study_uid = $1 ORDER BY id`, uid)
}

// Locked gives those of the studies of which a reader has locked an impression in
// the state in which they are now, or has answered.
func (l *Reading) Locked(ctx context.Context, by string, studies []study.UID) ([]study.UID, error) {
	if len(studies) == 0 {
		return nil, nil
	}
	named := make([]study.Study, len(studies))
	for i, uid := range studies {
		named[i].UID = uid
	}
	in, args := uids(named)
	args = append(args, sqldb.Clean(by))
	// Few have: only of those is it asked in which state their study is.
	return sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (uid study.UID, err error) { return uid, rows.Scan(&uid) },
		fmt.Sprintf(`SELECT DISTINCT r.study_uid FROM reading_step r WHERE r.study_uid IN %s AND r.reader = $%d AND r.step IN ('own', 'final')
			AND r.rev = (SELECT s.rev FROM study s WHERE s.uid = r.study_uid) ORDER BY r.study_uid`, in, len(args)), args...)
}

// ModelsAsked gives the models that were asked about the studies as they are now, and
// that readers hear, by study; of one that nobody was asked about nothing.
func (l *Reading) ModelsAsked(ctx context.Context, studies []study.UID) (map[study.UID][]study.ModelRef, error) {
	if len(studies) == 0 {
		return nil, nil
	}
	named := make([]study.Study, len(studies))
	for i, uid := range studies {
		named[i].UID = uid
	}
	in, args := uids(named)
	asked := map[study.UID][]study.ModelRef{}
	_, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (uid study.UID, err error) {
		var m study.ModelRef
		var sum []byte
		err = rows.Scan(&uid, &m.ID, &m.Version, &sum)
		m.SHA256 = sqldb.Hash(sum)
		asked[uid] = append(asked[uid], m)
		return uid, err
	}, `SELECT s.uid, p.model_id, p.model_version, p.model_sha256 FROM study s JOIN model_plan p ON p.study_uid = s.uid AND p.rev = s.rev
		WHERE s.uid IN `+in+` AND p.shadow = 0 ORDER BY s.uid, p.model_id, p.model_version, p.model_sha256`, args...)
	return asked, err
}

// Judgments gives the verdicts on single findings of a model since a time, oldest
// first, for its oversight: at most limit, those behind step after.
func (l *Reading) Judgments(ctx context.Context, m study.ModelRef, since time.Time, after int64, limit int) ([]study.ReadingStep, error) {
	return sqldb.List(l.db.Ask(ctx), scanStep, `SELECT id, `+stepColumns+` FROM reading_step
		WHERE model_id = $1 AND model_id <> '' AND model_version = $2 AND at >= $3 AND id > $4 AND step IN ('finding', 'missed') ORDER BY id LIMIT $5`,
		m.ID, m.Version, sqldb.MS(since), after, row.LimitOf(limit))
}

// Skips counts how often each reader has passed a study over since a time.
func (l *Reading) Skips(ctx context.Context, since time.Time) (map[string]int, error) {
	type row struct {
		by string
		n  int
	}
	rows, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.by, &r.n) },
		`SELECT reader, COUNT(*) FROM reading_step WHERE step = 'skipped' AND at >= $1 GROUP BY reader`, sqldb.MS(since))
	out := map[string]int{}
	for _, r := range rows {
		out[r.by] = r.n
	}
	return out, err
}
