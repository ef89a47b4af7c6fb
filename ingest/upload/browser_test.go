package upload_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/internal/webui/webuitest"
)

// asFiles is JavaScript for a DataTransfer that holds files by name.
func asFiles(files ...sent) string {
	var b strings.Builder
	b.WriteString(`(() => { const all = new DataTransfer();`)
	for _, f := range files {
		fmt.Fprintf(&b, `all.items.add(new File([Uint8Array.from(atob('%s'), c => c.charCodeAt(0))], '%s'));`,
			base64.StdEncoding.EncodeToString(f.body), f.name)
	}
	b.WriteString(`return all; })()`)
	return b.String()
}

// signIn opens a browser as somebody who may send.
func (d *desk) signIn(t *testing.T) *webuitest.Browser {
	t.Helper()
	b := webuitest.Open(t, 1280, 900, "en")
	b.Go(d.URL + strings.Replace(d.site.Invite(webui.Identity{Name: "A. Dahl", Role: webui.Admin}, time.Hour), "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	return b
}

func TestFilesAreDroppedOnThePage(t *testing.T) {
	d := newDesk(t)
	drawn, err := studytest.ChestCT(studytest.CT{Seed: 5, Slices: 2, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	b := d.signIn(t)
	b.Go(d.URL + "/upload")
	webuitest.Eval[any](b, `document.dispatchEvent(new DragEvent('dragover', {bubbles: true, cancelable: true})), null`)
	b.Until(`document.getElementById('drop').classList.contains('over')`)
	b.Promises()
	files := asFiles(sent{"a.dcm", drawn.Objects[0].File}, sent{"b.dcm", drawn.Objects[1].File}, sent{"notes.txt", []byte("no image")})
	webuitest.Eval[any](b, `document.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: `+files+`})), null`)
	b.Until(`document.querySelector('[role=status]') && document.readyState === 'complete'`)
	if text := webuitest.Eval[string](b, `document.querySelector('main').innerText`); !strings.Contains(text, "2 of 3 files taken in") ||
		!strings.Contains(text, "Not a whole DICOM object") {
		t.Errorf("the page says %q", text)
	}
	b.Promises()
	b.Shot("upload-dropped")
	for _, o := range drawn.Objects {
		if _, err := d.ledger.Instance(t.Context(), o.Instance); err != nil {
			t.Error(err)
		}
	}
	// A drop of something that is no file changes nothing.
	b.Go(d.URL + "/upload")
	webuitest.Eval[any](b, `document.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()})), null`)
	if webuitest.Eval[bool](b, `document.getElementById('drop').classList.contains('over') || location.pathname !== '/upload'`) {
		t.Error("an empty drop was taken for files")
	}
}

func TestThePageWorksByKeyboardInThreeLanguages(t *testing.T) {
	d := newDesk(t)
	drawn, err := studytest.ChestCT(studytest.CT{Seed: 6, Slices: 1, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	b := d.signIn(t)
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish, webui.English} {
		b.Go(d.URL + "/upload")
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
		b.Go(d.URL + "/upload")
		for _, theme := range []string{"dark", "light"} {
			b.Leads(func() { b.Click("button[value=" + theme + "]") })
			b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
			webuitest.Eval[any](b, `document.querySelectorAll('details').forEach(d => d.open = true)`)
			b.Promises()
		}
		// The form sends nothing without a file, and says so by itself.
		webuitest.Eval[any](b, `document.getElementById('files').focus(), null`)
		b.Keys("\t")
		if on := webuitest.Eval[string](b, `document.activeElement.type`); on != "submit" {
			t.Errorf("%s: behind the files comes %q", lang, on)
		}
		b.Keys("\r")
		if !webuitest.Eval[bool](b, `!document.getElementById('files').checkValidity() && !document.querySelector('[role=status]')`) {
			t.Errorf("%s: a form without files was sent", lang)
		}
		webuitest.Eval[any](b, `document.getElementById('files').files = `+asFiles(sent{"a.dcm", drawn.Objects[0].File})+`.files, null`)
		said := webuitest.Eval[string](b, `(() => { const word = document.getElementById('word'), was = word.textContent;
			document.getElementById('upload').addEventListener('submit', e => e.preventDefault(), {once: true});
			document.getElementById('upload').requestSubmit();
			return word.getAttribute('aria-live') === 'polite' && word.textContent !== was ? word.textContent : ''; })()`)
		if said == "" {
			t.Errorf("%s: nobody is told that files are being sent", lang)
		}
		webuitest.Eval[any](b, `document.querySelector('#upload button[type=submit]').focus(), null`)
		b.Keys("\r")
		b.Until(`document.querySelector('[role=status]') && document.readyState === 'complete'`)
		b.Promises()
	}
}
