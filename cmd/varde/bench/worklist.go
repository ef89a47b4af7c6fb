package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"varde/store"
	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/screening"
)

const (
	listTemplates = 1_000 // that are made by the ledger itself; the others are copies of them
	listUnread    = 10    // one in so many is still to be read
	listPages     = 300   // asked in a round
	listResults   = 100   // recorded in a round
	pageLimit     = 20.0  // ms, a page of 100 rows
	rekeyLimit    = 5.0   // ms, a result that moves its study

	listReader  = "bench reader"
	listToken   = "varde bench: a reader of one ledger that is thrown away"
	listProgram = `
[[program]]
code = "mammo"
name.en = "Breast screening"
descriptions = ["*"]
modalities = ["MG"]
least = 1
  [[program.band]]
  below = 0.05
  readers = 1
`
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
	l := &listBench{driver: "sqlite", address: filepath.Join(dir, "ledger.db"), dir: dir, ask: ask, show: show}
	if err := l.measure(ctx); err != nil {
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
	l = &listBench{prefix: "postgres_", driver: "postgres", address: address, queue: queue, dir: other, ask: ask, show: show}
	return l.measure(ctx)
}

// A listBench is the list on one engine.
type listBench struct {
	prefix          string
	driver, address string
	queue           string
	dir             string
	ask             Options
	show            func(Figure)
}

func (l *listBench) measure(ctx context.Context) error {
	rekey, err := l.rekey(ctx)
	if err != nil {
		return err
	}
	bare, err := benchOneRow(ctx, l.driver, l.address, l.ask.Rounds*listResults)
	if err != nil {
		return err
	}
	l.figure("rekey_p50_ms", rekey, 0.50, rekeyLimit)
	l.figure("rekey_p99_ms", rekey, 0.99, rekeyLimit)
	// What the engine and the disk take for the smallest change there is, in the same run.
	l.show(alone("worklist."+l.prefix+"one_row_p50_ms", quantile(bare, 0.50), "ms"))
	l.show(alone("worklist."+l.prefix+"one_row_p99_ms", quantile(bare, 0.99), "ms"))
	programs := filepath.Join(l.dir, "screening.toml")
	if err := os.WriteFile(programs, []byte(listProgram), 0o600); err != nil {
		return err
	}
	for _, visit := range []struct {
		name   string // of the figure, beside page100
		reader bool
		args   []string
	}{
		{"", false, nil},
		{"screening_", true, []string{"--screening", programs}},
		{"blinded_", true, []string{"--screening", programs, "--protocols", "*=independent"}},
		{"unblinded_", false, []string{"--screening", programs, "--protocols", "*=independent"}}, // who is no reader is noted
	} {
		if err := l.visit(ctx, visit.name, visit.reader, visit.args); err != nil {
			return fmt.Errorf("list %s: %w", strings.TrimSuffix(visit.name, "_"), err)
		}
	}
	return nil
}

func (l *listBench) figure(name string, took []float64, q, limit float64) {
	l.show(lower("worklist."+l.prefix+name, quantile(took, q), "ms", "limit", limit))
}

// visit measures what one visitor waits for, at a service that was just started.
func (l *listBench) visit(ctx context.Context, name string, reader bool, more []string) error {
	args := append([]string{"--roles", "ingest,report,web", "--log", "json"}, more...)
	if l.driver == "postgres" {
		args = append(args, "--ledger", l.address, "--queue", l.queue)
	}
	s, err := startServe(ctx, l.dir, args...)
	if err != nil {
		return err
	}
	defer s.stop()
	if reader {
		s.token = listToken
	}
	// The first walk counts by itself: the process has just started, and the disk may
	// still write what the ledger was filled with.
	cold, _, err := s.pages(ctx, listPages)
	if err != nil {
		return err
	}
	pages, first, err := s.pages(ctx, l.ask.Rounds*listPages)
	if err != nil {
		return err
	}
	l.figure(name+"page100_p99_ms", pages, 0.99, pageLimit)
	l.figure(name+"page100_p50_ms", pages, 0.50, pageLimit)
	l.figure(name+"first_page_html_p99_ms", first, 0.99, pageLimit)
	l.figure(name+"first_walk_p99_ms", cold, 0.99, pageLimit)
	return nil
}

// rekey fills the ledger and records results in it; it gives how many ms each took, its
// commit to the disk and its report's job included.
func (l *listBench) rekey(ctx context.Context) (took []float64, err error) {
	programs, err := screening.Parse(listProgram)
	if err != nil {
		return nil, err
	}
	ledger, err := store.OpenLedger(ctx, l.address, store.LedgerOptions{Place: order.Place, Screener: programs.Plan})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	if err := templates(ctx, ledger); err != nil {
		return nil, fmt.Errorf("make studies: %w", err)
	}
	if err := people(ctx, ledger); err != nil {
		return nil, fmt.Errorf("have studies read: %w", err)
	}
	if err := multiply(ctx, l.driver, l.address, l.ask.Studies/listTemplates-1); err != nil {
		return nil, fmt.Errorf("copy studies: %w", err)
	}
	n := l.ask.Rounds * listResults
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

// pages walks down the order, 100 rows at a time and at its end again from the
// beginning, and then asks for the first page
// as browsers do. It gives how many ms each took.
func (s *served) pages(ctx context.Context, n int) (took, first []float64, err error) {
	after := ""
	for range n {
		began := time.Now()
		body, err := s.get(ctx, "/api/v1/worklist?limit=100&lang=nb&after="+url.QueryEscape(after))
		if err != nil {
			return nil, nil, err
		}
		waited := time.Since(began).Seconds() * 1000
		var rows []struct {
			Cursor string `json:"cursor"`
		}
		if err := json.Unmarshal(body, &rows); err != nil {
			return nil, nil, err
		}
		switch {
		case len(rows) == 100:
			took, after = append(took, waited), rows[99].Cursor
		case after == "":
			return nil, nil, fmt.Errorf("a first page of %d rows: %w", len(rows), study.ErrInvalid)
		default:
			after = ""
		}
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
