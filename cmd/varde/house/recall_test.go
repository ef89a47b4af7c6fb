package house_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// TestARecallOutlivesItsProcess has an archive and a RIS told of a result, a reader
// answer it, and its model withdrawn while the RIS is off. The process ends at once.
// The next one tells the archive, and the RIS when it is back: each once.
func TestARecallOutlivesItsProcess(t *testing.T) {
	orthanc := peers.StartOrthanc(t, nil)
	told, addr := &ris{}, peers.Addr(t)
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.GapCap, s.Organization = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", 2*time.Second, "Oslo University Hospital"
	for _, text := range []string{"PACS=ORTHANC@" + orthanc.DICOM + "?kinds=sr,verified", "RIS=mllp://" + addr + "?kinds=oru,oru-final"} {
		var d settings.Destination
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.Destinations = append(s.Destinations, d)
	}
	h, stop := housetest.StartAndStop(t, s)
	d, err := studytest.ChestCT(studytest.CT{Seed: 53, Nodules: true, Slices: 24, StepMM: 2.5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: "VARDE"}, h.DICOM.Addr().String(), scu.FromStudy(d), nil); err != nil {
		t.Fatal(err)
	}
	said := func() string { return strings.Join(deliveriesOf(t, h, d.Study), ", ") }
	off := told.listen(t, addr)
	housetest.Eventually(t, "not delivered", func() bool { return strings.Count(said(), " delivered") == 2 })
	if err := h.Ledger.Answer(t.Context(), study.ReadingStep{Study: d.Study, By: "A. Dahl", Step: study.StepFinal, Verdict: "agree"}); err != nil {
		t.Fatal(err)
	}
	housetest.Eventually(t, "what the reader left is not delivered", func() bool {
		all := said()
		return strings.Contains(all, "verified:en PACS delivered") && strings.Contains(all, "oru-final:en RIS delivered")
	})
	if heard := told.all(); len(heard) != 2 || !strings.HasSuffix(heard[0], " P") || !strings.HasSuffix(heard[1], " F") {
		t.Errorf("the RIS has heard %q", heard)
	}
	off()

	c, err := h.Ledger.Case(t.Context(), d.Study)
	if err != nil {
		t.Fatal(err)
	}
	model := c.Results[0].Model
	if err := h.Registry.Change(t.Context(), study.ModelChange{Model: model, State: study.ModelWithdrawn, By: "bo", Reason: "wrong threshold"}); err != nil {
		t.Fatal(err)
	}
	stop()
	h, _ = housetest.StartAndStop(t, s)
	housetest.Eventually(t, "the archive is not told", func() bool { return strings.Contains(said(), "reject:en PACS delivered") })
	r, err := h.Ledger.RecallOf(t.Context(), model)
	if err != nil || r.Done() {
		t.Errorf("it is done though the RIS is off: %+v, %v", r, err)
	}
	told.listen(t, addr)
	housetest.Eventually(t, "it does not come to its end", func() bool {
		r, err := h.Ledger.RecallOf(t.Context(), model)
		return err == nil && r.Done()
	})
	if heard := told.all(); len(heard) != 3 {
		t.Errorf("the RIS has heard %q", heard)
	}
	var instances []string
	orthanc.Get(t, "/instances", &instances)
	notes := 0
	for _, id := range instances {
		if b := orthanc.Call(t, "GET", "/instances/"+id+"/file", nil); bytes.Contains(b, []byte("113037")) {
			notes++
			h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
			if err != nil || h.Data.Text(dicom.SOPClassUID) != string(dicom.KeyObjectSelection) {
				t.Error(err)
			}
		}
	}
	if len(instances) != 3 || notes != 1 {
		t.Errorf("the archive has %d objects, %d of them notes", len(instances), notes)
	}
}
