package worldlist_test

import (
	"encoding/binary"
	"encoding/json"
	"image"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/viewer"
)

type heatGrid struct {
	Columns, Rows, Seen, Missed      int
	X, Y, W, H, Low, High, Threshold float64
	StepX                            float64 `json:"step_x"`
	StepY                            float64 `json:"step_y"`
}

// heatmap fetches a heat map, as numbers of its cells.
func heatmap(t *testing.T, server string, uid, series study.UID, m study.ModelRef, role string) (*http.Response, heatGrid, []uint16) {
	t.Helper()
	q := url.Values{"model": {m.String() + "+" + m.SHA256.Short()}}
	a, body := get(t, server+"/studies/"+string(uid)+"/slides/"+string(series)+"/heat?"+q.Encode(), role)
	var g heatGrid
	if a.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(a.Header.Get("Varde-Heat")), &g); err != nil {
			t.Fatal(err)
		}
	}
	cells := make([]uint16, len(body)/2)
	for i := range cells {
		cells[i] = binary.LittleEndian.Uint16([]byte(body[2*i:]))
	}
	return a, g, cells
}

func TestTilesAreTheScannersOwn(t *testing.T) {
	w := ofSlides()
	server, _ := serve(t, w, webui.Reader)
	base := server.URL + "/studies/" + string(prostate) + "/slides/" + string(prostate) + ".1/tiles/"
	a, body := get(t, base+"0/3/2", webui.Reader)
	if a.StatusCode != 200 || a.Header.Get("Varde-Tile") != "stored" || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("%s %v", a.Status, a.Header)
	}
	n := 2*16 + 3
	index := w.frames[prostate+".1.1"]
	s := index.Spans[index.First[n]]
	if want := string(w.objects["slides/"+string(prostate)+".1.1"][s.Off : s.Off+s.Len]); body != want {
		t.Error("the tile is not the frame's own bytes")
	}
	for path, want := range map[string]int{
		"1/0/0": 200, "0/16/0": 404, "0/0/12": 404, "2/0/0": 404, "x/0/0": 400, "0/-1/0": 400, "0/99999999999/0": 400, "0/0/0?v=feed": 404,
	} {
		if a, _ := get(t, base+path, webui.Reader); a.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, a.Status, want)
		}
	}
	if a, _ := get(t, base+"0/0/0", webui.Auditor); a.StatusCode != http.StatusForbidden {
		t.Errorf("an auditor sees slides: %s", a.Status)
	}
	if m := picture(t, base+"0/15/11"); m.Bounds() != image.Rect(0, 0, 256, 256) {
		t.Error(m.Bounds())
	}
}

// TestTileOfASlideThatHasChangedIsNotShown: an address names the slide's content,
// and so a browser may keep what it got for ever.
func TestTileOfASlideThatHasChangedIsNotShown(t *testing.T) {
	w := ofSlides()
	server, _ := serve(t, w, webui.Reader)
	page := "/studies/" + string(prostate)
	_, body := get(t, server.URL+page, webui.Reader)
	_, rest, ok := strings.Cut(body, `"version":"`)
	version, _, _ := strings.Cut(rest, `"`)
	if !ok || len(version) != 16 {
		t.Fatalf("version %q", version)
	}
	tile := server.URL + page + "/slides/" + string(prostate) + ".1/tiles/0/3/2?v=" + version
	a, _ := get(t, tile, webui.Reader)
	if got := a.Header.Get("Cache-Control"); a.StatusCode != 200 || !strings.Contains(got, "immutable") {
		t.Errorf("%s, kept as %q", a.Status, got)
	}
	w.instances[prostate][0].SHA256 = hash("another")
	if a, _ := get(t, strings.Replace(tile, version, "0123456789abcdef", 1), webui.Reader); a.StatusCode != http.StatusNotFound {
		t.Error(a.Status)
	}
}

func TestLabelIsNeverShown(t *testing.T) {
	for _, kind := range []string{"LABEL", "OVERVIEW"} {
		w := ofSlides()
		w.addSlide(prostate, 1, "H&E", slideColumns, slideRows)
		all := w.instances[prostate]
		label := &all[len(all)-1]
		label.UID, label.Image.Slide.Kind = "2.25.666", kind
		server, _ := serve(t, w, webui.Reader)
		base := server.URL + "/studies/" + string(prostate)
		if a, _ := get(t, base+"/frames/2.25.666/1", webui.Reader); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s as a frame: %s", kind, a.Status)
		}
		_, body := get(t, base, webui.Reader)
		if strings.Contains(body, "2.25.666") {
			t.Errorf("the page names the %s", kind)
		}
	}
}

func TestHeatIsWhatWasScored(t *testing.T) {
	w := ofSlides()
	server, _ := serve(t, w, webui.Reader)
	a, g, cells := heatmap(t, server.URL, prostate, prostate+".1", nuclei, webui.Reader)
	if a.StatusCode != 200 || len(cells) != g.Columns*g.Rows || g.W != patch || g.StepX != patch || g.Low != 0 || g.High != 1 || g.Threshold != 0.5 {
		t.Fatalf("%s %+v, %d cells", a.Status, g, len(cells))
	}
	seen, hottest := 0, 0
	for i, c := range cells {
		if c > 1 {
			seen++
		}
		if c > cells[hottest] {
			hottest = i
		}
	}
	x, y := g.X+(float64(hottest%g.Columns)+0.5)*g.StepX, g.Y+(float64(hottest/g.Columns)+0.5)*g.StepY
	if math.Abs(x-spotX) > patch || math.Abs(y-spotY) > patch {
		t.Errorf("hottest at %g, %g", x, y)
	}
	if want := len(w.parts["results/2.25.103/2.25.103.1/"+nuclei.String()+"/0"].Scores) + len(w.parts["results/2.25.103/2.25.103.1/"+nuclei.String()+"/1"].Scores); seen != want || g.Seen != want {
		t.Errorf("%d and %d of %d patches", seen, g.Seen, want)
	}
	if cells[0] != 0 {
		t.Errorf("the corner of the grid, which nobody looked at, is %d", cells[0])
	}
	_, g, cells = heatmap(t, server.URL, needles, needles+".3", nuclei, webui.Reader)
	missed := 0
	for _, c := range cells {
		if c == 1 {
			missed++
		}
	}
	if missed == 0 || missed != g.Missed {
		t.Errorf("%d cells and %d said to be missed", missed, g.Missed)
	}
}

func TestHeatOfNobodyIsNotNothingFound(t *testing.T) {
	w := ofSlides()
	server, _ := serve(t, w, webui.Reader)
	if a, _, _ := heatmap(t, server.URL, growing, growing+".1", nuclei, webui.Reader); a.StatusCode != http.StatusNoContent {
		t.Errorf("before a patch is scored: %s", a.Status)
	}
	if a, _, _ := heatmap(t, server.URL, unasked, unasked+".1", nuclei, webui.Reader); a.StatusCode != http.StatusNotFound {
		t.Errorf("of a model that was not asked: %s", a.Status)
	}
	w.asked[prostate][0].Plan.Shadow = true
	if a, _, _ := heatmap(t, server.URL, prostate, prostate+".1", nuclei, webui.Reader); a.StatusCode != http.StatusNotFound {
		t.Errorf("of a shadow model: %s", a.Status)
	}
	stopped := ran(nuclei, study.Failed, 0, 0)
	stopped.Reason = study.Reason{Code: study.ReasonStopped}
	w.cases[needles].Results[0] = stopped
	if a, _, _ := heatmap(t, server.URL, needles, needles+".2", nuclei, webui.Reader); a.StatusCode != http.StatusNoContent {
		t.Errorf("of a model that was stopped: %s", a.Status)
	}
}

// trayJSON is what an open page is told.
type trayJSON struct {
	Live   bool
	Models []struct{ Key, AI, Word, Note string }
	Slides []struct {
		Series, AI, Word string
		Notes            []string
		First            bool
		Says             []struct {
			AI, Word, Note        string
			Seen, Missed, Planned int
		}
	}
}

func trayOf(t *testing.T, server string, uid study.UID) trayJSON {
	t.Helper()
	a, body := get(t, server+"/studies/"+string(uid)+"/slides", webui.Reader)
	var tray trayJSON
	if err := json.Unmarshal([]byte(body), &tray); err != nil || a.StatusCode != 200 {
		t.Fatal(a.Status, err)
	}
	return tray
}

func TestTrayHidesNoSlide(t *testing.T) {
	w := ofSlides()
	server, _ := serve(t, w, webui.Reader)
	tray := trayOf(t, server.URL, needles)
	want := []struct {
		ai, notes string
		first     bool
	}{
		{"not_flagged", "", false},
		{"flagged", "2 findings", true},
		{"uncertain", "1 finding · 126 of 138 tiles · image data are damaged or contradictory (12 tiles)", false},
		{"failed", "This slide is not shown: the pixel spacing is missing, implausible or too coarse (no pixel spacing).", false},
	}
	if tray.Live || len(tray.Slides) != len(want) {
		t.Fatalf("%+v", tray)
	}
	for i, s := range tray.Slides {
		notes := strings.Join(s.Notes, " · ")
		if s.Series != string(needles)+"."+string(rune('1'+i)) || s.AI != want[i].ai || s.First != want[i].first || notes != want[i].notes {
			t.Errorf("slide %d: %+v", i+1, s)
		}
	}
	if said := tray.Slides[3].Says[1]; said.AI != "out_of_scope" || !strings.Contains(said.Word, "AI did not run on this slide") {
		t.Errorf("of a slide that a model never saw it says %+v", said)
	}
	w.score(growing, growing+".1", nuclei, 0, 0, 4, spotX, spotY, false)
	tray = trayOf(t, server.URL, growing)
	if s := tray.Slides[0]; !tray.Live || s.AI != "running" || s.Says[0].Seen == 0 || !strings.Contains(s.Says[0].Note, " of 138 patches") {
		t.Errorf("while it is scored: %+v", tray)
	}
	if s := trayOf(t, server.URL, unasked).Slides[0]; s.AI != "out_of_scope" {
		t.Errorf("no model was asked, and the slide says %q", s.Word)
	}
}

// TestVerdictOnTheCaseIsNoneOnItsSlides: a result that tells of no slide by
// itself must not make each of them look flagged, or not.
func TestVerdictOnTheCaseIsNoneOnItsSlides(t *testing.T) {
	w := ofSlides()
	w.cases[needles].Results[1].Slides = nil
	server, _ := serve(t, w, webui.Reader)
	for _, s := range trayOf(t, server.URL, needles).Slides {
		if said := s.Says[1]; said.AI != "" || said.Word != "Case: Not flagged" {
			t.Errorf("%s: %+v", s.Series, said)
		}
	}
}

var _ viewer.Heats = (*ward)(nil)
