package retrieve_test

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
	"strings"
	"testing"
	"time"

	"varde/ingest/retrieve"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// An orthanc is a real archive that knows us as the modality varde, and the
// listener of the test as the modality station.
type orthanc struct{ dicom, web string }

func startOrthanc(t *testing.T, ours, station string) orthanc {
	t.Helper()
	program, dir := lookPeer(t, "Orthanc"), t.TempDir()
	var ports [2]string
	for n := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, ports[n], _ = net.SplitHostPort(l.Addr().String())
		_ = l.Close()
	}
	o := orthanc{"127.0.0.1:" + ports[0], "127.0.0.1:" + ports[1]}
	_, ourPort, _ := net.SplitHostPort(ours)
	_, stationPort, _ := net.SplitHostPort(station)
	config := fmt.Sprintf(`{"StorageDirectory": %q, "IndexDirectory": %q, "Plugins": [], "DicomAet": "ORTHANC", "DicomPort": %s,
		"HttpPort": %s, "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomAlwaysAllowStore": true,
		"DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true, "DicomModalities": {
		"varde": {"AET": "VARDE", "Host": "127.0.0.1", "Port": %s}, "reader": {"AET": "READER", "Host": "127.0.0.1", "Port": 1},
		"station": {"AET": "STATION", "Host": "127.0.0.1", "Port": %s}}}`,
		filepath.Join(dir, "db"), filepath.Join(dir, "db"), ports[0], ports[1], ourPort, stationPort)
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

// TestOrthancPullsFromUsAndWeFromIt has Orthanc find and move a study of ours,
// and then finds, gets and moves it from there.
func TestOrthancPullsFromUsAndWeFromIt(t *testing.T) {
	h := newHouse(t)
	station := &keeper{}
	o := startOrthanc(t, h.addr, serve(t, station, nil))
	h.peers.Store("ORTHANC", o.dicom)

	var asked struct{ ID string }
	o.call(t, "POST", "/modalities/varde/query", fmt.Sprintf(`{"Level": "Study", "Query": {"StudyInstanceUID": %q, "PatientName": ""}}`, h.uid(0)), &asked)
	var answers []string
	o.call(t, "GET", "/queries/"+asked.ID+"/answers", "", &answers)
	if len(answers) != 1 {
		t.Fatalf("Orthanc finds %d studies", len(answers))
	}
	o.call(t, "POST", "/queries/"+asked.ID+"/answers/0/retrieve", "ORTHANC", nil)
	var held []string
	o.call(t, "GET", "/instances", "", &held)
	if len(held) != len(h.studies[0].Objects) {
		t.Fatalf("Orthanc has pulled %d objects", len(held))
	}

	uid := dicom.NewItem().Set(dicom.QueryRetrieveLevel, "STUDY").Set(dicom.StudyInstanceUID, h.uid(0)).Set(dicom.NumberOfStudyRelatedInstances)
	a, err := dimse.Dialer{Calling: "READER", Called: "ORTHANC", Timeout: 20 * time.Second}.Dial(t.Context(), o.dicom,
		dimse.Plain(retrieve.FindClass), dimse.Plain(retrieve.MoveClass), dimse.Plain(retrieve.GetClass),
		dimse.Context{Class: dicom.CTImage, Provide: true, Syntaxes: []study.UID{dicom.ExplicitLE}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Abort() })
	n := 0
	status, err := a.Find(t.Context(), retrieve.FindClass, uid, func(d *dicom.Dataset) error {
		n, _ = d.Int(dicom.NumberOfStudyRelatedInstances)
		return nil
	})
	if err != nil || status != dimse.Success || n != len(h.studies[0].Objects) {
		t.Errorf("find: %d instances, %v, %v", n, status, err)
	}
	one := dicom.NewItem().Set(dicom.QueryRetrieveLevel, "STUDY").Set(dicom.StudyInstanceUID, h.uid(0))
	got := &keeper{}
	counts, status, err := a.Get(t.Context(), retrieve.GetClass, one, got, nil)
	if err != nil || status != dimse.Success || len(got.data) != len(h.studies[0].Objects) {
		t.Errorf("get: %+v, %d objects, %v, %v", counts, len(got.data), status, err)
	}
	counts, status, err = a.Move(t.Context(), retrieve.MoveClass, one, "STATION", nil)
	if err != nil || status != dimse.Success || len(station.data) != len(h.studies[0].Objects) {
		t.Errorf("move: %+v, %d objects, %v, %v", counts, len(station.data), status, err)
	}
	if err := a.Release(); err != nil {
		t.Error(err)
	}
}
