package reading

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

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
	c.unread(f)
}

// unread leaves out what a list's reader has read in a screening.
func (c *conditions) unread(f study.WorklistFilter) {
	if f.Reader != "" && (f.List == "" || f.List == study.ListSecond) {
		c.add(`NOT EXISTS (SELECT 1 FROM screening_read y WHERE y.study_uid = study.uid AND y.rev = study.rev AND y.reader = $?
			AND y.turn IN ('first', 'second', 'third'))`, sqldb.Clean(f.Reader))
	}
}

// Screenings tells of studies how far they are in their screening programs, in their
// order: of a study that is in none, the zero screening.
func (l *Reading) Screenings(ctx context.Context, studies []study.Study) ([]study.Screening, error) {
	var all []study.Screening
	err := l.db.View(ctx, func(a sqldb.Asker) (err error) {
		all, err = l.rules.FindScreenings(a, studies)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("screenings: %w", err)
	}
	return all, nil
}

// DecideScreening keeps what a meeting decided, or what somebody found at a second look: turns
// [study.TurnMeeting] and [study.TurnLook]. With a meeting's decision the study is
// read. Errors are those of [study.Screening.After].
func (l *Reading) DecideScreening(ctx context.Context, uid study.UID, r study.ScreeningRead) (study.Screening, error) {
	var next study.Screening
	err := l.change(ctx, func(t *tx) error {
		if r.Turn != study.TurnMeeting && r.Turn != study.TurnLook {
			return fmt.Errorf("turn %q: readers answer: %w", r.Turn, study.ErrInvalid)
		}
		s, err := row.FindStudy(t, uid)
		if err != nil {
			return err
		}
		was, err := l.rules.FindScreening(t, s)
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
	if err := t.PutScreening(next); err != nil {
		return next, err
	}
	r = next.Reads[len(next.Reads)-1]
	body, err := sqldb.Pack(course.ScreeningBody{Text: r.Text, With: r.With, Saw: r.Saw})
	if err != nil {
		return next, err
	}
	if _, err := t.Exec(`INSERT INTO screening_read (study_uid, rev, turn, reader, recall, body, at) VALUES `+sqldb.Values(7),
		s.UID, s.Rev, r.Turn, r.By, sqldb.Bit(r.Recall), body, sqldb.MS(t.Now)); err != nil {
		return next, err
	}
	t.Shown = true
	return next, t.Audit(r.By, "screening "+r.Turn, row.Entity(s.UID), screeningDetail(next, r))
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
	was, err := t.Rules.FindScreening(t, s)
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

// ScreeningHistory walks over the examinations that came from one time to another,
// in no order, with what a [study.Screener] looks at, and how their screening stands.
func (l *Reading) ScreeningHistory(ctx context.Context, from, to time.Time, each func(study.ScreeningFacts, study.Screening) error) error {
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		studies, err := sqldb.List(a, row.ScanStudy, `SELECT `+row.StudyColumns+` FROM study WHERE received_at >= $1 AND received_at < $2
			AND (waiting = 1 OR read_at > 0) ORDER BY received_at, uid`, sqldb.MS(from), sqldb.MS(to))
		if err != nil {
			return err
		}
		for part := range slices.Chunk(studies, 256) {
			cases, err := resultsOf(a, part, wholeResult)
			if err != nil {
				return err
			}
			for _, c := range cases {
				codes, err := course.CodesOf(a, c.Study)
				if err != nil {
					return err
				}
				s, err := l.rules.FindScreening(a, c.Study)
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
