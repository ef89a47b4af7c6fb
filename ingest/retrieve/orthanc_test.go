package retrieve_test

import (
	"fmt"
	"testing"
	"time"

	"varde/ingest/retrieve"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest/peers"
	"varde/study"
)

// TestOrthancPullsFromUsAndWeFromIt has Orthanc find and move a study of ours,
// and then finds, gets and moves it from there.
func TestOrthancPullsFromUsAndWeFromIt(t *testing.T) {
	h := newHouse(t)
	station := &keeper{}
	o := peers.StartOrthanc(t, map[string]any{
		"DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true, "DicomModalities": map[string]any{
			"varde":   peers.Modality(t, "VARDE", h.addr),
			"reader":  peers.Modality(t, "READER", "127.0.0.1:1"),
			"station": peers.Modality(t, "STATION", serve(t, station, nil)),
		},
	})
	h.peers.Store("ORTHANC", o.DICOM)

	var asked struct{ ID string }
	o.Post(t, "/modalities/varde/query", fmt.Sprintf(`{"Level": "Study", "Query": {"StudyInstanceUID": %q, "PatientName": ""}}`, h.uid(0)), &asked)
	var answers []string
	o.Get(t, "/queries/"+asked.ID+"/answers", &answers)
	if len(answers) != 1 {
		t.Fatalf("Orthanc finds %d studies", len(answers))
	}
	o.Call(t, "POST", "/queries/"+asked.ID+"/answers/0/retrieve", []byte("ORTHANC"))
	var held []string
	o.Get(t, "/instances", &held)
	if len(held) != len(h.studies[0].Objects) {
		t.Fatalf("Orthanc has pulled %d objects", len(held))
	}

	uid := dicom.NewItem().Set(dicom.QueryRetrieveLevel, "STUDY").Set(dicom.StudyInstanceUID, h.uid(0)).Set(dicom.NumberOfStudyRelatedInstances)
	a, err := dimse.Dialer{Calling: "READER", Called: "ORTHANC", Timeout: 20 * time.Second}.Dial(t.Context(), o.DICOM,
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
