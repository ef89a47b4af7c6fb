package doctor

import (
	"testing"

	"varde/cmd/varde/settings"
	"varde/report"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// TestTrialsOfTwoSitesAreTwo: both are called VARDE, as they come. A site that was never
// started has its AE title alone, and looking makes nothing.
func TestTrialsOfTwoSitesAreTwo(t *testing.T) {
	trials := map[study.UID]bool{}
	for range 2 {
		s := settings.Defaults()
		s.Dir = t.TempDir()
		if name := site(t.Context(), s); name != s.AET {
			t.Fatalf("before its first start it is %q", name)
		}
		o, err := objects.Open(t.Context(), s.Folder("objects"), objects.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = store.KnownInstallation(t.Context(), o); err == nil {
			t.Fatal("looking made an installation")
		}
		if _, err := store.Installation(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		trial := report.NewTrial(site(t.Context(), s)).Study.UID
		if trials[trial] || trial != report.NewTrial(site(t.Context(), s)).Study.UID {
			t.Error("another site made the same trial, or this one made two")
		}
		trials[trial] = true
	}
}
