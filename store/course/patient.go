package course

import (
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// Readdress calls for what tells of the results of a study anew, to whoever has heard
// of them: the facts of its patient have changed. What a stopped model has told is left;
// it is called back, or not at all.
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
		if !r.Tells() {
			continue
		}
		before, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM job j WHERE j.study_uid = $4 AND j.rev = $5 AND j.task = 'patient' AND `+row.OfModel("j"),
			r.Model.ID, r.Model.Version, r.Model.SHA256[:], s.UID, s.Rev)
		if err != nil {
			return err
		}
		part := int(before)
		const estMS = 100 // as of a report
		if err := t.addJob(o, study.JobID(s.UID, s.Rev, o.Plan, study.TaskPatient, r.Model, part), study.TaskPatient, r.Model, part, 0, study.PoolReport, estMS); err != nil {
			return err
		}
	}
	return nil
}
