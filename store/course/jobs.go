package course

import (
	"cmp"
	"database/sql"
	"fmt"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// promises says within what time of its arrival a study of each lane should be
// scored. Inside a lane the earliest due is served first, and a deadline that is
// nearer than the promise counts instead of it.
var promises = [...]time.Duration{
	study.Stat:     5 * time.Minute,
	study.Urgent:   30 * time.Minute,
	study.Pathway:  4 * time.Hour,
	study.Routine:  12 * time.Hour,
	study.Backfill: 7 * 24 * time.Hour,
}

// A Revision is what all jobs of one revision have in common.
type Revision struct {
	Study study.UID
	Rev   int
	Plan  study.Hash
	Lane  study.Lane
	Due   time.Time
}

// KnownLane reports whether there is such a lane.
func KnownLane(lane study.Lane) bool { return lane >= 0 && int(lane) < len(promises) }

// Due is when the jobs of a study should be done.
func Due(s study.Study, lane study.Lane) time.Time {
	if !KnownLane(lane) {
		return s.ReceivedAt
	}
	at := s.ReceivedAt.Add(promises[lane])
	if d := s.Place.Deadline; !d.IsZero() && d.Before(at) {
		return d
	}
	return at
}

// AskModel records what one model is asked, and the jobs for it. A model that isn't
// asked has its result here and now.
func (t *Tx) AskModel(o Revision, m study.ModelPlan) error {
	blocks := m.Blocks
	m.Blocks = nil
	plan, err := sqldb.Pack(m)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO model_plan (study_uid, rev, model_id, model_version, model_sha256, parts, plan, shadow) VALUES `+sqldb.Values(8),
		o.Study, o.Rev, m.Model.ID, m.Model.Version, m.Model.SHA256[:], len(blocks), plan, sqldb.Bit(m.Shadow)); err != nil {
		return err
	}
	if len(blocks) == 0 {
		r := study.Result{AI: m.State, Reason: m.Reason, Corrects: m.Corrects}
		if r.AI != study.Failed {
			r.AI = study.OutOfScope
		}
		return t.KeepVerdict(o, m, r)
	}
	pool := m.Pool
	if pool == "" {
		pool = study.PoolCPU
	}
	if m.Shadow { // it takes what others leave, whoever waits for the study
		o.Lane, o.Due = study.Backfill, o.Due.Add(promises[study.Backfill])
	}
	for n, b := range blocks {
		id := study.JobID(o.Study, o.Rev, o.Plan, study.TaskScore, m.Model, n)
		tiles, err := sqldb.Pack(b)
		if err != nil {
			return err
		}
		if err := t.addJob(o, id, study.TaskScore, m.Model, n, b.Planned(), pool, m.EstMS); err != nil {
			return err
		}
		if _, err := t.Exec(`INSERT INTO block (job_id, tiles) VALUES ($1, $2) ON CONFLICT (job_id) DO NOTHING`, id, tiles); err != nil {
			return err
		}
	}
	return nil
}

// addJob makes a job ready. Its ID is made from what it asks for, so that a
// second one is the first one.
func (t *Tx) addJob(o Revision, id string, task study.Task, m study.ModelRef, part, planned int, pool string, estMS int64) error {
	t.Moved = true
	_, err := t.Exec(`INSERT INTO job (`+row.JobColumns+`, planned, not_before, state, enqueued_at, worker, error, reason)
		VALUES `+sqldb.Values(23)+` ON CONFLICT (id) DO NOTHING`,
		id, o.Study, o.Rev, task, m.ID, m.Version, m.SHA256[:], part, pool, o.Lane,
		sqldb.MS(o.Due), sqldb.MS(t.Now), estMS, 0, 0, 0, planned, 0, study.JobReady, 0, "", "", "")
	return err
}

// FollowUp adds the one conclude or report job of a model.
func (t *Tx) FollowUp(o Revision, task study.Task, m study.ModelRef) error {
	// A tenth of a second: reading the parts back and writing one small object.
	const estMS = 100
	pool := study.PoolReport
	if task == study.TaskConclude {
		plan, err := row.FindModelPlan(t, o.Study, o.Rev, m)
		if err != nil {
			return err
		}
		pool = cmp.Or(plan.Concludes, pool)
		if plan.Shadow {
			o.Lane = study.Backfill
		}
	}
	return t.addJob(o, study.JobID(o.Study, o.Rev, o.Plan, task, m, 0), task, m, 0, 0, pool, estMS)
}

// FindRevision reads what Settle recorded of a revision.
func (t *Tx) FindRevision(uid study.UID, rev int) (Revision, error) {
	o, err := sqldb.One(t, func(rows *sql.Rows) (o Revision, err error) {
		var sum []byte
		var s study.Study
		var received, deadline int64
		err = rows.Scan(&sum, &o.Lane, &received, &deadline)
		s.ReceivedAt, s.Place.Deadline = sqldb.At(received), sqldb.At(deadline)
		o.Plan, o.Due = sqldb.Hash(sum), Due(s, o.Lane)
		return o, err
	}, `SELECT r.plan, r.lane, s.received_at, s.deadline FROM revision r JOIN study s ON s.uid = r.study_uid WHERE r.study_uid = $1 AND r.rev = $2`, uid, rev)
	if err != nil {
		return o, fmt.Errorf("revision %d of study %s: %w", rev, uid, err)
	}
	o.Study, o.Rev = uid, rev
	return o, nil
}

// Backoff is how long a job rests after its n-th failure.
func Backoff(n int) time.Duration { return time.Second << (2 * (n - 1)) }
