package worldlist_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/study"
)

// paper is a report on paper that came with a study, scanned or written by a program.
func (w *ward) paper(uid, sop study.UID) {
	o := dicom.NewObject(dicom.EncapsulatedPDF, sop)
	o.Set(dicom.StudyInstanceUID, uid).Set(dicom.SeriesInstanceUID, sop+".9").Set(dicom.SeriesDescription, "Scanned letter").Set(dicom.Modality, "DOC").Set(dicom.PatientID).Set(dicom.PatientName).Set(dicom.ConversionType, "SD")
	b, err := o.Encode()
	w.comes(uid, b, err)
}

// TestWhatPeopleWroteIsHiddenFromABlindReader: whoever is to answer first hears nobody's
// word on this exam, by any way, until the answer is locked. What people said of the
// exam before is told, once that one has been read.
func TestWhatPeopleWroteIsHiddenFromABlindReader(t *testing.T) {
	s := withOthers()
	s.protocols = []study.Protocol{study.Independent}
	s.paper(chestCT, "2.25.7020")
	b, err := studytest.OtherReport{UID: "2.25.7021", Series: "2.25.7021.9", Study: priorCT, Maker: "PACS House", Model: "Reader", Label: "Letter", Date: "20250312", Person: "Dahl^Ola", Verifier: "Dahl^Ola",
		Groups: []tree.Item{studytest.OtherGroup(tracked, 9.3, studytest.OtherRing(s.instances[priorCT][5], 1, 150, 100, 9))}}.Encode()
	s.comes(priorCT, b, err)
	s.cases[priorCT].Results, s.cases[priorCT].Study.Status = []study.Result{ran(nodules, study.Flagged, 24, 24)}, study.Read
	server, _ := s.show(t)
	at, before := "/studies/"+string(chestCT), "/studies/"+string(priorCT)
	for _, path := range append(pathsOf(chestCT), "/", "/api/v1/worklist", "/api/v1/studies", at+"/priors", at+"/masks", before+"/priors",
		at+"/frames/"+string(s.instances[chestCT][11].UID)+"/1/others", at+"/others/view?with="+string(priorCT), before+"/others/view?with="+string(chestCT)) {
		for _, lang := range webui.Langs {
			_, body := ask(t, http.MethodGet, server.URL+path, webui.Reader, string(lang), nil)
			for _, trace := range append(peoplesTraces(), "2.25.7020", "Scanned letter") {
				// The maker's program is that of the exam before as well.
				if strings.Contains(body, trace) && trace != "PACS House" && !strings.Contains(path, trace) {
					t.Errorf("%s in %s tells %q", path, lang, trace)
				}
			}
		}
	}
	for _, path := range []string{at + "/others", at + "/patient"} {
		if _, body := get(t, server.URL+path, webui.Reader); !strings.Contains(strings.ReplaceAll(body, "\u00a0", " "), "9.3") {
			t.Errorf("%s does not tell what a person said of the exam before", path)
		}
	}
	if _, body := get(t, server.URL+before+"/others/view?with="+string(chestCT), webui.Reader); !strings.Contains(body, "2.25.7021") {
		t.Error("what a person drew on the exam before is not shown")
	}
	s.cases[priorCT].Study.Status = study.Reported // it waits for this reader as well
	if _, body := get(t, server.URL+at+"/others", webui.Reader); strings.Contains(body, "Dahl") {
		t.Error("an exam before that this reader is still to answer is told of")
	}
	if a, body := ask(t, http.MethodPost, server.URL+at+"/own", webui.Reader, "en", url.Values{"impression": {"none"}}); a.StatusCode != http.StatusSeeOther {
		t.Fatal(a.Status, body)
	}
	for _, path := range []string{at, at + "/others", at + "/patient"} {
		if _, body := get(t, server.URL+path, webui.Reader); !strings.Contains(body, "13.5") {
			t.Errorf("%s hides what a person wrote after the answer", path)
		}
	}
}

// personal is the report of a person on a mammogram.
func (w *ward) personal() {
	b, err := studytest.OtherReport{UID: "2.25.7002", Series: "2.25.7002.9", Study: mammogram, Maker: "PACS House", Model: "Reader", Label: "Bookmarks", Date: "20261124", Person: "Lie^Anna", Verifier: "Lie^Anna",
		Groups: []tree.Item{studytest.OtherGroup("2.25.7773", 13.5, tree.Item{})}}.Encode()
	w.comes(mammogram, b, err)
}
