package bench

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"varde/internal/dicom"
	"varde/store"
	"varde/study"
	"varde/worldlist/order"
)

const (
	listStudies   = 1_000_000 // in the ledger
	listTemplates = 1_000     // that are made by the ledger itself; the others are copies of them
	listUnread    = 10        // one in so many is still to be read
	listPages     = 300       // asked in a round
	listResults   = 100       // recorded in a round
	pageLimit     = 20.0      // ms, a page of 100 rows
	rekeyLimit    = 5.0       // ms, a result that moves its study
)

// benchWorklist holds the reading order of a large hospital's years: a million
// studies, a hundred thousand of them unread. Pages are asked over HTTP of a
// service of ours, and results are recorded in the ledger; on SQLite, and on
// PostgreSQL where it is installed.
func benchWorklist(ctx context.Context, ask Options, show func(Figure)) error {
	p := &scalePlant{}
	defer p.close()
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := benchOneWorklist(ctx, "", "sqlite", filepath.Join(dir, "ledger.db"), "", dir, ask.Rounds, show); err != nil {
		return err
	}
	if p.dir, err = os.MkdirTemp("", "varde-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(p.dir, 0o755); err != nil { // PostgreSQL runs as another user than root
		return err
	}
	queue, err := p.startRedis(ctx)
	address := ""
	if err == nil {
		address, err = p.startPostgres(ctx)
	}
	if errors.Is(err, study.ErrNotFound) {
		show(alone("worklist.postgres_page100_p99_ms", 0, "ms"))
		return nil
	}
	if err != nil {
		return err
	}
	other, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(other)
	return benchOneWorklist(ctx, "postgres_", "postgres", address, queue, other, ask.Rounds, show)
}

func benchOneWorklist(ctx context.Context, prefix, driver, address, queue, dir string, rounds int, show func(Figure)) error {
	rekey, err := benchRekey(ctx, driver, address, rounds)
	if err != nil {
		return err
	}
	bare, err := benchOneRow(ctx, driver, address, rounds*listResults)
	if err != nil {
		return err
	}
	args := []string{"--roles", "ingest,report,web", "--log", "json"}
	if driver == "postgres" {
		args = append(args, "--ledger", address, "--queue", queue)
	}
	s, err := startServe(ctx, dir, args...)
	if err != nil {
		return err
	}
	defer s.stop()
	// The first walk is not counted: the process has just started, and the disk still
	// writes what the ledger was filled with.
	if _, _, err := s.pages(ctx, listPages); err != nil {
		return err
	}
	pages, first, err := s.pages(ctx, rounds*listPages)
	if err != nil {
		return err
	}
	show(lower("worklist."+prefix+"page100_p99_ms", quantile(pages, 0.99), "ms", "limit", pageLimit))
	show(lower("worklist."+prefix+"first_page_html_p99_ms", quantile(first, 0.99), "ms", "limit", pageLimit))
	show(lower("worklist."+prefix+"rekey_p50_ms", quantile(rekey, 0.50), "ms", "limit", rekeyLimit))
	show(lower("worklist."+prefix+"rekey_p99_ms", quantile(rekey, 0.99), "ms", "limit", rekeyLimit))
	// What the engine and the disk take for the smallest change there is, in the same run.
	show(alone("worklist."+prefix+"one_row_p50_ms", quantile(bare, 0.50), "ms"))
	show(alone("worklist."+prefix+"one_row_p99_ms", quantile(bare, 0.99), "ms"))
	return nil
}

// benchRekey fills the ledger and records results in it; it gives how many ms each
// took, its commit to the disk and its report's job included.
func benchRekey(ctx context.Context, driver, address string, rounds int) (took []float64, err error) {
	ledger, err := store.OpenLedger(ctx, address, store.LedgerOptions{Place: order.Place})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	if err := templates(ctx, ledger); err != nil {
		return nil, fmt.Errorf("make studies: %w", err)
	}
	if err := multiply(ctx, driver, address); err != nil {
		return nil, fmt.Errorf("copy studies: %w", err)
	}
	n := rounds * listResults
	for i := range n {
		if err := settleOne(ctx, ledger, listTemplates+i); err != nil {
			return nil, err
		}
	}
	jobs, err := conclusions(ctx, ledger, n)
	if err != nil {
		return nil, err
	}
	for i, j := range jobs {
		began := time.Now()
		if err := ledger.Conclude(ctx, j, listResult(j, i)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began).Seconds()*1000)
	}
	return took, nil
}

// benchOneRow gives how many ms each of n changes of one row takes, without Varde: by
// the engine alone, as durable as Varde asks for it.
func benchOneRow(ctx context.Context, driver, address string, n int) (took []float64, err error) {
	if driver == "sqlite" {
		address = "file:" + url.PathEscape(address+".one") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, text := range []string{`CREATE TABLE one_row (n INTEGER)`, `INSERT INTO one_row VALUES (0)`} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	for range n {
		began := time.Now()
		if _, err := db.ExecContext(ctx, `UPDATE one_row SET n = n + 1`); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began).Seconds()*1000)
	}
	_, err = db.ExecContext(ctx, `DROP TABLE one_row`)
	return took, err
}

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

// multiplied says which tables are copied, and what becomes of some columns: k is the
// number of the copy. Whatever else a table has stays as it is.
var multiplied = []struct {
	table   string
	columns map[string]string
}{
	{"study", map[string]string{
		"uid": `uid || '.' || k`, "patient_id": `patient_id || k`, "accession": `accession || k`, "search": `search || ' ' || k`,
		"received_at": `received_at - k * 1800000`, "last_instance_at": `last_instance_at - k * 1800000`,
		// Those that wait have come within the last weeks, in no order.
		"place_key": `place_key + (k * 7919) % 20160 * 60000`,
		"waiting":   fmt.Sprintf(`CASE WHEN k %% %d = 0 THEN 1 ELSE 0 END`, listUnread),
		"read_at":   fmt.Sprintf(`CASE WHEN k %% %d = 0 THEN 0 ELSE received_at - k * 1800000 + 3600000 END`, listUnread),
		"status":    fmt.Sprintf(`CASE WHEN k %% %d = 0 THEN status ELSE 'read' END`, listUnread),
	}},
	{"instance", map[string]string{"sop_uid": `sop_uid || '.' || k`, "study_uid": `study_uid || '.' || k`, "series_uid": `series_uid || '.' || k`}},
	{"result", map[string]string{"study_uid": `study_uid || '.' || k`, "body": `replace(body, '"study":"' || study_uid || '"', '"study":"' || study_uid || '.' || k || '"')`}},
	{"report", map[string]string{"sop_uid": `sop_uid || '.' || k`, "study_uid": `study_uid || '.' || k`}},
	{"delivery", map[string]string{"id": `id || '.' || k`, "report_uid": `report_uid || '.' || k`, "study_uid": `study_uid || '.' || k`}},
}

// multiply copies what is there until the ledger has its million, inside the
// database: by the ledger's own doors it would take an hour.
func multiply(ctx context.Context, driver, address string) (err error) {
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
			listStudies/listTemplates-1, c.table, strings.Join(names, ", "), strings.Join(values, ", "), c.table)
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

// pages walks down the order, 100 rows at a time, and then asks for the first page
// as browsers do. It gives how many ms each took.
func (s *served) pages(ctx context.Context, n int) (took, first []float64, err error) {
	after := ""
	for range n {
		began := time.Now()
		body, err := s.get(ctx, "/api/v1/worklist?limit=100&lang=nb&after="+url.QueryEscape(after))
		if err != nil {
			return nil, nil, err
		}
		took = append(took, time.Since(began).Seconds()*1000)
		var rows []struct {
			Cursor string `json:"cursor"`
		}
		if err := json.Unmarshal(body, &rows); err != nil {
			return nil, nil, err
		}
		if len(rows) != 100 {
			return nil, nil, fmt.Errorf("a page of %d rows: %w", len(rows), study.ErrInvalid)
		}
		after = rows[99].Cursor
	}
	for range n / 3 {
		began := time.Now()
		if _, err := s.get(ctx, "/"); err != nil {
			return nil, nil, err
		}
		first = append(first, time.Since(began).Seconds()*1000)
	}
	return took, first, nil
}
