package dicom_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
)

func TestJSONFollowsTheModel(t *testing.T) {
	o := dicom.NewObject(dicom.SecondaryCapture, "2.25.1")
	o.Set(dicom.PatientName, "Yamada^Tarou=山田^太郎=やまだ^たろう").
		Set(dicom.OtherPatientNames, "Ødegård^Bjørn", "").
		Set(dicom.PatientComments).
		Set(dicom.PixelSpacing, 0.5, "1e-3").
		Set(dicom.SeriesNumber, -7).
		Set(dicom.FrameIncrementPointer, dicom.PixelSpacing).
		Set(dicom.PatientWeight, "070.5").
		Set(dicom.TextValue, "one\\two").
		Set(dicom.RecommendedDisplayCIELabValue, 1, 65535).
		Set(dicom.DoubleFloatPixelData).
		Set(dicom.ICCProfile, []byte{1, 2, 3, 4}).
		Seq(dicom.ContentSequence, dicom.NewItem().Set(dicom.GraphicData, 1.5, 0.1), dicom.NewItem()).
		Seq(dicom.PerformedProcedureCodeSequence)
	o.Native(1, 2, 1, 8, false, []byte{1, 2})
	h := scan(t, encode(t, o))
	var asked []string
	got, err := dicom.JSON(h.Data, func(path string, tag dicom.Tag, length int64) string {
		asked = append(asked, fmt.Sprintf("%s %v %d", path, tag, length))
		if tag == dicom.PixelData {
			return "bulk/" + path
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"00080005": `{"vr":"CS","Value":["ISO_IR 192"]}`,
		"00100010": `{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Ideographic":"山田^太郎","Phonetic":"やまだ^たろう"}]}`,
		"00101001": `{"vr":"PN","Value":[{"Alphabetic":"Ødegård^Bjørn"},null]}`,
		"00104000": `{"vr":"LT"}`,
		"00280030": `{"vr":"DS","Value":[0.5,1e-3]}`,
		"00200011": `{"vr":"IS","Value":[-7]}`,
		"00280009": `{"vr":"AT","Value":["00280030"]}`,
		"00101030": `{"vr":"DS","Value":[70.5]}`,
		"0040A160": `{"vr":"UT","Value":["one\\two"]}`,
		"0062000D": `{"vr":"US","Value":[1,65535]}`,
		"00282000": `{"vr":"OB","InlineBinary":"AQIDBA=="}`,
		"0040A730": `{"vr":"SQ","Value":[{"00700022":{"vr":"FL","Value":[1.5,0.1]}},{}]}`,
		"0040A372": `{"vr":"SQ"}`,
		"7FE00010": `{"vr":"OB","BulkDataURI":"bulk/7FE00010"}`,
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(got, &all); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	for k, w := range want {
		if string(all[k]) != w {
			t.Errorf("%s is %s, want %s", k, all[k], w)
		}
	}
	if w := []string{"00282000 (0028,2000) 4", "7FE00010 (7FE0,0010) 2"}; !reflect.DeepEqual(asked, w) {
		t.Errorf("asked for %q, want %q", asked, w)
	}
}

func TestJSONTurnsBigEndianRound(t *testing.T) {
	b := elements(bigEndian,
		element{dicom.Rows, "US", []byte{1, 2}},
		element{dicom.LUTData, "OW", []byte{1, 2, 3, 4}},
	)
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: dicom.ExplicitBE})
	if err != nil {
		t.Fatal(err)
	}
	got, err := dicom.JSON(h.Data, nil)
	if want := `{"00280010":{"vr":"US","Value":[258]},"00283006":{"vr":"OW","InlineBinary":"AgEEAw=="}}`; err != nil || string(got) != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
}

// TestJSONAgreesWithDCMTK compares every attribute of the shared files with what
// dcm2json makes of it. DCMTK cannot inline compressed pixels, so it is given
// the files without their pixel data.
func TestJSONAgreesWithDCMTK(t *testing.T) {
	dcm2json := peers.Need(t, "dcm2json", "dcmtk")
	dir, files := dicomFiles(t)
	compared, without := 0, 0
	for _, f := range files {
		path := filepath.Join(dir, f.Path)
		h, err := dicom.ReadFile(path)
		if err != nil {
			continue
		}
		ours, err := dicom.JSON(h.Data, nil)
		if err != nil {
			t.Fatal(err)
		}
		var a, b map[string]any
		if err := json.Unmarshal(ours, &a); err != nil {
			t.Errorf("%s: %v", f.Path, err)
			continue
		}
		if !h.Inflated {
			path = beheaded(t, path, h.End)
		}
		theirs, err := exec.Command(dcm2json, "-fc", "-q", path).Output()
		if err != nil || json.Unmarshal(theirs, &b) != nil {
			without++ // a character set or a fault that DCMTK does not take
			continue
		}
		if filepath.Base(f.Path) == "pydicom__chrSQEncoding.dcm" {
			continue // DCMTK reads a sequence's own character set by that of the object
		}
		n, faults := compareJSON(a, b, "")
		compared += n
		for _, fault := range faults {
			t.Errorf("%s: %s", f.Path, fault)
		}
	}
	t.Logf("%d values of %d files agree; dcm2json refuses %d", compared, len(files)-without, without)
	if without > 30 {
		t.Errorf("dcm2json refuses %d files", without)
	}
}

// beheaded copies the first n bytes of a file to a folder of the test's own.
func beheaded(t *testing.T, path string, n int64) string {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "header.dcm")
	if err := os.WriteFile(to, b[:n], 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// compareJSON holds our data set against theirs, and counts the attributes.
func compareJSON(a, b map[string]any, path string) (n int, faults []string) {
	for k, v := range b {
		theirs, ours := v.(map[string]any), map[string]any{}
		if a[k] != nil {
			ours = a[k].(map[string]any)
		}
		switch {
		case k == "00080005", k[:4] == "7FE0":
			continue // what the text is in; pixels
		case theirs["vr"] != ours["vr"] && (theirs["vr"] == "UN" || ours["vr"] == "UN"):
			continue // ours has the dictionary where the object says UN; theirs has private dictionaries
		case ours["vr"] != theirs["vr"]:
			faults = append(faults, fmt.Sprintf("%s%s: VR %v, DCMTK %v", path, k, ours["vr"], theirs["vr"]))
			continue
		}
		n++
		x, _ := ours["Value"].([]any)
		y, _ := theirs["Value"].([]any)
		same := len(x) == len(y) && sameBinary(ours["InlineBinary"], theirs["InlineBinary"])
		for i := 0; same && i < len(x); i++ {
			if theirs["vr"] == "SQ" {
				m, f := compareJSON(x[i].(map[string]any), y[i].(map[string]any), fmt.Sprintf("%s%s/%d/", path, k, i))
				n, faults = n+m, append(faults, f...)
				continue
			}
			same = sameValue(x[i], y[i])
		}
		if !same {
			faults = append(faults, fmt.Sprintf("%s%s: %.200v, DCMTK %.200v", path, k, ours, theirs))
		}
	}
	return n, faults
}

// sameBinary compares base64. Ours leaves out what is too long to keep, and
// theirs pads odd lengths.
func sameBinary(ours, theirs any) bool {
	x, _ := ours.(string)
	y, _ := theirs.(string)
	b, err := base64.StdEncoding.DecodeString(x)
	c, err2 := base64.StdEncoding.DecodeString(y)
	return err == nil && err2 == nil && (bytes.Equal(b, c) || len(b)%2 == 1 && bytes.Equal(append(b, 0), c) || len(c) > 64<<10)
}

// sameValue compares numbers by the digits that DCMTK writes: 17 of a double, 9
// of a float.
func sameValue(x, y any) bool {
	f, ok := x.(float64)
	g, ok2 := y.(float64)
	if ok && ok2 {
		return math.Abs(f-g) <= 1e-7*math.Abs(f)+1e-44
	}
	return reflect.DeepEqual(x, y)
}
