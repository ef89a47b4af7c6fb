package deid_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/deid"
	"varde/internal/studytest/peers"
	"varde/study"
)

// object draws a CT slice with everything that can tell who it is.
func object(t *testing.T, change func(*dicom.Object)) []byte {
	t.Helper()
	o := dicom.NewObject(dicom.CTImage, "1.2.3.4.5")
	o.Set(dicom.StudyInstanceUID, "1.2.3.4").Set(dicom.SeriesInstanceUID, "1.2.3.4.1").Set(dicom.Modality, "CT")
	o.Set(dicom.PatientName, "Ødegård^Bjørn").Set(dicom.PatientID, "01017012345").Set(dicom.PatientBirthDate, "19700101")
	o.Set(dicom.PatientSex, "M").Set(dicom.StudyDate, "20240131").Set(dicom.StudyTime, "101530")
	o.Set(dicom.StudyDescription, "CT chest of Bjørn with contrast, asked for by Dr. Vik").Set(dicom.AccessionNumber, "ACC123456")
	o.Set(dicom.InstitutionName, "Sykehuset").Set(dicom.DeviceSerialNumber, "SN778899")
	o.Set(dicom.SeriesDescription, "lung 5mm 01017012345")
	o.SetVR(0x00091001, "LO", "Ødegård in private").SetVR(0x00090010, "LO", "VENDOR")
	o.Seq(dicom.ReferencedStudySequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, "1.2.840.10008.3.1.2.3.1").
		Set(dicom.ReferencedSOPInstanceUID, "1.2.3.4.9"))
	o.Native(4, 4, 1, 16, false, bytes.Repeat([]byte{1, 2}, 16))
	if change != nil {
		change(o)
	}
	b, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func header(t *testing.T, b []byte) *dicom.Dataset {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil || h.Truncated || len(h.Warnings) > 0 {
		t.Fatal(err, h.Warnings)
	}
	return h.Data
}

func TestOptionsKeepWhatTheySay(t *testing.T) {
	for _, tt := range []struct {
		options []string
		want    map[dicom.Tag]string
		codes   string
	}{
		{nil, map[dicom.Tag]string{dicom.StudyDate: "", dicom.PatientSex: "", dicom.DeviceSerialNumber: "REMOVED",
			dicom.InstitutionName: "REMOVED", dicom.StudyDescription: "", dicom.PatientBirthDate: "", 0x00280303: "REMOVED"}, "113100"},
		{[]string{"retain-uids"}, map[dicom.Tag]string{dicom.StudyInstanceUID: "1.2.3.4", dicom.SOPInstanceUID: "1.2.3.4.5"}, "113100 113110"},
		{[]string{"retain-dates"}, map[dicom.Tag]string{dicom.StudyDate: "20240131", dicom.StudyTime: "101530",
			dicom.PatientBirthDate: "", 0x00280303: "UNMODIFIED"}, "113100 113106"},
		{[]string{"retain-device"}, map[dicom.Tag]string{dicom.DeviceSerialNumber: "SN778899"}, "113100 113109"},
		{[]string{"retain-institution"}, map[dicom.Tag]string{dicom.InstitutionName: "Sykehuset"}, "113100 113112"},
		{[]string{"retain-patient"}, map[dicom.Tag]string{dicom.PatientSex: "M", dicom.PatientBirthDate: ""}, "113100 113108"},
		{[]string{"clean-descriptors"}, map[dicom.Tag]string{dicom.StudyDescription: "CT chest of with contrast",
			dicom.SeriesDescription: "lung 5mm"}, "113100 113105"},
	} {
		o, err := deid.ParseOptions(tt.options)
		if err != nil {
			t.Fatal(err)
		}
		out, r, err := rewrite(t, profile(t, o), object(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		d := header(t, out)
		for tag, want := range tt.want {
			if got := d.Text(tag); got != want {
				t.Errorf("%v: %v %s is %q, want %q", tt.options, tag, tag.Keyword(), got, want)
			}
		}
		var codes []string
		for _, item := range d.Items(dicom.DeidentificationMethodCodeSequence) {
			codes = append(codes, item.Text(dicom.CodeValue))
		}
		if got := strings.Join(codes, " "); got != tt.codes {
			t.Errorf("%v: codes %s, want %s", tt.options, got, tt.codes)
		}
		if d.Text(dicom.PatientIdentityRemoved) != "YES" || len(d.Texts(dicom.DeidentificationMethod)) != len(codes)+1 {
			t.Errorf("%v: the object does not say what was done", tt.options)
		}
		if d.Text(dicom.PatientID) != r.Patient || d.Text(dicom.PatientName) != r.Patient || d.Has(0x00091001) {
			t.Errorf("%v: patient %q", tt.options, d.Text(dicom.PatientID))
		}
		if d.Item(dicom.ReferencedStudySequence).Text(dicom.ReferencedSOPInstanceUID) == "1.2.3.4.9" && !o.RetainUIDs {
			t.Errorf("%v: a UID in a sequence stays", tt.options)
		}
	}
}

func TestWhatBelongsTogetherStaysTogether(t *testing.T) {
	p := profile(t, deid.Options{Dates: deid.ShiftDates})
	first, a, err := rewrite(t, p, object(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	again, _, _ := rewrite(t, p, object(t, nil))
	if !bytes.Equal(first, again) {
		t.Error("the same object becomes two")
	}
	later, b, err := rewrite(t, p, object(t, func(o *dicom.Object) {
		o.Set(dicom.SOPInstanceUID, "1.2.3.4.6").Set(dicom.StudyDate, "20240210")
	}))
	if err != nil {
		t.Fatal(err)
	}
	if a.Study != b.Study || a.Patient != b.Patient || a.Instance == b.Instance {
		t.Errorf("%+v and %+v", a, b)
	}
	one, two := header(t, first).Text(dicom.StudyDate), header(t, later).Text(dicom.StudyDate)
	if one == "20240131" || one >= two || header(t, first).Text(dicom.StudyTime) != "101530" {
		t.Errorf("dates %s and %s", one, two)
	}
	other, err := deid.New([]byte("another key, as long as this"), deid.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, c, _ := rewrite(t, other, object(t, nil)); c.Patient == a.Patient || c.Study == a.Study {
		t.Error("another key gives the same pseudonym")
	}
	if _, err := study.ParseUID(string(a.Study)); err != nil || !strings.HasPrefix(string(a.Study), "2.25.") {
		t.Error(a.Study, err)
	}
}

func TestTextInThePixelsIsRefused(t *testing.T) {
	p, brave := profile(t, deid.Options{}), profile(t, deid.Options{AllowBurnedIn: true})
	for _, tt := range []struct {
		name    string
		change  func(*dicom.Object)
		refused bool
	}{
		{"an ordinary slice", nil, false},
		{"marked", func(o *dicom.Object) { o.Set(dicom.BurnedInAnnotation, "YES") }, true},
		{"a face", func(o *dicom.Object) { o.Set(dicom.RecognizableVisualFeatures, "YES") }, true},
		{"ultrasound", func(o *dicom.Object) { o.Set(dicom.Modality, "US") }, true},
		{"clean ultrasound", func(o *dicom.Object) { o.Set(dicom.Modality, "US").Set(dicom.BurnedInAnnotation, "NO") }, false},
		{"a dose sheet", func(o *dicom.Object) { o.Set(dicom.ImageType, "DERIVED", "SECONDARY", "DOSE_INFO") }, true},
		{"a label that says it is clean", func(o *dicom.Object) {
			o.Set(dicom.ImageType, "ORIGINAL", "PRIMARY", "LABEL").Set(dicom.BurnedInAnnotation, "NO")
		}, true},
		{"an overlay in the pixels", func(o *dicom.Object) { o.Set(dicom.OverlayBitPosition, 12) }, true},
		{"a capture", func(o *dicom.Object) { o.Set(dicom.ConversionType, "WSD") }, true},
	} {
		b := object(t, tt.change)
		out, _, err := rewrite(t, p, b)
		if refused := errors.Is(err, study.ErrRefused); refused != tt.refused || refused && len(out) > 0 {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, _, err := rewrite(t, brave, b); err != nil {
			t.Errorf("%s, allowed: %v", tt.name, err)
		}
	}
	_, _, err := rewrite(t, brave, object(t, func(o *dicom.Object) { o.Set(dicom.EncapsulatedDocument, []byte("%PDF")) }))
	if !errors.Is(err, study.ErrRefused) {
		t.Errorf("a document: %v", err)
	}
}

func TestOverlaysGo(t *testing.T) {
	out, _, err := rewrite(t, profile(t, deid.Options{}), object(t, func(o *dicom.Object) {
		o.Set(dicom.OverlayRows, 4).Set(dicom.OverlayColumns, 4).SetVR(dicom.OverlayData, "OW", []byte{1, 2})
	}))
	if err != nil {
		t.Fatal(err)
	}
	if d := header(t, out); d.Has(dicom.OverlayData) || d.Has(dicom.OverlayRows) {
		t.Error("an overlay stays")
	}
}

func TestOptionsAndKeysAreChecked(t *testing.T) {
	for _, names := range [][]string{{"retain-everything"}, {"retain-dates", "shift-dates"}} {
		if _, err := deid.ParseOptions(names); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%v: %v", names, err)
		}
	}
	if _, err := deid.New([]byte("short"), deid.Options{}); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
}

// TestValidatorFindsNothingNew holds the faults that dciodvfy finds in a
// rewritten object against those that the source has.
func TestValidatorFindsNothingNew(t *testing.T) {
	tool := peers.Need(t, "dciodvfy", "dicom3tools")
	dir, paths := samples(t)
	kinds := map[string]int{}
	for _, path := range paths {
		source, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.Scan(bytes.NewReader(source), dicom.ScanOptions{})
		modality := h.Data.Text(dicom.Modality)
		if err != nil || len(source) > 20<<20 || kinds[modality] >= 4 || !slices.Contains([]string{"CT", "MR", "MG", "SM", "SR", "PT"}, modality) {
			continue
		}
		kinds[modality]++
		out, _, err := rewrite(t, profile(t, deid.Options{AllowBurnedIn: true}), source)
		if err != nil {
			t.Logf("%s: %v", path, err)
			continue
		}
		known := faults(t, tool, source)
		for _, f := range faults(t, tool, out) {
			if !slices.Contains(known, f) {
				t.Errorf("%s: new: %s", path, f)
			}
		}
	}
	t.Log(kinds)
}

var quoted = regexp.MustCompile(`<[^>]*>|value \S+|0x[0-9a-fA-F]+|\(0x[^)]*\)`)

// faults are the error lines of the validator, without values.
func faults(t *testing.T, tool string, object []byte) (all []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "o.dcm")
	if err := os.WriteFile(file, object, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.CommandContext(t.Context(), tool, "-new", file).CombinedOutput() // it exits 1 for faults
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Error") {
			all = append(all, quoted.ReplaceAllString(strings.TrimSpace(line), "…"))
		}
	}
	return all
}
