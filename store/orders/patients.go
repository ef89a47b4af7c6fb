package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// ChangePatient applies what a register of patients says: to every study of the
// record, and for a merge to every study that comes under the old number later.
// Each study that changes has its line in the audit. A study whose own facts
// contradict the message is left as it is, flagged, and counted as held.
//
// What is older than what is known of the same record changes nothing, and neither
// does the same message again.
func (l *Book) ChangePatient(ctx context.Context, c study.PatientChange) (study.Heard, error) {
	var h study.Heard
	err := l.change(ctx, func(t *tx) error {
		h = study.Heard{}
		if len(c.Identifiers) == 0 {
			return fmt.Errorf("a patient without an identifier: %w", study.ErrInvalid)
		}
		var err error
		if len(c.Merged) == 0 {
			err = t.updatePatient(c, &h)
		}
		for _, old := range c.Merged {
			if err == nil {
				err = t.mergePatient(c, old, &h)
			}
		}
		slices.Sort(h.Studies)
		h.Studies = slices.Compact(h.Studies)
		return err
	})
	if err != nil {
		return study.Heard{}, fmt.Errorf("change patient: %w", err)
	}
	return h, nil
}

// cleanPerson makes a stranger's texts fit for the tables.
func cleanPerson(p study.Person) study.Person {
	for _, s := range []*string{&p.ID, &p.Issuer, &p.Name, &p.Birth, &p.Sex} {
		*s = sqldb.Clean(*s)
	}
	return p
}

func (t *tx) updatePatient(c study.PatientChange, h *study.Heard) error {
	now := cleanPerson(c.Patient.Reveal())
	for _, id := range c.Identifiers {
		record := study.Person{ID: sqldb.Clean(id.ID), Issuer: sqldb.Clean(id.Authority)}
		told := now
		told.ID, told.Issuer = record.ID, record.Issuer
		m := merged{old: record, now: told, told: c.Told}
		stale, err := t.keepMerge(m)
		if err != nil {
			return err
		}
		if stale {
			h.Old = true
			continue
		}
		studies, err := t.studiesOfRecord(id)
		if err != nil {
			return err
		}
		for _, s := range studies {
			p := s.Patient.Reveal()
			if facts := differing(p, now); len(facts) >= tooMany {
				h.Held++
				if err := t.hold(s.UID, m.heldFor(s, facts)); err != nil {
					return err
				}
				continue
			}
			if err := t.setPatient(s, refresh(p, now), "patient updated", c.Told, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// studiesOfRecord gives the studies of one record.
func (t *tx) studiesOfRecord(id study.Identifier) ([]study.Study, error) {
	all, err := sqldb.List(t, row.ScanStudy, `SELECT `+row.StudyColumns+` FROM study WHERE patient_id = $1 ORDER BY uid`, sqldb.Clean(id.ID))
	return slices.DeleteFunc(all, func(s study.Study) bool { return !sameRecord(s.Patient.Reveal(), id) }), err
}

func (t *tx) mergePatient(c study.PatientChange, old study.Identifier, h *study.Heard) error {
	now := cleanPerson(c.Patient.Reveal())
	surviving := c.Identifiers[0]
	for _, id := range c.Identifiers {
		if id.Authority == old.Authority {
			surviving = id
			break
		}
	}
	now.ID, now.Issuer = sqldb.Clean(surviving.ID), sqldb.Clean(surviving.Authority)
	old = study.Identifier{ID: sqldb.Clean(old.ID), Authority: sqldb.Clean(old.Authority), AuthorityUID: sqldb.Clean(old.AuthorityUID)}
	if old.ID == now.ID && old.Authority == now.Issuer {
		return fmt.Errorf("a record merged into itself: %w", study.ErrInvalid)
	}
	m := merged{old: study.Person{ID: old.ID, Issuer: old.Authority, Name: sqldb.Clean(c.MergedName.Reveal().Name)}, now: now, told: c.Told}
	stale, err := t.keepMerge(m)
	if err != nil || stale {
		h.Old = stale
		return err
	}
	studies, err := t.studiesOfRecord(old)
	if err != nil {
		return err
	}
	for _, s := range studies {
		p := s.Patient.Reveal()
		evidence := m.against(p)
		if _, err := mergeOf(t, p); errors.Is(err, study.ErrNotFound) {
			evidence = append(evidence, "issuer of the patient ID")
		} else if err != nil {
			return err
		}
		if evidence != nil {
			h.Held++
			if err := t.hold(s.UID, m.heldFor(s, evidence)); err != nil {
				return err
			}
			continue
		}
		if err := t.setPatient(s, m.become(p), "patient merged", c.Told, h); err != nil {
			return err
		}
	}
	return nil
}

// keepMerge records a merge or an update; stale says that a newer one is known, or
// that the record which is updated was merged away.
func (t *tx) keepMerge(m merged) (stale bool, err error) {
	was, err := sqldb.One(t, scanMerged, `SELECT `+mergedColumns+` FROM patient_merge WHERE old_id = $1 AND old_issuer = $2`, m.old.ID, m.old.Issuer)
	switch {
	case err == nil && m.told.At.Before(was.told.At), err == nil && m.itself() && !was.itself():
		return true, nil
	case err != nil && !errors.Is(err, study.ErrNotFound):
		return false, err
	}
	// The other way round no longer counts.
	if _, err := t.Exec(`DELETE FROM patient_merge WHERE old_id = $1 AND old_issuer = $2 OR old_id = $3 AND old_issuer = $4 AND new_id = $1`,
		m.old.ID, m.old.Issuer, m.now.ID, m.now.Issuer); err != nil {
		return false, err
	}
	_, err = t.Exec(`INSERT INTO patient_merge (`+mergedColumns+`) VALUES `+sqldb.Values(11),
		m.old.ID, m.old.Issuer, m.old.Name, m.now.ID, m.now.Issuer, m.now.Name, m.now.Birth, m.now.Sex,
		sqldb.Clean(m.told.Sender), sqldb.Clean(m.told.ID), sqldb.MS(m.told.At))
	if err != nil || m.itself() {
		return false, err
	}
	return false, t.Audit("hl7", "records merged", "patient", citation(m.told))
}

// setPatient writes a study's patient anew, with a line in the audit that tells
// what changed and not to what.
func (t *tx) setPatient(s study.Study, now study.Person, action string, told study.Message, h *study.Heard) error {
	was := s.Patient.Reveal()
	var what []string
	for _, f := range [...]struct{ name, a, b string }{{"ID", was.ID, now.ID}, {"issuer", was.Issuer, now.Issuer},
		{"name", was.Name, now.Name}, {"birth date", was.Birth, now.Birth}, {"sex", was.Sex, now.Sex}} {
		if f.a != f.b {
			what = append(what, f.name)
		}
	}
	if len(what) == 0 {
		return nil
	}
	s.Patient = study.NewPatient(now)
	if _, err := t.Exec(`UPDATE study SET patient_id = $2, issuer = $3, patient_name = $4, birth = $5, sex = $6, search = $7 WHERE uid = $1`,
		s.UID, now.ID, now.Issuer, now.Name, now.Birth, now.Sex, row.SearchText(s)); err != nil {
		return err
	}
	t.Shown = true
	h.Studies = append(h.Studies, s.UID)
	if err := t.Audit("hl7", action, row.Entity(s.UID), citation(told)+"; changed "+strings.Join(what, ", ")); err != nil {
		return err
	}
	if err := t.Readdress(s); err != nil {
		return err
	}
	// What was held may be this patient's now.
	if _, _, err := t.applyOrders(s.UID); err != nil {
		return err
	}
	return t.reviewReports(s.UID)
}
