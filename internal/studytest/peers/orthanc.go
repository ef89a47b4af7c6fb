package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// An Orthanc is a real archive with the AE title ORTHANC, which takes what anyone
// sends. Its addresses are there before it runs.
type Orthanc struct {
	DICOM    string         // where it listens for DICOM, host:port
	Web      string         // the root of its REST API, http://host:port
	Settings map[string]any // its configuration; read by Start

	program, dir string
	log          journal
}

// NewOrthanc prepares an archive of its own for the test and does not start it.
// The settings are laid over its usual ones, one for one.
func NewOrthanc(tb testing.TB, settings map[string]any) *Orthanc {
	tb.Helper()
	program, dir := Need(tb, "Orthanc", "orthanc"), tb.TempDir()
	dicom, web := Port(tb), Port(tb)
	o := &Orthanc{
		DICOM: "127.0.0.1:" + dicom, Web: "http://127.0.0.1:" + web, program: program, dir: dir,
		Settings: map[string]any{
			"StorageDirectory": filepath.Join(dir, "db"), "IndexDirectory": filepath.Join(dir, "db"), "Plugins": []string{},
			"DicomAet": "ORTHANC", "DicomPort": number(tb, dicom), "HttpPort": number(tb, web),
			"RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomAlwaysAllowStore": true,
		},
	}
	maps.Copy(o.Settings, settings)
	return o
}

// StartOrthanc is NewOrthanc and Start.
func StartOrthanc(tb testing.TB, settings map[string]any) *Orthanc {
	tb.Helper()
	o := NewOrthanc(tb, settings)
	o.Start(tb)
	return o
}

// Modality is an entry of the setting DicomModalities: an AE at an address.
func Modality(tb testing.TB, aet, addr string) map[string]any {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	return map[string]any{"AET": aet, "Host": host, "Port": number(tb, port), "AllowStorageCommitment": true}
}

func number(tb testing.TB, port string) int {
	tb.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// Start starts it for the rest of the test, and returns when it answers at both
// its doors, or at its REST API if the setting DicomServerEnabled is false.
func (o *Orthanc) Start(tb testing.TB) {
	tb.Helper()
	config, err := json.Marshal(o.Settings)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(o.dir, "orthanc.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		tb.Fatal(err)
	}
	serve(tb, exec.Command(o.program, path), &o.log, func() bool {
		resp, err := http.Get(o.Web + "/system")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return o.Settings["DicomServerEnabled"] == false || listens(o.DICOM)
	})
}

// Log gives the last lines of what it has said.
func (o *Orthanc) Log() string { return o.log.tail() }

// Call asks its REST API and gives the answer. Any status but 200 fails the test.
func (o *Orthanc) Call(tb testing.TB, method, path string, body []byte) []byte {
	tb.Helper()
	rq, err := http.NewRequestWithContext(tb.Context(), method, o.Web+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	return b
}

// Get asks for a path and reads the JSON of the answer.
func (o *Orthanc) Get(tb testing.TB, path string, into any) {
	tb.Helper()
	read(tb, path, o.Call(tb, http.MethodGet, path, nil), into)
}

// Post sends a body to a path and reads the JSON of the answer.
func (o *Orthanc) Post(tb testing.TB, path, body string, into any) {
	tb.Helper()
	read(tb, path, o.Call(tb, http.MethodPost, path, []byte(body)), into)
}

func read(tb testing.TB, path string, b []byte, into any) {
	tb.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		tb.Fatalf("answer of %s: %v: %s", path, err, b)
	}
}

// dicomwebPlugin is where Debian's package puts Orthanc's DICOMweb plugin.
const dicomwebPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

// StartDICOMweb starts an Orthanc with its DICOMweb plugin and these settings, and
// gives the base of its services. Where there is no plugin it skips the test, or fails it under CI=true.
func StartDICOMweb(tb testing.TB, settings map[string]any) (o *Orthanc, base string) {
	tb.Helper()
	if _, err := os.Stat(dicomwebPlugin); err != nil {
		const missing = "Orthanc's DICOMweb plugin is not installed; it is in Debian's package orthanc-dicomweb"
		if os.Getenv("CI") == "true" {
			tb.Fatal(missing)
		}
		tb.Skip(missing)
	}
	all := map[string]any{"Plugins": []string{dicomwebPlugin}, "DicomWeb": map[string]any{"Enable": true, "Root": "/dicom-web/"}}
	maps.Copy(all, settings)
	o = StartOrthanc(tb, all)
	return o, o.Web + "/dicom-web"
}
