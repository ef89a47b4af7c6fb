package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"varde/study"
)

// An orthanc is a real archive. It is not started at first.
type orthanc struct {
	program    string
	dicom, web string // addresses
	config     string
	log        journal
}

func newOrthanc(t *testing.T) *orthanc {
	t.Helper()
	dir := t.TempDir()
	o := &orthanc{program: lookPeer(t, "Orthanc"), dicom: freeAddr(t), web: freeAddr(t), config: filepath.Join(dir, "orthanc.json")}
	config, err := json.Marshal(map[string]any{
		"StorageDirectory": filepath.Join(dir, "db"), "IndexDirectory": filepath.Join(dir, "db"), "Plugins": []string{},
		"DicomAet": "ORTHANC", "DicomCheckCalledAet": true, "DicomPort": port(t, o.dicom), "HttpPort": port(t, o.web),
		"RemoteAccessAllowed": false, "AuthenticationEnabled": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func port(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// start starts it for the rest of the test, and returns when it answers.
func (o *orthanc) start(t *testing.T) {
	t.Helper()
	c := exec.Command(o.program, o.config)
	c.Stdout, c.Stderr = &o.log, &o.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get("http://" + o.web + "/system"); err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("Orthanc does not answer\n%s", o.log.tail())
		}
	}
}

// count asks how many objects it holds under a SOP Instance UID.
func (o *orthanc) count(t *testing.T, uid study.UID) int {
	t.Helper()
	query := fmt.Sprintf(`{"Level":"Instance","Query":{"SOPInstanceUID":%q}}`, uid)
	resp, err := http.Post("http://"+o.web+"/tools/find", "application/json", bytes.NewReader([]byte(query)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var found []string
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	return len(found)
}
