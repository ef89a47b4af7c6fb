package course

import (
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// UpdateStudy writes what an arrival may change.
func (t *Tx) UpdateStudy(s study.Study, waiting string) error {
	why, err := sqldb.Pack(s.Place.Why)
	if err != nil {
		return err
	}
	p := s.Patient.Reveal()
	read := `read_at`
	if waiting == `1` {
		read = `0` // there is something new to read
	}
	_, err = t.Exec(`UPDATE study SET status = $2, patient_id = $3, issuer = $4, patient_name = $5, birth = $6, sex = $7,
		accession = $8, study_id = $9, description = $10, study_date = $11, study_time = $12, referring = $13, modality = $14,
		priority = $15, instances = $16, conflicts = $17, last_instance_at = $18, class = $19, place_key = $20, why = $21,
		deadline = $22, rule = $23, search = $24, note = $25, waiting = `+waiting+`, read_at = `+read+` WHERE uid = $1`,
		s.UID, s.Status, p.ID, p.Issuer, p.Name, p.Birth, p.Sex, s.Accession, s.ID, s.Description, s.Date, s.Time,
		s.Referring, s.Modality, s.Priority, s.Instances, s.Conflicts, sqldb.MS(s.LastInstanceAt), s.Place.Class, sqldb.MS(s.Place.Key),
		why, sqldb.MS(s.Place.Deadline), s.Place.Rule, row.SearchText(s), s.Note)
	return err
}

// Reopen takes a settled study back to receiving. What was still to do on its
// old revision is canceled: whoever works on it finds the fence closed.
func (t *Tx) Reopen(s *study.Study) error {
	was := s.Status
	to, err := s.Status.To(study.Receiving)
	if err != nil {
		return err
	}
	s.Status, s.Note = to, ""
	if err := t.CancelJobs(s.UID); err != nil {
		return err
	}
	return t.Audit("ingest", "reopened", row.Entity(s.UID), "was "+string(was))
}

// CancelJobs ends what is open of a study.
func (t *Tx) CancelJobs(uid study.UID) error {
	t.Moved = true
	_, err := t.Exec(`UPDATE job SET state = 'canceled', worker = '' WHERE study_uid = $1 AND state IN ('ready', 'enqueued')
		AND task NOT IN ('withdraw', 'verify')`, uid) // what is called back or answered stays so, whatever comes
	return err
}
