package dicomweb_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"varde/internal/studytest/peers"
)

func TestCurlStoresAndRetrieves(t *testing.T) {
	curl := peers.Need(t, "curl", "curl")
	s := newSite(t)
	d := drawChest(t, 4)
	var body bytes.Buffer
	for _, o := range d.Objects {
		fmt.Fprintf(&body, "--varde\r\nContent-Type: application/dicom\r\n\r\n%s\r\n", o.File)
	}
	body.WriteString("--varde--\r\n")
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, chunked := range []string{"Transfer-Encoding: chunked", "Expect: 100-continue"} {
		out, err := exec.Command(curl, "-sS", "-f", "-w", "%{http_code}", "-H", chunked,
			"-H", "Content-Type: multipart/related; type=application/dicom; boundary=varde", "--data-binary", "@"+file,
			s.URL+"/dicom-web/studies").CombinedOutput()
		if err != nil || !bytes.HasSuffix(out, []byte("200")) {
			t.Fatalf("%v: %s", err, out)
		}
	}
	in, err := s.ledger.Instance(t.Context(), d.Objects[2].Instance)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(curl, "-sS", "-f", "-H", "Accept: application/dicom",
		s.URL+"/dicom-web/studies/"+string(in.Study)+"/series/"+string(in.Series)+"/instances/"+string(in.UID)).Output()
	if err != nil || !bytes.Equal(out, d.Objects[2].File) {
		t.Errorf("%v: %d bytes come back of %d", err, len(out), len(d.Objects[2].File))
	}
}

// TestOrthancSendsSearchesAndFetches has Orthanc's DICOMweb client push a study
// to us, find it, and fetch it back.
func TestOrthancSendsSearchesAndFetches(t *testing.T) {
	s := newSite(t)
	plugin := peers.Need(t, "/usr/share/orthanc/plugins/libOrthancDicomWeb.so", "orthanc-dicomweb")
	peer := peers.StartOrthanc(t, map[string]any{
		"DicomServerEnabled": false, "Plugins": []string{plugin},
		"DicomWeb": map[string]any{"Enable": true, "Servers": map[string]any{"varde": []string{s.URL + "/dicom-web/"}}},
	})
	d := drawChest(t, 12)
	var parent string
	for _, o := range d.Objects {
		var kept struct{ ParentStudy string }
		peer.Post(t, "/instances", string(o.File), &kept)
		parent = kept.ParentStudy
	}
	peer.Call(t, "POST", "/dicom-web/servers/varde/stow", []byte(`{"Resources":["`+parent+`"],"Synchronous":true}`))
	got, err := s.ledger.Instances(t.Context(), d.Study)
	if err != nil || len(got) != len(d.Objects) {
		t.Fatalf("%d instances came of %d, %v", len(got), len(d.Objects), err)
	}
	for i, in := range got {
		body, err := s.objects.Range(t.Context(), in.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil || !bytes.HasSuffix(b, d.Objects[i].File[len(d.Objects[i].File)-2*32*32:]) {
			t.Errorf("instance %d has other pixels, %v", i, err)
		}
	}
	var found []map[string]any
	answer := peer.Call(t, "POST", "/dicom-web/servers/varde/qido", []byte(`{"Uri":"/studies","Arguments":{"PatientID":"SYN-CT"}}`))
	if err := json.Unmarshal(answer, &found); err != nil || len(found) != 1 {
		t.Errorf("Orthanc finds %d studies, %v", len(found), err)
	}
	peer.Call(t, "DELETE", "/studies/"+parent, nil)
	peer.Call(t, "POST", "/dicom-web/servers/varde/retrieve", []byte(`{"Resources":[{"Study":"`+string(d.Study)+`"}],"Synchronous":true}`))
	var back []string
	if err := json.Unmarshal(peer.Call(t, "GET", "/instances", nil), &back); err != nil || len(back) != len(d.Objects) {
		t.Errorf("Orthanc has %d instances back of %d, %v", len(back), len(d.Objects), err)
	}
}
