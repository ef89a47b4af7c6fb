package course

import (
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// Readdress calls for what tells of the results of a study anew, to whoever has heard
// of them: the facts of its patient have changed. So is what a reader said of the latest
// earlier state of which a reader said something, where the one of now has no answer yet.
// What a stopped model has told is left; it is called back, or not at all.
func (t *Tx) Readdress(s study.Study) error {
	if s.Rev == 0 {
		return nil
	}
	results, err := t.HeardResults(s.UID, s.Rev)
	if err != nil || len(results) == 0 {
		return err
	}
	o, err := t.FindRevision(s.UID, s.Rev)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Tells() {
			if err := t.readdress(o, r.Model); err != nil {
				return err
			}
		}
		// What a reader said of an earlier state stands until a reader has answered again.
		signed, err := sqldb.One(t, sqldb.Number, `SELECT COALESCE(MAX(r.rev), 0) FROM report r WHERE r.study_uid = $4 AND r.kind LIKE '%!verified' AND `+row.OfModel("r"),
			r.Model.ID, r.Model.Version, r.Model.SHA256[:], s.UID)
		if err != nil {
			return err
		}
		if signed == 0 || int(signed) >= s.Rev {
			continue
		}
		then, err := t.FindRevision(s.UID, int(signed))
		if err != nil {
			return err
		}
		if err := t.readdress(then, r.Model); err != nil {
			return err
		}
	}
	return nil
}

// readdress calls for what tells anew of a model's result of a revision.
func (t *Tx) readdress(o Revision, m study.ModelRef) error {
	before, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM job j WHERE j.study_uid = $4 AND j.rev = $5 AND j.task = 'patient' AND `+row.OfModel("j"),
		m.ID, m.Version, m.SHA256[:], o.Study, o.Rev)
	if err != nil {
		return err
	}
	part := int(before)
	const estMS = 100 // as of a report
	return t.addJob(o, study.JobID(o.Study, o.Rev, o.Plan, study.TaskPatient, m, part), study.TaskPatient, m, part, 0, study.PoolReport, estMS)
}
