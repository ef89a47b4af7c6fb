package worldlist_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

// comes lets an object come with a study.
func (w *ward) comes(uid study.UID, b []byte, err error) study.Instance {
	if err != nil {
		panic(err)
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		panic(err)
	}
	_, in, err := h.Describe()
	if err != nil {
		panic(err)
	}
	in.Study, in.Key, in.Bytes, in.SHA256 = uid, "others/"+string(in.UID), int64(len(b)), sha256.Sum256(b)
	w.put(in.Key, b)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frames == nil {
		w.frames = map[study.UID]study.Frames{}
	}
	w.frames[in.UID] = h.Frames
	w.instances[uid] = append(slices.Clone(w.instances[uid]), in)
	return in
}

// tracked is the UID under which somebody else follows the nodule.
const tracked study.UID = "2.25.7771"

// withOthers is a scene in which another maker's algorithm has measured and drawn the
// nodule of the chest CT, has measured it in the exam before, and a person has written
// as well.
func withOthers() *scene {
	s := newScene()
	ct, before := s.instances[chestCT], s.instances[priorCT]
	send := func(uid study.UID, r studytest.OtherReport) {
		r.Series, r.Study = r.UID+".9", uid
		b, err := r.Encode()
		s.comes(uid, b, err)
	}
	measured := func(mm float64, region tree.Item) []tree.Item {
		return []tree.Item{studytest.OtherGroup(tracked, mm, region)}
	}
	send(chestCT, studytest.OtherReport{UID: "2.25.7001", Maker: "Acme Imaging", Model: "LungTool", Label: "Lung measurements", Date: "20261124", Program: "LungNet", Version: "3.1",
		Groups: measured(18.7, studytest.OtherRing(ct[11], 1, noduleX, noduleY, 9))})
	send(chestCT, studytest.OtherReport{UID: "2.25.7002", Maker: "PACS House", Model: "Reader", Label: "Bookmarks", Date: "20261124", Person: "Lie^Anna", Verifier: "Lie^Anna",
		Groups: measured(13.5, tree.Item{})})
	send(priorCT, studytest.OtherReport{UID: "2.25.7003", Maker: "Acme Imaging", Model: "LungTool", Label: "Lung measurements", Date: "20250312", Program: "LungNet", Version: "2.0",
		Groups: measured(10.1, studytest.OtherRing(before[5], 1, 150, 100, 9))})
	m := studytest.OtherMask{UID: "2.25.7004", Series: "2.25.7005", Study: chestCT, Maker: "Acme Imaging", Model: "LungTool", Label: "Solid part", How: "AUTOMATIC", Program: "LungNet", Version: "3.1", Over: ct[10:13]}
	for range m.Over {
		b := make([]byte, ctSide*ctSide)
		for y := range ctSide {
			for x := range ctSide {
				if (float64(x)-noduleX)*(float64(x)-noduleX)+(float64(y)-noduleY)*(float64(y)-noduleY) < 36 {
					b[y*ctSide+x] = 1
				}
			}
		}
		m.Frames = append(m.Frames, b)
	}
	b, err := m.Encode()
	s.comes(chestCT, b, err)
	// A picture of what the algorithm found.
	o := dicom.NewObject(dicom.SecondaryCapture, "2.25.7006")
	o.Set(dicom.StudyInstanceUID, chestCT).Set(dicom.SeriesInstanceUID, "2.25.7007").Set(dicom.SeriesDescription, "Acme summary").Set(dicom.Modality, "OT").Set(dicom.PatientID).Set(dicom.PatientName).
		Set(dicom.ConversionType, "WSD").Set(dicom.PhotometricInterpretation, "MONOCHROME2")
	o.Native(2, 2, 1, 8, false, make([]byte, 4))
	b, err = o.Encode()
	s.comes(chestCT, b, err)
	return s
}

// cad lets a report of computer aided detection come with the mammogram.
func (w *ward) cad() {
	b, err := studytest.OtherReport{UID: "2.25.7008", Series: "2.25.7009", Study: mammogram, Class: dicom.MammographyCADSR, Maker: "Acme Imaging", Model: "LungTool", Label: "Lung measurements", Date: "20261124",
		Groups: []tree.Item{studytest.OtherGroup("2.25.7772", 18.7, tree.Item{})}}.Encode()
	w.comes(mammogram, b, err)
}

func TestPageTellsWhatOthersFound(t *testing.T) {
	s := withOthers()
	server, _ := s.show(t)
	at := server.URL + "/studies/" + string(chestCT)
	for path, lines := range map[string][]string{
		"": {"From other systems", "Not made and not checked by this Varde", "Acme Imaging LungTool", "Made by an algorithm or a device: LungNet 3.1 · Not verified by anyone", "A person made it, by its own account: Lie, Anna · Verified by Lie, Anna",
			"Nodule</b>, Upper lobe of left lung", "<dt>Long axis</dt><dd>18.7", "<dt>Long axis</dt><dd>13.5", "Solid part · Nodule", "?frame=" + string(s.instances[chestCT][11].UID) + "%2f1"},
		"/others":      {"This exam", "Mar 12, 2025 · CT thorax", "<dd>10.1", "Measured over time", "Mar 12, 2025:</span> 10.1", "85.1", "look=1&amp;frame=" + string(s.instances[priorCT][5].UID) + "%2f1"},
		"/others/view": {`"label":"a1"`, `"layers":[{`, "Solid part", `"frame":"` + string(s.instances[chestCT][11].UID) + `/1"`},
		"/frames/" + string(s.instances[chestCT][11].UID) + "/1/others": {`"runs":[`},
		"/frames/" + string(s.instances[chestCT][3].UID) + "/1/others":  {`[]`},
		"/patient": {"Other system", "Acme Imaging LungTool: Nodule, Upper lobe of left lung, Long axis 10.1", "PACS House Reader: "},
	} {
		a, body := get(t, at+path, webui.Reader)
		body = strings.ReplaceAll(body, "\u00a0", " ")
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, a.Status, body)
		}
		for _, line := range lines {
			if !strings.Contains(body, line) {
				t.Errorf("%s does not say %q", path, line)
			}
		}
	}
	_, body := get(t, at, webui.Reader)
	if strings.Contains(body, `Masks<span`) || strings.Contains(body, "2.25.7005") {
		t.Error("the masks are among the series, as if they were images")
	}
	if _, list := get(t, server.URL+"/", webui.Reader); strings.Contains(list, "LungNet") || strings.Contains(list, "Acme") {
		t.Error("the list tells of others")
	}
}

// foreignTraces are what tells of the other maker's algorithm on the chest CT.
func foreignTraces() []string {
	return []string{"LungNet", "Acme", "LungTool", "18.7", "18,7", "Solid part", "2.25.7001", "2.25.7004", "2.25.7005", "2.25.7006", "2.25.7007", "Lung measurements"}
}

// peoplesTraces are what tells of the person's report of the chest CT.
func peoplesTraces() []string {
	return []string{"13.5", "13,5", "PACS House", "Lie, Anna", "Lie^Anna", "Bookmarks", "2.25.7002"}
}

// TestOthersAIIsBehindTheSameVeil: what another maker's algorithm found in the study is
// an AI result as well. A person's word is shown, unless this reader reads blind, and so
// is what was found before.
func TestOthersAIIsBehindTheSameVeil(t *testing.T) {
	for _, protocol := range []study.Protocol{study.Independent, study.SecondLook} {
		for _, state := range []study.AIState{study.Flagged, study.Failed, study.OutOfScope} {
			s := withOthers()
			s.protocols = []study.Protocol{protocol}
			s.cases[chestCT].Results = []study.Result{ran(nodules, state, 24, 24)}
			server, _ := s.show(t)
			at := "/studies/" + string(chestCT)
			paths := append(pathsOf(chestCT), "/", "/api/v1/worklist", at+"/others", at+"/others/view", at+"/priors", at+"/masks",
				at+"/frames/"+string(s.instances[chestCT][11].UID)+"/1/others", at+"/frames/2.25.7004/1", at+"/frames/2.25.7004/1/quick", at+"/frames/2.25.7006/1")
			for _, path := range paths {
				for _, lang := range webui.Langs {
					_, body := ask(t, http.MethodGet, server.URL+path, webui.Reader, string(lang), nil)
					for _, trace := range foreignTraces() {
						if strings.Contains(body, trace) && !strings.Contains(path, trace) && !(strings.HasPrefix(path, at+"/others") || path == at+"/patient") {
							t.Errorf("%s, %s: %s in %s tells %q", protocol, state, path, lang, trace)
						}
					}
				}
			}
			// The page of all of it, and of the patient, tell of the exam before, and of this
			// one what a person said alone.
			for _, path := range []string{at + "/others", at + "/patient"} {
				_, body := get(t, server.URL+path, webui.Reader)
				for _, trace := range []string{"18.7", "LungNet 3.1", "Solid part", "2.25.7001", "2.25.7004"} {
					if strings.Contains(body, trace) {
						t.Errorf("%s, %s: %s tells %q", protocol, state, path, trace)
					}
				}
				for _, line := range []string{"10.1", "13.5"} {
					if told := line == "10.1" || protocol != study.Independent; told != strings.Contains(body, line) {
						t.Errorf("%s, %s: %s tells %q: %t, want %t", protocol, state, path, line, !told, told)
					}
				}
			}
			_, body := get(t, server.URL+at, webui.Reader)
			hidden := map[study.Protocol]int{study.SecondLook: 2, study.Independent: 3}[protocol]
			if !strings.Contains(body, fmt.Sprint(hidden, " results of other systems are shown when you have answered")) || !strings.Contains(body, `action="`+at+`/own"`) {
				t.Errorf("%s, %s: the page does not say that something is hidden, or has no way to answer", protocol, state)
			}
			for _, in := range []string{"2.25.7004", "2.25.7006"} {
				if a, _ := get(t, server.URL+at+"/frames/"+in+"/1", webui.Reader); a.StatusCode != http.StatusNotFound {
					t.Errorf("%s, %s: %s as a picture: %s", protocol, state, in, a.Status)
				}
			}
			if a, _ := ask(t, http.MethodPost, server.URL+at+"/verdict", webui.Reader, "en", url.Values{"verdict": {"none"}}); a.StatusCode != http.StatusConflict {
				t.Errorf("%s, %s: an answer before the own one: %s", protocol, state, a.Status)
			}
			if _, body := get(t, server.URL+at, webui.Quality); !strings.Contains(body, "LungNet 3.1") {
				t.Errorf("%s, %s: quality sees nothing", protocol, state)
			}
			if a, body := ask(t, http.MethodPost, server.URL+at+"/own", webui.Reader, "en", url.Values{"impression": {"none"}}); a.StatusCode != http.StatusSeeOther {
				t.Fatal(a.Status, body)
			}
			for _, path := range []string{at, at + "/others", at + "/others/view"} {
				if _, body := get(t, server.URL+path, webui.Reader); !strings.Contains(body, "Solid part") || path == at && !strings.Contains(body, "2.25.7006") {
					t.Errorf("%s, %s: %s still hides it", protocol, state, path)
				}
			}
		}
	}
}

// TestOthersAreHiddenUntilItIsKnownHowAStudyIsRead: as long as images are coming, no
// protocol is known yet.
func TestOthersAreHiddenUntilItIsKnownHowAStudyIsRead(t *testing.T) {
	s := withOthers()
	s.cases[chestCT].Results, s.cases[chestCT].Study.Status = nil, study.Receiving
	server, _ := s.show(t)
	if _, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader); strings.Contains(body, "LungNet") || strings.Contains(body, "Lie, Anna") {
		t.Error("shown before it is known who reads first")
	}
	s.cases[chestCT].Study.Status = study.Settled // and no model is for it
	if _, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader); !strings.Contains(body, "LungNet") || !strings.Contains(body, "Lie, Anna") {
		t.Error("hidden where no protocol hides anything")
	}
}

// TestUnreadableObjectKeepsNoPageFromOpening shows why it can't be read.
func TestUnreadableObjectKeepsNoPageFromOpening(t *testing.T) {
	s := withOthers()
	s.put("others/2.25.7001", []byte("no report"))
	server, _ := s.show(t)
	a, body := get(t, server.URL+"/studies/"+string(chestCT), webui.Reader)
	if a.StatusCode != http.StatusOK || !strings.Contains(body, "Could not be read: it breaks the rules of its own format.") || !strings.Contains(body, "13.5") {
		t.Error(a.Status, body)
	}
}

// TestOthersInTheViewer: what others drew lies on the images, in this exam and the one
// before, each with a link, and can be switched off; in both themes, three languages.
func TestOthersInTheViewer(t *testing.T) {
	s := withOthers()
	server, entry := s.show(t)
	b := webuitest.Open(t, 1440, 1000, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	b.Until(`document.querySelector('#panes').dataset.others === '3'`)
	if n := webuitest.Eval[int](b, `document.querySelectorAll('#others .otherdoc').length`); n != 4 {
		t.Errorf("%d documents", n)
	}
	b.Click(`#others a[data-other-go="` + string(s.instances[chestCT][11].UID) + `/1"]`)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/11' && document.querySelector('#stage').dataset.others === '2'`)
	for _, theme := range []string{"dark", "light"} {
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.querySelector('#panes')?.dataset.others === '3'`)
		b.Click(`#others a[data-other-go="` + string(s.instances[chestCT][11].UID) + `/1"]`)
		b.Until(`document.querySelector('#stage').dataset.others === '2'`)
		webuitest.Eval[any](b, `document.querySelector('#others').scrollIntoView()`)
		b.Promises()
		b.Shot("others-" + theme)
		// The exam before opens beside this one, with what was measured in it.
		b.Click(`#others a[data-other-study="` + string(priorCT) + `"]`)
		b.Until(`document.querySelector('#stage2')?.dataset.shown === '` + string(priorCT) + `/5' && document.querySelector('#stage2').dataset.others === '1'`)
		b.Promises()
		b.Shot("others-before-" + theme)
		b.Go(server.URL + "/studies/" + string(chestCT) + "/others")
		b.Until(`document.querySelector('.growth')`)
		b.Promises()
		b.Shot("others-page-" + theme)
		b.Go(server.URL + "/studies/" + string(chestCT) + "?frame=" + string(s.instances[chestCT][11].UID) + "/1")
		b.Until(`document.querySelector('#stage')?.dataset.shown === '0/11' && document.querySelector('#stage').dataset.others === '2'`)
	}
	webuitest.Eval[any](b, `document.querySelector('[data-other="2.25.7001/1"]').click()`)
	b.Until(`document.querySelector('#stage').dataset.others === '1'`)
	webuitest.Eval[any](b, `document.querySelector('#others-on').click()`)
	b.Until(`document.querySelector('#stage').dataset.others === '0'`)
	b.Click("#stage")
	b.Keys("O")
	b.Until(`document.querySelector('#others-on').checked && document.querySelector('#stage').dataset.others === '1'`)
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish} {
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.querySelector('#panes')?.dataset.others === '3'`)
		b.Promises()
		webuitest.Eval[any](b, `document.querySelector('#others').scrollIntoView()`)
		b.Shot("others-" + string(lang))
	}
}

// TestRealObjectsOfOthersAreShown takes a report and a segmentation of other makers as
// they wrote them, on images drawn where they say that these lie.
func TestRealObjectsOfOthersAreShown(t *testing.T) {
	dir, _ := shared.Manifest(t)
	s := newScene()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, "dicom", "object", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	images := slices.Clone(s.instances[chestCT][:4])
	for i := range images {
		img := *images[i].Image
		img.FrameOfRef, img.SpacingMM = "1.3.6.1.4.1.5962.1.1.0.0.0.1196530851.28319.0.4", [2]float64{0.488281, 0.488281}
		img.Position = &[3]float64{-125, -128.100006, 103.019997 + 1.25*float64(i)}
		images[i].Image = &img
	}
	images[0].UID = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322" // that the report is about
	s.instances[chestCT] = images
	s.heads[images[0].UID] = s.heads[images[1].UID]
	s.cases[chestCT].Results, s.parts, s.done = nil, nil, nil
	s.comes(chestCT, read("highdicom__sr_document.dcm"), nil)
	s.comes(chestCT, read("highdicom__seg_image_ct_binary.dcm"), nil)
	server, entry := s.show(t)
	b := webuitest.Open(t, 1440, 1000, "en")
	enter(t, b, entry)
	b.Go(server.URL + "/studies/" + string(chestCT))
	b.Until(imageReady)
	b.Until(`document.querySelector('#panes').dataset.others === '2'`)
	for _, line := range []string{"Spinal cord, Cervico-thoracic spine, Vertebral foramen", "1.7", "cm²", "Preliminary or incomplete", "can't be told whether a person or a program made it: Foo", "first segment · Bone"} {
		if page := strings.ReplaceAll(text(b, "#others"), "\u00a0", " "); !strings.Contains(page, line) {
			t.Errorf("the page does not say %q: %s", line, page)
		}
	}
	b.Click(`#others a[data-other-go="` + string(images[0].UID) + `/1"]`)
	b.Until(`document.querySelector('#stage').dataset.shown === '0/0' && Number(document.querySelector('#stage').dataset.others) >= 1`)
	n := 0
	for i := range images {
		_, body := get(t, fmt.Sprintf("%s/studies/%s/frames/%s/1/others", server.URL, chestCT, images[i].UID), webui.Reader)
		n += strings.Count(body, `"runs"`)
	}
	if n != 3 {
		t.Errorf("outlines on %d images of 3", n)
	}
	b.Promises()
	b.Shot("others-real")
}
