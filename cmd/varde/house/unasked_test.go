package house_test

import (
	"bytes"
	"os"
	"path/filepath"
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

// TestAnAnswerOfFewerImagesIsNotLeftStanding has an archive, a RIS, a record and a folder
// told what a model found; the model goes back into shadow, and then images come. Nobody
// is asked again, so that each of them is told that the answer is of fewer images.
func TestAnAnswerOfFewerImagesIsNotLeftStanding(t *testing.T) {
	orthanc := peers.StartOrthanc(t, nil)
	told, folder := &ris{}, t.TempDir()
	records, base := openEPR(t)
	addr := peers.Addr(t)
	told.listen(t, addr)
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.GapCap = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", 2*time.Second
	for _, text := range []string{"PACS=ORTHANC@" + orthanc.DICOM + "?kinds=sr,sc", "RIS=mllp://" + addr, "EPR=fhir+" + base, "FILES=folder:" + folder + "?kinds=oru"} {
		var d settings.Destination
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.Destinations = append(s.Destinations, d)
	}
	h := housetest.Start(t, s)
	d, err := studytest.ChestCT(studytest.CT{Seed: 57, Nodules: true, Slices: 24, StepMM: 2.5})
	if err != nil {
		t.Fatal(err)
	}
	send := func(objects []scu.Object) {
		if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: "VARDE"}, h.DICOM.Addr().String(), objects, nil); err != nil {
			t.Fatal(err)
		}
	}
	all := scu.FromStudy(d)
	send(all[:22])
	said := func() string { return strings.Join(deliveriesOf(t, h, d.Study), ", ") }
	everywhere := func() bool {
		return strings.Count(said(), " delivered") >= 5 && !strings.Contains(said(), "waiting")
	}
	housetest.Eventually(t, "not told", everywhere)
	c, err := h.Ledger.Case(t.Context(), d.Study)
	if err != nil || len(c.Results) != 1 || c.Results[0].AI != study.Flagged {
		t.Fatalf("%+v, %v", c.Results, err)
	}
	model, place := c.Results[0].Model, c.Study.Place
	if err := h.Registry.Change(t.Context(), study.ModelChange{Model: model, State: study.ModelShadow, By: "bo", Reason: "another trial"}); err != nil {
		t.Fatal(err)
	}
	send(all[22:])
	housetest.Eventually(t, "it is left standing: "+said(), func() bool {
		c, err = h.Ledger.Case(t.Context(), d.Study)
		return err == nil && len(c.Reports) > 0 && c.Reports[0].Rev == 2 && everywhere()
	})
	r := c.Results[0]
	if r.AI != study.Failed || r.Reason.Code != study.ReasonUnasked || r.Shadow || len(r.Findings) > 0 || r.Model != model || r.Name == model.ID {
		t.Errorf("the study says %+v", r)
	}
	if c.Study.Place.Class != place.Class || c.Study.Place.Key.After(place.Key) {
		t.Errorf("it has lost its place: %+v, was %+v", c.Study.Place, place)
	}
	const words = "AI did not look at this study as it is now"
	if heard := told.all(); len(heard) != 2 || !strings.HasSuffix(heard[1], " C") {
		t.Errorf("the RIS has heard %q", heard)
	}
	if n := records.saying("DiagnosticReport", words); n == 0 {
		t.Error("the record does not say so")
	}
	written := 0
	files, _ := filepath.Glob(filepath.Join(folder, string(d.Study), "*.hl7"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(words)) && bytes.Contains(b, []byte("111245")) {
			written++
		}
	}
	if len(files) != 2 || written != 1 {
		t.Errorf("%d files, %d of them say so", len(files), written)
	}
	var instances []string
	orthanc.Get(t, "/instances", &instances)
	corrected, pages := 0, 0
	for _, id := range instances {
		b := orthanc.Call(t, "GET", "/instances/"+id+"/file", nil)
		o, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case o.Data.Text(dicom.SOPClassUID) == string(dicom.Comprehensive3DSR) && bytes.Contains(b, []byte(words)) && bytes.Contains(b, []byte(d.Study)) && len(o.Data.Items(dicom.PredecessorDocumentsSequence)) == 1:
			corrected++
		case o.Data.Text(dicom.SOPClassUID) == string(dicom.SecondaryCapture):
			pages++
		}
	}
	if corrected != 1 || pages < 2 {
		t.Errorf("of %d objects in the archive %d correct the first, and %d are pictures", len(instances), corrected, pages)
	}
}
