package house_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"

	"varde/cmd/varde/house"
	"varde/cmd/varde/house/housetest"
	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/study"
)

// srOf gives the structured report that a house wrote of a study.
func srOf(t *testing.T, h *house.House, uid study.UID) studytest.Object {
	t.Helper()
	c, err := h.Ledger.Case(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Reports {
		if r.Kind != "sr" {
			continue
		}
		body, err := h.Objects.Range(t.Context(), r.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err != nil || body.Close() != nil {
			t.Fatal(err)
		}
		start := 132 + 12 + int(b[140]) + int(b[141])<<8 // behind the group of the file, PS3.10 §7.1
		return studytest.Object{Class: r.Class, Instance: r.UID, Syntax: dicom.ExplicitLE, File: b, DataSet: b[start:]}
	}
	t.Fatal("no report was written")
	return studytest.Object{}
}

// TestAnotherSitesResultIsAnotherSystems: the report that another site's Varde wrote
// comes with the study, of the same model and in the same language as ours. It is shown as another system's, with who made it and who sent
// it, and a reader who answers first does not see it before; a report of our own that
// comes back from an archive is not.
func TestAnotherSitesResultIsAnotherSystems(t *testing.T) {
	start := func() *house.House {
		s := settings.Defaults()
		s.Dir, s.DICOMAddr, s.HTTPAddr, s.Tune = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", false
		return housetest.Start(t, s)
	}
	ct, err := studytest.ChestCT(studytest.CT{Seed: 1, Nodules: true})
	if err != nil {
		t.Fatal(err)
	}
	north := start()
	housetest.Push(t, north, ct)
	theirs := srOf(t, north, ct.Study)

	h := start()
	both := ct
	both.Objects = append(append([]studytest.Object(nil), ct.Objects...), theirs)
	housetest.Push(t, h, both)
	ours := srOf(t, h, ct.Study)
	if ours.Instance == theirs.Instance || bytes.Equal(ours.File, theirs.File) {
		t.Fatal("both wrote the same object")
	}
	back := ct
	back.Objects = []studytest.Object{ours}
	if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "PACS", Called: h.AET}, h.DICOM.Addr().String(), scu.FromStudy(back), nil); err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]string{"anna": webui.Reader, "ops": webui.Operator} {
		if err := h.Ledger.AddToken(t.Context(), study.Token{Hash: sha256.Sum256([]byte(name)), Role: role, Name: name}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	door := readingDoor{t, "http://" + h.Web.Addr().String()}
	page, api := "/studies/"+string(ct.Study), "/api/v1/studies/"+string(ct.Study)
	shown := func(who string) {
		t.Helper()
		_, body := door.ask(who, http.MethodGet, page+"/others", "")
		if n := strings.Count(body, `class="otherdoc"`); n != 1 {
			t.Errorf("%s: %d documents of other systems", who, n)
		}
		for _, want := range []string{"Written by the Varde of another site", "Came with a study from CT1", "Made by an algorithm or a device: Varde reference: CT nodule candidates 1.0.0&#43;sha256:", "Varde " + settings.Version} {
			if !strings.Contains(body, want) {
				t.Errorf("%s is not told %q", who, want)
			}
		}
	}
	shown("ops")
	if _, body := door.ask("anna", http.MethodGet, page+"/others", ""); strings.Contains(body, "nodule candidates") || !strings.Contains(body, "1 result of another system is shown when you have answered") {
		t.Error("a reader is told what another site's Varde found before the own answer")
	}
	if code, body := door.ask("anna", http.MethodPost, api+"/own", `{"impression":"none"}`); code != http.StatusOK {
		t.Fatal(code, body)
	}
	shown("anna")
}
