package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSendNamesWhatItCouldNotSendAndSendsTheRest has a folder as people have them: one
// file is cut short, one is text, one argument is misspelled.
func TestSendNamesWhatItCouldNotSendAndSendsTheRest(t *testing.T) {
	s := newService(t).start()
	d := smallMG(t, 1, false)
	folder, paths := files(t, d)
	s.rememberAll(d)
	write(t, filepath.Join(folder, "README.txt"), "no DICOM")
	whole, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(folder, "0-cut.dcm") // before all others
	write(t, cut, string(whole[:len(whole)/2]))
	nowhere := filepath.Join(folder, "nowhere")

	e := run(t, "send", s.dicom, nowhere, folder)
	if e.code != 1 || !containsAll(e.stderr, "not sent: "+cut+": ", "not sent: "+nowhere+": ", "2 of 6 objects were not sent") || !containsAll(e.stdout, "4 of 6 objects sent", "1 files were not DICOM") {
		t.Errorf("ends with %d: %s%s", e.code, e.stdout, e.stderr)
	}
	for word := range s.persons {
		if strings.Contains(e.stdout+e.stderr, word) {
			t.Errorf("a patient is named: %s%s", e.stdout, e.stderr)
		}
	}
	s.reported(d.Study, len(d.Objects))

	e = run(t, "send", "--json", s.dicom, cut, paths[1])
	var out struct {
		Sent, Of int
		NotSent  []struct{ File, Why string } `json:"not_sent"`
	}
	if err := json.Unmarshal([]byte(e.stdout), &out); err != nil || e.code != 1 || out.Sent != 1 || out.Of != 2 || len(out.NotSent) != 1 || out.NotSent[0].File != cut || out.NotSent[0].Why == "" {
		t.Errorf("--json ends with %d: %s%s %v", e.code, e.stdout, e.stderr, err)
	}
	if e := run(t, "send", "--json", s.dicom, paths[1]); e.code != 0 || !strings.Contains(e.stdout, `"not_sent":[]`) {
		t.Errorf("--json of what was sent ends with %d: %s%s", e.code, e.stdout, e.stderr)
	}
}
