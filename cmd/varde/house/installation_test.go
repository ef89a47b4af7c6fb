package house_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"varde/cmd/varde/house"
	"varde/cmd/varde/house/housetest"
	"varde/cmd/varde/settings"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// TestTwoSitesMeetInOneArchive: two houses with the same models and settings score the
// same study, and tell one archive and one folder of it. All that each wrote is there, and
// no name stands for two things.
func TestTwoSitesMeetInOneArchive(t *testing.T) {
	orthanc := peers.StartOrthanc(t, nil)
	folder := t.TempDir()
	var to []settings.Destination
	for _, text := range []string{"PACS=ORTHANC@" + orthanc.DICOM + "?kinds=sr,gsps,kos,pdf", "FILES=folder:" + folder + "?kinds=sr,oru,fhir-r4"} {
		var d settings.Destination
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		to = append(to, d)
	}
	ct, err := studytest.ChestCT(studytest.CT{Seed: 1, Nodules: true})
	if err != nil {
		t.Fatal(err)
	}
	start := func(dir string) (*house.House, func()) {
		s := settings.Defaults()
		s.Dir, s.DICOMAddr, s.HTTPAddr, s.Tune, s.Destinations = dir, "127.0.0.1:0", "127.0.0.1:0", false, to
		return housetest.StartAndStop(t, s)
	}
	var archived, filed []string
	named := map[study.UID]string{}
	dirs := map[string]string{"north": t.TempDir(), "south": t.TempDir()}
	for site, dir := range dirs {
		h, stop := start(dir)
		housetest.Push(t, h, ct)
		var c study.Case
		housetest.Eventually(t, site+" has not told everybody", func() bool {
			c, err = h.Ledger.Case(t.Context(), ct.Study)
			return err == nil && !slices.ContainsFunc(c.Reports, func(r study.Report) bool {
				return slices.ContainsFunc(r.Deliveries, func(d study.Delivery) bool { return d.Status != "delivered" })
			})
		})
		for _, r := range c.Reports {
			for _, uid := range []study.UID{r.UID, r.Series} {
				if other := named[uid]; other != "" && other != site {
					t.Errorf("%s: %s is a name of both sites", r.Kind, uid)
				}
				named[uid] = site
			}
			for _, d := range r.Deliveries {
				if d.Destination == "PACS" {
					archived = append(archived, string(r.UID))
				} else {
					filed = append(filed, string(r.UID))
				}
			}
		}
		stop()
	}
	var found []string
	for _, uid := range archived {
		var at []string
		orthanc.Post(t, "/tools/find", `{"Level":"Instance","Query":{"SOPInstanceUID":"`+uid+`"}}`, &at)
		found = append(found, at...)
	}
	var held []string
	orthanc.Get(t, "/instances", &held)
	if len(archived) < 8 || len(found) != len(archived) || len(held) != len(archived) {
		t.Errorf("%d objects were sent, %d are found and %d are in the archive", len(archived), len(found), len(held))
	}
	files, err := os.ReadDir(filepath.Join(folder, string(ct.Study)))
	if err != nil || len(filed) != 6 || len(files) != len(filed) {
		t.Errorf("%d files of %d, %v", len(files), len(filed), err)
	}
	for site, dir := range dirs {
		h, stop := start(dir)
		c, err := h.Ledger.Case(t.Context(), ct.Study)
		if err != nil || len(c.Reports) == 0 || named[c.Reports[0].UID] != site {
			t.Errorf("%s is another one after it was started anew: %v", site, err)
		}
		i := h.Installation
		stop()
		if h, _ = start(dir); h.Installation != i || i.ID == "" {
			t.Errorf("%s was %+v and is %+v", site, i, h.Installation)
		}
	}
}
