package dicomweb_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// tool finds a program of another make. Where all are meant to be installed, a
// missing one is a failure.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if filepath.IsAbs(name) {
			if _, err := os.Stat(name); err == nil {
				return name
			}
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("none of %q is installed", names)
	}
	t.Skipf("none of %q is installed", names)
	return ""
}

func TestCurlStoresAndRetrieves(t *testing.T) {
	curl := tool(t, "curl")
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

// orthanc starts an Orthanc that knows our service as "varde", and gives its
// address.
func orthanc(t *testing.T, s *site) string {
	t.Helper()
	program := tool(t, "Orthanc")
	plugin := tool(t, "/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{
		"StorageDirectory": filepath.Join(dir, "db"), "IndexDirectory": filepath.Join(dir, "db"),
		"HttpPort": port, "DicomServerEnabled": false, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
		"Plugins":  []string{plugin},
		"DicomWeb": map[string]any{"Enable": true, "Servers": map[string]any{"varde": []string{s.URL + "/dicom-web/"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, file)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Orthanc says:\n%.4000s", log.String())
		}
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if resp, err := http.Get(url + "/system"); err == nil {
			_ = resp.Body.Close()
			return url
		}
		if time.Now().After(end) {
			t.Fatal("Orthanc does not answer")
		}
	}
}

// call asks Orthanc and gives its answer.
func call(t *testing.T, method, url string, body []byte) []byte {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s %s: %d %v %s", method, url, resp.StatusCode, err, text)
	}
	return text
}

// TestOrthancSendsSearchesAndFetches has Orthanc's DICOMweb client push a study
// to us, find it, and fetch it back.
func TestOrthancSendsSearchesAndFetches(t *testing.T) {
	s := newSite(t)
	peer := orthanc(t, s)
	d := drawChest(t, 12)
	var parent string
	for _, o := range d.Objects {
		var kept struct{ ParentStudy string }
		if err := json.Unmarshal(call(t, "POST", peer+"/instances", o.File), &kept); err != nil {
			t.Fatal(err)
		}
		parent = kept.ParentStudy
	}
	call(t, "POST", peer+"/dicom-web/servers/varde/stow", []byte(`{"Resources":["`+parent+`"],"Synchronous":true}`))
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
	answer := call(t, "POST", peer+"/dicom-web/servers/varde/qido", []byte(`{"Uri":"/studies","Arguments":{"PatientID":"SYN-CT"}}`))
	if err := json.Unmarshal(answer, &found); err != nil || len(found) != 1 {
		t.Errorf("Orthanc finds %d studies, %v", len(found), err)
	}
	call(t, "DELETE", peer+"/studies/"+parent, nil)
	call(t, "POST", peer+"/dicom-web/servers/varde/retrieve", []byte(`{"Resources":[{"Study":"`+string(d.Study)+`"}],"Synchronous":true}`))
	var back []string
	if err := json.Unmarshal(call(t, "GET", peer+"/instances", nil), &back); err != nil || len(back) != len(d.Objects) {
		t.Errorf("Orthanc has %d instances back of %d, %v", len(back), len(d.Objects), err)
	}
}
