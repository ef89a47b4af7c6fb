package worldlist_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"net/http"
	"strings"
	"testing"

	"varde/internal/webui"
)

// A geometry is the header of a frame.
type geometry struct {
	Rows, Columns                           int
	Scale, Offset, Center, Width, Low, High float64
	Invert                                  bool
	Unit                                    string
}

func TestFramesThatAreNotThere(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	base := server.URL + "/studies/" + string(chestCT) + "/frames/"
	for path, want := range map[string]int{
		base + string(chestCT) + ".1.1/1":   200,
		base + string(chestCT) + ".1.1/2":   404,
		base + string(chestCT) + ".1.1/0":   400,
		base + string(chestCT) + ".1.1/x":   400,
		base + "1.2.3/1":                    404,
		base + string(mammogram) + ".1.1/1": 404, // of another study
		base + "x/1":                        400,
		server.URL + "/studies/" + string(undecodable) + "/frames/" + string(undecodable) + ".1.1/1": 415,
	} {
		if a, _ := get(t, path, webui.Reader); a.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, a.Status, want)
		}
	}
	if a, _ := get(t, base+string(chestCT)+".1.1/1", webui.Auditor); a.StatusCode != 403 {
		t.Errorf("an auditor sees images: %s", a.Status)
	}
}

func picture(t *testing.T, url string) image.Image {
	t.Helper()
	a, body := get(t, url, webui.Reader)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("%s: %s %s", url, a.Status, body[:min(200, len(body))])
	}
	m, err := jpeg.Decode(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestColorFramesAndSlides(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	if m := picture(t, server.URL+"/studies/"+string(dermatology)+"/frames/"+string(dermatology)+".1.1/1"); m.Bounds() != image.Rect(0, 0, 320, 240) {
		t.Error(m.Bounds())
	}
	slide := server.URL + "/studies/" + string(prostate) + "/slides/" + string(prostate) + ".1"
	if m := picture(t, slide+"/thumb"); m.Bounds() != image.Rect(0, 0, 256, 192) {
		t.Error(m.Bounds())
	}
	if a, _ := get(t, strings.Replace(slide, string(prostate)+".1", "1.2.3", 1)+"/thumb", webui.Reader); a.StatusCode != http.StatusNotFound {
		t.Error(a.Status)
	}
}
