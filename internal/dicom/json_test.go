package dicom_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"varde/internal/dicom"
)

func TestTmpJSON(t *testing.T) {
	dir, files := dicomFiles(t)
	bad := 0
	for _, f := range files {
		p := filepath.Join(dir, f.Path)
		h, err := dicom.ReadFile(p)
		if err != nil {
			continue
		}
		ours, err := dicom.JSON(h.Data, nil)
		if err != nil || !json.Valid(ours) {
			t.Errorf("%s: %v %s", f.Path, err, ours)
			continue
		}
		out, err := exec.Command("dcm2json", "+b", p).Output()
		if err != nil {
			t.Logf("%s: dcm2json %v", f.Path, err)
			continue
		}
		var a, b map[string]any
		json.Unmarshal(ours, &a)
		if err := json.Unmarshal(out, &b); err != nil {
			t.Logf("%s: dcm2json %v", f.Path, err)
			continue
		}
		for k, v := range b {
			x, _ := json.Marshal(a[k])
			y, _ := json.Marshal(v)
			if string(x) != string(y) {
				bad++
				t.Logf("%s %s: %.150s | %.150s", filepath.Base(f.Path), k, x, y)
			}
		}
		for k := range a {
			if b[k] == nil {
				t.Logf("%s %s only ours %v", filepath.Base(f.Path), k, a[k])
			}
		}
	}
	t.Log(bad)
}
