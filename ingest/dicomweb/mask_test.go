package dicomweb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"varde/internal/studytest"
	"varde/study"
)

// TestWhatIsKeptBackLeavesNoTrace hides two of four objects of a study, in different
// ways of asking: they are not found, not fetched, and in no count.
func TestWhatIsKeptBackLeavesNoTrace(t *testing.T) {
	s := newSite(t)
	ct := drawChest(t, 4)
	mg, err := studytest.Mammogram(studytest.MG{Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []studytest.Drawn{ct, mg} {
		for _, o := range d.Objects {
			if code, _ := s.post(t, "/studies", o.File); code != 200 {
				t.Fatal(code)
			}
		}
	}
	hidden := map[study.UID]bool{ct.Objects[0].Instance: true, ct.Objects[2].Instance: true}
	s.service.Mask = func(ctx context.Context, uid study.UID) (map[study.UID]bool, bool, error) {
		if uid != ct.Study {
			return nil, true, nil
		}
		seen := map[study.UID]bool{}
		for _, o := range ct.Objects {
			seen[o.Instance] = !hidden[o.Instance]
		}
		return seen, false, nil
	}
	in, err := s.ledger.Instance(t.Context(), ct.Objects[0].Instance)
	if err != nil {
		t.Fatal(err)
	}
	at := "/studies/" + string(ct.Study)
	secret, open := at+"/series/"+string(in.Series)+"/instances/"+string(ct.Objects[0].Instance), at+"/series/"+string(in.Series)+"/instances/"+string(ct.Objects[1].Instance)
	for _, tt := range []struct {
		path string
		n    int
	}{
		{"/studies", 2}, {at + "/instances", 2}, {at + "/instances?limit=1", 1}, {at + "/instances?limit=1&offset=1", 1}, {at + "/instances?offset=2", 0},
		{"/instances?limit=1000", 2 + len(mg.Objects)}, {"/instances?SOPInstanceUID=" + string(ct.Objects[0].Instance), 0},
		{"/studies?SOPInstanceUID=" + string(ct.Objects[0].Instance), 0}, {"/studies?SOPInstanceUID=" + string(ct.Objects[1].Instance), 1},
		{"/studies?ModalitiesInStudy=CT", 1}, {"/studies?ModalitiesInStudy=C*", 1}, {"/series?StudyInstanceUID=" + string(ct.Study), 1},
		{fmt.Sprintf("/instances?StudyInstanceUID=%s&InstanceNumber=%d", ct.Study, in.Number), 0},
	} {
		code, header, body := s.get(t, tt.path, "application/dicom+json")
		var rows []map[string]struct{ Value []any }
		if err := json.Unmarshal(body, &rows); err != nil || code != 200 || len(rows) != tt.n {
			t.Errorf("%s: %d, %d rows, want %d: %v", tt.path, code, len(rows), tt.n, err)
		}
		if strings.HasPrefix(tt.path, at) && header.Get("Warning") != "" && tt.path != at+"/instances?limit=1" {
			t.Errorf("%s says that there is more: %s", tt.path, header.Get("Warning"))
		}
		for uid := range hidden {
			if strings.Contains(string(body), string(uid)) {
				t.Errorf("%s names %s", tt.path, uid)
			}
		}
		for _, r := range rows {
			if v := r["0020000D"].Value; len(v) == 1 && v[0] == string(ct.Study) && fmt.Sprint(r["00201208"].Value) != "[2]" {
				t.Errorf("%s counts %v objects", tt.path, r["00201208"].Value)
			}
		}
	}
	for path, want := range map[string]int{secret: 404, secret + "/metadata": 404, secret + "/frames/1": 404, secret + "/rendered": 404, open: 200, open + "/frames/1": 200} {
		if code, _, _ := s.get(t, path, "*/*"); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	code, header, body := s.get(t, at, `multipart/related; type="application/dicom"`)
	if n := len(parts(t, header, body)); code != http.StatusOK || n != 2 {
		t.Errorf("the whole study: %d, %d objects", code, n)
	}
}
