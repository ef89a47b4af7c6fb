package main_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"varde/internal/studytest/peers"
	"varde/store/objects"
	"varde/study"
)

// A plant is what several processes of ours share: a real MinIO, a real Redis and a
// real PostgreSQL. Each can be killed and started again.
type plant struct {
	t      testing.TB
	minio  *peers.MinIO
	redis  *peers.Redis
	sql    *peers.Postgres
	ledger string // its address
	bucket string
	db     *sql.DB // past our own code
}

func newPlant(t testing.TB) *plant {
	t.Helper()
	p := &plant{t: t, minio: peers.StartMinIO(t), redis: peers.StartRedis(t), sql: peers.StartPostgres(t)}
	p.renew()
	return p
}

// renew gives the plant an empty bucket and an empty ledger. What lies in Redis is
// of the old one.
func (p *plant) renew() {
	p.t.Helper()
	p.ledger = p.sql.Schema(p.t)
	p.bucket = "varde" + strings.TrimFunc(p.ledger[strings.LastIndex(p.ledger, "=")+1:], func(r rune) bool { return r < '0' || r > '9' })
	db, err := sql.Open("postgres", p.ledger)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = db.Close() })
	p.db = db
}

// on puts a service on the plant.
func (p *plant) on(t testing.TB, does string, args ...string) *service {
	t.Helper()
	s := newService(t, append([]string{"--store", p.minio.Bucket(p.bucket), "--queue", p.redis.URL(), "--ledger", p.ledger}, args...)...)
	s.does = does
	s.env = []string{"VARDE_S3_ACCESS_KEY=" + peers.MinIOAccessKey, "VARDE_S3_SECRET_KEY=" + peers.MinIOSecretKey}
	return s
}

// front takes studies in, reports and shows, and scores nothing.
func (p *plant) front(t testing.TB, args ...string) *service {
	t.Helper()
	return p.on(t, "serve", append([]string{"--roles", "ingest,report,web"}, args...)...)
}

// worker only scores, one job at a time. It brings no models: it has those of the
// others.
func (p *plant) worker(t testing.TB, args ...string) *service {
	t.Helper()
	return p.on(t, "worker", append([]string{"--workers", "1", "--reference-models", "false"}, args...)...)
}

// counts runs a query of two columns, a name and a number.
func (p *plant) counts(query string) map[string]int {
	p.t.Helper()
	return (&ledgerCopy{p.t, p.db}).counts(query)
}

// parts reads what was kept of each block of a study. How long it took is left out.
func (p *plant) parts(t testing.TB, uid study.UID) map[string][]byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	objects, err := objects.Open(ctx, p.minio.Bucket(p.bucket), objects.Credentials{AccessKey: peers.MinIOAccessKey, SecretKey: peers.MinIOSecretKey})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = objects.Close() }()
	prefix, all := "results/"+string(uid)+"/", map[string][]byte{}
	for key, err := range objects.List(ctx, prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(filepath.Base(key), "part-") {
			continue
		}
		r, err := objects.Range(ctx, key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(key, prefix)] = timeless(t, b)
	}
	return all
}

// timeless is a part without how long it took.
func timeless(t testing.TB, b []byte) []byte {
	t.Helper()
	var part map[string]any
	if err := json.Unmarshal(b, &part); err != nil {
		t.Fatal(err)
	}
	delete(part, "seconds")
	b, err := json.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameParts holds what was kept of a study against what another run of it kept.
func sameParts(t testing.TB, name string, got, want map[string][]byte) {
	t.Helper()
	if len(want) == 0 || len(got) != len(want) {
		t.Errorf("%s: %d parts, undisturbed %d", name, len(got), len(want))
	}
	for key, b := range got {
		if !bytes.Equal(b, want[key]) {
			t.Errorf("%s, %s differs:\n%.300s\n%.300s", name, key, b, want[key])
		}
	}
}

// results are what models found of a study, as far as two runs must agree.
func (v studyView) results(t testing.TB) string {
	t.Helper()
	r := slices.Clone(v.Results)
	slices.SortFunc(r, func(a, b resultView) int { return cmp.Compare(a.Model+a.Version, b.Model+b.Version) })
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// once sees that of each study there is one result and one report of each kind, that
// nothing is under way, and that no job was given up.
func (p *plant) once(t testing.TB, studies int) {
	t.Helper()
	for what, query := range map[string]string{
		"studies that are not reported": `SELECT 'n', COUNT(*) FROM study WHERE status <> 'reported'`,
		"reports twice of one revision": `SELECT 'n', COUNT(*) FROM (SELECT 1 FROM report GROUP BY study_uid, rev, model_id, kind HAVING COUNT(*) > 1) x`,
		"results twice of one revision": `SELECT 'n', COUNT(*) FROM (SELECT 1 FROM result GROUP BY study_uid, rev, model_id HAVING COUNT(*) > 1) x`,
		"jobs that are still open":      `SELECT 'n', COUNT(*) FROM job WHERE state IN ('ready', 'enqueued')`,
		"jobs that were given up":       `SELECT 'n', COUNT(*) FROM job WHERE state = 'failed'`,
		"jobs whose failure is counted": `SELECT 'n', COUNT(*) FROM job WHERE fails > 0`,
	} {
		if n := p.counts(query)["n"]; n != 0 {
			t.Errorf("%d %s: %v", n, what, p.counts(`SELECT id||' '||state||': '||error, attempt FROM job WHERE state <> 'done' OR fails > 0 LIMIT 5`))
		}
	}
	if n := p.counts(`SELECT 'n', COUNT(*) FROM study`)["n"]; n != studies {
		t.Errorf("%d studies, sent were %d", n, studies)
	}
	audited := p.counts(`SELECT entity, COUNT(*) FROM audit WHERE action = 'report' GROUP BY entity`)
	reports := p.counts(`SELECT 'study '||study_uid, COUNT(*) FROM report GROUP BY study_uid`)
	for entity, n := range reports {
		if audited[entity] != n {
			t.Errorf("%s has %d reports, and the audit trail tells of %d", entity, n, audited[entity])
		}
	}
}
