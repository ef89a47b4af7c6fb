package dicomweb_test

import (
	"bytes"
	"testing"

	"varde/internal/studytest"
)

// TestAStudyIsNeverShownByItsLabel: the label bears the patient's name, and so
// does an overview with the label in view.
func TestAStudyIsNeverShownByItsLabel(t *testing.T) {
	for kind, smaller := range map[string]string{"LABEL": "LABEL\\RESAMPLED ", "OVERVIEW": "OVERVIEW\\RESAMPL"} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t)
			d, err := studytest.Slide(studytest.SM{Seed: 4, Columns: 1400, Rows: 1000})
			if err != nil {
				t.Fatal(err)
			}
			last := len(d.Objects) - 1
			label := bytes.ReplaceAll(d.Objects[last].File, []byte("VOLUME\\RESAMPLED"), []byte(smaller))
			if bytes.Equal(label, d.Objects[last].File) {
				t.Fatal("the smallest level could not be made a label")
			}
			at, in, _ := s.keep(t, label, d.Objects[last].Instance)
			study, series := "/studies/"+string(in.Study), "/studies/"+string(in.Study)+"/series/"+string(in.Series)
			for _, path := range []string{study, series} {
				for _, how := range []string{"/rendered", "/thumbnail"} {
					if code, _, b := s.get(t, path+how, "image/jpeg"); code == 200 {
						t.Errorf("%s of nothing but a label: %d bytes", how, len(b))
					}
				}
			}
			level, _, _ := s.keep(t, d.Objects[last-1].File, d.Objects[last-1].Instance)
			_, _, want := s.get(t, level+"/rendered", "image/jpeg")
			for _, path := range []string{study, series} {
				if code, _, b := s.get(t, path+"/rendered", "image/jpeg"); code != 200 || !bytes.Equal(b, want) {
					t.Errorf("%s is shown by another image than its level: %d", path, code)
				}
			}
			if code, _, _ := s.get(t, at, "application/dicom"); code != 200 {
				t.Errorf("the label as it came, to who asks for that very object: %d", code)
			}
		})
	}
}
