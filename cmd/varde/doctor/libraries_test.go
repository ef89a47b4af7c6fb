package doctor

import (
	"slices"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/study"
)

func TestDoctorNamesThePackageOfEachMissingLibrary(t *testing.T) {
	all := []study.UID{dicom.JPEGLS, dicom.J2KLossless, dicom.HTJ2KLossless}
	for _, tt := range []struct {
		name     string
		has      []study.UID
		decoders string
		want     []string
	}{
		{"everything is there", all, "libjpeg-turbo 2.1.5", nil},
		{"nothing is there", nil, "varde-jpeg", []string{"libcharls2", "libopenjp2-7", "libturbojpeg0"}},
		{"no CharLS", all[1:], "libjpeg-turbo", []string{"libcharls2"}},
		{"an old OpenJPEG", all[:2], "libjpeg-turbo", []string{"libopenjp2-7 of Debian 12"}},
		{"no turbo", all, "varde-jpeg", []string{"libturbojpeg0"}},
	} {
		got := libraries(func(ts study.UID) bool { return slices.Contains(tt.has, ts) }, []string{tt.decoders})
		if len(got) != len(tt.want) {
			t.Errorf("%s: %v", tt.name, got)
			continue
		}
		for i, k := range got {
			if k.Outcome != Warn || !strings.Contains(k.Remedy, tt.want[i]) {
				t.Errorf("%s: %+v, want %s", tt.name, k, tt.want[i])
			}
		}
	}
	for _, ts := range all {
		if codec.Supported(ts) && len(libraries(codec.Supported, []string{"turbo"})) == 3 {
			t.Errorf("%s is decoded, and its library is called missing", ts)
		}
	}
}
