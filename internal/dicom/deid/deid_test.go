package deid_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/deid"
	"varde/internal/studytest/shared"
	"varde/study"
)

var key = []byte("a key of the tests, nothing else")

func profile(t testing.TB, o deid.Options) *deid.Profile {
	t.Helper()
	p, err := deid.New(key, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// samples are the shared objects that can be read.
func samples(t *testing.T) (dir string, paths []string) {
	dir, all := shared.Manifest(t)
	for _, e := range all {
		if !strings.HasPrefix(e.Path, "dicom/") && !strings.HasPrefix(e.Path, "wsi/dicom-sm/") {
			continue
		}
		if h, err := dicom.ReadFile(filepath.Join(dir, e.Path)); err == nil && !h.Truncated {
			paths = append(paths, e.Path)
		}
	}
	return dir, paths
}

func rewrite(t *testing.T, p *deid.Profile, source []byte) ([]byte, deid.Rewritten, error) {
	t.Helper()
	var out bytes.Buffer
	r, err := p.Rewrite(&out, bytes.NewReader(source), int64(len(source)))
	return out.Bytes(), r, err
}

// A secret is a value that must not come out, and where it stood.
type secret struct {
	tag   dicom.Tag
	value string
}

const codingSchemeUID dicom.Tag = 0x0008010C

// secretsOf gathers names, numbers, UIDs and dates of an object, nested ones too.
func secretsOf(d *dicom.Dataset) (all []secret) {
	for e := range d.All() {
		if e.VR == "SQ" {
			for item := range d.Each(e.Tag) {
				all = append(all, secretsOf(item)...)
			}
			continue
		}
		vr := e.VR
		if v := e.Tag.VRs(); vr == "UN" && len(v) > 0 {
			vr = v[0]
		}
		identifies := slices.Contains([]dicom.Tag{dicom.PatientID, dicom.AccessionNumber, dicom.StudyID, dicom.OtherPatientIDs,
			dicom.InstitutionName, dicom.InstitutionAddress, dicom.StationName, dicom.DeviceSerialNumber}, e.Tag)
		if vr != "PN" && vr != "DA" && vr != "DT" && vr != "UI" && !identifies {
			continue
		}
		for raw := range bytes.SplitSeq(e.Value, []byte(`\`)) {
			v := strings.Trim(string(raw), " \x00")
			least := 5 // "0010" is everywhere
			if vr == "UI" {
				least = 10
			}
			if len(v) < least || v == "REMOVED" || e.Tag == codingSchemeUID ||
				e.Tag == dicom.InstitutionName && strings.Contains(d.Text(dicom.Manufacturer), v) || vr == "UI" && (strings.HasPrefix(v, "1.2.840.10008.") || strings.HasPrefix(v, "2.16.840.1.113883.")) || v == "19000101" {
				continue
			}
			all = append(all, secret{e.Tag, v})
		}
	}
	return all
}

// TestNothingOfThePatientLeaksThrough rewrites every shared object that can be
// read and looks for names, identifiers, UIDs and dates of the source in all
// bytes in front of the pixels.
func TestNothingOfThePatientLeaksThrough(t *testing.T) {
	dir, paths := samples(t)
	for _, o := range []deid.Options{
		{AllowBurnedIn: true, CleanDescriptors: true},
		{AllowBurnedIn: true, CleanPixels: true, CleanGraphics: true, Dates: deid.ShiftDates},
	} {
		t.Run(fmt.Sprint(o), func(t *testing.T) { leaks(t, dir, paths, profile(t, o), o.CleanPixels) })
	}
}

// leaks rewrites all objects and looks for their secrets. Pixels stay as they are,
// but where text in them was covered.
func leaks(t *testing.T, dir string, paths []string, p *deid.Profile, covers bool) {
	t.Helper()
	done := 0
	for _, path := range paths {
		source, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		before, err := dicom.Scan(bytes.NewReader(source), dicom.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := rewrite(t, p, source)
		if err != nil {
			if !errors.Is(err, study.ErrRefused) && !errors.Is(err, study.ErrInvalid) {
				t.Errorf("%s: %v", path, err)
			}
			if len(out) > 0 && errors.Is(err, study.ErrRefused) {
				t.Errorf("%s: %d bytes were written before it was refused", path, len(out))
			}
			t.Logf("%s: %v", path, err)
			continue
		}
		done++
		after, err := dicom.Scan(bytes.NewReader(out), dicom.ScanOptions{Size: int64(len(out))})
		if err != nil || after.Truncated {
			t.Errorf("%s: the result cannot be read: %v", path, err)
			continue
		}
		head := out
		if after.Inflated {
			r, _ := dicom.Inflate(bytes.NewReader(out))
			head, _ = io.ReadAll(r)
		}
		head = head[:after.End]
		for _, s := range secretsOf(before.Data) {
			if bytes.Contains(head, []byte(s.value)) {
				t.Errorf("%s: a value of %v %s is still there", path, s.tag, s.tag.Keyword())
			}
		}
		if before.TransferSyntax != after.TransferSyntax {
			t.Errorf("%s: %s became %s", path, before.TransferSyntax, after.TransferSyntax)
		}
		if hashPixels(t, source, before) != hashPixels(t, out, after) && !(covers && after.Data.Text(dicom.BurnedInAnnotation) == "NO") {
			t.Errorf("%s: the pixels have changed", path)
		}
	}
	if done < 60 {
		t.Errorf("only %d of %d objects were rewritten", done, len(paths))
	}
	t.Logf("%d of %d objects", done, len(paths))
}

// hashPixels hashes all frames.
func hashPixels(t *testing.T, object []byte, h *dicom.Header) [32]byte {
	t.Helper()
	if h.Inflated {
		r, err := dicom.Inflate(bytes.NewReader(object))
		if err != nil {
			t.Fatal(err)
		}
		if object, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.New()
	for i := range h.Frames.Len() {
		spans, err := h.Frames.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range spans {
			sum.Write(object[s.Off : s.Off+s.Len])
		}
	}
	return [32]byte(sum.Sum(nil))
}
