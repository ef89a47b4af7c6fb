package dicom_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/study"
)

// complete makes a secondary capture that a validator has nothing to say against.
func complete() *dicom.Object {
	o := identified(dicom.SecondaryCapture)
	for _, t := range []dicom.Tag{dicom.PatientID, dicom.PatientBirthDate, dicom.PatientSex, dicom.StudyDate, dicom.StudyTime,
		dicom.ReferringPhysicianName, dicom.StudyID, dicom.AccessionNumber, dicom.SeriesNumber, dicom.PatientOrientation} {
		o.Set(t)
	}
	o.Set(dicom.PatientName, "Ødegård^Bjørn Ærø").Set(dicom.Laterality).Set(dicom.Modality, "OT").Set(dicom.ConversionType, "WSD").Set(dicom.InstanceNumber, 1)
	return o
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 30, 5, 7e6, time.FixedZone("", 3600))
	o := complete()
	o.Set(dicom.StudyDate, at).Set(dicom.StudyTime, at).Set(dicom.ObservationDateTime, at).
		Set(dicom.ImageType, "DERIVED", "SECONDARY").Set(dicom.PixelSpacing, []float64{0.1, 1.0 / 3}).
		Set(dicom.TextValue, "first line\r\nsecond\\still second").Set(dicom.GraphicData, 1.5, -2).
		Set(dicom.FrameIncrementPointer, dicom.PixelSpacing, dicom.FrameReferenceDateTime).
		Set(dicom.SmallestImagePixelValue, -5).Set(dicom.ReferencedFrameNumber, 1, 2, 3).
		SetVR(0x00091001, "LO", "private").Set(0x00090010, "VARDE").
		Seq(dicom.PerformedProcedureCodeSequence).
		Seq(dicom.ContentSequence, dicom.NewItem().Seq(dicom.ConceptCodeSequence, dicom.CodeItem(study.Code{Value: "T-1", Scheme: "SCT", Meaning: "Øre"})))
	o.Append(dicom.ContentSequence, dicom.NewItem().Set(dicom.PatientName, "A=B=C"))
	o.Native(2, 3, 1, 8, false, []byte{1, 2, 3, 4, 5, 6}, []byte{7, 8, 9, 10, 11, 12})
	b := encode(t, o)
	h := scan(t, b)
	if len(h.Warnings) > 0 || h.Truncated || h.TransferSyntax != dicom.ExplicitLE || h.Meta.Text(dicom.MediaStorageSOPInstanceUID) != "2.25.3" {
		t.Errorf("%q, truncated %v", h.Warnings, h.Truncated)
	}
	for tag, want := range map[dicom.Tag][]string{
		dicom.SpecificCharacterSet: {"ISO_IR 192"}, dicom.PatientName: {"Ødegård^Bjørn Ærø"}, dicom.StudyDate: {"20261122"}, dicom.StudyTime: {"093005"},
		dicom.ObservationDateTime: {"20261122093005.007+0100"}, dicom.ImageType: {"DERIVED", "SECONDARY"},
		dicom.PixelSpacing: {"0.1", "0.33333333333333"}, dicom.TextValue: {"first line\r\nsecond\\still second"},
		dicom.GraphicData: {"1.5", "-2"}, dicom.SmallestImagePixelValue: {"-5"}, dicom.ReferencedFrameNumber: {"1", "2", "3"},
		0x00091001: {"private"}, dicom.NumberOfFrames: {"2"}, dicom.PatientID: nil,
	} {
		if got := h.Data.Texts(tag); !reflect.DeepEqual(got, want) {
			t.Errorf("%v %s is %q, want %q", tag, tag.Keyword(), got, want)
		}
	}
	items := h.Data.Items(dicom.ContentSequence)
	if len(items) != 2 || items[0].Item(dicom.ConceptCodeSequence).Text(dicom.CodeMeaning) != "Øre" || !h.Data.Has(dicom.PerformedProcedureCodeSequence) {
		t.Errorf("%d items", len(items))
	}
	if got := framesOf(t, b, h); len(got) != 2 || got[1] != "\x07\x08\x09\x0A\x0B\x0C" {
		t.Errorf("frames %q", got)
	}
	var last dicom.Tag
	for e := range h.Data.All() {
		if e.Tag <= last {
			t.Errorf("%v after %v", e.Tag, last)
		}
		last = e.Tag
	}
}

func TestSameObjectGivesSameBytes(t *testing.T) {
	make1 := func(forward bool) []byte {
		o := complete()
		set := []func(){
			func() { o.Set(dicom.StudyDescription, "x") },
			func() { o.Set(dicom.PatientAge, "050Y") },
			func() {
				o.Seq(dicom.ContentSequence, dicom.NewItem().Set(dicom.CodeValue, "1").Set(dicom.Date, "20200101"))
			},
		}
		for i := range set {
			if forward {
				set[i]()
			} else {
				set[len(set)-1-i]()
			}
		}
		o.Native(1, 2, 1, 8, false, []byte{1, 2})
		first := encode(t, o)
		if !bytes.Equal(first, encode(t, o)) {
			t.Error("the second writing differs from the first")
		}
		return first
	}
	if !bytes.Equal(make1(true), make1(false)) {
		t.Error("the order of setting shows in the bytes")
	}
}

func TestOneBitFramesRunOn(t *testing.T) {
	o := complete()
	o.Native(1, 5, 1, 1, false, []byte{1, 0, 0, 1, 1}, []byte{0, 1, 0, 1, 0}, []byte{1, 1, 1, 1, 1})
	b := encode(t, o)
	h := scan(t, b)
	e, _ := h.Data.Find(dicom.PixelData)
	if got, want := b[e.Offset:e.Offset+e.Length], []byte{0b01011001, 0b01111101}; !bytes.Equal(got, want) {
		t.Errorf("%08b, want %08b", got, want)
	}
}

func TestEncapsulatedFramesHaveATable(t *testing.T) {
	o := complete()
	o.Set(dicom.Rows, 1).Set(dicom.Columns, 1).Set(dicom.BitsAllocated, 8)
	o.Encapsulated(dicom.HTJ2K, [][]byte{{1, 2, 3}, {4, 5, 6, 7}})
	b := encode(t, o)
	h := scan(t, b)
	if h.TransferSyntax != dicom.HTJ2K || h.FramesErr != nil || len(h.Warnings) > 0 {
		t.Errorf("%s, %v, %q", h.TransferSyntax, h.FramesErr, h.Warnings)
	}
	if got := framesOf(t, b, h); len(got) != 2 || got[0] != "\x01\x02\x03\x00" || got[1] != "\x04\x05\x06\x07" {
		t.Errorf("frames %q", got)
	}
	table := b[h.Frames.Spans[0].Off-16 : h.Frames.Spans[0].Off-8]
	if !bytes.Equal(table, []byte{0, 0, 0, 0, 12, 0, 0, 0}) {
		t.Errorf("the table is %v", table)
	}
}

func TestWhatBreaksARuleIsNotWritten(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name string
		set  func(o *dicom.Object)
	}{
		{"a long LO", func(o *dicom.Object) { o.Set(dicom.PatientID, long(65)) }},
		{"a long SH", func(o *dicom.Object) { o.Set(dicom.AccessionNumber, long(17)) }},
		{"a long CS", func(o *dicom.Object) { o.Set(dicom.Modality, strings.ToUpper(long(17))) }},
		{"a lower-case CS", func(o *dicom.Object) { o.Set(dicom.Modality, "ct") }},
		{"a long PN", func(o *dicom.Object) { o.Set(dicom.PatientName, long(65)) }},
		{"four name groups", func(o *dicom.Object) { o.Set(dicom.PatientName, "a=b=c=d") }},
		{"a long UID", func(o *dicom.Object) { o.Set(dicom.StudyInstanceUID, strings.Repeat("1", 65)) }},
		{"letters in a UID", func(o *dicom.Object) { o.Set(dicom.StudyInstanceUID, "1.a") }},
		{"no UTF-8", func(o *dicom.Object) { o.Set(dicom.PatientName, "S\xF8r") }},
		{"no UTF-8, below", func(o *dicom.Object) {
			o.Seq(dicom.ContentSequence, dicom.NewItem().Seq(dicom.ContentSequence, dicom.NewItem().Set(dicom.TextValue, "\xF8")))
		}},
		{"a backslash in a name", func(o *dicom.Object) { o.Set(dicom.PatientName, `a\b`) }},
		{"a line break in an LO", func(o *dicom.Object) { o.Set(dicom.PatientID, "a\nb") }},
		{"an escape in text", func(o *dicom.Object) { o.Set(dicom.TextValue, "a\x1Bb") }},
		{"no date", func(o *dicom.Object) { o.Set(dicom.StudyDate, "20261322") }},
		{"no number", func(o *dicom.Object) { o.Set(dicom.PixelSpacing, "wide") }},
		{"NaN", func(o *dicom.Object) { o.Set(dicom.PixelSpacing, nan()) }},
		{"an IS beyond 32 bits", func(o *dicom.Object) { o.Set(dicom.SeriesNumber, 1<<40) }},
		{"a US beyond 16 bits", func(o *dicom.Object) { o.Set(dicom.Rows, 65536) }},
		{"a negative US", func(o *dicom.Object) { o.Set(dicom.Rows, -1) }},
		{"a fraction in a US", func(o *dicom.Object) { o.Set(dicom.Rows, 1.5) }},
		{"text in a US", func(o *dicom.Object) { o.Set(dicom.Rows, "1") }},
		{"more than 64 KiB of DS", func(o *dicom.Object) { o.Set(dicom.PixelSpacing, make([]float64, 40000)) }},
		{"more than 64 KiB of FL", func(o *dicom.Object) { o.Set(dicom.GraphicData, make([]float64, 16384)) }},
		{"two values of UT", func(o *dicom.Object) { o.Set(dicom.TextValue, "a", "b") }},
		{"an unknown tag", func(o *dicom.Object) { o.Set(0x00091001, "x") }},
		{"OV", func(o *dicom.Object) { o.Set(dicom.ExtendedOffsetTable, []byte{0, 0, 0, 0, 0, 0, 0, 0}) }},
		{"values in a sequence", func(o *dicom.Object) { o.Set(dicom.ContentSequence, "x") }},
		{"items in text", func(o *dicom.Object) { o.Seq(dicom.TextValue, dicom.NewItem()) }},
		{"a nil item", func(o *dicom.Object) { o.Seq(dicom.ContentSequence, nil) }},
		{"no such VR", func(o *dicom.Object) { o.SetVR(dicom.TextValue, "XX", "x") }},
		{"a short frame", func(o *dicom.Object) { o.Native(2, 2, 1, 8, false, []byte{1}) }},
		{"no frame", func(o *dicom.Object) { o.Native(2, 2, 1, 8, false) }},
		{"fragments in a native syntax", func(o *dicom.Object) { o.Encapsulated(dicom.ExplicitLE, [][]byte{{1}}) }},
	} {
		o := complete()
		tt.set(o)
		b, err := o.Encode()
		if !errors.Is(err, study.ErrInvalid) || b != nil {
			t.Errorf("%s: %d bytes, %v", tt.name, len(b), err)
		}
	}
	secret := complete()
	secret.Set(dicom.PatientName, strings.Repeat("Ødegård", 10)).Set(dicom.PatientID, "13116900216\n")
	if _, err := secret.Encode(); err == nil || strings.Contains(err.Error(), "degård") || strings.Contains(err.Error(), "1311") {
		t.Errorf("the fault tells who it is: %v", err)
	}
}

func nan() float64 { var zero float64; return zero / zero }

func TestLongCodesGoWhereTheyBelong(t *testing.T) {
	o := complete()
	o.Seq(dicom.ConceptCodeSequence, dicom.CodeItem(study.Code{Value: "12345678901234567", Scheme: "SCT", Meaning: "m"}))
	i := scan(t, encode(t, o)).Data.Item(dicom.ConceptCodeSequence)
	if i.Has(dicom.CodeValue) || i.Text(dicom.LongCodeValue) != "12345678901234567" {
		t.Error("a code of 17 characters is in CodeValue")
	}
}

// TestOthersReadWhatWeWrite lets DCMTK and the validator of dicom3tools judge.
func TestOthersReadWhatWeWrite(t *testing.T) {
	dcmdump, dciodvfy := peers.Need(t, "dcmdump", "dcmtk"), peers.Need(t, "dciodvfy", "dicom3tools")
	native := complete()
	native.Native(2, 3, 3, 8, false, bytes.Repeat([]byte{1, 2, 3}, 6))
	compressed := complete()
	compressed.Set(dicom.Rows, 1).Set(dicom.Columns, 1).Set(dicom.SamplesPerPixel, 1).Set(dicom.PhotometricInterpretation, "MONOCHROME2").
		Set(dicom.BitsAllocated, 8).Set(dicom.BitsStored, 8).Set(dicom.HighBit, 7).Set(dicom.PixelRepresentation, 0)
	compressed.Encapsulated(dicom.RLE, [][]byte{append(append([]byte{1, 0, 0, 0, 64}, make([]byte, 59)...), 0, 7)})
	for name, o := range map[string]*dicom.Object{"native": native, "compressed": compressed} {
		path := filepath.Join(t.TempDir(), "ours.dcm")
		if err := os.WriteFile(path, encode(t, o), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(dcmdump, "+P", "PatientName", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Ødegård^Bjørn Ærø") || strings.Contains(string(out), "W:") {
			t.Errorf("%s: dcmdump: %v\n%s", name, err, out)
		}
		out, err = exec.Command(dciodvfy, "-new", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), "Error") || !strings.Contains(string(out), "SCImage") {
			t.Errorf("%s: dciodvfy: %v\n%s", name, err, out)
		}
	}
}
