package house_test

import (
	"crypto/sha256"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/settings"
	"varde/internal/dicom/tree"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/report"
	"varde/study"
)

// TestBlindReaderIsToldNothingAtAnyDoor has real models answer under a protocol that
// blinds the reader, and looks for their answer behind every door that a reader's
// token opens: pages, API, live messages, QIDO-RS, WADO-RS, files. Once the reader has
// answered all is there. An operator sees it from the beginning, and is noted.
func TestBlindReaderIsToldNothingAtAnyDoor(t *testing.T) {
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	s.Tune = false
	s.Protocols, s.Marks = []string{"*=independent"}, []string{report.KindRings, report.KindKeys}
	h := housetest.Start(t, s)
	ct, err := studytest.ChestCT(studytest.CT{Seed: 1, Nodules: true})
	if err != nil {
		t.Fatal(err)
	}
	// What another maker's algorithm found came with the images.
	if err := ct.Join(studytest.OtherReport{UID: "2.25.7001", Series: "2.25.7009", Maker: "Acme Imaging", Model: "LungTool", Label: "Lung measurements", Date: "20260105", Program: "LungNet", Version: "3.1",
		Groups: []tree.Item{studytest.OtherGroup("2.25.7771", 18.7, tree.Item{})}}); err != nil {
		t.Fatal(err)
	}
	// So did what another reader wrote elsewhere.
	if err := ct.Join(studytest.OtherReport{UID: "2.25.7012", Series: "2.25.7019", Maker: "PACS House", Model: "Reader", Label: "Bookmarks", Date: "20260105", Person: "Lie^Anna", Verifier: "Lie^Anna",
		Groups: []tree.Item{studytest.OtherGroup("2.25.7772", 13.5, tree.Item{})}}); err != nil {
		t.Fatal(err)
	}
	slide, err := studytest.Slide(studytest.SM{Seed: 5, Cellular: true})
	if err != nil {
		t.Fatal(err)
	}
	drawn := []studytest.Drawn{ct, slide}
	housetest.Push(t, h, drawn...)
	for name, role := range map[string]string{"anna": webui.Reader, "ops": webui.Operator} {
		if err := h.Ledger.AddToken(t.Context(), study.Token{Hash: sha256.Sum256([]byte(name)), Role: role, Name: name}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	door := readingDoor{t, "http://" + h.Web.Addr().String()}
	for _, one := range drawn {
		c, err := h.Ledger.Case(t.Context(), one.Study)
		if err != nil || len(c.Results) == 0 || len(c.Reports) == 0 {
			t.Fatal("no result to hide", err)
		}
		traces, paths := append(tracesOf(c), "LungNet", "Acme", "Lung measurements", "2.25.7001", "2.25.7009",
			"PACS House", "Bookmarks", "2.25.7012", "2.25.7019"), doorsOf(c)
		other := "/dicom-web/studies/" + string(ct.Study) + "/series/2.25.7009"
		written := "/dicom-web/studies/" + string(ct.Study) + "/series/2.25.7019"
		paths = append([]string{written + "/instances", written + "/metadata", "/studies/" + string(one.Study) + "/others", other + "/instances", other + "/metadata", "/dicom-web/series?Modality=SR&includefield=all"}, paths...)
		for _, path := range paths {
			if found := door.find("anna", path, traces); len(found) > 0 {
				t.Errorf("%s tells a blind reader: %q", path, found)
			}
		}
		for _, path := range paths[len(paths)-2*len(c.Reports):] {
			if code, _ := door.ask("anna", http.MethodGet, path, ""); code != http.StatusNotFound {
				t.Errorf("%s: %d, and should not be there", path, code)
			}
		}
		if found := door.find("ops", "/api/v1/studies/"+string(one.Study), traces); len(found) == 0 {
			t.Error("the operator sees nothing")
		}
	}
	for _, one := range drawn {
		c, err := h.Ledger.Case(t.Context(), one.Study)
		if err != nil {
			t.Fatal(err)
		}
		traces, paths := tracesOf(c), doorsOf(c)
		if code, body := door.ask("anna", http.MethodPost, "/api/v1/studies/"+string(one.Study)+"/own", `{"impression":"none"}`); code != http.StatusOK {
			t.Fatal(code, body)
		}
		for _, path := range append(paths[len(paths)-2*len(c.Reports):], "/api/v1/studies/"+string(one.Study), "/studies/"+string(one.Study), "/dicom-web/studies/"+string(one.Study)+"/series") {
			if code, _ := door.ask("anna", http.MethodGet, path, ""); code != http.StatusOK {
				t.Errorf("%s after the answer: %d", path, code)
			}
		}
		if found := door.find("anna", "/studies/"+string(ct.Study), []string{"LungNet", "18.7", "PACS House", "13.5"}); one.Study == ct.Study && len(found) != 4 {
			t.Errorf("the page after the answer tells of others' %q", found)
		}
		if code, _ := door.ask("anna", http.MethodGet, "/dicom-web/studies/"+string(ct.Study)+"/series/2.25.7009/instances/2.25.7001", ""); one.Study == ct.Study && code != http.StatusOK {
			t.Errorf("another maker's report after the answer: %d", code)
		}
		if code, _ := door.ask("anna", http.MethodGet, "/dicom-web/studies/"+string(ct.Study)+"/series/2.25.7019/instances/2.25.7012", ""); one.Study == ct.Study && code != http.StatusOK {
			t.Errorf("a person's report after the answer: %d", code)
		}
		if found := door.find("anna", "/studies/"+string(one.Study), traces); len(found) < 3 {
			t.Errorf("the page after the answer: %q", found)
		}
	}
	rows, err := h.Ledger.AuditRows(t.Context(), 0, 200)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range rows {
		said = append(said, r.Actor+" "+r.Action)
	}
	for _, want := range []string{"ops ai seen unblinded", "anna own read", "anna ai shown", "anna claim take"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("the audit does not tell %q", want)
		}
	}
}

// tracesOf are what tells of a case's results.
func tracesOf(c study.Case) []string {
	var all []string
	for _, r := range c.Results {
		all = append(all, r.Model.ID, r.Model.SHA256.String()[:12], `"`+string(r.AI)+`"`, "ai-"+string(r.AI))
		for _, f := range r.Findings {
			all = append(all, string(f.Tracking), f.What.Meaning)
		}
		for _, l := range webui.Langs {
			all = append(all, l.T("ai."+string(r.AI)), l.T("why.ai_"+string(r.AI)))
		}
	}
	for _, r := range c.Reports {
		all = append(all, string(r.UID), string(r.Series))
	}
	return all
}

// doorsOf are the addresses at which a study may be told of; the last are those of
// the objects that we wrote, two for each.
func doorsOf(c study.Case) []string {
	uid := string(c.Study.UID)
	web := "/dicom-web/studies/" + uid
	all := []string{"/", "/?lang=nb", "/studies/" + uid, "/studies/" + uid + "/slides", "/studies/" + uid + "/report",
		"/api/v1/studies", "/api/v1/studies/" + uid, "/api/v1/studies/" + uid + "/readings", "/api/v1/studies/" + uid + "/told",
		"/fhir/r4/DiagnosticReport", "/fhir/r4/Observation?identifier=urn:oid:" + uid, "/fhir/r5/DiagnosticReport?identifier=urn:oid:" + uid, "/fhir/r4/ImagingStudy", "/fhir/r4/Task",
		"/api/v1/worklist?lang=en", "/api/v1/worklist?lang=nb", "/api/v1/worklist?lang=da", "/dicom-web/workitems?includefield=all&lang=en", "/dicom-web/workitems?includefield=all&lang=nb",
		"/dicom-web/studies?StudyInstanceUID=" + uid, "/dicom-web/series?StudyInstanceUID=" + uid, "/dicom-web/instances?StudyInstanceUID=" + uid,
		"/dicom-web/studies?ModalitiesInStudy=SR", "/dicom-web/series?Modality=SR", "/dicom-web/instances?Modality=PR", "/dicom-web/series?Modality=SEG",
		web + "/series", web + "/instances", web + "/instances?limit=1&offset=1", web + "/metadata"}
	for _, r := range c.Results {
		for _, s := range r.Slides {
			all = append(all, "/api/v1/studies/"+uid+"/results/"+r.Model.String()+"/slides/"+string(s.Series)+".csv",
				"/studies/"+uid+"/slides/"+string(s.Series)+"/heat?model="+r.Model.String()+"%2B"+r.Model.SHA256.Short())
		}
	}
	for _, r := range c.Reports {
		at := web + "/series/" + string(r.Series) + "/instances/" + string(r.UID)
		all = append(all, at, at+"/metadata")
	}
	return all
}

// A readingDoor asks a house with the token of somebody.
type readingDoor struct {
	t    *testing.T
	base string
}

func (d readingDoor) ask(who, method, path, body string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.base+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+who)
	r.Header.Set("Content-Type", "application/json")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, 8<<20))
	if err != nil {
		d.t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// find gives those of the traces that an answer holds. What the address itself says
// is no trace: an error repeats it.
func (d readingDoor) find(who, path string, traces []string) (found []string) {
	d.t.Helper()
	_, body := d.ask(who, http.MethodGet, path, "")
	// To whom a study could be handed: all readers of the site, whoever has read it.
	body = regexp.MustCompile(`<datalist id="colleagues">.*?</datalist>`).ReplaceAllString(body, "")
	for _, trace := range traces {
		if trace != "" && strings.Contains(body, trace) && !strings.Contains(path, trace) {
			found = append(found, trace)
		}
	}
	return found
}
