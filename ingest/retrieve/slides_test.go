package retrieve_test

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/dicom"
	"varde/internal/studytest"
)

func TestLevelsOfASlideFileAreRetrievedWhole(t *testing.T) {
	h := newHouse(t)
	b, err := studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 700, Rows: 500}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	k := &slidefile.Keeper{Archive: h.objects, Receiver: h.receiver, Traffic: &ingest.Traffic{}, Log: slog.New(slog.DiscardHandler)}
	kept, err := k.Keep(t.Context(), ingest.Source{Kind: "upload"}, slidefile.Identifiers{PatientID: "P-1"}, "a.svs", bytes.NewReader(b), 0)
	if err != nil {
		t.Fatal(err)
	}
	got := &keeper{}
	h.peers.Store("STATION", serve(t, got, nil))
	h.tool(t, "movescu", "-aem", "STATION", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID="+string(kept.Study))
	if len(got.data) != kept.Levels {
		t.Fatalf("%d of %d levels came", len(got.data), kept.Levels)
	}
	all, err := h.ledger.ObjectsOf(t.Context(), kept.Study, kept.Series)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range all {
		body, _, err := slidefile.Objects{Archive: h.objects, Frames: h.ledger.Frames}.Open(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		_, want, err := dicom.DataSet(body)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(want)
		if err != nil || !bytes.Equal(whole, got.data[in.UID]) {
			t.Errorf("level of %d columns came as other bytes, %v", in.Image.Slide.TotalColumns, err)
		}
	}
}
