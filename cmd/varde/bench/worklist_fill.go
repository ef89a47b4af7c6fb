package bench

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"varde/cmd/varde/house"
	"varde/internal/dicom"
	"varde/internal/webui"
	"varde/store"
	"varde/study"
)

// listStudy gives study n, of one instance.
func listStudy(n int) study.Arrival {
	s := qidoStudy(n)
	s.UID = study.UID(fmt.Sprintf("2.25.8%09d", n))
	s.Priority = []study.Priority{study.PriorityRoutine, study.PriorityRoutine, study.PriorityRoutine, study.PriorityPathway, study.PriorityUrgent, study.PriorityRoutine, study.PriorityStat}[n%7]
	s.ReceivedAt = time.Now().Add(-time.Duration(n) * 13 * time.Minute).UTC()
	s.LastInstanceAt = s.ReceivedAt
	series := study.UID(string(s.UID) + ".1")
	return study.Arrival{Study: s, Instance: study.Instance{Study: s.UID, Series: series, UID: series + ".1", Class: dicom.CTImage, TransferSyntax: dicom.ExplicitLE,
		Modality: s.Modality, Number: 1, SeriesNumber: 1, Key: "dicom/none", Bytes: 1, ReceivedAt: s.ReceivedAt, SHA256: sha256.Sum256([]byte(s.UID))}}
}

// listModel is who answers.
func listModel() study.ModelRef {
	return study.ModelRef{ID: "bench", Version: "1", SHA256: sha256.Sum256([]byte("bench"))}
}

// settleOne takes in a study and asks the model of it.
func settleOne(ctx context.Context, ledger *store.Ledger, n int) error {
	a := listStudy(n)
	if _, err := ledger.Receive(ctx, a); err != nil {
		return err
	}
	m := study.ModelPlan{Model: listModel(), Pool: study.PoolCPU, EstMS: 10, State: study.Running, Planned: 1,
		Blocks: []study.Block{{Kind: study.Images, Tiles: []study.Tile{{Instance: a.Instance.UID, W: 4, H: 4}}}}}
	return ledger.Settle(ctx, study.Plan{Study: a.Study.UID, Rev: 1, Models: []study.ModelPlan{m}, Instances: []study.Hash{a.Instance.SHA256}})
}

// conclusions does the scoring jobs that wait, and claims n conclusions.
func conclusions(ctx context.Context, ledger *store.Ledger, n int) ([]study.Job, error) {
	for {
		jobs, err := ledger.Claim(ctx, study.PoolCPU, 1000, study.Backfill)
		if err != nil {
			return nil, err
		}
		if len(jobs) == 0 {
			break
		}
		for _, j := range jobs {
			if err := ledger.FinishPart(ctx, j, "results/"+j.ID, 1, 1, 0.5); err != nil {
				return nil, err
			}
		}
	}
	var all []study.Job
	for len(all) < n {
		jobs, err := ledger.Claim(ctx, study.PoolReport, 1000, study.Backfill)
		if err != nil {
			return nil, err
		}
		jobs = slices.DeleteFunc(jobs, func(j study.Job) bool { return j.Task != study.TaskConclude })
		if len(jobs) == 0 {
			return nil, fmt.Errorf("%d of %d conclusions are there: %w", len(all), n, study.ErrIncomplete)
		}
		all = append(all, jobs...)
	}
	return all, nil
}

func listResult(j study.Job, n int) study.Result {
	probability := float64(n%100) / 100
	state := study.NotFlagged
	if n%5 == 0 {
		state = study.Flagged
	}
	return study.Result{Study: j.Study, Rev: j.Rev, Model: j.Model, Name: "Bench", AI: state, Probability: &probability, Calibrated: true,
		Findings: []study.Finding{}, Measurements: []study.Measurement{}, Planned: 1, Seen: 1, Seconds: 0.5}
}

// templates makes studies as the ledger does: received, settled, scored, reported.
func templates(ctx context.Context, ledger *store.Ledger) error {
	for n := range listTemplates {
		if err := settleOne(ctx, ledger, n); err != nil {
			return err
		}
	}
	jobs, err := conclusions(ctx, ledger, listTemplates)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		if err := ledger.Conclude(ctx, j, listResult(j, i)); err != nil {
			return err
		}
	}
	for done := 0; done < listTemplates; {
		jobs, err := ledger.Claim(ctx, study.PoolReport, 1000, study.Backfill)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return fmt.Errorf("%d of %d reports are there: %w", done, listTemplates, study.ErrIncomplete)
		}
		for _, j := range jobs {
			uid := study.DerivedUID(string(j.Study), "bench report")
			if err := ledger.Reported(ctx, j, study.Report{Kind: "sr", UID: uid, Series: uid + ".1", Study: j.Study, Class: dicom.Comprehensive3DSR,
				Rev: j.Rev, Model: j.Model, Key: "results/none", Bytes: 10, SHA256: sha256.Sum256([]byte(uid)), To: []string{"PACS"}}); err != nil {
				return err
			}
			done++
		}
	}
	for {
		due, err := ledger.DueDeliveries(ctx, listTemplates)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, d := range due {
			if err := ledger.Delivered(ctx, d.ID); err != nil {
				return err
			}
		}
	}
}

// people do with templates what a department does: a first reader has answered some of
// the screening examinations, and some cases of slides wait for another stain.
func people(ctx context.Context, ledger *store.Ledger) error {
	if err := ledger.AddToken(ctx, study.Token{Hash: house.HashToken(listToken), Role: webui.Reader, Name: listReader, MadeAt: time.Now()}, "bench"); err != nil {
		return err
	}
	for n := range listTemplates {
		s := listStudy(n).Study
		switch {
		case s.Modality == study.MG && n%5 == 0:
			by := []string{"bench colleague", listReader}[n/5%2]
			if err := ledger.Answer(ctx, study.ReadingStep{Study: s.UID, By: by, Step: study.StepFinal, Verdict: "none", Recall: study.AnswerRecall}); err != nil {
				return err
			}
		case s.Modality == study.SM && n%3 == 0:
			if _, err := ledger.OpenWait(ctx, study.CaseWait{Study: s.UID, Kind: study.WaitStain, Text: "HER2", By: "bench colleague"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// listAge is by how many ms copy k of a study is older.
var listAge = "(" + fmt.Sprintf(`CASE WHEN k %% %d = 0 THEN (k * 7919) %% 20160 * 60000 ELSE k * 1800000 END`, listUnread) + ")"

// multiplied says which tables are copied, and what becomes of some columns: k is the
// number of the copy. Whatever else a table has stays as it is.
var multiplied = []struct {
	table   string
	columns map[string]string
}{
	{"study", map[string]string{
		"uid": `uid || '.' || k`, "patient_id": `patient_id || k`, "accession": `accession || k`, "search": `search || ' ' || k`,
		// Those that wait have come within the last weeks, in no order.
		"received_at": `received_at - ` + listAge, "last_instance_at": `last_instance_at - ` + listAge, "place_key": `place_key - ` + listAge,
		"waiting": fmt.Sprintf(`CASE WHEN k %% %d = 0 THEN waiting ELSE 0 END`, listUnread),
		"read_at": fmt.Sprintf(`CASE WHEN k %% %d = 0 THEN 0 ELSE received_at - k * 1800000 + 3600000 END`, listUnread),
		"status":  fmt.Sprintf(`CASE WHEN k %% %d = 0 THEN status ELSE 'read' END`, listUnread),
	}},
	{"instance", map[string]string{"sop_uid": `sop_uid || '.' || k`, "study_uid": `study_uid || '.' || k`, "series_uid": `series_uid || '.' || k`}},
	{"result", map[string]string{"study_uid": `study_uid || '.' || k`, "body": `replace(body, '"study":"' || study_uid || '"', '"study":"' || study_uid || '.' || k || '"')`}},
	{"model_plan", map[string]string{"study_uid": `study_uid || '.' || k`}},
	{"screening", map[string]string{"study_uid": `study_uid || '.' || k`}},
	{"screening_read", map[string]string{"id": `id + k * 1000000`, "study_uid": `study_uid || '.' || k`}},
	{"reading_step", map[string]string{"id": `id + k * 1000000`, "study_uid": `study_uid || '.' || k`}},
	{"case_wait", map[string]string{"id": `id + k * 1000000`, "study_uid": `study_uid || '.' || k`}},
	{"report", map[string]string{"sop_uid": `sop_uid || '.' || k`, "study_uid": `study_uid || '.' || k`}},
	{"delivery", map[string]string{"id": `id || '.' || k`, "report_uid": `report_uid || '.' || k`, "study_uid": `study_uid || '.' || k`}},
}

// multiply makes n copies of what is there, inside the database: by the ledger's own
// doors it would take an hour.
func multiply(ctx context.Context, driver, address string, n int) (err error) {
	if driver == "sqlite" {
		address = "file:" + url.PathEscape(address) + "?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=cache_size(-500000)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)     // settings are of a connection
	if driver == "postgres" { // a row that a trigger changes a million times in one transaction takes hours
		if _, err := db.ExecContext(ctx, `SET session_replication_role = replica`); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				_, err = db.ExecContext(ctx, `INSERT INTO tally (what, status, n) SELECT 'study', status, COUNT(*) FROM study GROUP BY status
					ON CONFLICT (what, status) DO UPDATE SET n = excluded.n`)
			}
		}()
	}
	for _, c := range multiplied {
		rows, err := db.QueryContext(ctx, `SELECT * FROM `+c.table+` LIMIT 1`)
		if err != nil {
			return err
		}
		names, err := rows.Columns()
		if err = errors.Join(err, rows.Close()); err != nil {
			return err
		}
		values := slices.Clone(names)
		for i, n := range names {
			if v, ok := c.columns[n]; ok {
				values[i] = v
			}
		}
		rebuild, err := dropIndexes(ctx, db, driver, c.table)
		if err != nil {
			return fmt.Errorf("indexes of %s: %w", c.table, err)
		}
		text := fmt.Sprintf(`WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < %d) INSERT INTO %s (%s) SELECT %s FROM n CROSS JOIN %s`,
			n, c.table, strings.Join(names, ", "), strings.Join(values, ", "), c.table)
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("table %s: %w", c.table, err)
		}
		for _, index := range rebuild {
			if _, err := db.ExecContext(ctx, index); err != nil {
				return fmt.Errorf("indexes of %s: %w", c.table, err)
			}
		}
	}
	// A million manifests to write at once are no hospital's day.
	if _, err := db.ExecContext(ctx, `UPDATE manifest SET kept = changed`); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `ANALYZE`)
	return err
}

// dropIndexes takes a table's indexes away, but for those that its keys need, and
// gives the texts that make them again: sorting once is quicker than keeping order
// a million times.
func dropIndexes(ctx context.Context, db *sql.DB, driver, table string) (rebuild []string, err error) {
	query := `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = $1 AND sql IS NOT NULL`
	if driver == "postgres" {
		query = `SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1 AND indexdef NOT LIKE 'CREATE UNIQUE%'`
	}
	rows, err := db.QueryContext(ctx, query, table)
	if err != nil {
		return nil, err
	}
	var names []string
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		names, rebuild = append(names, name), append(rebuild, text)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, `DROP INDEX `+name); err != nil {
			return nil, err
		}
	}
	return rebuild, nil
}
