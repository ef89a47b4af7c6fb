package orders

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

const holdColumns = `id, kind, study_uid, subject, sender, message, told_at, at, evidence, differs, state, decided_by, reason, decided_at`

// A keptHold is one row.
type keptHold struct {
	study.Hold
	subject string
}

func scanHold(rows *sql.Rows) (h keptHold, err error) {
	var id, told, when, decided int64
	var names, differs string
	if err := rows.Scan(&id, &h.Kind, &h.Study, &h.subject, &h.Told.Sender, &h.Told.ID, &told, &when, &names, &differs,
		&h.State, &h.By, &h.Reason, &decided); err != nil {
		return h, err
	}
	h.ID, h.Told.At, h.At, h.Decided = strconv.FormatInt(id, 10), sqldb.At(told), sqldb.At(when), sqldb.At(decided)
	if differs == "" { // held before both sides were kept
		h.Evidence = between(study.Person{}, study.Person{}, strings.Split(names, ", "))
		return h, nil
	}
	return h, sqldb.Unpack(differs, &h.Evidence)
}

// between gives both sides of the facts that contradict each other.
func between(known, came study.Person, facts []string) (all []study.Difference) {
	for _, f := range facts {
		d := study.Difference{Attribute: f}
		switch f {
		case "patient ID":
			d = study.Difference{Attribute: "PatientID", Known: known.ID, Came: came.ID}
		case "issuer of the patient ID":
			d = study.Difference{Attribute: "IssuerOfPatientID", Known: known.Issuer, Came: came.Issuer}
		case "family name":
			d = study.Difference{Attribute: "PatientName", Known: known.Name, Came: came.Name}
		case "birth date":
			d = study.Difference{Attribute: "PatientBirthDate", Known: known.Birth, Came: came.Birth}
		case "sex":
			d = study.Difference{Attribute: "PatientSex", Known: known.Sex, Came: came.Sex}
		}
		all = append(all, d)
	}
	return all
}

// A held is what is not applied to a study, and what speaks against it.
type held struct {
	kind, subject string
	told          study.Message
	facts         []string
	known, came   study.Person
}

// hold keeps that something told was not applied to a study, and flags the study.
// It is done once for each subject; what was decided of a subject that now says
// something else is open again.
func (t *tx) hold(uid study.UID, h held) error {
	differs, err := sqldb.Pack(between(h.known, h.came, h.facts))
	if err != nil {
		return err
	}
	names := strings.Join(h.facts, ", ")
	n, err := t.Exec(`INSERT INTO hold (study_uid, kind, subject, sender, message, told_at, evidence, differs, at) VALUES `+sqldb.Values(9)+`
		ON CONFLICT (study_uid, kind, subject) DO UPDATE SET sender = $4, message = $5, told_at = $6, evidence = $7, differs = $8, at = $9,
		state = 'open', decided_by = '', reason = '', decided_at = 0 WHERE hold.state <> 'open' AND hold.differs <> $8`,
		uid, h.kind, h.subject, sqldb.Clean(h.told.Sender), sqldb.Clean(h.told.ID), sqldb.MS(h.told.At), names, differs, sqldb.MS(t.Now))
	if err != nil || n == 0 {
		return err
	}
	if _, err := t.Exec(`UPDATE study SET conflicts = conflicts + 1 WHERE uid = $1`, uid); err != nil {
		return err
	}
	t.Shown = true
	return t.Audit("hl7", h.kind+" held", row.Entity(uid), fmt.Sprintf("%s; the study's patient differs in %s", citation(h.told), names))
}

// verdict is what was decided of something that was told of a study: empty when
// nothing was. What says other things by now has no verdict.
func verdict(a sqldb.Asker, uid study.UID, h held) (string, error) {
	differs, err := sqldb.Pack(between(h.known, h.came, h.facts))
	if err != nil {
		return "", err
	}
	state, err := sqldb.One(a, sqldb.Word, `SELECT state FROM hold WHERE study_uid = $1 AND kind = $2 AND subject = $3
		AND state <> 'open' AND (differs = $4 OR differs = '')`, uid, h.kind, h.subject, differs)
	if errors.Is(err, study.ErrNotFound) {
		return "", nil
	}
	return state, err
}

// acquit ends a hold whose reason is gone.
func (t *tx) acquit(uid study.UID, kind, subject string) error {
	n, err := t.Exec(`UPDATE hold SET state = 'released', decided_by = 'hl7', reason = 'the patient no longer differs', decided_at = $4
		WHERE study_uid = $1 AND kind = $2 AND subject = $3 AND state = 'open'`, uid, kind, subject, sqldb.MS(t.Now))
	if err != nil || n == 0 {
		return err
	}
	t.Shown = true
	if _, err := t.Exec(`UPDATE study SET conflicts = conflicts - 1 WHERE uid = $1 AND conflicts > 0`, uid); err != nil {
		return err
	}
	return t.Audit("hl7", kind+" released", row.Entity(uid), "the patient no longer differs")
}

// Holds gives what other systems told and what was not applied, the newest first.
func (l *Book) Holds(ctx context.Context, f study.HoldFilter) ([]study.Hold, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	kept, err := sqldb.List(l.db.Ask(ctx), scanHold, `SELECT `+holdColumns+` FROM hold WHERE ($1 = '' OR study_uid = $1) AND ($2 = '' OR state = $2)
		ORDER BY at DESC, id DESC LIMIT $3`, f.Study, f.State, limit)
	if err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	all := make([]study.Hold, len(kept))
	for i, k := range kept {
		all[i] = k.Hold
	}
	return all, nil
}

// DecideHold ends a hold under a person's name and with a reason, which the audit
// keeps. What is released is applied to the study as if nothing had contradicted
// it: an order moves it, a report is its report, a merge or an update gives it
// the patient that was told of, also for images that still come. What is
// discarded is never applied; its text stays kept. A hold that is decided
// already, or that a newer message has overtaken, is [study.ErrInvalid].
func (l *Book) DecideHold(ctx context.Context, id string, release bool, by, reason string) (study.Hold, error) {
	var h keptHold
	err := l.change(ctx, func(t *tx) (err error) {
		h, err = t.decideHold(id, release, by, reason)
		return err
	})
	if err != nil {
		return study.Hold{}, fmt.Errorf("decide hold %s: %w", id, err)
	}
	return h.Hold, nil
}

func (t *tx) decideHold(id string, release bool, by, reason string) (keptHold, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return keptHold{}, study.ErrNotFound
	}
	if err := row.Signed(by, reason); err != nil {
		return keptHold{}, err
	}
	state := study.HoldDiscarded
	if release {
		state = study.HoldReleased
	}
	changed, err := t.Exec(`UPDATE hold SET state = $2, decided_by = $3, reason = $4, decided_at = $5 WHERE id = $1 AND state = 'open'`,
		n, state, sqldb.Clean(by), sqldb.Clean(reason), sqldb.MS(t.Now))
	if err != nil {
		return keptHold{}, err
	}
	h, err := sqldb.One(t, scanHold, `SELECT `+holdColumns+` FROM hold WHERE id = $1`, n)
	if err != nil {
		return h, err
	}
	if changed == 0 {
		return h, fmt.Errorf("it was %s by %s: %w", h.State, h.By, study.ErrInvalid)
	}
	if _, err := t.Exec(`UPDATE study SET conflicts = conflicts - 1 WHERE uid = $1 AND conflicts > 0`, h.Study); err != nil {
		return h, err
	}
	t.Shown = true
	if err := t.Audit(sqldb.Clean(by), h.Kind+" "+state, row.Entity(h.Study), citation(h.Told)+"; "+sqldb.Clean(reason)); err != nil {
		return h, err
	}
	if release {
		err = t.release(h)
	}
	return h, err
}

// release applies what was held.
func (t *tx) release(h keptHold) error {
	switch h.Kind {
	case study.HoldOrder:
		_, _, err := t.applyOrders(h.Study)
		return err
	case study.HoldReport:
		return t.Audit("hl7", "report in", row.Entity(h.Study), citation(h.Told))
	}
	s, err := row.FindStudy(t, h.Study)
	if err != nil {
		return err
	}
	m, err := t.mergeTold(s, h)
	if err != nil {
		return err
	}
	action := "patient merged"
	if m.itself() {
		action = "patient updated"
	}
	var heard study.Heard
	return t.setPatient(s, m.become(s.Patient.Reveal()), action, h.Told, &heard)
}

// mergeTold finds the merge or the update that a hold is about. The table keeps
// the latest of each record only.
func (t *tx) mergeTold(s study.Study, h keptHold) (merged, error) {
	all, err := sqldb.List(t, scanMerged, `SELECT `+mergedColumns+` FROM patient_merge WHERE sender = $1 AND message = $2`, h.Told.Sender, h.Told.ID)
	if err != nil {
		return merged{}, err
	}
	i := slices.IndexFunc(all, func(m merged) bool {
		return sameRecord(s.Patient.Reveal(), study.Identifier{ID: m.old.ID, Authority: m.old.Issuer})
	})
	if i < 0 {
		return merged{}, fmt.Errorf("the register has told something newer of this record since; discard it: %w", study.ErrInvalid)
	}
	return all[i], nil
}

// mergeReleased reports whether a person has decided that a merge or an update
// holds for a study whatever contradicts it.
func (t *tx) mergeReleased(uid study.UID, m merged) (bool, error) {
	_, err := sqldb.One(t, sqldb.Word, `SELECT state FROM hold WHERE study_uid = $1 AND kind IN ('merge', 'update') AND subject = $2 AND state = 'released'`,
		uid, m.subject())
	if errors.Is(err, study.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// reviewReports ends the holds of reports whose patient is the study's by now.
func (t *tx) reviewReports(uid study.UID) error {
	s, err := row.FindStudy(t, uid)
	if err != nil {
		return err
	}
	all, err := reportsOf(t, s)
	for _, r := range all {
		if err != nil {
			return err
		}
		if len(r.facts) == 0 {
			err = t.acquit(uid, study.HoldReport, r.sum.Short())
		}
	}
	return err
}
