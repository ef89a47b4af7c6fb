package main_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest"
	"varde/study"
)

// TestSlideGoesOnWhereItsWorkerDied kills a service (-9) in the middle of a slide.
// The blocks that were recorded are not scored again, the others are, and every
// part and the result are to the last bit those of a service that nobody killed.
func TestSlideGoesOnWhereItsWorkerDied(t *testing.T) {
	file, err := studytest.SlideFile{Kind: studytest.AperioSVS, Columns: 24576, Rows: 16384, Seed: 3, Cellular: true, Grain: 6, Varied: 25}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	calm := newService(t, "--workers", "2").start()
	uid := calm.handIn(t, file)
	want := calm.await(uid, "reported", reported)
	parts := calm.parts(t, uid)
	if len(parts) < 12 || want.Results[0].Planned != want.Results[0].Scored {
		t.Fatalf("%d parts, %+v", len(parts), want.Results)
	}
	calm.stop()

	s := newService(t, "--workers", "2").start()
	if again := s.handIn(t, file); again != uid {
		t.Fatalf("study %s, then %s", uid, again)
	}
	before := s.untilScored(t, 6)
	s.kill()
	first := scoredJobs(s.log.String())
	if len(first) >= len(parts) {
		t.Fatalf("all %d blocks were scored before the kill", len(parts))
	}
	at := len(s.log.String())
	s.start()
	got := s.await(uid, "reported", reported)
	second := scoredJobs(s.log.String()[at:])
	for job := range second {
		if first[job] {
			t.Errorf("%s was scored again", job)
		}
	}
	// A block that was recorded just before the kill need not have been logged.
	if n := len(first) + len(second); n > len(parts) || n < len(parts)-3 || len(second) == 0 {
		t.Errorf("%d blocks before the kill, %d after it, of %d", len(first), len(second), len(parts))
	}
	for name, b := range s.parts(t, uid) {
		if !bytes.Equal(b, parts[name]) {
			t.Errorf("%s differs:\n%.300s\n%.300s", name, b, parts[name])
		}
	}
	w, _ := json.Marshal(want.Results)
	if g, _ := json.Marshal(got.Results); !bytes.Equal(g, w) {
		t.Errorf("the result is\n%s\nundisturbed it is\n%s", g, w)
	}
	t.Logf("killed after %d of %d blocks", before, len(parts))
}

func reported(v studyView) bool { return v.Status == "reported" }

// handIn posts a slide file and gives its study.
func (s *service) handIn(t *testing.T, file []byte) study.UID {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	id, err := form.CreateFormField("identifiers")
	if err == nil {
		_, err = id.Write([]byte(`{"patient_id": "SLIDE-1", "accession": "SL1"}`))
	}
	part, err2 := form.CreateFormFile("file", "slide.svs")
	if err2 == nil {
		_, err2 = part.Write(file)
	}
	if err != nil || err2 != nil || form.Close() != nil {
		t.Fatal(err, err2)
	}
	a, err := s.ask(http.MethodPost, "/api/v1/slides", "application/json", form.FormDataContentType(), &body)
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Study study.UID `json:"study_uid"`
	}
	if err := json.Unmarshal(a.body, &kept); err != nil || a.code != http.StatusCreated {
		t.Fatalf("%d %s %v", a.code, a.body, err)
	}
	return kept.Study
}

// scoredJobs reads from a log which blocks were scored.
func scoredJobs(log string) map[string]bool {
	jobs := map[string]bool{}
	for line := range strings.Lines(log) {
		var l struct{ Msg, Job string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "block scored" {
			jobs[l.Job] = true
		}
	}
	return jobs
}

// untilScored waits until so many blocks were scored.
func (s *service) untilScored(t *testing.T, n int) int {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if have := len(scoredJobs(s.log.String())); have >= n {
			return have
		}
	}
	t.Fatalf("not %d blocks were scored\n%s", n, s.log.tail())
	return 0
}

// parts reads what was kept of each block of a study. How long it took is left out.
func (s *service) parts(t *testing.T, uid study.UID) map[string][]byte {
	t.Helper()
	root := filepath.Join(s.dir, "objects", "results", string(uid))
	all := map[string][]byte{}
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), "part-") {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		var part map[string]any
		if err := json.Unmarshal(b, &part); err != nil {
			return err
		}
		delete(part, "seconds")
		rel, _ := filepath.Rel(root, p)
		all[rel], err = json.Marshal(part)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
