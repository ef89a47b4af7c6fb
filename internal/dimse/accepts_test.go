package dimse

import (
	"slices"
	"testing"

	"varde/internal/dicom"
	"varde/study"
)

// TestWhatIsListedIsWhatIsNegotiated offers each transfer syntax by itself, and all
// of them together, and holds the answers against the list.
func TestWhatIsListedIsWhatIsNegotiated(t *testing.T) {
	const find, worklist = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.31"
	services := map[study.UID]Service{find: nil}
	all := dicom.TransferSyntaxes()
	if len(all) < 40 || !slices.Contains(all, dicom.HTJ2K) || slices.Contains(all, dicom.StorageCommitment) {
		t.Fatalf("%d transfer syntaxes", len(all))
	}
	for _, class := range []study.UID{dicom.CTImage, dicom.Verification, find, worklist, "1.3.6.1.4.1.9"} {
		listed := Accepts(services, class)
		o := offer{services: services, provide: map[study.UID]bool{}}
		for _, s := range all {
			_, agreed := o.negotiate([]contextItem{{id: 1, abstract: class, syntaxes: []study.UID{s}}})
			if taken := len(agreed) == 1; taken != slices.Contains(listed, s) {
				t.Errorf("%s in %s: taken %t, listed %t", class, s, taken, !taken)
			}
		}
		_, agreed := o.negotiate([]contextItem{{id: 1, abstract: class, syntaxes: all}})
		if len(listed) > 0 && agreed[1].syntax != listed[0] {
			t.Errorf("%s: %s is taken, and %s is listed as the best", class, agreed[1].syntax, listed[0])
		}
	}
	if len(Accepts(services, worklist)) != 0 {
		t.Error("a class that is refused has transfer syntaxes")
	}
}

func TestStorageClassesAreListed(t *testing.T) {
	all := dicom.StorageClasses()
	for _, u := range []study.UID{dicom.CTImage, dicom.WholeSlideImage, dicom.Comprehensive3DSR, dicom.SimpleAnnotations} {
		if !slices.Contains(all, u) {
			t.Errorf("%s is missing", u)
		}
	}
	for _, u := range all {
		if !acceptable(u) {
			t.Errorf("%s (%s) is listed, and would be refused", dicom.ClassName(u), u)
		}
	}
}
