package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest/peers"
	"varde/study"
)

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
	peer := peers.StartOrthanc(t, map[string]any{"DicomModalities": map[string]any{"varde": peers.Modality(t, "VARDE", ours)}})
	theirs = peer.DICOM
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- committer.Run(ctx) }()
	defer func() { cancel(); <-done }()

	var asked struct{ ID string }
	peer.Post(t, "/modalities/varde/storage-commitment", fmt.Sprintf(`{"DicomInstances": [
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
		peer.Get(t, "/storage-commitment/"+asked.ID, &got)
		if time.Since(began) > 20*time.Second {
			t.Fatalf("Orthanc has no report: %+v", got)
		}
	}
	if len(got.Success) != 1 || got.Success[0].SOPInstanceUID != string(o.Instance) || len(got.Failures) != 1 || got.Failures[0].FailureReason != 0x0112 {
		t.Errorf("Orthanc heard %+v", got)
	}
	h.owesNothing(t)
}
