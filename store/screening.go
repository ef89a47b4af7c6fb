package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

// A readBody is what of a screening's read no query asks for.
type readBody struct {
	Text string         `json:"text,omitempty"`
	With []string       `json:"with,omitempty"`
	Saw  []study.SeenAI `json:"saw,omitempty"`
}

// findScreening gives how far a state of a study is in its program: what was kept at
// its first answer, or before that the plan by what is known now. The zero screening
// is that it belongs to none.
func (l *Ledger) findScreening(a sqldb.Asker, s study.Study) (study.Screening, error) {
	v, err := sqldb.One(a, func(rows *sql.Rows) (v study.Screening, err error) {
		var plan string
		var decided int64
		if err := rows.Scan(&plan, &v.State, &v.Look, &decided); err != nil {
			return v, err
		}
		v.DecidedAt = sqldb.At(decided)
		return v, sqldb.Unpack(plan, &v.Plan)
	}, `SELECT plan, state, look, decided_at FROM screening WHERE study_uid = $1 AND rev = $2`, s.UID, s.Rev)
	v.Study, v.Rev = s.UID, s.Rev
	if errors.Is(err, study.ErrNotFound) {
		v.State = study.ScreeningFirst
		v.Plan, err = l.screened(a, s)
		return v, err
	}
	if err != nil {
		return v, err
	}
	v.Reads, err = sqldb.List(a, func(rows *sql.Rows) (r study.ScreeningRead, err error) {
		var body string
		var when int64
		if err := rows.Scan(&r.Turn, &r.By, &r.Recall, &body, &when); err != nil {
			return r, err
		}
		var b readBody
		r.At = sqldb.At(when)
		err = sqldb.Unpack(body, &b)
		r.Text, r.With, r.Saw = b.Text, b.With, b.Saw
		return r, err
	}, `SELECT turn, reader, recall, body, at FROM screening_read WHERE study_uid = $1 AND rev = $2 ORDER BY id`, s.UID, s.Rev)
	return v, err
}

// screened asks the site's programs about a study as it is now. Results of models
// that were stopped since count as stopped, and models that have no result yet as at
// work.
func (l *Ledger) screened(a sqldb.Asker, s study.Study) (study.ScreeningPlan, error) {
	if l.screener == nil {
		return study.ScreeningPlan{}, nil
	}
	f := study.ScreeningFacts{Study: s}
	var err error
	if f.Codes, err = codesOf(a, s); err != nil || l.screener(f).Program == "" {
		return study.ScreeningPlan{}, err
	}
	if f.Results, err = sqldb.List(a, scanResult, `SELECT body FROM result WHERE study_uid = $1 AND rev = $2 AND shadow = 0
		ORDER BY model_id, model_version, model_sha256`, s.UID, s.Rev); err != nil {
		return study.ScreeningPlan{}, err
	}
	for i, r := range f.Results {
		c, err := lastChange(a, r.Model)
		if err != nil {
			return study.ScreeningPlan{}, err
		}
		if c.State != "" && c.State != study.ModelLive && r.AI != study.OutOfScope {
			f.Results[i] = study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}}
		}
	}
	asked, err := sqldb.List(a, sqldb.Word, `SELECT plan FROM model_plan p WHERE study_uid = $1 AND rev = $2 AND shadow = 0 AND NOT EXISTS (SELECT 1 FROM result r
		WHERE r.study_uid = p.study_uid AND r.rev = p.rev AND r.model_id = p.model_id AND r.model_version = p.model_version AND r.model_sha256 = p.model_sha256)
		ORDER BY model_id, model_version, model_sha256`, s.UID, s.Rev)
	for _, text := range asked {
		var p study.ModelPlan
		if err := sqldb.Unpack(text, &p); err != nil {
			return study.ScreeningPlan{}, err
		}
		f.Results = append(f.Results, study.Result{Study: s.UID, Rev: s.Rev, Model: p.Model, AI: study.Running})
	}
	if err != nil {
		return study.ScreeningPlan{}, err
	}
	return l.screener(f), nil
}

// screened picks what a list of screenings is about, and leaves out what its reader
// has read. The state that counts is that of the study's own revision.
func (c *conditions) screened(f study.WorklistFilter) {
	const of = `(uid, rev) IN (SELECT x.study_uid, x.rev FROM screening x WHERE `
	switch f.List {
	case study.ListSecond, study.ListConsensus:
		c.add(of+`x.state = $?)`, f.List)
	case study.ListDiscordance:
		c.add(of + `x.look = 'open')`)
	}
	if f.Reader != "" && (f.List == "" || f.List == study.ListSecond) {
		c.add(`NOT EXISTS (SELECT 1 FROM screening_read y WHERE y.study_uid = study.uid AND y.rev = study.rev AND y.reader = $?
			AND y.turn IN ('first', 'second', 'third'))`, sqldb.Clean(f.Reader))
	}
}

// codesOf gives the codes of a study's orders.
func codesOf(a sqldb.Asker, s study.Study) (all []study.Code, err error) {
	texts, err := sqldb.List(a, sqldb.Word, `SELECT codes FROM placed_order WHERE canceled = 0 AND (study_uid = $1 OR accession = $2 AND accession <> '' AND patient_id = $3)
		ORDER BY id`, s.UID, s.Accession, s.Patient.Reveal().ID)
	for _, text := range texts {
		var codes []study.Code
		if err := sqldb.Unpack(text, &codes); err != nil {
			return nil, err
		}
		all = append(all, codes...)
	}
	return all, err
}

// Screenings tells of studies how far they are in their screening programs, in their
// order: of a study that is in none, the zero screening.
func (l *Ledger) Screenings(ctx context.Context, studies []study.Study) ([]study.Screening, error) {
	all := make([]study.Screening, len(studies))
	err := l.db.View(ctx, func(a sqldb.Asker) (err error) {
		for i, s := range studies {
			if all[i], err = l.findScreening(a, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("screenings: %w", err)
	}
	return all, nil
}

// DecideScreening keeps what a meeting decided, or what somebody found at a second look: turns
// [study.TurnMeeting] and [study.TurnLook]. With a meeting's decision the study is
// read. Errors are those of [study.Screening.After].
func (l *Ledger) DecideScreening(ctx context.Context, uid study.UID, r study.ScreeningRead) (study.Screening, error) {
	var next study.Screening
	err := l.change(ctx, func(t *tx) error {
		if r.Turn != study.TurnMeeting && r.Turn != study.TurnLook {
			return fmt.Errorf("turn %q: readers answer: %w", r.Turn, study.ErrInvalid)
		}
		s, err := findStudy(t, uid)
		if err != nil {
			return err
		}
		was, err := l.findScreening(t, s)
		if err != nil {
			return err
		}
		next, err = t.screen(s, was, r)
		if err == nil && next.Decided() && !was.Decided() {
			err = t.markRead(uid, r.By, recallWord(r.Recall))
		}
		return err
	})
	if err != nil {
		return next, fmt.Errorf("screening of study %s: %w", uid, err)
	}
	return next, nil
}

// screen keeps what somebody said in a screening.
func (t *tx) screen(s study.Study, was study.Screening, r study.ScreeningRead) (next study.Screening, err error) {
	r.By, r.Text, r.At = sqldb.Clean(r.By), sqldb.Clean(r.Text), t.Now
	r.With = slices.Clone(r.With)
	for i, w := range r.With {
		r.With[i] = strings.TrimSpace(sqldb.Clean(w))
	}
	if len([]rune(r.Text)) > study.MaxReadingText {
		return was, fmt.Errorf("%s of study %s: too long: %w", r.Turn, s.UID, study.ErrInvalid)
	}
	if r.Saw, err = t.seen(s, r.By); err != nil {
		return was, err
	}
	if next, err = was.After(r); err != nil {
		return was, err
	}
	if err := t.putScreening(next); err != nil {
		return next, err
	}
	r = next.Reads[len(next.Reads)-1]
	body, err := sqldb.Pack(readBody{r.Text, r.With, r.Saw})
	if err != nil {
		return next, err
	}
	if _, err := t.Exec(`INSERT INTO screening_read (study_uid, rev, turn, reader, recall, body, at) VALUES `+sqldb.Values(7),
		s.UID, s.Rev, r.Turn, r.By, sqldb.Bit(r.Recall), body, sqldb.MS(t.Now)); err != nil {
		return next, err
	}
	t.Shown = true
	return next, t.audit(r.By, "screening "+r.Turn, entity(s.UID), screeningDetail(next, r))
}

// putScreening writes where a screening stands; the plan as it was first kept, but
// for what was learned since.
func (t *tx) putScreening(s study.Screening) error {
	plan, err := sqldb.Pack(s.Plan)
	if err != nil {
		return err
	}
	var decided int64
	if !s.DecidedAt.IsZero() {
		decided = sqldb.MS(s.DecidedAt)
	}
	_, err = t.Exec(`INSERT INTO screening (study_uid, rev, plan, state, look, decided_at) VALUES `+sqldb.Values(6)+`
		ON CONFLICT (study_uid, rev) DO UPDATE SET plan = excluded.plan, state = excluded.state, look = excluded.look, decided_at = excluded.decided_at`,
		s.Study, s.Rev, plan, s.State, s.Look, decided)
	return err
}

// seen is what of the AI somebody has been shown of a state of a study.
func (t *tx) seen(s study.Study, by string) (all []study.SeenAI, err error) {
	steps, err := sqldb.List(t, sqldb.Word, `SELECT body FROM reading_step WHERE study_uid = $1 AND rev = $2 AND reader = $3 AND step = 'shown' ORDER BY id`,
		s.UID, s.Rev, by)
	for _, text := range steps {
		var b stepBody
		if err := sqldb.Unpack(text, &b); err != nil {
			return nil, err
		}
		for _, r := range b.Shown.Results {
			one := study.SeenAI{Model: r.Model, SHA256: r.SHA256, Result: r.Result, AI: r.AI}
			if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all, err
}

func recallWord(recall bool) string {
	if recall {
		return study.AnswerRecall
	}
	return study.AnswerNoRecall
}

// screeningDetail tells the audit what was said and why by so many.
func screeningDetail(s study.Screening, r study.ScreeningRead) string {
	said := []string{fmt.Sprintf("revision %d", s.Rev), "program " + s.Plan.Program, recallWord(r.Recall), "now " + s.State}
	if len(s.Reads) == 1 {
		said = append(said, fmt.Sprintf("readers %d by %s", s.Plan.Readers, s.Plan.Why))
		if s.Plan.Score != nil {
			said = append(said, fmt.Sprintf("%g of %s", *s.Plan.Score, s.Plan.Model))
		}
	}
	if len(r.With) > 0 {
		said = append(said, fmt.Sprintf("with %q", r.With))
	}
	if s.Look != "" {
		said = append(said, "second look "+s.Look)
	}
	for _, m := range r.Saw {
		said = append(said, fmt.Sprintf("had seen %s, SHA-256 %s, result %s", m.Model, m.SHA256, m.Result))
	}
	return strings.Join(said, "; ")
}

// answerScreening keeps a reader's final answer in a screening, and reports whether
// that ends it. Where the study belongs to no program the answer does.
func (t *tx) answerScreening(s study.Study, step study.ReadingStep) (ends bool, err error) {
	was, err := t.ledger.findScreening(t, s)
	if err != nil || was.Zero() {
		if err == nil && step.Recall != "" {
			err = fmt.Errorf("study %s is of no screening program: %w", s.UID, study.ErrInvalid)
		}
		return true, err
	}
	if step.Recall == "" {
		return false, fmt.Errorf("study %s is of a screening program: say recall or no_recall: %w", s.UID, study.ErrIncomplete)
	}
	next, err := t.screen(s, was, study.ScreeningRead{By: step.By, Recall: step.Recall == study.AnswerRecall, Text: step.Text})
	if err != nil || next.Decided() {
		return true, err
	}
	_, err = t.Exec(`DELETE FROM claim WHERE study_uid = $1`, s.UID)
	return false, err
}

// learnScreening lets a screening know of a result that has just come, or gone.
func (t *tx) learnScreening(uid study.UID, rev int) error {
	if t.ledger.screener == nil {
		return nil
	}
	s, err := findStudy(t, uid)
	if err != nil || s.Rev != rev {
		return err
	}
	was, err := t.ledger.findScreening(t, s)
	if err != nil || was.Zero() || len(was.Reads) == 0 {
		return err
	}
	plan, err := t.ledger.screened(t, s)
	if err != nil {
		return err
	}
	next := was.Learns(plan)
	if next.Plan.Positive == was.Plan.Positive {
		return nil
	}
	if err := t.putScreening(next); err != nil {
		return err
	}
	t.Shown = true
	if next.Look == was.Look {
		return nil
	}
	return t.audit("inference", "second look wanted", entity(uid), fmt.Sprintf("revision %d, program %s", rev, was.Plan.Program))
}

// ScreeningHistory walks over the examinations that came from one time to another,
// in no order, with what a [study.Screener] looks at, and how their screening stands.
func (l *Ledger) ScreeningHistory(ctx context.Context, from, to time.Time, each func(study.ScreeningFacts, study.Screening) error) error {
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		studies, err := sqldb.List(a, scanStudy, `SELECT `+studyColumns+` FROM study WHERE received_at >= $1 AND received_at < $2
			AND (waiting = 1 OR read_at > 0) ORDER BY received_at, uid`, sqldb.MS(from), sqldb.MS(to))
		if err != nil {
			return err
		}
		for part := range slices.Chunk(studies, 256) {
			cases, err := resultsOf(a, part)
			if err != nil {
				return err
			}
			for _, c := range cases {
				codes, err := codesOf(a, c.Study)
				if err != nil {
					return err
				}
				s, err := l.findScreening(a, c.Study)
				if err != nil {
					return err
				}
				if err := each(study.ScreeningFacts{Study: c.Study, Codes: codes, Results: c.Results}, s); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("examinations of screenings: %w", err)
	}
	return nil
}
