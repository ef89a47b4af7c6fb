package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/internal/studytest/shared"
	"varde/study"
)

// smallCT, smallMG and smallSM are the smallest studies in which the reference
// models still see what was planted.
func smallCT(t testing.TB, seed uint64, positive bool) studytest.Drawn {
	return drawn(t)(studytest.ChestCT(studytest.CT{Seed: seed, Nodules: positive, Slices: 24, Size: 256, StepMM: 2.5, Patient: "-QUARTERMAIN"}))
}

func smallMG(t testing.TB, seed uint64, positive bool) studytest.Drawn {
	return drawn(t)(studytest.Mammogram(studytest.MG{Seed: seed, Calcifications: positive, Rows: 512, Columns: 384, Patient: "-BRUNHILDE"}))
}

func smallSM(t testing.TB, seed uint64, positive bool) studytest.Drawn {
	return drawn(t)(studytest.Slide(studytest.SM{Seed: seed, Cellular: positive, Columns: 2048, Rows: 1536, Patient: "-ROSENCRANTZ"}))
}

// truth is what AI should say of a drawn study.
func truth(d studytest.Drawn) string {
	return string(map[bool]study.AIState{true: study.Flagged, false: study.NotFlagged}[d.Positive])
}

// TestStudiesGoThroughTheHouse takes studies the whole way, by every door and
// with the programs that others use.
func TestStudiesGoThroughTheHouse(t *testing.T) {
	archive := newOrthanc(t)
	s := newService(t, "--destinations", "PACS=ORTHANC@"+archive.DICOM).start()
	ct, mg, sm := smallCT(t, 1, true), smallMG(t, 2, false), smallSM(t, 3, true)
	all := []studytest.Drawn{ct, mg, sm}

	t.Run("by our own sender, by storescu and by curl", func(t *testing.T) {
		s := s.in(t)
		s.storescu(ct)
		s.push(mg)
		s.stow(sm)
		for _, d := range all {
			v := s.reported(d.Study, len(d.Objects))
			if v.AI != truth(d) || len(v.Results) != 1 || v.Results[0].Planned == 0 || v.Results[0].Scored != v.Results[0].Planned {
				t.Errorf("%s: %+v", d.Name, v)
			}
			keepsTheContract(t, s.get("/api/v1/studies/"+string(d.Study), "application/json"))
		}
	})
	t.Run("the report is found, fetched and sound", func(t *testing.T) {
		s := s.in(t)
		for _, d := range all {
			v := s.study(d.Study)
			found := s.reports(d.Study)
			if len(found) != 1 || len(v.Reports) == 0 || found[0] != v.Reports[0].UID {
				t.Fatalf("%s: QIDO finds %v, the API says %+v", d.Name, found, v.Reports)
			}
			sound(t, s.fetch(d.Study, found[0]))
		}
	})
	t.Run("what was sent comes back bit for bit", func(t *testing.T) {
		s := s.in(t)
		for _, d := range all {
			for _, o := range d.Objects {
				if got := dataSet(t, s.fetch(d.Study, o.Instance)); !bytes.Equal(got, o.DataSet) {
					t.Errorf("%s: instance %s comes back as %d bytes, of %d", d.Name, o.Instance, len(got), len(o.DataSet))
				}
			}
		}
	})
	t.Run("a destination that was down is sent its reports when it is back", func(t *testing.T) {
		s := s.in(t)
		tried := s.await(ct.Study, "tried", func(v studyView) bool { return v.Reports[0].Delivered[0].Tries > 0 })
		if to := tried.Reports[0].Delivered[0]; to.Status != "waiting" || to.Destination != "PACS" {
			t.Errorf("nobody is there, and the delivery is %+v", to)
		}
		archive.Start(t)
		for _, d := range all {
			v := s.await(d.Study, "delivered", studyView.delivered)
			if n := countAt(t, archive, v.Reports[0].UID); n != 1 || v.Reports[0].Delivered[0].At == "" {
				t.Errorf("%s: Orthanc has %d of its report; %+v", d.Name, n, v.Reports[0])
			}
		}
	})
	t.Run("the worklist has the studies in order, and says why", func(t *testing.T) {
		checkWorklist(t, s.in(t), all)
	})
	t.Run("sending everything again changes nothing", func(t *testing.T) {
		s := s.in(t)
		before := s.get("/api/v1/studies", "application/json")
		s.storescu(ct)
		s.push(mg)
		s.stow(sm)
		time.Sleep(2 * time.Second) // as long as it would take to settle a study anew
		if after := s.get("/api/v1/studies", "application/json"); !bytes.Equal(before, after) {
			t.Errorf("before: %s\nafter: %s", before, after)
		}
	})
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// checkWorklist holds the worklist of the API against the contract, and against
// what the command line says.
func checkWorklist(t *testing.T, s *service, all []studytest.Drawn) {
	said := []string{}
	for line := range strings.Lines(s.verb("worklist", "--json").must(t)) {
		var r struct {
			UID string `json:"study_uid"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		said = append(said, r.UID)
	}
	for _, lang := range []string{"en", "nb", "da"} {
		var rows []map[string]any
		s.json("/api/v1/worklist?limit=50&lang="+lang, &rows)
		if len(rows) != len(all) || len(said) != len(all) {
			t.Fatalf("%d studies; the API has %d, varde worklist %d", len(all), len(rows), len(said))
		}
		for i, r := range rows {
			for _, k := range []string{"study_uid", "class", "key", "why", "ai_state", "deadline", "days_left"} {
				if _, ok := r[k]; !ok {
					t.Errorf("a row has no %s: %v", k, r)
				}
			}
			if why, _ := r["why"].([]any); len(why) == 0 {
				t.Errorf("study %s stands in its place for no reason, in %s", r["study_uid"], lang)
			}
			if i > 0 && place(rows[i-1]) > place(r) {
				t.Errorf("row %d, %s, stands before %s", i, place(rows[i-1]), place(r))
			}
			if said[i] != r["study_uid"] {
				t.Errorf("row %d is %s, for varde worklist it is %s", i, r["study_uid"], said[i])
			}
		}
	}
}

// place writes a row's place so that texts sort as places do.
func place(row map[string]any) string {
	key, _ := row["key"].(string)
	at, _ := time.Parse(time.RFC3339, key)
	return fmt.Sprintf("%v %020d", row["class"], at.UnixMilli())
}

// TestLateSliceMakesASecondReportThatReplacesTheFirst also sends other bytes under
// a known UID afterwards.
func TestLateSliceMakesASecondReportThatReplacesTheFirst(t *testing.T) {
	s := newService(t).start()
	d := smallCT(t, 1, true)
	folder, paths := files(t, d)
	late := filepath.Join(t.TempDir(), "late.dcm")
	if err := os.Rename(paths[len(paths)-1], late); err != nil {
		t.Fatal(err)
	}
	s.rememberAll(d)
	run(t, "send", s.dicom, folder).must(t)
	first := s.reported(d.Study, len(paths)-1)
	run(t, "send", s.dicom, late).must(t)
	second := s.reported(d.Study, len(paths))
	if first.Revision != 1 || second.Revision != 2 || second.AI != truth(d) {
		t.Errorf("revisions %d and %d, AI %s", first.Revision, second.Revision, second.AI)
	}
	reports := s.reports(d.Study)
	if len(reports) != 2 {
		t.Fatalf("%d reports", len(reports))
	}
	old := first.Reports[0].UID
	replacing := reports[0]
	if replacing == old {
		replacing = reports[1]
	}
	sr := s.fetch(d.Study, replacing)
	sound(t, sr)
	if got := predecessor(t, sr); got != old {
		t.Errorf("the second report replaces %q, not %q", got, old)
	}
	if got := predecessor(t, s.fetch(d.Study, old)); got != "" {
		t.Errorf("the first report replaces %q", got)
	}
	otherBytesAreKeptApart(t, s, d, second)
}

// otherBytesAreKeptApart sends an instance once more with another pixel.
func otherBytesAreKeptApart(t *testing.T, s *service, d studytest.Drawn, before studyView) {
	o := d.Objects[3]
	other := bytes.Clone(o.File)
	other[len(other)-7] ^= 1
	file := filepath.Join(t.TempDir(), "other.dcm")
	if err := os.WriteFile(file, other, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the same conflict twice is one
		run(t, "send", s.dicom, file).must(t)
	}
	s.logged("instance conflicts", string(o.Instance))
	kept, err := filepath.Glob(filepath.Join(s.dir, "objects", "conflict", string(o.Instance), "*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept apart: %v, %v", kept, err)
	}
	b, err := os.ReadFile(kept[0])
	if err != nil || !bytes.Equal(dataSet(t, b), other[len(other)-len(o.DataSet):]) {
		t.Errorf("kept apart, but not as it was sent: %v", err)
	}
	if !bytes.Equal(dataSet(t, s.fetch(d.Study, o.Instance)), o.DataSet) {
		t.Error("the first bytes are no longer in use")
	}
	time.Sleep(2 * time.Second) // as long as it would take to settle the study anew
	if after := s.study(d.Study); after.Revision != before.Revision || after.Instances != before.Instances || len(s.reports(d.Study)) != 2 {
		t.Errorf("the study was %+v and is %+v", before, after)
	}
}

// TestStudyThatCannotBeDecodedIsNeverCalledNegative sends a series in a transfer
// syntax for which there is no decoder: frames packed by DCMTK, under the name of
// one that no program of ours knows.
func TestStudyThatCannotBeDecodedIsNeverCalledNegative(t *testing.T) {
	s := newService(t).start()
	d := smallCT(t, 1, true)
	_, paths := files(t, d)
	s.rememberAll(d)
	odd := t.TempDir()
	sent := map[study.UID][]byte{}
	for n, o := range d.Objects {
		packed := filepath.Join(t.TempDir(), "packed.dcm")
		peer(t, "dcmcjpls", paths[n], packed).must(t)
		b, err := os.ReadFile(packed)
		if err != nil {
			t.Fatal(err)
		}
		sent[o.Instance] = dataSet(t, b)
		file := append(dicom.Prefix(o.Class, o.Instance, dicom.JPEGXLLossless, ""), sent[o.Instance]...)
		if err := os.WriteFile(filepath.Join(odd, filepath.Base(paths[n])), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "send", s.dicom, odd).must(t)
	v := s.reported(d.Study, len(paths))
	if v.AI != string(study.Failed) || len(v.Results) != 1 || v.Results[0].Reason == nil || v.Results[0].Reason.Code != study.ReasonTransferSyntax {
		t.Errorf("AI says %s: %+v", v.AI, v.Results)
	}
	sound(t, s.fetch(d.Study, s.reports(d.Study)[0]))
	for uid, b := range sent {
		if !bytes.Equal(dataSet(t, s.fetch(d.Study, uid)), b) {
			t.Errorf("instance %s is not kept as it was sent", uid)
		}
	}
}

// TestRealFilesAreKeptBitForBit sends one real CT slice in every transfer syntax
// that there is. Most bear the same UID: one is in use, the others are kept apart.
func TestRealFilesAreKeptBitForBit(t *testing.T) {
	dir, entries := shared.Manifest(t)
	s := newService(t).start()
	sent := map[string]string{} // name by data set
	var uid study.UID
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "dicom/ts-ct/") {
			continue
		}
		path := filepath.Join(dir, e.Path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		uid = study.UID(h.Data.Text(dicom.StudyInstanceUID))
		s.remember(b)
		sent[even(dataSet(t, b))] = filepath.Base(path)
		run(t, "send", s.dicom, path).must(t)
	}
	v := s.await(uid, "settled", func(v studyView) bool { return v.Status == "settled" || v.Status == "reported" })
	if v.AI == string(study.NotFlagged) || v.AI == string(study.Flagged) {
		t.Errorf("of one slice AI says %s: %+v", v.AI, v.Results)
	}
	n := len(sent)
	for _, folder := range []string{"dicom/*/*/*", "conflict/*/*"} {
		kept, err := filepath.Glob(filepath.Join(s.dir, "objects", folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range kept {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			delete(sent, even(dataSet(t, b)))
		}
	}
	for _, name := range sent {
		t.Errorf("%s is not kept as it was sent", name)
	}
	t.Logf("%d transfer syntaxes", n)
}

// even pads a data set as a sender must: a deflated one may have any length,
// PS3.5 §A.5.
func even(b []byte) string { return string(b) + strings.Repeat("\x00", len(b)%2) }

// keepsTheContract looks for every field that others rely on.
func keepsTheContract(t *testing.T, body []byte) {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	lacks := func(what string, v any, keys ...string) {
		m, ok := v.(map[string]any)
		for _, k := range keys {
			if _, has := m[k]; !ok || !has {
				t.Errorf("%s has no %s", what, k)
			}
		}
	}
	first := func(v any) any {
		if l, ok := v.([]any); ok && len(l) > 0 {
			return l[0]
		}
		return nil
	}
	lacks("a study", v, "study_uid", "status", "modality", "instances", "received_at", "settled_at", "results", "reports")
	lacks("a result", first(v["results"]), "model", "version", "model_sha256", "state", "status", "ai_state", "probability", "findings",
		"tiles_planned", "tiles_scored", "seconds")
	lacks("a report", first(v["reports"]), "kind", "sop_instance_uid", "delivered")
	if r, ok := first(v["reports"]).(map[string]any); ok {
		lacks("a delivery", first(r["delivered"]), "destination", "at", "status")
	}
}

// push sends a study with our own sender.
func (s *service) push(d studytest.Drawn) {
	s.t.Helper()
	s.rememberAll(d)
	folder, _ := files(s.t, d)
	run(s.t, "send", s.dicom, folder).must(s.t)
}

// storescu sends a study with DCMTK's.
func (s *service) storescu(d studytest.Drawn) {
	s.t.Helper()
	s.rememberAll(d)
	folder, _ := files(s.t, d)
	host, port, _ := strings.Cut(s.dicom, ":")
	args := []string{"-aec", "VARDE", "+sd", host, port, folder}
	if d.Objects[0].Syntax == dicom.JPEGBaseline {
		args = append([]string{"-R", "-xy"}, args...) // slides are of no usual class
	}
	peer(s.t, "storescu", args...).must(s.t)
}

// stow sends a study with curl.
func (s *service) stow(d studytest.Drawn) {
	s.t.Helper()
	s.rememberAll(d)
	var body bytes.Buffer
	for _, o := range d.Objects {
		fmt.Fprintf(&body, "--part\r\nContent-Type: application/dicom\r\n\r\n%s\r\n", o.File)
	}
	body.WriteString("--part--\r\n")
	file := filepath.Join(s.t.TempDir(), "body")
	if err := os.WriteFile(file, body.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	out := peer(s.t, "curl", "-sS", "-H", "Authorization: Bearer "+s.token(), "-w", "%{http_code}",
		"-H", `Content-Type: multipart/related; type="application/dicom"; boundary=part`, "--data-binary", "@"+file,
		"http://"+s.web+"/dicom-web/studies").must(s.t)
	if !strings.HasSuffix(out, "200") {
		s.t.Fatalf("STOW answers %s", out)
	}
}

func (s *service) rememberAll(d studytest.Drawn) {
	for _, o := range d.Objects {
		s.remember(o.File)
	}
}

// in gives the service to a part of a test.
func (s *service) in(t *testing.T) *service {
	whole := s.t
	s.t = t
	t.Cleanup(func() { s.t = whole })
	return s
}

// reports finds a study's structured reports by QIDO-RS.
func (s *service) reports(uid study.UID) []study.UID { s.t.Helper(); return s.ofModality(uid, "SR") }

// written finds all that was written of a study: reports, heatmaps, annotations.
func (s *service) written(uid study.UID) []study.UID {
	s.t.Helper()
	return slices.Concat(s.reports(uid), s.ofModality(uid, "SEG"), s.ofModality(uid, "ANN"))
}

// ofModality finds a study's objects of a modality by QIDO-RS, by keyword and by tag.
func (s *service) ofModality(uid study.UID, modality string) (found []study.UID) {
	s.t.Helper()
	var byTag []study.UID
	for query, into := range map[string]*[]study.UID{"Modality=" + modality: &found, "00080060=" + modality: &byTag} {
		var rows []map[string]struct{ Value []any }
		a, err := s.ask(http.MethodGet, "/dicom-web/studies/"+string(uid)+"/instances?"+query, "application/dicom+json", "", nil)
		if err != nil || a.code != http.StatusOK && a.code != http.StatusNoContent {
			s.t.Fatalf("QIDO: %d %v", a.code, err)
		}
		if a.code == http.StatusOK {
			if err := json.Unmarshal(a.body, &rows); err != nil {
				s.t.Fatal(err)
			}
		}
		for _, r := range rows {
			*into = append(*into, study.UID(fmt.Sprint(r["00080018"].Value[0])))
		}
	}
	if !slices.Equal(found, byTag) {
		s.t.Errorf("found by keyword %v, by tag %v", found, byTag)
	}
	return found
}

// fetch gets one object by WADO-RS, as it is kept.
func (s *service) fetch(uid, instance study.UID) []byte {
	s.t.Helper()
	var rows []map[string]struct{ Value []any }
	if err := json.Unmarshal(s.get("/dicom-web/studies/"+string(uid)+"/instances?SOPInstanceUID="+string(instance), "application/dicom+json"), &rows); err != nil || len(rows) != 1 {
		s.t.Fatalf("QIDO finds %d of instance %s: %v", len(rows), instance, err)
	}
	series := fmt.Sprint(rows[0]["0020000E"].Value[0])
	return s.get("/dicom-web/studies/"+string(uid)+"/series/"+series+"/instances/"+string(instance), "application/dicom; transfer-syntax=*")
}

// dataSet cuts the data set out of a Part 10 file.
func dataSet(t testing.TB, file []byte) []byte {
	t.Helper()
	_, rest, err := dicom.DataSet(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(rest)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sound fails the test unless dciodvfy finds no error in a report.
func sound(t *testing.T, file []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.dcm")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	e := runProgram(t, peers.Need(t, "dciodvfy", "dicom3tools"), "-new", path)
	text := e.stdout + e.stderr
	if e.code != 0 || !strings.Contains(text, "Comprehensive3DSR") || strings.Contains(text, "Error") {
		t.Errorf("dciodvfy ends with %d\n%s", e.code, text)
	}
}

// predecessor reads which report a report replaces.
func predecessor(t *testing.T, file []byte) study.UID {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range h.Data.Items(dicom.PredecessorDocumentsSequence) {
		for _, series := range of.Items(dicom.ReferencedSeriesSequence) {
			for _, sop := range series.Items(dicom.ReferencedSOPSequence) {
				return study.UID(sop.Text(dicom.ReferencedSOPInstanceUID))
			}
		}
	}
	return ""
}
