package orders

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// TakeReports keeps reports that physicians wrote, all of them or none. The same
// one again is kept once. A report is found with its study, whichever of the two
// came first; see [Book.ReportsIn].
func (l *Book) TakeReports(ctx context.Context, reports []study.ReportIn) (study.Heard, error) {
	var h study.Heard
	err := l.change(ctx, func(t *tx) error {
		h = study.Heard{}
		for _, r := range reports {
			if r.Study == "" && r.Accession == "" && r.Placer == "" && r.Filler == "" {
				return fmt.Errorf("a report without a number: %w", study.ErrInvalid)
			}
			if err := t.keepReport(r, &h); err != nil {
				return err
			}
		}
		slices.Sort(h.Studies)
		return nil
	})
	if err != nil {
		return study.Heard{}, fmt.Errorf("take %d reports: %w", len(reports), err)
	}
	return h, nil
}

const reportInColumns = `sender, message, told_at, study_uid, accession, placer, filler,
	patient_id, issuer, patient_name, birth, sex, identifiers, status, body, codes`

func scanReportIn(rows *sql.Rows) (r study.ReportIn, err error) {
	var p study.Person
	var told int64
	var ids, codes string
	if err := rows.Scan(&r.Told.Sender, &r.Told.ID, &told, &r.Study, &r.Accession, &r.Placer, &r.Filler,
		&p.ID, &p.Issuer, &p.Name, &p.Birth, &p.Sex, &ids, &r.Status, &r.Text, &codes); err != nil {
		return r, err
	}
	r.Patient, r.Told.At = study.NewPatient(p), sqldb.At(told)
	if err := sqldb.Unpack(ids, &r.Identifiers); err != nil {
		return r, err
	}
	return r, sqldb.Unpack(codes, &r.Codes)
}

func (t *tx) keepReport(r study.ReportIn, h *study.Heard) error {
	for _, s := range []*string{&r.Told.Sender, &r.Told.ID, &r.Accession, &r.Placer, &r.Filler, &r.Status, &r.Text} {
		*s = sqldb.Clean(*s)
	}
	sum, err := reportHash(r)
	if err != nil {
		return err
	}
	ids, err := sqldb.Pack(r.Identifiers)
	if err != nil {
		return err
	}
	codes, err := sqldb.Pack(r.Codes)
	if err != nil {
		return err
	}
	p := cleanPerson(r.Patient.Reveal())
	r.Patient = study.NewPatient(p)
	n, err := t.Exec(`INSERT INTO report_in (heard_at, sha256, `+reportInColumns+`) VALUES `+sqldb.Values(18)+`
		ON CONFLICT (sender, message, sha256) DO NOTHING`, sqldb.MS(t.Now), sum[:], r.Told.Sender, r.Told.ID, sqldb.MS(r.Told.At),
		r.Study, r.Accession, r.Placer, r.Filler, p.ID, p.Issuer, p.Name, p.Birth, p.Sex, ids, r.Status, r.Text, codes)
	if err != nil || n == 0 {
		return err
	}
	touched := map[study.UID]bool{}
	if err := t.speaksOf(r.Study, r.Accession, touched); err != nil {
		return err
	}
	for uid := range touched {
		s, err := row.FindStudy(t, uid)
		if err != nil {
			return err
		}
		evidence, err := contradicts(t, s.Patient.Reveal(), person{p, r.Identifiers}, r.Study == uid)
		if err != nil {
			return err
		}
		if evidence != nil {
			h.Held++
			err = t.hold(uid, knownReport{ReportIn: r, sum: sum}.heldFor(s, evidence))
		} else {
			h.Studies, t.Shown = append(h.Studies, uid), true
			err = t.Audit("hl7", "report in", row.Entity(uid), "status "+brief(r.Status)+"; "+citation(r.Told))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A knownReport is a report beside the study that it may be about. facts speak
// against that; a person who released it has none left.
type knownReport struct {
	study.ReportIn
	sum   study.Hash
	facts []string
}

func scanKnownReport(rows *sql.Rows) (k knownReport, err error) {
	k.ReportIn, err = scanReportIn(rows)
	return k, err
}

// reportsOf gives the reports that name a study by its UID or by its accession
// number, the latest first, those of another patient among them.
func reportsOf(a sqldb.Asker, s study.Study) ([]knownReport, error) {
	all, err := sqldb.List(a, scanKnownReport, `SELECT `+reportInColumns+` FROM report_in WHERE study_uid = $1
		OR $2 <> '' AND accession = $2 AND (study_uid = '' OR study_uid NOT IN (SELECT uid FROM study)) ORDER BY told_at DESC, id DESC`, s.UID, s.Accession)
	if err != nil {
		return nil, err
	}
	for i := range all {
		r := &all[i]
		if r.sum, err = reportHash(r.ReportIn); err != nil {
			return nil, err
		}
		facts, err := contradicts(a, s.Patient.Reveal(), person{r.Patient.Reveal(), r.Identifiers}, r.Study == s.UID)
		if err != nil {
			return nil, err
		}
		r.facts = facts
	}
	return all, nil
}

// heldFor is that a report was not counted as a study's, for these facts.
func (k knownReport) heldFor(s study.Study, facts []string) held {
	return held{kind: study.HoldReport, subject: k.sum.Short(), told: k.Told, facts: facts,
		known: s.Patient.Reveal(), came: k.Patient.Reveal()}
}

// ReportsIn gives the reports that physicians wrote about a study, the latest
// first: those that name it by its UID, and those that name its accession number
// and patient. A report of another patient is left out, unless a person released
// it; see [Book.DecideHold].
func (l *Book) ReportsIn(ctx context.Context, uid study.UID) (out []study.ReportIn, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		s, err := row.FindStudy(a, uid)
		if err != nil {
			return err
		}
		all, err := reportsOf(a, s)
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.facts != nil {
				if v, err := verdict(a, uid, r.heldFor(s, r.facts)); err != nil {
					return err
				} else if v != study.HoldReleased {
					continue
				}
			}
			out = append(out, r.ReportIn)
		}
		return nil
	})
	return out, err
}

// reportHash covers what a report says, so that a sender whose numbers begin anew
// loses none.
func reportHash(r study.ReportIn) (study.Hash, error) {
	text, err := sqldb.Pack([]any{r.Study, r.Accession, r.Placer, r.Filler, r.Status, r.Text, r.Codes})
	return sha256.Sum256([]byte(text)), err
}
