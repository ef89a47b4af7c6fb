package dicomweb_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"varde/ingest"
	"varde/ingest/dicomweb"
	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A site is the whole service over a real folder and a real ledger.
type site struct {
	*httptest.Server
	receiver *ingest.Receiver
	service  *dicomweb.Service
	ledger   *store.Ledger
	objects  *objects.Dir
	ended    []study.UID
}

func newSite(t testing.TB) *site {
	t.Helper()
	objects, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{ledger: ledger, objects: objects}
	log := slog.New(slog.DiscardHandler)
	s.receiver = &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: &ingest.Traffic{}, MinFree: 1, Log: log}
	s.service = &dicomweb.Service{Receiver: s.receiver, Finder: ledger, Catalog: ledger, Objects: objects, Base: "/dicom-web", Log: log,
		Ended: func(uids ...study.UID) { s.ended = append(s.ended, uids...) }}
	s.Server = httptest.NewServer(http.StripPrefix("/dicom-web", s.service.Handler()))
	t.Cleanup(func() {
		s.Close()
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// post sends files as STOW-RS does and gives the answer.
func (s *site) post(t testing.TB, path string, files ...[]byte) (int, map[string]any) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, f := range files {
		w, err := m.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return s.send(t, path, `multipart/related; type="application/dicom"; boundary=`+m.Boundary(), &b)
}

func (s *site) send(t testing.TB, path, contentType string, body io.Reader) (int, map[string]any) {
	t.Helper()
	resp, err := http.Post(s.URL+"/dicom-web"+path, contentType, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/dicom+json") {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	return resp.StatusCode, answer
}

// get asks with an Accept header and gives status, type and body.
func (s *site) get(t testing.TB, path, accept string) (int, http.Header, []byte) {
	t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = s.URL + "/dicom-web" + path
	}
	req, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

// parts takes a multipart answer apart.
func parts(t testing.TB, h http.Header, body []byte) [][]byte {
	t.Helper()
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "multipart/related" {
		t.Fatalf("%s, %v", h.Get("Content-Type"), err)
	}
	m := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var out [][]byte
	for {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
}

// items gives the referenced UIDs and the reasons in a sequence of an answer.
func items(answer map[string]any, sequence string) (out []string) {
	seq, _ := answer[sequence].(map[string]any)
	values, _ := seq["Value"].([]any)
	for _, v := range values {
		var words []string
		for _, key := range []string{"00081155", "00081197"} {
			if a, ok := v.(map[string]any)[key].(map[string]any); ok {
				words = append(words, fmt.Sprint(a["Value"].([]any)[0]))
			}
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

func drawChest(t testing.TB, slices int) studytest.Drawn {
	t.Helper()
	d, err := studytest.ChestCT(studytest.CT{Seed: 3, Slices: slices, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEachObjectOfARequestHasItsAnswer(t *testing.T) {
	d := drawChest(t, 3)
	good, other := d.Objects[0], d.Objects[1]
	damaged := d.Objects[2].File[:len(d.Objects[2].File)-10]
	noStudy := slices.Clone(good.File)
	noStudy[bytes.Index(noStudy, []byte("\x20\x00\x0d\x00UI"))+2] = 0x0c
	for _, tt := range []struct {
		name           string
		path           string
		files          [][]byte
		code           int
		stored, failed []string
		others         []string
	}{
		{"all kept", "/studies", [][]byte{good.File, other.File}, 200, []string{string(good.Instance), string(other.Instance)}, nil, nil},
		{"into its study", "/studies/" + string(d.Study), [][]byte{good.File}, 200, []string{string(good.Instance)}, nil, nil},
		{"the same twice", "/studies", [][]byte{good.File, good.File}, 200, []string{string(good.Instance), string(good.Instance)}, nil, nil},
		{"one of two damaged", "/studies", [][]byte{damaged, good.File}, 202, []string{string(good.Instance)}, []string{string(d.Objects[2].Instance) + " 49152"}, nil},
		{"one is no DICOM", "/studies", [][]byte{good.File, []byte("<html>")}, 202, []string{string(good.Instance)}, nil, []string{"49152"}},
		{"one without a study", "/studies", [][]byte{good.File, noStudy}, 202, []string{string(good.Instance)}, []string{string(good.Instance) + " 49152"}, nil},
		{"all damaged", "/studies", [][]byte{damaged}, 409, nil, []string{string(d.Objects[2].Instance) + " 49152"}, nil},
		{"into another study", "/studies/1.2.3", [][]byte{good.File}, 409, nil, []string{string(good.Instance) + " 43264"}, nil},
		{"nothing", "/studies", nil, 400, nil, nil, nil},
		{"into no UID", "/studies/Kari", [][]byte{good.File}, 400, nil, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			code, answer := s.post(t, tt.path, tt.files...)
			if code != tt.code {
				t.Errorf("status %d, want %d", code, tt.code)
			}
			for sequence, want := range map[string][]string{"00081199": tt.stored, "00081198": tt.failed, "0008119A": tt.others} {
				if got := items(answer, sequence); !slices.Equal(got, want) {
					t.Errorf("%s holds %q, want %q", sequence, got, want)
				}
			}
			for _, uid := range tt.stored {
				if _, err := s.ledger.Instance(t.Context(), study.UID(uid)); err != nil {
					t.Errorf("%s is said to be stored: %v", uid, err)
				}
			}
			if len(tt.stored) > 0 && !slices.Equal(s.ended, []study.UID{d.Study}) {
				t.Errorf("the end of the request was told for %q", s.ended)
			}
		})
	}
}

func TestWhatClientsReallySendIsTaken(t *testing.T) {
	o := drawChest(t, 1).Objects[0]
	body := func(end string, header ...string) string {
		return "preamble" + end + "--b b" + end + strings.Join(append(header, ""), end) + end + string(o.File) + end + "--b b--" + end
	}
	for _, tt := range []struct{ name, contentType, body string }{
		{"quoted", `multipart/related; type="application/dicom"; boundary="b b"`, body("\r\n", "Content-Type: application/dicom")},
		{"unquoted type before the boundary", `multipart/related; type=application/dicom; boundary="b b"`, body("\r\n", "Content-Type: application/dicom")},
		{"unquoted type behind it", `Multipart/Related;boundary="b b";Type=application/dicom`, body("\r\n", "Content-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1")},
		{"no type at all", `multipart/related; boundary="b b"`, body("\r\n")},
		{"line feeds only", `multipart/related; type="application/dicom"; boundary="b b"`, body("\n", "Content-Type: application/dicom")},
		{"octets", `multipart/related; type="application/dicom"; boundary="b b"`, body("\r\n", "Content-Type: application/octet-stream", "Content-Location: x")},
		{"one object as the body", `application/dicom`, string(o.File)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			code, answer := s.send(t, "/studies", tt.contentType, strings.NewReader(tt.body))
			if code != 200 || !slices.Equal(items(answer, "00081199"), []string{string(o.Instance)}) {
				t.Fatalf("status %d, %v", code, answer)
			}
			_, _, got := s.get(t, url(t, answer), "application/dicom")
			if !bytes.Equal(got, o.File) {
				t.Error("another object comes back")
			}
		})
	}
}

// url is where an answer says that its first object is.
func url(t testing.TB, answer map[string]any) string {
	t.Helper()
	item := answer["00081199"].(map[string]any)["Value"].([]any)[0].(map[string]any)
	return item["00081190"].(map[string]any)["Value"].([]any)[0].(string)
}

func TestABadRequestKeepsNothing(t *testing.T) {
	o := drawChest(t, 1).Objects[0]
	whole := "--b\r\nContent-Type: application/dicom\r\n\r\n" + string(o.File)
	for _, tt := range []struct {
		name, contentType, body string
		code                    int
	}{
		{"no boundary", `multipart/related; type="application/dicom"`, whole + "\r\n--b--", 415},
		{"form data", `multipart/form-data; boundary=b`, whole + "\r\n--b--", 415},
		{"JSON metadata", `multipart/related; type="application/dicom+json"; boundary=b`, whole + "\r\n--b--", 415},
		{"no type", ``, whole, 415},
		{"no closing boundary", `multipart/related; boundary=b`, whole, 400},
		{"cut in the object", `multipart/related; boundary=b`, whole[:len(whole)-40], 400},
		{"cut in a header", `multipart/related; boundary=b`, "--b\r\nContent-Ty", 400},
		{"another boundary", `multipart/related; boundary=c`, whole + "\r\n--b--", 400},
		{"empty", `multipart/related; boundary=b`, "", 400},
		{"an image part", `multipart/related; boundary=b`, "--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n--b--", 409},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			if code, _ := s.send(t, "/studies", tt.contentType, strings.NewReader(tt.body)); code != tt.code {
				t.Errorf("status %d, want %d", code, tt.code)
			}
			for key := range s.objects.List(t.Context(), "") {
				t.Errorf("kept %s", key)
			}
		})
	}
}

func TestACompressedBodyIsRefused(t *testing.T) {
	s := newSite(t)
	req, err := http.NewRequest(http.MethodPost, s.URL+"/dicom-web/studies", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/dicom")
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 415 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

type fullDisk struct{}

func (fullDisk) Delete(context.Context, string) error { return nil }
func (fullDisk) Free(context.Context) (int64, bool)   { return 0, true }

func TestAFullDiskIsServiceUnavailable(t *testing.T) {
	s := newSite(t)
	s.receiver.Keeper = fullDisk{}
	code, answer := s.post(t, "/studies", drawChest(t, 1).Objects[0].File)
	if code != 503 || len(items(answer, "00081199")) != 0 || !slices.Equal(items(answer, "0008119A"), []string{"42752"}) {
		t.Errorf("status %d, %v", code, answer)
	}
}

func TestWhatWasStoredIsRetrieved(t *testing.T) {
	s := newSite(t)
	d := drawChest(t, 3)
	for _, o := range d.Objects {
		if code, _ := s.post(t, "/studies", o.File); code != 200 {
			t.Fatal(code)
		}
	}
	o := d.Objects[1]
	in, err := s.ledger.Instance(t.Context(), o.Instance)
	if err != nil {
		t.Fatal(err)
	}
	of := "/studies/" + string(d.Study)
	series := of + "/series/" + string(in.Series)
	instance := series + "/instances/" + string(o.Instance)
	for path, n := range map[string]int{of: 3, series: 3, instance: 1} {
		for _, accept := range []string{"", "*/*", `multipart/related; type="application/dicom"`, `multipart/related; type=application/dicom; transfer-syntax=*`, `application/json, multipart/related;q=0.5`} {
			code, h, body := s.get(t, path, accept)
			if code != 200 {
				t.Fatalf("GET %s as %q: %d", path, accept, code)
			}
			got := parts(t, h, body)
			if len(got) != n || n == 1 && !bytes.Equal(got[0], o.File) || n == 3 && !bytes.Equal(got[1], o.File) {
				t.Errorf("GET %s as %q: %d parts", path, accept, len(got))
			}
		}
	}
	if code, h, body := s.get(t, instance, "application/dicom"); code != 200 || !bytes.Equal(body, o.File) || !strings.HasPrefix(h.Get("Content-Type"), "application/dicom;") {
		t.Errorf("a single part: %d, %s", code, h.Get("Content-Type"))
	}
	for path, accept := range map[string]string{
		of:                 "application/dicom", // three objects are no single part
		instance:           "image/png",
		series:             `multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50`,
		instance + "/meta": "",
	} {
		if code, _, _ := s.get(t, path, accept); code != 406 && !(strings.HasSuffix(path, "meta") && code == 404) {
			t.Errorf("GET %s as %q: %d", path, accept, code)
		}
	}
	for _, path := range []string{"/studies/1.2.3", of + "/series/1.2", series + "/instances/1.2", "/studies/1.9/series/" + string(in.Series) + "/instances/" + string(o.Instance), "/studies/1.2.3/metadata"} {
		if code, _, _ := s.get(t, path, ""); code != 404 {
			t.Errorf("GET %s: %d, want 404", path, code)
		}
	}
	if code, _, _ := s.get(t, "/studies/Kari", ""); code != 400 {
		t.Errorf("a study that is no UID: %d", code)
	}
}

func TestMetadataLeadsToTheBulkData(t *testing.T) {
	s := newSite(t)
	d := drawChest(t, 2)
	s.post(t, "/studies", d.Objects[0].File, d.Objects[1].File)
	code, h, body := s.get(t, "/studies/"+string(d.Study)+"/metadata", "")
	if code != 200 || h.Get("Content-Type") != "application/dicom+json" {
		t.Fatalf("%d %s", code, h.Get("Content-Type"))
	}
	var all []map[string]struct {
		VR          string `json:"vr"`
		Value       []any
		BulkDataURI string
	}
	if err := json.Unmarshal(body, &all); err != nil || len(all) != 2 {
		t.Fatalf("%d objects, %v in %s", len(all), err, body)
	}
	if got := all[0]["00080018"].Value[0]; got != string(d.Objects[0].Instance) {
		t.Errorf("instance %v", got)
	}
	uri := all[0]["7FE00010"].BulkDataURI
	code, _, pixels := s.get(t, uri, "application/octet-stream")
	if want := d.Objects[0].File[len(d.Objects[0].File)-2*32*32:]; code != 200 || !bytes.Equal(pixels, want) {
		t.Errorf("GET %s: %d, %d bytes", uri, code, len(pixels))
	}
	code, h, pixels = s.get(t, strings.Replace(uri, "bulkdata/7FE00010", "frames/1", 1), "")
	if got := parts(t, h, pixels); code != 200 || len(got) != 1 || len(got[0]) != 2*32*32 {
		t.Errorf("frame: %d", code)
	}
	for _, path := range []string{"bulkdata/00091010", "bulkdata/x", "bulkdata/00081140/0/7FE00010", "bulkdata/", "frames/2", "frames/0", "frames/x"} {
		if code, _, _ := s.get(t, strings.Replace(uri, "bulkdata/7FE00010", path, 1), ""); code != 404 && code != 400 {
			t.Errorf("GET %s: %d", path, code)
		}
	}
}

func TestFramesOfASlideComeAsTheyAreStored(t *testing.T) {
	s := newSite(t)
	d, err := studytest.Slide(studytest.SM{Seed: 1, Columns: 700, Rows: 500})
	if err != nil {
		t.Fatal(err)
	}
	o := d.Objects[0]
	_, answer := s.post(t, "/studies", o.File)
	at := url(t, answer)
	frames, err := s.ledger.Frames(t.Context(), o.Instance)
	if err != nil {
		t.Fatal(err)
	}
	want := func(n int) []byte {
		sp := frames.Spans[n]
		return o.File[sp.Off : sp.Off+sp.Len]
	}
	for _, accept := range []string{"", `multipart/related; type="image/jpeg"`, `multipart/related; type=image/*`, `multipart/related; type="application/octet-stream"; transfer-syntax=*`, `multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50`} {
		code, h, body := s.get(t, at+"/frames/6,2", accept)
		if code != 200 {
			t.Fatalf("as %q: %d", accept, code)
		}
		got := parts(t, h, body)
		if len(got) != 2 || !bytes.Equal(got[0], want(5)) || !bytes.Equal(got[1], want(1)) {
			t.Errorf("as %q: other frames", accept)
		}
	}
	if code, h, body := s.get(t, at+"/frames/3", "image/jpeg"); code != 200 || !strings.HasPrefix(h.Get("Content-Type"), "image/jpeg") || !bytes.Equal(body, want(2)) {
		t.Errorf("a single frame: %d %s", code, h.Get("Content-Type"))
	}
	for _, accept := range []string{`multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.2`, "image/png", `multipart/related; type="image/jp2"`} {
		if code, _, _ := s.get(t, at+"/frames/1", accept); code != 406 {
			t.Errorf("as %q: %d", accept, code)
		}
	}
}

func TestSearchFindsWhatMatches(t *testing.T) {
	s := newSite(t)
	ct := drawChest(t, 3)
	mg, err := studytest.Mammogram(studytest.MG{Seed: 2, Patient: " Ødegård"})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []studytest.Drawn{ct, mg} {
		for _, o := range d.Objects {
			if code, _ := s.post(t, "/studies", o.File); code != 200 {
				t.Fatal(code)
			}
		}
	}
	in, err := s.ledger.Instance(t.Context(), ct.Objects[0].Instance)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		n    int
	}{
		{"/studies", 2},
		{"/studies?limit=1", 1},
		{"/studies?limit=1&offset=1", 1},
		{"/studies?offset=2", 0},
		{"/studies?StudyInstanceUID=" + string(ct.Study), 1},
		{"/studies?0020000D=" + string(ct.Study), 1},
		{"/studies?StudyInstanceUID=" + string(ct.Study) + "," + string(mg.Study), 2},
		{"/studies?StudyInstanceUID=" + string(ct.Study) + `%5C` + string(mg.Study), 2},
		{"/studies?StudyInstanceUID=1.2.3", 0},
		{"/studies?ModalitiesInStudy=MG", 1},
		{"/studies?ModalitiesInStudy=XX", 0},
		{"/studies?PatientID=SYN-CT", 1},
		{"/studies?PatientID=SYN*", 2},
		{"/studies?PatientID=SYN-_T", 0},
		{"/studies?PatientName=synthetic*", 2},
		{"/studies?PatientName=*%C3%98deg%C3%A5rd*", 1},
		{"/studies?PatientName=*C?%20*", 1},
		{"/studies?PatientName=", 2},
		{"/studies?AccessionNumber=SYNCT1", 1},
		{"/studies?StudyDate=20260105", 2},
		{"/studies?StudyDate=20260106-", 0},
		{"/studies?StudyDate=-20260105", 2},
		{"/studies?StudyDate=20250101-20261231&ModalitiesInStudy=CT", 1},
		{"/studies?StudyTime=08", 2},
		{"/studies?StudyTime=0801-", 0},
		{"/studies?PatientBirthDate=19600101", 1},
		{"/studies?PatientSex=O&PatientID=SYN-CT", 1},
		{"/studies?StudyDescription=*CHEST*", 1},
		{"/studies?includefield=all&includefield=00081030&fuzzymatching=false", 2},
		{"/studies/" + string(ct.Study) + "/series", 1},
		{"/studies/" + string(mg.Study) + "/series?Modality=MG", len(mg.Objects)},
		{"/series?SeriesInstanceUID=" + string(in.Series), 1},
		{"/series?Modality=CT", 1},
		{"/studies/" + string(ct.Study) + "/instances", 3},
		{"/studies/" + string(ct.Study) + "/series/" + string(in.Series) + "/instances", 3},
		{"/studies/" + string(mg.Study) + "/series/" + string(in.Series) + "/instances", 0},
		{"/studies/" + string(ct.Study) + "/series?StudyInstanceUID=" + string(mg.Study), 0},
		{"/instances?SOPInstanceUID=" + string(in.UID), 1},
		{"/instances?InstanceNumber=2&Modality=CT", 1},
		{"/instances?SOPClassUID=" + string(in.Class), 3},
	} {
		code, _, body := s.get(t, tt.path, "application/dicom+json")
		var found []map[string]any
		if err := json.Unmarshal(body, &found); err != nil || code != 200 || len(found) != tt.n {
			t.Errorf("GET %s: %d, %d found, want %d: %v", tt.path, code, len(found), tt.n, err)
		}
	}
	for path, want := range map[string]int{
		"/studies?StudyDate=2026-01-05": 400, "/studies?StudyDate=20260231": 400, "/studies?StudyDate=20260101-20269999": 400, "/studies?StudyTime=25": 400,
		"/series?PatientBirthDate=19601301": 400, "/studies?limit=x": 400, "/studies?offset=-1": 400,
		"/studies?StudyInstanceUID=Kari": 400, "/series?SeriesNumber=x": 400, "/studies/Kari/series": 400,
	} {
		if code, _, _ := s.get(t, path, ""); code != want {
			t.Errorf("GET %s: %d, want %d", path, code, want)
		}
	}
	if code, _, _ := s.get(t, "/studies", "application/dicom+xml"); code != 406 {
		t.Errorf("XML: %d", code)
	}
	if _, h, _ := s.get(t, "/studies?limit=1&OtherPatientIDs=x&fuzzymatching=true", ""); len(h.Values("Warning")) != 2 {
		t.Errorf("warnings %q", h.Values("Warning"))
	}
}

func TestAMatchTellsWhatIsKnown(t *testing.T) {
	s := newSite(t)
	d := drawChest(t, 2)
	s.post(t, "/studies", d.Objects[0].File, d.Objects[1].File)
	_, _, body := s.get(t, "/instances?InstanceNumber=2", "")
	var found []map[string]struct {
		VR    string `json:"vr"`
		Value []any
	}
	if err := json.Unmarshal(body, &found); err != nil || len(found) != 1 {
		t.Fatalf("%v in %s", err, body)
	}
	for key, want := range map[string]string{
		"00080016": `[1.2.840.10008.5.1.4.1.1.2]`, "00080020": "[20260105]", "00080060": "[CT]", "00080061": "[CT]",
		"00100020": "[SYN-CT]", "00200013": "[2]", "00201206": "[1]", "00201208": "[2]", "00201209": "[2]", "00280010": "[32]",
		"00100010": "[map[Alphabetic:SYNTHETIC^CT CLEAR]]", "00083002": "[1.2.840.10008.1.2.1]", "00080090": "[]",
	} {
		if got := fmt.Sprint(found[0][key].Value); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if got := found[0]["00081190"].Value[0].(string); !strings.HasPrefix(got, s.URL+"/dicom-web/studies/") {
		t.Errorf("retrieve URL %s", got)
	}
	if string(dicom.ExplicitLE) != found[0]["00083002"].Value[0] {
		t.Error("another transfer syntax")
	}
}

// TestMutatedBodiesAreSurvived sends bodies with bytes changed, cut and filled,
// and expects an answer to each and a service that still works. VARDE_MUTATIONS
// says how many.
func TestMutatedBodiesAreSurvived(t *testing.T) {
	s := newSite(t)
	d := drawChest(t, 2)
	seed := []byte("--b\r\nContent-Type: application/dicom\r\n\r\n" + string(d.Objects[0].File) + "\r\n--b\r\n\r\n" + string(d.Objects[1].File) + "\r\n--b--\r\n")
	rng := rand.New(rand.NewPCG(1, 1))
	handler := http.StripPrefix("/dicom-web", s.service.Handler())
	codes := map[int]int{}
	n := 600
	if testing.Short() {
		n = 200
	}
	if set, err := strconv.Atoi(os.Getenv("VARDE_MUTATIONS")); err == nil {
		n = set
	}
	for range n {
		body := slices.Clone(seed)
		for range 1 + rng.IntN(4) {
			at := rng.IntN(len(body))
			if rng.IntN(2) == 0 { // headers are where it hurts
				at = rng.IntN(min(len(body), 700))
			}
			switch rng.IntN(4) {
			case 0:
				body[at] = byte(rng.Uint32())
			case 1:
				body[at] ^= 1 << rng.IntN(8)
			case 2:
				body = body[:max(at, 1)]
			case 3:
				copy(body[at:], "\xff\xff\xff\xff")
			}
		}
		req := httptest.NewRequest(http.MethodPost, "/dicom-web/studies", bytes.NewReader(body))
		req.Header.Set("Content-Type", "multipart/related; boundary=b")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		codes[w.Code]++
		if !slices.Contains([]int{200, 202, 400, 409}, w.Code) {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
	t.Logf("answers: %v", codes)
	if code, _ := s.post(t, "/studies", d.Objects[0].File); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

// TestContentTypesAreReadLeniently reads what may stand in a header.
func TestContentTypesAreReadLeniently(t *testing.T) {
	s := newSite(t)
	o := drawChest(t, 1).Objects[0]
	rng := rand.New(rand.NewPCG(2, 2))
	seed := `multipart/related; type="application/dicom"; boundary="b"; start="<a\"b>"`
	handler := s.service.Handler()
	for range 3000 {
		header := []byte(seed)
		for range 1 + rng.IntN(6) {
			header[rng.IntN(len(header))] = byte(32 + rng.IntN(95))
		}
		req := httptest.NewRequest(http.MethodPost, "/studies", strings.NewReader("--b\r\n\r\n"+string(o.File)+"\r\n--b--"))
		req.Header.Set("Content-Type", string(header))
		req.Header.Set("Accept", string(header))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Fatalf("%s: %d", header, w.Code)
		}
		req = httptest.NewRequest(http.MethodGet, "/studies", nil)
		req.Header.Set("Accept", string(header))
		w = httptest.NewRecorder()
		if handler.ServeHTTP(w, req); w.Code != 200 && w.Code != 406 {
			t.Fatalf("%s: %d", header, w.Code)
		}
	}
}

// TestEverySharedObjectComesBackAsItWent sends each DICOM file of the shared set
// by STOW-RS and fetches it, its metadata and its first frame.
func TestEverySharedObjectComesBackAsItWent(t *testing.T) {
	dir, entries := shared.Manifest(t)
	s := newSite(t)
	kept, refused := 0, 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "dicom/") && !strings.HasPrefix(e.Path, "wsi/dicom-sm/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		code, answer := s.post(t, "/studies", b)
		if code == 409 {
			refused++
			continue
		}
		if code != 200 {
			t.Fatalf("%s: %d", e.Path, code)
		}
		kept++
		at := url(t, answer)
		in, err := s.ledger.Instance(t.Context(), study.UID(items(answer, "00081199")[0]))
		if err != nil || in.SHA256 != sha256.Sum256(b) {
			continue // a conflict or a duplicate: the first object is the one that comes back
		}
		if code, _, got := s.get(t, at, "application/dicom"); code != 200 || !bytes.Equal(got, b) {
			t.Errorf("%s: GET %s: %d, %d bytes of %d", e.Path, at, code, len(got), len(b))
		}
		frames, err := s.ledger.Frames(t.Context(), in.UID)
		if err != nil {
			t.Fatal(err)
		}
		if code, _, got := s.get(t, at+"/metadata", ""); code != 200 || !json.Valid(got) || frames.Len() > 0 && !pixels(t, got) {
			t.Errorf("%s: metadata: %d, %.300s", e.Path, code, got)
		}
		if frames.Len() == 0 {
			continue
		}
		n := frames.Len()
		code, h, got := s.get(t, fmt.Sprintf("%s/frames/%d", at, n), `multipart/related; type="application/octet-stream"; transfer-syntax=*`)
		if code != 200 {
			t.Errorf("%s: frame %d: %d %s", e.Path, n, code, got)
			continue
		}
		if got := parts(t, h, got); len(got) != 1 || !bytes.Equal(got[0], lastFrame(t, frames, in, b)) {
			t.Errorf("%s: frame %d is another", e.Path, n)
		}
	}
	t.Logf("%d kept, %d refused", kept, refused)
}

// pixels reports whether metadata tells of pixel data.
func pixels(t *testing.T, metadata []byte) bool {
	t.Helper()
	var all []map[string]any
	if err := json.Unmarshal(metadata, &all); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"7FE00008", "7FE00009", "7FE00010"} {
		if a, ok := all[0][key].(map[string]any); ok {
			_, ok := a["BulkDataURI"]
			return ok
		}
	}
	return false
}

// lastFrame cuts the last frame out of a file by its index.
func lastFrame(t *testing.T, frames study.Frames, in study.Instance, file []byte) []byte {
	t.Helper()
	r, err := dicom.Inflate(bytes.NewReader(file))
	if in.TransferSyntax != dicom.Deflated {
		r, err = bytes.NewReader(file), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := frames.Frame(frames.Len() - 1)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, sp := range spans {
		out = append(out, whole[sp.Off:sp.Off+sp.Len]...)
	}
	if bits := frames.BitsPerFrame; bits%8 != 0 {
		shift := int(bits * int64(frames.Len()-1) % 8)
		moved := make([]byte, (bits+7)/8)
		for i := range int(bits) {
			if at := i + shift; out[at/8]>>(at%8)&1 == 1 {
				moved[i/8] |= 1 << (i % 8)
			}
		}
		return moved
	}
	return out
}
