package main_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/s3test"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// A picture is all that the doors tell of what a service holds.
type picture map[string]string

// picture asks the API, the worklist and DICOMweb.
func (s *service) picture(t *testing.T, of ...study.UID) picture {
	t.Helper()
	p := picture{}
	take := func(path, accept string) {
		a, err := s.ask(http.MethodGet, path, accept, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		p[path] = strings.ReplaceAll(string(a.body), s.web, "here")
	}
	take("/api/v1/worklist?limit=50", "application/json")
	for _, uid := range of {
		take("/api/v1/studies/"+string(uid), "application/json")
		web := "/dicom-web/studies/" + string(uid)
		for _, end := range []string{"/series", "/instances", "/metadata"} {
			take(web+end, "application/dicom+json")
		}
		var rows []map[string]struct{ Value []any }
		s.json("/dicom-web/studies/"+string(uid)+"/instances", &rows)
		for _, r := range rows {
			at := web + "/series/" + r["0020000E"].Value[0].(string) + "/instances/" + r["00080018"].Value[0].(string)
			a, err := s.ask(http.MethodGet, at, "application/dicom; transfer-syntax=*", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			p[at] = string(a.body)
		}
	}
	return p
}

// differs names what is not as it was.
func (p picture) differs(t *testing.T, now picture) {
	t.Helper()
	if len(p) != len(now) {
		t.Errorf("%d answers, and %d before", len(now), len(p))
	}
	for path, was := range p {
		if got := now[path]; got != was {
			t.Errorf("GET %s\nwas %d bytes: %.2000s\nis %d bytes:  %.2000s", path, len(was), was, len(got), got)
		}
	}
}

// manifested waits until what has changed stands in manifests.
func (s *service) manifested(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "ledger.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var due int
		if err := db.QueryRow(`SELECT COUNT(*) FROM manifest WHERE changed > kept`).Scan(&due); err != nil {
			t.Fatal(err)
		}
		if due == 0 {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%d manifests are due\n%s", due, s.log.tail())
		}
	}
}

// loseLedger removes the ledger of a service that does not run.
func (s *service) loseLedger(t *testing.T) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.dir, "ledger.db*"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no ledger: %v", err)
	}
	for _, f := range all {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLostLedgerIsMadeAnewFromTheObjectStore kills a service in the middle of
// things, takes its ledger away and makes it anew, once with the manifests and
// once from the objects alone.
func TestLostLedgerIsMadeAnewFromTheObjectStore(t *testing.T) {
	archive := newService(t).start()
	s := newService(t, "--destinations", "PACS=VARDE@"+archive.dicom).start()
	ct, clean, mg, sm := smallCT(t, 1, true), smallCT(t, 4, false), smallMG(t, 2, false), smallSM(t, 3, true)
	all := []study.UID{s.slideFile(t)}
	for _, d := range []studytest.Drawn{ct, clean, mg, sm} {
		s.push(d)
		s.reported(d.Study, len(d.Objects))
		all = append(all, d.Study)
	}
	s.contradict(t, ct)
	for _, uid := range all {
		s.await(uid, "delivered", studyView.delivered)
	}
	a, err := s.ask(http.MethodPost, "/studies/"+string(mg.Study)+"/verdict", "", "application/x-www-form-urlencoded",
		strings.NewReader(url.Values{"verdict": {"agree"}}.Encode()))
	if err != nil || a.code >= 400 {
		t.Fatalf("a verdict: %d %s %v", a.code, a.body, err)
	}
	s.manifested(t)
	before, listed := s.picture(t, all...), s.verb("model", "list").must(t)
	reports := map[study.UID][]study.UID{}
	for _, uid := range all {
		reports[uid] = s.written(uid)
	}
	late := smallMG(t, 9, true)
	s.push(late) // acknowledged, and as good as lost: no manifest tells of it yet
	s.kill()
	rows := copyLedger(t, s.dir).counts(`SELECT 'audit', n FROM audit_end`)["audit"]
	foreign(t, filepath.Join(s.dir, "objects"))

	if e := s.verb("ledger", "rebuild"); e.code != 1 || !strings.Contains(e.stderr, "is there; move it away first") {
		t.Errorf("over a ledger: %d %s", e.code, e.stderr)
	}
	s.loseLedger(t)
	var got struct {
		Studies, Results, Reports, Objects, Unplanned, Missing, Changed, Skipped int
		Manifests                                                                int `json:"manifests_skipped"`
		Models                                                                   bool
	}
	if err := json.Unmarshal([]byte(s.verb("ledger", "rebuild", "--json").must(t)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Studies < len(all) || got.Results < len(all) || got.Unplanned > len(late.Objects) || got.Missing+got.Changed > 0 ||
		got.Skipped != 4 || got.Manifests != 3 || !got.Models {
		t.Errorf("%+v", got)
	}
	at := len(s.log.String())
	s.start()
	s.reported(late.Study, len(late.Objects))
	s.await(late.Study, "delivered", studyView.delivered)
	lateGone := s.picture(t, all...)
	lateGone["/api/v1/worklist?limit=50"] = without(t, lateGone["/api/v1/worklist?limit=50"], late.Study)
	before.differs(t, lateGone)
	if now := s.verb("model", "list").must(t); now != listed {
		t.Errorf("models were\n%sand are\n%s", listed, now)
	}
	for _, uid := range all {
		if text := s.log.String()[at:]; strings.Contains(text, "block scored") && loggedOf(text, "block scored", uid) || loggedOf(text, "study reported", uid) {
			t.Errorf("study %s was scored or reported again", uid)
		}
	}
	says(t, s.verb("audit", "verify"), `chain unbroken`)
	says(t, s.verb("audit", "show", "--limit", "200"), `rebuilt +ledger from the object store: .*the audit before had at least \d+ rows`)
	if v := s.replay(program, ct.Study, 0); !v.Equal {
		t.Errorf("%+v", v)
	}
	if rows == 0 {
		t.Error("there was no audit before")
	}
	t.Run("from the objects alone", func(t *testing.T) { withoutManifests(t, s.in(t), all, reports) })
}

// withoutManifests makes the ledger anew where no manifest was ever written: all
// is scored again, and says the same under the same names.
func withoutManifests(t *testing.T, s *service, all []study.UID, reports map[study.UID][]study.UID) {
	s.kill()
	s.loseLedger(t)
	if err := os.RemoveAll(filepath.Join(s.dir, "objects", "manifests")); err != nil {
		t.Fatal(err)
	}
	says(t, s.verb("ledger", "rebuild"), `0 studies, 0 results`, `the states of the models are not known`)
	s.start()
	for _, uid := range all {
		s.await(uid, "reported", func(v studyView) bool { return v.Status == "reported" })
		if now := s.written(uid); strings.Join(names(now), " ") != strings.Join(names(reports[uid]), " ") {
			t.Errorf("study %s had reports %v and has %v", uid, reports[uid], now)
		}
	}
}

func names(all []study.UID) (out []string) {
	for _, u := range all {
		out = append(out, string(u))
	}
	return out
}

// loggedOf reports whether a line of the log says something of a study.
func loggedOf(text, words string, uid study.UID) bool {
	for line := range strings.Lines(text) {
		if containsAll(line, words, string(uid)) {
			return true
		}
	}
	return false
}

// without takes one study out of a worklist.
func without(t *testing.T, list string, uid study.UID) string {
	t.Helper()
	var rows, kept []json.RawMessage
	if err := json.Unmarshal([]byte(list), &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !bytes.Contains(r, []byte(uid)) {
			kept = append(kept, r)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(kept); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// slideFile sends a slide as a scanner's maker writes it.
func (s *service) slideFile(t *testing.T) study.UID {
	t.Helper()
	file, err := studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 2048, Rows: 1536, Cellular: true}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	code, uid, text := s.sendSlide(`{"patient_id":"P-4711","accession":"A-17","study_date":"2026-01-05","stain":"H&E"}`, file)
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, text)
	}
	s.await(uid, "reported", func(v studyView) bool { return v.Status == "reported" && len(v.Reports) > 0 })
	return uid
}

// contradict sends other bytes under a known UID.
func (s *service) contradict(t *testing.T, d studytest.Drawn) {
	t.Helper()
	other := bytes.Clone(d.Objects[3].File)
	other[len(other)-7] ^= 1
	file := filepath.Join(t.TempDir(), "other.dcm")
	write(t, file, string(other))
	run(t, "send", s.dicom, file).must(t)
	s.logged("instance conflicts", string(d.Objects[3].Instance))
}

// foreign puts into an object store what does not belong there.
func foreign(t *testing.T, objects string) {
	t.Helper()
	for path, text := range map[string]string{
		"dicom/README.txt":                         "no object",
		"dicom/1.2/1.2.3/1.2.3.4.dcm":              "not DICOM at all",
		"dicom/1.2/1.2.3/../../../dicom/x y.dcm":   "a name that is none of ours",
		"conflict/1.2/nothing.dcm":                 strings.Repeat("\x00", 200),
		"manifests/1.2.3/0000000000000001.json.gz": "no gzip",
		"manifests/1.2.4/notes.txt":                "hello",
		"manifests/elsewhere/1.json.gz":            "hello",
	} {
		to := filepath.Join(objects, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, to, text)
	}
}

// TestLedgerIsMadeAnewFromABucket is the same on an S3 store.
func TestLedgerIsMadeAnewFromABucket(t *testing.T) {
	bucket := s3test.Start(t)
	where := "s3://varde?secure=0&endpoint=" + bucket.Endpoint()
	t.Setenv("VARDE_S3_ACCESS_KEY", s3test.AccessKey)
	t.Setenv("VARDE_S3_SECRET_KEY", s3test.SecretKey)
	s := newService(t, "--store", where).start()
	d := smallMG(t, 2, true)
	s.push(d)
	s.reported(d.Study, len(d.Objects))
	s.manifested(t)
	before := s.picture(t, d.Study)
	s.kill()
	s.loseLedger(t)
	says(t, s.verb("ledger", "rebuild", "--store", where), `1 studies, 1 results and 1 reports of 5 objects`, `0 objects without a manifest`)
	s.start()
	before.differs(t, s.picture(t, d.Study))
}

// TestLedgerOnAServerIsMadeAnew fills an empty database of PostgreSQL from a bucket.
func TestLedgerOnAServerIsMadeAnew(t *testing.T) {
	p := newPlant(t)
	t.Setenv("VARDE_S3_ACCESS_KEY", peers.MinIOAccessKey)
	t.Setenv("VARDE_S3_SECRET_KEY", peers.MinIOSecretKey)
	s := p.on(t, "serve").start()
	d := smallMG(t, 2, true)
	s.push(d)
	s.reported(d.Study, len(d.Objects))
	before := s.picture(t, d.Study)
	if code := s.stop(); code != 0 { // the last manifests are written then
		t.Errorf("exit code %d", code)
	}
	at := []string{"--ledger", p.ledger, "--store", p.minio.Bucket(p.bucket)}
	for verb, words := range map[string]string{"backup": "pg_dump", "restore": "pg_restore", "rebuild": "move it away first"} {
		args := append([]string{"ledger", verb}, at...)
		if verb != "rebuild" {
			args = append(args, filepath.Join(t.TempDir(), "file"))
		}
		if e := s.verb(args...); e.code != 1 || !strings.Contains(e.stderr, words) {
			t.Errorf("ledger %s: %d %s", verb, e.code, e.stderr)
		}
	}
	at[1] = p.sql.Schema(t)
	says(t, s.verb(append([]string{"ledger", "rebuild"}, at...)...), `1 studies, 1 results and 1 reports of 5 objects`)
	p.ledger = at[1]
	s = p.on(t, "serve").start()
	before.differs(t, s.picture(t, d.Study))
	if v := s.replay(program, d.Study, 0, at...); !v.Equal {
		t.Errorf("%+v", v)
	}
}

// TestLedgerIsRestoredFromABackup also takes in what came after the backup.
func TestLedgerIsRestoredFromABackup(t *testing.T) {
	s := newService(t).start()
	d, later := smallMG(t, 2, true), smallMG(t, 3, false)
	s.push(d)
	s.reported(d.Study, len(d.Objects))
	backup := filepath.Join(t.TempDir(), "backup.db")
	s.verb("ledger", "backup", backup).must(t)
	s.push(later)
	s.reported(later.Study, len(later.Objects))
	if e := s.verb("ledger", "restore", backup); e.code != 1 || !strings.Contains(e.stderr, "stop it first") {
		t.Errorf("beside a service: %d %s", e.code, e.stderr)
	}
	if code := s.stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if e := s.verb("ledger", "restore", backup); e.code != 1 || !strings.Contains(e.stderr, "move it away first") {
		t.Errorf("over a ledger: %d %s", e.code, e.stderr)
	}
	broken := filepath.Join(t.TempDir(), "broken.db")
	write(t, broken, "no ledger")
	if e := s.verb("ledger", "restore", broken, "--force"); e.code != 1 || !strings.Contains(e.stderr, "no sound ledger") {
		t.Errorf("what is no backup: %d %s", e.code, e.stderr)
	}
	says(t, s.verb("ledger", "restore", backup, "--force"), `ledger restored from .*; 4 objects had come since`)
	if kept, err := filepath.Glob(filepath.Join(s.dir, "ledger.db.2*")); err != nil || len(kept) == 0 {
		t.Errorf("the ledger that was there is gone: %v", err)
	}
	s.start()
	for _, d := range []studytest.Drawn{d, later} {
		if v := s.reported(d.Study, len(d.Objects)); v.AI != truth(d) || len(s.reports(d.Study)) != 1 {
			t.Errorf("%+v", v)
		}
	}
	says(t, s.verb("audit", "show"), `restored +ledger from backup.db; 4 objects had come since`)
	says(t, s.verb("audit", "verify"), `chain unbroken`)
}
