package house_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/cmd/varde/house/housetest"
	"varde/cmd/varde/settings"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/study"
)

// TestScreeningIsReadAtOtherWorkstations has three readers read a screening mammogram
// over UPS-RS: an item is completed with an answer or not at all, the second reader is
// told nothing of the first, nobody reads twice, and a disagreement waits for a third.
func TestScreeningIsReadAtOtherWorkstations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "screening.toml")
	text := "[[program]]\ncode = \"mammo\"\nname.en = \"Breast screening\"\ndescriptions = [\"*\"]\nmodalities = [\"MG\"]\nleast = 2\n[[program.band]]\nbelow = 0.9\nreaders = 1\n"
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
	housetest.Push(t, h, mg)
	for _, name := range []string{"anna", "bo", "cilla"} {
		if err := h.Ledger.AddToken(t.Context(), study.Token{Hash: sha256.Sum256([]byte(name)), Role: webui.Reader, Name: name}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	door := readingDoor{t, "http://" + h.Web.Addr().String()}
	item := func(who string) study.UID {
		t.Helper()
		code, body := door.ask(who, http.MethodGet, "/dicom-web/workitems?00741000=SCHEDULED", "")
		var all []map[string]struct{ Value []any }
		if code == http.StatusNoContent {
			return ""
		}
		if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != 1 {
			t.Fatalf("%s: %d %s", who, code, body)
		}
		return study.UID(all[0]["00080018"].Value[0].(string))
	}
	put := func(who string, uid, transaction study.UID, state string, want int) string {
		t.Helper()
		code, body := door.ask(who, http.MethodPut, "/dicom-web/workitems/"+string(uid)+"/state",
			`[{"00741000":{"vr":"CS","Value":["`+state+`"]},"00081195":{"vr":"UI","Value":["`+string(transaction)+`"]}}]`)
		if code != want {
			t.Fatalf("%s to %s: %d %s", who, state, code, body)
		}
		return body
	}
	coded := func(value, scheme string) string {
		return `{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["` + value + `"]},"00080102":{"vr":"SH","Value":["` + scheme + `"]},"00080104":{"vr":"LO","Value":["` + value + `"]}}]}`
	}
	tell := func(who string, uid, transaction study.UID, answer string) {
		t.Helper()
		said := ""
		if answer != "" {
			said = `,"00741212":{"vr":"SQ","Value":[{"0040A040":{"vr":"CS","Value":["CODE"]},"0040A043":` + coded("screening-answer", "99VARDE") + `,"0040A168":` + coded(answer, "99VARDE") + `}]}`
		}
		did := `[{"00741216":{"vr":"SQ","Value":[{"00404028":` + coded("WS1", "99SITE") + `,"00404050":{"vr":"DT","Value":["20261124101500"]},"00404051":{"vr":"DT","Value":["20261124102000"]},"00404019":` +
			coded("110005", "DCM") + `,"00404033":{"vr":"SQ"}` + said + `}]}}]`
		if code, body := door.ask(who, http.MethodPost, "/dicom-web/workitems/"+string(uid)+"?transaction-uid="+string(transaction), did); code != 200 {
			t.Fatalf("%s tells: %d %s", who, code, body)
		}
	}
	state := func() (study.Screening, study.Status) {
		t.Helper()
		st, err := h.Ledger.Study(t.Context(), mg.Study)
		if err != nil {
			t.Fatal(err)
		}
		all, err := h.Ledger.Screenings(t.Context(), []study.Study{st})
		if err != nil {
			t.Fatal(err)
		}
		return all[0], st.Status
	}

	one := item("anna")
	put("anna", one, "2.25.1", "IN PROGRESS", 200)
	tell("anna", one, "2.25.1", "")
	if body := put("anna", one, "2.25.1", "COMPLETED", 409); !strings.Contains(body, "(0074,1212)") || !strings.Contains(body, "screening-answer") {
		t.Errorf("without an answer the remedy is not told: %s", body)
	}
	tell("anna", one, "2.25.1", "perhaps")
	put("anna", one, "2.25.1", "COMPLETED", 409)
	tell("anna", one, "2.25.1", "recall")
	put("anna", one, "2.25.1", "COMPLETED", 200)
	if now, status := state(); now.State != study.ScreeningSecond || status == study.Read {
		t.Errorf("after the first answer: %s, %s", now.State, status)
	}

	two := item("bo")
	if two == one || two == "" {
		t.Fatal("the second reader has no item of their own")
	}
	if got := item("anna"); got != "" {
		t.Errorf("the first reader finds it again: %s", got)
	}
	if body := put("anna", two, "2.25.2", "IN PROGRESS", 409); !strings.Contains(body, "nobody reads twice") {
		t.Error(body)
	}
	c, err := h.Ledger.Case(t.Context(), mg.Study)
	if err != nil {
		t.Fatal(err)
	}
	put("bo", two, "2.25.3", "IN PROGRESS", 200)
	for _, path := range []string{"/dicom-web/workitems/" + string(one), "/dicom-web/workitems/" + string(two), "/dicom-web/workitems?00741000=COMPLETED&includefield=all", "/dicom-web/workitems?includefield=all", "/studies/" + string(mg.Study)} {
		if found := door.find("bo", path, append(tracesOf(c), "anna", `"recall"`, "WS1")); len(found) > 0 {
			t.Errorf("%s tells the second reader: %q", path, found)
		}
	}
	tell("bo", two, "2.25.3", "no-recall")
	put("bo", two, "2.25.3", "COMPLETED", 200)
	if now, status := state(); now.State != study.ScreeningConsensus || status == study.Read || len(now.Reads) != 2 {
		t.Errorf("after a disagreement: %s, %s", now.State, status)
	}

	three := item("cilla")
	put("cilla", three, "2.25.4", "IN PROGRESS", 200)
	tell("cilla", three, "2.25.4", "recall")
	put("cilla", three, "2.25.4", "COMPLETED", 200)
	if now, status := state(); now.State != study.ScreeningRecalled || status != study.Read {
		t.Errorf("at the end: %s, %s", now.State, status)
	}
	if got := item("cilla"); got != "" {
		t.Errorf("it still waits: %s", got)
	}
}
