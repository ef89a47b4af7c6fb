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

// TestWhoeverWasToldHearsOfThePatientAsCorrected has an archive, a RIS, a record and a
// folder told of a result, and then the patient's record merged into another, and that
// one's name corrected: their documents and messages come again under the new facts, and
// name what they replace. Nobody else hears of it, and no picture is made anew.
func TestWhoeverWasToldHearsOfThePatientAsCorrected(t *testing.T) {
	orthanc := peers.StartOrthanc(t, nil)
	told, folder, addr := &ris{}, t.TempDir(), peers.Addr(t)
	records, base := openEPR(t)
	told.listen(t, addr)
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.GapCap = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", 2*time.Second
	for _, text := range []string{"PACS=ORTHANC@" + orthanc.DICOM + "?kinds=sr,gsps", "RIS=mllp://" + addr, "EPR=fhir+" + base, "FILES=folder:" + folder + "?kinds=oru"} {
		var d settings.Destination
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.Destinations = append(s.Destinations, d)
	}
	h := housetest.Start(t, s)
	d, err := studytest.ChestCT(studytest.CT{Seed: 61, Nodules: true, Slices: 24, StepMM: 2.5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: "VARDE"}, h.DICOM.Addr().String(), scu.FromStudy(d), nil); err != nil {
		t.Fatal(err)
	}
	delivered := func(n int) func() bool {
		return func() bool {
			all := deliveriesOf(t, h, d.Study)
			return len(all) == n && strings.Count(strings.Join(all, ", "), " delivered") == n
		}
	}
	housetest.Eventually(t, "not told", delivered(5))
	st, err := h.Ledger.Study(t.Context(), d.Study)
	if err != nil {
		t.Fatal(err)
	}
	was := st.Patient.Reveal()
	change := func(minute int, now study.Person, merged ...study.Identifier) {
		t.Helper()
		heard, err := h.Ledger.ChangePatient(t.Context(), study.PatientChange{Told: study.Message{Sender: "ADT", ID: time.Duration(minute).String(), At: time.Now().Add(time.Duration(minute) * time.Minute)},
			Patient: study.NewPatient(now), Identifiers: []study.Identifier{{ID: now.ID, Authority: now.Issuer}}, Merged: merged})
		if err != nil || len(heard.Studies) != 1 {
			t.Fatalf("%+v, %v", heard, err)
		}
	}
	now := was
	now.ID = "SURVIVING-1"
	change(1, now, study.Identifier{ID: was.ID, Authority: was.Issuer})
	housetest.Eventually(t, "the merge is told to nobody", delivered(9))
	now.Name = "Corrected^Name"
	change(2, now)
	housetest.Eventually(t, "the correction is told to nobody", delivered(13))

	if heard := told.all(); len(heard) != 3 || !strings.HasSuffix(heard[0], " P") || !strings.HasSuffix(heard[1], " C") || !strings.HasSuffix(heard[2], " C") ||
		heard[1][:8] == heard[2][:8] {
		t.Errorf("the RIS has heard %q", heard)
	}
	for _, kind := range []string{"DiagnosticReport", "Observation"} {
		n, now := records.count(kind), records.saying(kind, `"SURVIVING-1"`)
		if n == 0 || n != now {
			t.Errorf("of %d %s in the record %d are under the new patient", n, kind, now)
		}
	}
	files, _ := filepath.Glob(filepath.Join(folder, string(d.Study), "*.hl7"))
	last, merged := 0, 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("SURVIVING-1")) {
			merged++
		}
		if bytes.Contains(b, []byte("Corrected^Name")) {
			last++
		}
	}
	if len(files) != 3 || merged != 2 || last != 1 {
		t.Errorf("%d messages, %d under the new number, %d under the new name", len(files), merged, last)
	}
	var instances []string
	orthanc.Get(t, "/instances", &instances)
	reports, pictures := map[string]int{}, 0
	for _, id := range instances {
		b := orthanc.Call(t, "GET", "/instances/"+id+"/file", nil)
		o, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
		if err != nil {
			t.Fatal(err)
		}
		if o.Data.Text(dicom.SOPClassUID) != string(dicom.Comprehensive3DSR) {
			pictures++
			continue
		}
		reports[o.Data.Text(dicom.PatientID)+" "+o.Data.Text(dicom.PatientName)]++
		if (o.Data.Text(dicom.PatientID) == was.ID) != (len(o.Data.Items(dicom.PredecessorDocumentsSequence)) == 0) {
			t.Error("a report under the new facts names no report that it replaces, or the first one does")
		}
	}
	if pictures != 1 || reports[was.ID+" "+was.Name] != 1 || reports["SURVIVING-1 "+was.Name] != 1 || reports["SURVIVING-1 Corrected^Name"] != 1 {
		t.Errorf("the archive has %v and %d pictures", reports, pictures)
	}
}
