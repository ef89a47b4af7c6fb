package intake

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// CaseWaits tells of studies what their cases wait for and have waited for, oldest
// first, in the order of the studies.
func (l *Intake) CaseWaits(ctx context.Context, studies []study.Study) ([][]study.CaseWait, error) {
	all := make([][]study.CaseWait, len(studies))
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		any, err := sqldb.List(a, sqldb.Number, `SELECT 1 FROM case_wait LIMIT 1`)
		if err != nil || len(any) == 0 {
			return err
		}
		var slides []study.Study // nothing else waits
		var at []int
		for i, s := range studies {
			if s.Modality == study.SM {
				slides, at = append(slides, s), append(at, i)
			}
		}
		waits, err := row.WaitsOfAll(a, slides)
		for i, w := range waits {
			all[at[i]] = w
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("what cases wait for: %w", err)
	}
	return all, nil
}

// OpenWait keeps that a case waits for something, and gives it with its number. Of a
// study that holds no slides, or is read, that is refused with [study.ErrInvalid]
// or [study.ErrRefused].
func (l *Intake) OpenWait(ctx context.Context, w study.CaseWait) (study.CaseWait, error) {
	err := l.change(ctx, func(t *tx) error {
		if err := w.Sound(); err != nil {
			return err
		}
		s, err := row.FindStudy(t, w.Study)
		if err != nil {
			return err
		}
		unread, err := sqldb.One(t, sqldb.Number, `SELECT waiting FROM study WHERE uid = $1`, s.UID)
		switch {
		case err != nil:
			return err
		case s.Modality != study.SM:
			return fmt.Errorf("it holds no slides: %w", study.ErrInvalid)
		case unread == 0:
			return fmt.Errorf("it is read; a slide that comes opens it again by itself: %w", study.ErrRefused)
		}
		if w.Container, err = t.container(s.UID, w.Slide); err != nil {
			return err
		}
		w.At, w.By, w.Text = t.Now, sqldb.Clean(w.By), sqldb.Clean(study.Said(w.Text))
		w.N, err = sqldb.One(t, sqldb.Number, `INSERT INTO case_wait (`+row.WaitColumns+`) VALUES `+sqldb.Values(11)+` RETURNING id`,
			w.Study, w.Kind, w.Reason, w.Slide, sqldb.Clean(w.Container), w.Text, w.By, sqldb.MS(t.Now), 0, "", "")
		if err != nil {
			return err
		}
		if _, err := t.Exec(`DELETE FROM claim WHERE study_uid = $1 AND holder = $2`, w.Study, w.By); err != nil {
			return err
		}
		t.Shown = true
		return t.Audit(w.By, "case waits", row.Entity(w.Study), strings.TrimSpace(w.Kind+" "+w.Reason+" "+string(w.Slide)))
	})
	if err != nil {
		return w, fmt.Errorf("have the case of study %s wait: %w", w.Study, err)
	}
	return w, nil
}

// container is what stands on a slide's label; a slide that the study does not have is
// an error of kind [study.ErrNotFound].
func (t *tx) container(uid, slide study.UID) (string, error) {
	if slide == "" {
		return "", nil
	}
	all, err := sqldb.List(t, row.ScanInstance, `SELECT `+row.InstanceColumns+` FROM instance WHERE study_uid = $1 AND series_uid = $2 AND own = 0`, uid, slide)
	if err != nil {
		return "", err
	}
	for _, in := range all {
		if c := labelOf(in); c != "" {
			return c, nil
		}
	}
	if len(all) == 0 {
		return "", fmt.Errorf("slide %s: %w", slide, study.ErrNotFound)
	}
	return "", nil
}

// labelOf is the container that a slide's image names; unknown is none.
func labelOf(in study.Instance) string {
	if in.Image == nil || in.Image.Slide == nil || strings.EqualFold(in.Image.Slide.ContainerID, "unknown") {
		return ""
	}
	return in.Image.Slide.ContainerID
}

// EndWait ends a wait of a study's case by hand, with a reason.
func (l *Intake) EndWait(ctx context.Context, uid study.UID, n int64, by, why string) error {
	err := l.change(ctx, func(t *tx) error {
		if study.Said(why) == "" || study.Said(by) == "" || len([]rune(why)) > study.MaxReadingText {
			return fmt.Errorf("a name and a reason are needed: %w", study.ErrInvalid)
		}
		s, err := row.FindStudy(t, uid)
		if err != nil {
			return err
		}
		all, err := row.WaitsOf(t, s)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(w study.CaseWait) bool { return w.N == n })
		switch {
		case i < 0:
			return fmt.Errorf("wait %d: %w", n, study.ErrNotFound)
		case !all[i].Open():
			return fmt.Errorf("wait %d is over: %w", n, study.ErrRefused)
		}
		return t.endWait(all[i], by, sqldb.Clean(study.Said(why)))
	})
	if err != nil {
		return fmt.Errorf("end a wait of study %s: %w", uid, err)
	}
	return nil
}

func (t *tx) endWait(w study.CaseWait, by, why string) error {
	if _, err := t.Exec(`UPDATE case_wait SET ended_at = $2, ended_by = $3, ended_why = $4 WHERE id = $1`, w.N, sqldb.MS(t.Now), sqldb.Clean(by), why); err != nil {
		return err
	}
	t.Shown = true
	said := w.Kind + " " + w.Reason
	if why != "" {
		said += fmt.Sprintf("; reason: %q", why)
	}
	return t.Audit(by, "case waits no more", row.Entity(w.Study), said)
}

// slideCame ends what a new slide of a case was waited for, and sees to it that a
// study that is new stands no later than the rest of its case. fresh says that it is.
func (t *tx) slideCame(fresh bool, i study.Instance) error {
	if i.Image == nil || i.Image.Slide == nil {
		return nil
	}
	s, err := row.FindStudy(t, i.Study)
	if err != nil {
		return err
	}
	waits, err := row.WaitsOf(t, s)
	if err != nil || !slices.ContainsFunc(waits, study.CaseWait.Open) {
		return err
	}
	known, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM instance WHERE study_uid = $1 AND series_uid = $2`, i.Study, i.Series)
	if err != nil || known > 0 {
		return err
	}
	at := study.EndedBySlide(waits, labelOf(i))
	if at < 0 {
		return nil
	}
	if err := t.endWait(waits[at], "ingest", ""); err != nil || !fresh {
		return err
	}
	first, err := row.FindStudy(t, waits[at].Study)
	if err != nil {
		return err
	}
	p := course.NoLater(s.Place, first.Place)
	p.Why = append(slices.Clone(p.Why), study.Reason{Code: course.WhyCase})
	return t.PutPlace(s.UID, p)
}

// ViewSlide notes that a reader has opened a slide; again changes nothing.
func (l *Intake) ViewSlide(ctx context.Context, uid, slide study.UID, by string) error {
	err := l.change(ctx, func(t *tx) error {
		if _, err := t.container(uid, slide); err != nil {
			return err
		}
		n, err := t.Exec(`INSERT INTO slide_view (study_uid, series_uid, reader, at) VALUES `+sqldb.Values(4)+`
			ON CONFLICT (study_uid, series_uid, reader) DO NOTHING`, uid, slide, sqldb.Clean(by), sqldb.MS(t.Now))
		if err != nil || n == 0 {
			return err
		}
		return t.Audit(by, "slide viewed", row.Entity(uid), "slide "+string(slide))
	})
	if err != nil {
		return fmt.Errorf("slide %s of study %s is viewed: %w", slide, uid, err)
	}
	return nil
}

// ViewedSlides gives the slides of a study that a reader has opened, sorted.
func (l *Intake) ViewedSlides(ctx context.Context, uid study.UID, by string) ([]study.UID, error) {
	return sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (u study.UID, err error) { return u, rows.Scan(&u) },
		`SELECT series_uid FROM slide_view WHERE study_uid = $1 AND reader = $2 ORDER BY series_uid`, uid, sqldb.Clean(by))
}
