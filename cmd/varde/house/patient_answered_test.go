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

// TestAReadersAnswerStandsUnderThePatientAsCorrected: when the patient's facts change
// after the final answer, what the reader left is told anew behind what the AI found,
// and a recall takes back what the AI told under either facts, and no answer.
func TestAReadersAnswerStandsUnderThePatientAsCorrected(t *testing.T) {
	orthanc := peers.StartOrthanc(t, nil)
	told, addr := &ris{}, peers.Addr(t)
	told.listen(t, addr)
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.GapCap, s.Organization = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", 2*time.Second, "Oslo University Hospital"
	for _, text := range []string{"PACS=ORTHANC@" + orthanc.DICOM + "?kinds=sr,verified", "RIS=mllp://" + addr + "?kinds=oru,oru-final"} {
		var d settings.Destination
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.Destinations = append(s.Destinations, d)
	}
	h := housetest.Start(t, s)
	d, err := studytest.ChestCT(studytest.CT{Seed: 67, Nodules: true, Slices: 24, StepMM: 2.5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: "VARDE"}, h.DICOM.Addr().String(), scu.FromStudy(d), nil); err != nil {
		t.Fatal(err)
	}
	delivered := func(n int) func() bool {
		return func() bool { return strings.Count(strings.Join(deliveriesOf(t, h, d.Study), ", "), " delivered") == n }
	}
	housetest.Eventually(t, "not told", delivered(2))
	if err := h.Ledger.Answer(t.Context(), study.ReadingStep{Study: d.Study, By: "A. Dahl", Step: study.StepFinal, Verdict: "agree"}); err != nil {
		t.Fatal(err)
	}
	housetest.Eventually(t, "the answer is told to nobody", delivered(4))
	st, err := h.Ledger.Study(t.Context(), d.Study)
	if err != nil {
		t.Fatal(err)
	}
	now := st.Patient.Reveal()
	now.Name = "Corrected^Name"
	if _, err := h.Ledger.ChangePatient(t.Context(), study.PatientChange{Told: study.Message{Sender: "ADT", ID: "1", At: time.Now().Add(time.Minute)},
		Patient: study.NewPatient(now), Identifiers: []study.Identifier{{ID: now.ID, Authority: now.Issuer}}}); err != nil {
		t.Fatal(err)
	}
	housetest.Eventually(t, "the correction is told to nobody", delivered(8))
	if all := strings.Join(deliveriesOf(t, h, d.Study), ", "); !strings.Contains(all, "verified-2:en PACS delivered") || !strings.Contains(all, "oru-final-2:en RIS delivered") {
		t.Errorf("delivered: %s", all)
	}
	if heard := told.all(); len(heard) != 4 || !strings.HasSuffix(heard[1], " F") || !strings.HasSuffix(heard[3], " C") {
		t.Errorf("the RIS has heard %q", heard)
	}
	c, err := h.Ledger.Case(t.Context(), d.Study)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Registry.Change(t.Context(), study.ModelChange{Model: c.Results[0].Model, State: study.ModelWithdrawn, By: "bo", Reason: "wrong threshold"}); err != nil {
		t.Fatal(err)
	}
	housetest.Eventually(t, "nobody is told of the recall", delivered(10))
	rejected, answers := map[string]bool{}, map[string]bool{}
	var instances []string
	orthanc.Get(t, "/instances", &instances)
	for _, id := range instances {
		b := orthanc.Call(t, "GET", "/instances/"+id+"/file", nil)
		o, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
		if err != nil {
			t.Fatal(err)
		}
		answers[o.Data.Text(dicom.SOPInstanceUID)] = o.Data.Text(dicom.VerificationFlag) == "VERIFIED"
		for _, st := range o.Data.Items(dicom.CurrentRequestedProcedureEvidenceSequence) {
			for _, series := range st.Items(dicom.ReferencedSeriesSequence) {
				for _, one := range series.Items(dicom.ReferencedSOPSequence) {
					if o.Data.Text(dicom.SOPClassUID) == string(dicom.KeyObjectSelection) {
						rejected[one.Text(dicom.ReferencedSOPInstanceUID)] = true
					}
				}
			}
		}
	}
	verified := 0
	for uid, answer := range answers {
		if answer {
			verified++
		}
		if answer && rejected[uid] {
			t.Error("a reader's report is rejected")
		}
	}
	if len(instances) != 5 || verified != 2 || len(rejected) != 2 {
		t.Errorf("the archive has %d objects, %d of them a reader's, and rejects %d", len(instances), verified, len(rejected))
	}
}
