package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"varde/internal/studytest"
	"varde/study"
)

// sendSlide sends a slide file by the API.
func (s *service) sendSlide(identifiers string, file []byte) (int, study.UID, string) {
	s.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	w, err := m.CreateFormField("identifiers")
	if err == nil {
		_, err = io.WriteString(w, identifiers)
	}
	if err == nil {
		w, err = m.CreateFormFile("file", "Ødegård Åse.svs")
	}
	if err == nil {
		_, err = w.Write(file)
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.ask(http.MethodPost, "/api/v1/slides", "application/json", m.FormDataContentType(), &b)
	if err != nil {
		s.t.Fatal(err)
	}
	var got struct {
		Study   study.UID `json:"study_uid"`
		Outcome string
	}
	_ = json.Unmarshal(a.body, &got) // of a refusal it is empty
	return a.code, got.Study, string(a.body)
}

func TestSlideFileGoesThroughTheHouse(t *testing.T) {
	s := newService(t).start()
	file, err := studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 2048, Rows: 1536, Cellular: true}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const hers = `{"patient_id":"P-4711","patient_name":"Ødegård^Åse","accession":"A-17","study_date":"2026-01-05","stain":"H&E"}`
	code, uid, text := s.sendSlide(hers, file)
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, text)
	}
	v := s.await(uid, "reported", func(v studyView) bool { return v.Status == "reported" && len(v.Reports) > 0 })
	if v.AI != "flagged" || v.Instances < 2 {
		t.Errorf("AI says %s of %d levels", v.AI, v.Instances)
	}
	if code, _, text = s.sendSlide(hers, file); code != http.StatusOK || !strings.Contains(text, "duplicate") {
		t.Errorf("again: %d %s", code, text)
	}
	s.kill()
	s.start()
	if code, _, text = s.sendSlide(hers, file); code != http.StatusOK || !strings.Contains(text, "duplicate") {
		t.Errorf("after a restart: %d %s", code, text)
	}
	var found []map[string]any
	s.json("/dicom-web/studies?AccessionNumber=A-17", &found)
	if len(found) != 1 {
		t.Errorf("%d studies under the accession number", len(found))
	}
	s.json("/dicom-web/studies/"+string(uid)+"/instances?Modality=SM", &found)
	if len(found) < 2 {
		t.Errorf("%d levels", len(found))
	}
	if code, _, text := s.sendSlide(hers, file[:len(file)/2]); code != http.StatusBadRequest {
		t.Errorf("half a slide: %d %s", code, text)
	}
}
