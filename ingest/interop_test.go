package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// lookPeer finds a program of another maker, or skips the test where there is none.
func lookPeer(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// An orthanc is a real archive that knows us as the modality varde.
type orthanc struct{ dicom, web string }

// startOrthanc starts one for the test. ours is where we listen.
func startOrthanc(t *testing.T, ours string) orthanc {
	t.Helper()
	program, dir := lookPeer(t, "Orthanc"), t.TempDir()
	o := orthanc{"127.0.0.1:" + freePort(t), "127.0.0.1:" + freePort(t)}
	_, dicomPort, _ := net.SplitHostPort(o.dicom)
	_, webPort, _ := net.SplitHostPort(o.web)
	_, ourPort, _ := net.SplitHostPort(ours)
	config := fmt.Sprintf(`{"StorageDirectory": %q, "IndexDirectory": %q, "Plugins": [], "DicomAet": "ORTHANC", "DicomPort": %s,
		"HttpPort": %s, "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomAlwaysAllowStore": true,
		"DicomModalities": {"varde": {"AET": "VARDE", "Host": "127.0.0.1", "Port": %s, "AllowStorageCommitment": true}}}`,
		filepath.Join(dir, "db"), filepath.Join(dir, "db"), dicomPort, webPort, ourPort)
	path := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := exec.Command(program, path)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("%s", &log)
		}
	})
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get("http://" + o.web + "/system"); err == nil {
			_ = resp.Body.Close()
			return o
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("Orthanc does not answer")
		}
	}
}

// call asks Orthanc over HTTP and reads its JSON.
func (o orthanc) call(t *testing.T, method, path, body string, v any) {
	t.Helper()
	rq, err := http.NewRequestWithContext(t.Context(), method, "http://"+o.web+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	if err == nil && v != nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

func TestOrthancIsGivenCommitment(t *testing.T) {
	h := newHouse(t)
	o := drawSlice(t, 32)
	if _, err := h.file(t, o.File); err != nil {
		t.Fatal(err)
	}
	var theirs string
	committer := h.committer(func(ctx context.Context, ae string, contexts ...dimse.Context) (*dimse.Association, error) {
		return dimse.Dialer{Calling: "VARDE", Called: ae}.Dial(ctx, theirs, contexts...)
	})
	ours := h.serveDICOM(t, map[study.UID]dimse.Service{ingest.CommitmentClass: committer})
	peer := startOrthanc(t, ours)
	theirs = peer.dicom
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- committer.Run(ctx) }()
	defer func() { cancel(); <-done }()

	var asked struct{ ID string }
	peer.call(t, "POST", "/modalities/varde/storage-commitment", fmt.Sprintf(`{"DicomInstances": [
		{"SOPClassUID": %q, "SOPInstanceUID": %q}, {"SOPClassUID": %q, "SOPInstanceUID": "1.2.3.4.5"}]}`, dicom.CTImage, o.Instance, dicom.CTImage), &asked)
	var got struct {
		Status   string
		Success  []struct{ SOPInstanceUID string }
		Failures []struct {
			SOPInstanceUID string
			FailureReason  int
		}
	}
	for began := time.Now(); got.Status != "Failure" && got.Status != "Success"; time.Sleep(50 * time.Millisecond) {
		peer.call(t, "GET", "/storage-commitment/"+asked.ID, "", &got)
		if time.Since(began) > 20*time.Second {
			t.Fatalf("Orthanc has no report: %+v", got)
		}
	}
	if len(got.Success) != 1 || got.Success[0].SOPInstanceUID != string(o.Instance) || len(got.Failures) != 1 || got.Failures[0].FailureReason != 0x0112 {
		t.Errorf("Orthanc heard %+v", got)
	}
	h.owesNothing(t)
}
