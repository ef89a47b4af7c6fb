package upload_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/ingest/upload"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// roles knows each role by a token of its name.
type roles struct{}

// TokenRole gives the role whose name was hashed.
func (roles) TokenRole(_ context.Context, token study.Hash) (string, string, error) {
	for _, r := range webui.Roles {
		if study.Hash(sha256.Sum256([]byte(r))) == token {
			return r, r, nil
		}
	}
	return "", "", study.ErrNotFound
}

type desk struct {
	*httptest.Server
	site    *webui.Site
	ledger  *store.Ledger
	objects *objects.Dir
	ended   []study.UID
	log     bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	objects, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	site, err := webui.New(webui.Options{Tokens: roles{}}, upload.Part())
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{ledger: ledger, site: site}
	log := slog.New(slog.NewTextHandler(&d.log, nil))
	traffic := &ingest.Traffic{}
	receiver := &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: traffic, MinFree: 1, Log: log}
	d.objects = objects
	upload.Pages{Log: log, Ended: func(uids ...study.UID) { d.ended = append(d.ended, uids...) }, Receiver: receiver,
		Slides: &slidefile.Keeper{Archive: objects, Receiver: receiver, Traffic: traffic, Log: log}}.Add(site)
	d.Server = httptest.NewServer(site)
	t.Cleanup(func() {
		d.Close()
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// ask asks as a role and gives status and page.
func (d *desk) ask(t *testing.T, method, role, lang, contentType string, body io.Reader) (int, string) {
	t.Helper()
	return d.at(t, method, "/upload", role, lang, contentType, body)
}

// at asks for any path.
func (d *desk) at(t *testing.T, method, path, role, lang, contentType string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, d.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+role)
	req.Header.Set("Accept-Language", lang)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A sent file is one field of a form.
type sent struct {
	name string
	body []byte
}

func form(t *testing.T, files ...sent) (string, io.Reader) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, f := range files {
		w, err := m.CreateFormFile("files", f.name)
		if err == nil {
			_, err = w.Write(f.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), &b
}

func TestEachFileOfAFormHasItsAnswer(t *testing.T) {
	d := newDesk(t)
	drawn, err := studytest.ChestCT(studytest.CT{Seed: 5, Slices: 2, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	kind, body := form(t, sent{"hansen_kari.dcm", drawn.Objects[0].File}, sent{"b.dcm", drawn.Objects[1].File},
		sent{"b again.dcm", drawn.Objects[1].File}, sent{"<script>.txt", []byte("no image")})
	code, page := d.ask(t, http.MethodPost, webui.Operator, "en", kind, body)
	if code != 200 {
		t.Fatalf("%d %s", code, page)
	}
	for _, want := range []string{"3 of 4 files taken in", "hansen_kari.dcm", "Taken in", "Was here already", "Not a whole DICOM object",
		"&lt;script&gt;.txt", `href="/studies/` + string(drawn.Study)} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, o := range drawn.Objects {
		if _, err := d.ledger.Instance(t.Context(), o.Instance); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(d.ended, []study.UID{drawn.Study}) {
		t.Errorf("the end was told for %q", d.ended)
	}
	if strings.Contains(d.log.String(), "hansen") {
		t.Error("a file's name is in the log")
	}
}

func TestTheUploadPageSpeaksAllLanguagesToThoseWhoMaySend(t *testing.T) {
	d := newDesk(t)
	for lang, word := range map[string]string{"en": "Choose files", "nb": "Velg filer", "da": "Vælg filer"} {
		code, page := d.ask(t, http.MethodGet, webui.Admin, lang, "", nil)
		if code != 200 || !strings.Contains(page, word) || !strings.Contains(page, `enctype="multipart/form-data"`) {
			t.Errorf("%s: %d", lang, code)
		}
	}
	for _, role := range []string{webui.Reader, webui.Auditor, webui.Quality} {
		if code, _ := d.ask(t, http.MethodGet, role, "en", "", nil); code != 403 {
			t.Errorf("%s sees the page: %d", role, code)
		}
		kind, body := form(t, sent{"a", []byte("x")})
		if code, _ := d.ask(t, http.MethodPost, role, "en", kind, body); code != 403 {
			t.Errorf("%s may send: %d", role, code)
		}
	}
}

func TestAFormThatBreaksOffSaysSo(t *testing.T) {
	d := newDesk(t)
	drawn, err := studytest.ChestCT(studytest.CT{Seed: 5, Slices: 2, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	kind, body := form(t, sent{"a.dcm", drawn.Objects[0].File}, sent{"b.dcm", drawn.Objects[1].File})
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	code, page := d.ask(t, http.MethodPost, webui.Operator, "en", kind, bytes.NewReader(b[:len(b)-500]))
	if code != 200 || !strings.Contains(page, "The form ended early") {
		t.Errorf("%d", code)
	}
	if _, err := d.ledger.Instance(t.Context(), drawn.Objects[1].Instance); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("half a file was kept: %v", err)
	}
	if code, _ := d.ask(t, http.MethodPost, webui.Operator, "en", "text/plain", strings.NewReader("x")); code != 400 {
		t.Errorf("no form: %d", code)
	}
}
