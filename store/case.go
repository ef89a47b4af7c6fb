package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

const waitColumns = `study_uid, kind, reason, slide, container, body, asked_by, asked_at, ended_at, ended_by, ended_why`

func scanWait(rows *sql.Rows) (w study.CaseWait, err error) {
	var asked, ended int64
	err = rows.Scan(&w.N, &w.Study, &w.Kind, &w.Reason, &w.Slide, &w.Container, &w.Text, &w.By, &asked, &ended, &w.EndedBy, &w.EndedWhy)
	w.At, w.EndedAt = sqldb.At(asked), sqldb.At(ended)
	return w, err
}

// ofCase picks the rows of a study's case: of one patient under one accession number.
const ofCase = `(study_uid = $1 OR study_uid IN (SELECT uid FROM study WHERE accession = $2 AND accession <> '' AND patient_id = $3))`

func waitsOf(a sqldb.Asker, s study.Study) ([]study.CaseWait, error) {
	return sqldb.List(a, scanWait, `SELECT id, `+waitColumns+` FROM case_wait WHERE `+ofCase+` ORDER BY id`, s.UID, s.Accession, s.Patient.Reveal().ID)
}

// CaseWaits tells of studies what their cases wait for and have waited for, oldest
// first, in the order of the studies.
func (l *Ledger) CaseWaits(ctx context.Context, studies []study.Study) ([][]study.CaseWait, error) {
	all := make([][]study.CaseWait, len(studies))
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		any, err := sqldb.List(a, sqldb.Number, `SELECT 1 FROM case_wait LIMIT 1`)
		if err != nil || len(any) == 0 {
			return err
		}
		for i, s := range studies {
			if s.Modality != study.SM { // which never waits
				continue
			}
			if all[i], err = waitsOf(a, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("what cases wait for: %w", err)
	}
	return all, nil
}

// OpenWait keeps that a case waits for something, and gives it with its number. Of a
// study that holds no slides, or is read, that is refused with [study.ErrInvalid]
// or [study.ErrRefused].
func (l *Ledger) OpenWait(ctx context.Context, w study.CaseWait) (study.CaseWait, error) {
	err := l.change(ctx, func(t *tx) error {
		if err := w.Sound(); err != nil {
			return err
		}
		s, err := findStudy(t, w.Study)
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
		w.At, w.By, w.Text = t.Now, sqldb.Clean(w.By), sqldb.Clean(strings.TrimSpace(w.Text))
		w.N, err = sqldb.One(t, sqldb.Number, `INSERT INTO case_wait (`+waitColumns+`) VALUES `+sqldb.Values(11)+` RETURNING id`,
			w.Study, w.Kind, w.Reason, w.Slide, sqldb.Clean(w.Container), w.Text, w.By, sqldb.MS(t.Now), 0, "", "")
		if err != nil {
			return err
		}
		if _, err := t.Exec(`DELETE FROM claim WHERE study_uid = $1 AND holder = $2`, w.Study, w.By); err != nil {
			return err
		}
		t.Shown = true
		return t.audit(w.By, "case waits", entity(w.Study), strings.TrimSpace(w.Kind+" "+w.Reason+" "+string(w.Slide)))
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
	all, err := sqldb.List(t, scanInstance, `SELECT `+instanceColumns+` FROM instance WHERE study_uid = $1 AND series_uid = $2 AND own = 0`, uid, slide)
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
func (l *Ledger) EndWait(ctx context.Context, uid study.UID, n int64, by, why string) error {
	err := l.change(ctx, func(t *tx) error {
		if strings.TrimSpace(why) == "" || strings.TrimSpace(by) == "" || len([]rune(why)) > study.MaxReadingText {
			return fmt.Errorf("a name and a reason are needed: %w", study.ErrInvalid)
		}
		s, err := findStudy(t, uid)
		if err != nil {
			return err
		}
		all, err := waitsOf(t, s)
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
		return t.endWait(all[i], by, sqldb.Clean(strings.TrimSpace(why)))
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
	return t.audit(by, "case waits no more", entity(w.Study), said)
}

// slideCame ends what a new slide of a case was waited for, and sees to it that a
// study that is new stands no later than the rest of its case. fresh says that it is.
func (t *tx) slideCame(fresh bool, i study.Instance) error {
	if i.Image == nil || i.Image.Slide == nil {
		return nil
	}
	s, err := findStudy(t, i.Study)
	if err != nil {
		return err
	}
	waits, err := waitsOf(t, s)
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
	first, err := findStudy(t, waits[at].Study)
	if err != nil {
		return err
	}
	p := noLater(s.Place, first.Place)
	p.Why = append(slices.Clone(p.Why), study.Reason{Code: whyCase})
	return t.putPlace(s.UID, p)
}

// whyCase is the reason of a study that stands where the rest of its case does.
const whyCase = "case"

// stays keeps that reason in a place that is made anew.
func stays(p, old study.Place) study.Place {
	i := slices.IndexFunc(old.Why, func(r study.Reason) bool { return r.Code == whyCase })
	if i >= 0 && !slices.ContainsFunc(p.Why, func(r study.Reason) bool { return r.Code == whyCase }) {
		p.Why = append(slices.Clone(p.Why), old.Why[i])
	}
	return p
}

// awaited refuses to count a study as read while its case waits for something.
func (t *tx) awaited(s study.Study) error {
	if s.Modality != study.SM {
		return nil
	}
	waits, err := waitsOf(t, s)
	if err != nil {
		return err
	}
	for _, w := range waits {
		if w.Open() {
			return fmt.Errorf("its case waits since %s: %s, asked for by %s; end that with a reason, or wait: %w",
				w.At.UTC().Format(time.RFC3339), strings.TrimSpace(w.Kind+" "+w.Reason), w.By, study.ErrRefused)
		}
	}
	return nil
}

// ViewSlide notes that a reader has opened a slide; again changes nothing.
func (l *Ledger) ViewSlide(ctx context.Context, uid, slide study.UID, by string) error {
	err := l.change(ctx, func(t *tx) error {
		if _, err := t.container(uid, slide); err != nil {
			return err
		}
		n, err := t.Exec(`INSERT INTO slide_view (study_uid, series_uid, reader, at) VALUES `+sqldb.Values(4)+`
			ON CONFLICT (study_uid, series_uid, reader) DO NOTHING`, uid, slide, sqldb.Clean(by), sqldb.MS(t.Now))
		if err != nil || n == 0 {
			return err
		}
		return t.audit(by, "slide viewed", entity(uid), "slide "+string(slide))
	})
	if err != nil {
		return fmt.Errorf("slide %s of study %s is viewed: %w", slide, uid, err)
	}
	return nil
}

// ViewedSlides gives the slides of a study that a reader has opened, sorted.
func (l *Ledger) ViewedSlides(ctx context.Context, uid study.UID, by string) ([]study.UID, error) {
	return sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (u study.UID, err error) { return u, rows.Scan(&u) },
		`SELECT series_uid FROM slide_view WHERE study_uid = $1 AND reader = $2 ORDER BY series_uid`, uid, sqldb.Clean(by))
}
