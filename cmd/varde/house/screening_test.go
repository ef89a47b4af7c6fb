package house_test

import (
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/cmd/varde/house/housetest"
	"varde/worldlist/rehearsal"
	"varde/worldlist/screening"

	"varde/cmd/varde/settings"
	"varde/internal/dicom/tree"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/study"
)

// TestScreeningIsReadTwiceApart has a real model answer on a screening mammogram and
// two readers read it under a protocol that blinds them: behind no door of the second
// one is there the AI or what the first one said; the study is read with the second
// answer and not before; and the replay of the bands counts it.
func TestScreeningIsReadTwiceApart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "screening.toml")
	text := "[[program]]\ncode = \"mammo\"\nname.en = \"Breast screening\"\ndescriptions = [\"*\"]\nmodalities = [\"MG\"]\nleast = 1\n[[program.band]]\nbelow = 0.9\nreaders = 1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	s.Tune, s.Screening, s.Protocols = false, file, []string{"*=independent"}
	h := housetest.Start(t, s)
	mg, err := studytest.Mammogram(studytest.MG{Rows: 512, Columns: 384, Seed: 2, Calcifications: true})
	if err != nil {
		t.Fatal(err)
	}
	// What a colleague has measured at another workstation came with the images.
	if err := mg.Join(studytest.OtherReport{UID: "2.25.7001", Series: "2.25.7009", Maker: "PACS House", Model: "Reader", Label: "Bookmarks", Date: "20260105", Person: "Lie^Anna", Verifier: "Lie^Anna",
		Groups: []tree.Item{studytest.OtherGroup("2.25.7771", 18.7, tree.Item{})}}); err != nil {
		t.Fatal(err)
	}
	housetest.Push(t, h, mg)
	for _, name := range []string{"anna", "bo"} {
		if err := h.Ledger.AddToken(t.Context(), study.Token{Hash: sha256.Sum256([]byte(name)), Role: webui.Reader, Name: name}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	c, err := h.Ledger.Case(t.Context(), mg.Study)
	if err != nil || len(c.Results) == 0 {
		t.Fatal("no result to hide", err)
	}
	door := readingDoor{t, "http://" + h.Web.Addr().String()}
	at, turn := "/api/v1/studies/"+string(mg.Study), "/api/v1/screening/"+string(mg.Study)
	post := func(who, path, body string, want int) string {
		t.Helper()
		code, got := door.ask(who, http.MethodPost, path, body)
		if code != want {
			t.Fatalf("%s of %s: %d %s", path, who, code, got)
		}
		return got
	}
	const own, said = "stellate opacity", "biopsy advised"
	post("anna", at+"/own", `{"impression":"suspicious","remark":"`+own+`"}`, 200)
	door.ask("anna", http.MethodGet, "/studies/"+string(mg.Study), "")
	post("anna", at+"/answer", `{"verdict":"none"}`, 409)
	post("anna", at+"/answer", `{"verdict":"agree","recall":"recall","text":"`+said+`"}`, 200)
	if _, body := door.ask("anna", http.MethodGet, "/api/v1/worklist", ""); strings.Contains(body, string(mg.Study)) {
		t.Error("it is on the first reader's list still")
	}
	if now, err := h.Ledger.Study(t.Context(), mg.Study); err != nil || now.Status == study.Read {
		t.Error("a first answer reads it:", now.Status, err)
	}
	paths := append(doorsOf(c), turn, "/api/v1/worklist?list=second", "/?list=second", at+"/case", "/studies/"+string(mg.Study)+"/patient")
	paths = append(paths, "/studies/"+string(mg.Study)+"/others", "/dicom-web/studies/"+string(mg.Study)+"/series/2.25.7009/metadata")
	first := []string{own, said, "anna", `"recall":"recall"`, `"answer":"recall"`, "2.25.7001", "2.25.7009", "Lie, Anna", "Bookmarks"}
	for _, path := range paths {
		if found := door.find("bo", path, append(tracesOf(c), first...)); len(found) > 0 {
			t.Errorf("%s tells the second reader: %q", path, found)
		}
	}
	post("bo", at+"/own", `{"impression":"none"}`, 200)
	for _, path := range paths {
		if found := door.find("bo", path, first); len(found) > 0 {
			t.Errorf("%s tells the second reader before the answer: %q", path, found)
		}
	}
	post("bo", at+"/answer", `{"verdict":"agree","recall":"recall"}`, 200)
	if now, err := h.Ledger.Study(t.Context(), mg.Study); err != nil || now.Status != study.Read {
		t.Error("two answers of one mind do not read it:", now.Status, err)
	}
	code, body := door.ask("bo", http.MethodGet, turn, "")
	if code != 200 || !strings.Contains(body, `"state":"recalled"`) || !strings.Contains(body, said) || !strings.Contains(body, `"why":"no_score"`) || !strings.Contains(body, `"result_sha256"`) {
		t.Error(code, body)
	}
	programs, err := screening.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	replay, err := rehearsal.ReplayScreening(t.Context(), h.Ledger, programs, 1, time.Now())
	if err != nil || len(replay) != 1 || replay[0].Program != "mammo" || replay[0].Exams != 1 || replay[0].Why["no_score"] != 1 {
		t.Errorf("%+v, %v", replay, err)
	}
}
