package dicom

import (
	"slices"
	"strings"
	"testing"
)

// TestTablesAreSortedAndWhole holds for every line what the search relies on.
func TestTablesAreSortedAndWhole(t *testing.T) {
	for name, table := range map[string]string{"dictionary": dictionary, "uids": uids} {
		lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
		if len(lines) < 300 || !slices.IsSorted(lines) {
			t.Fatalf("%s: %d lines, sorted: %v", name, len(lines), slices.IsSorted(lines))
		}
		for _, line := range lines {
			key, want, _ := strings.Cut(line, " ")
			if got, ok := lookUp(table, key); !ok || got != want || want == "" {
				t.Errorf("%s: %s gives %q, want %q", name, key, got, want)
			}
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(dictionary), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 || len(f[0]) != 8 {
			t.Fatalf("line %q", line)
		}
		for _, v := range strings.Split(f[1], "/") {
			if len(v) != 2 || !makeVR(v).known() {
				t.Errorf("line %q: no VR %q", line, v)
			}
		}
	}
}

func TestDictionaryKnowsWhatTheStandardSays(t *testing.T) {
	for _, tt := range []struct {
		tag     Tag
		vrs     string
		keyword string
	}{
		{PatientName, "PN", "PatientName"},
		{0x00020000, "UL", "FileMetaInformationGroupLength"}, // the first line
		{0xFFFCFFFC, "OB", "DataSetTrailingPadding"},         // near the last
		{PixelData, "OB/OW", "PixelData"},
		{0x60100010, "US", "OverlayRows"}, // a repeating group
		{0x00080000, "UL", ""},            // a group length
		{0x00090010, "LO", ""},            // a private creator
		{0x00091001, "", ""},              // a private attribute
		{0x00100011, "", ""},              // none
		{0xFFFFFFFF, "", ""},
	} {
		if got := strings.Join(tt.tag.VRs(), "/"); got != tt.vrs {
			t.Errorf("%v: VRs %q, want %q", tt.tag, got, tt.vrs)
		}
		if got := tt.tag.Keyword(); got != tt.keyword {
			t.Errorf("%v: keyword %q, want %q", tt.tag, got, tt.keyword)
		}
	}
	if got := ClassName(CTImage); got != "CT Image Storage" {
		t.Error(got)
	}
	if got := TransferSyntaxName("1.2.3"); got != "1.2.3" {
		t.Error(got)
	}
}

func BenchmarkDictionary(b *testing.B) {
	for b.Loop() {
		_ = PixelSpacing.VRs()
	}
}
