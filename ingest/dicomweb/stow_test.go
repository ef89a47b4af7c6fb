package dicomweb_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"sync"
	"testing"

	"varde/internal/studytest"
	"varde/study"
)

// body makes a multipart body of files, and its content type.
func body(t testing.TB, files ...[]byte) ([]byte, string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, f := range files {
		w, err := m.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		if err == nil {
			_, err = w.Write(f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), `multipart/related; type="application/dicom"; boundary=` + m.Boundary()
}

// BenchmarkManySmallParts sends requests of 64 slices of 512×512 pixels, each of
// another study, and wants all of them durable.
func BenchmarkManySmallParts(b *testing.B) {
	s := newSite(b)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		n++
		d, err := studytest.ChestCT(studytest.CT{Seed: uint64(n), Slices: 64, Size: 512})
		if err != nil {
			b.Fatal(err)
		}
		var files [][]byte
		for _, o := range d.Objects {
			files = append(files, o.File)
		}
		text, kind := body(b, files...)
		b.SetBytes(int64(len(text)))
		b.StartTimer()
		if code, answer := s.send(b, "/studies", kind, bytes.NewReader(text)); code != 200 {
			b.Fatal(code, answer)
		}
	}
}

func TestAnswersKeepTheOrderOfTheParts(t *testing.T) {
	s := newSite(t)
	d := drawChest(t, 40)
	var files [][]byte
	var stored, failed []string
	for i, o := range d.Objects {
		if i%5 == 3 {
			files, failed = append(files, o.File[:len(o.File)-9]), append(failed, string(o.Instance)+" 49152")
			continue
		}
		files, stored = append(files, o.File), append(stored, string(o.Instance))
	}
	code, answer := s.post(t, "/studies", files...)
	if code != http.StatusAccepted {
		t.Errorf("answered %d", code)
	}
	if got := items(answer, "00081199"); !slices.Equal(got, stored) {
		t.Errorf("stored %v\nwant %v", got, stored)
	}
	if got := items(answer, "00081198"); !slices.Equal(got, failed) {
		t.Errorf("failed %v\nwant %v", got, failed)
	}
	all, err := s.ledger.Instances(t.Context(), d.Study)
	if err != nil || len(all) != len(stored) {
		t.Errorf("%d instances, %v", len(all), err)
	}
	if len(s.ended) != 1 {
		t.Errorf("told of %v", s.ended)
	}
}

func TestOtherContentInOneRequestIsKeptApart(t *testing.T) {
	s := newSite(t)
	d, err := studytest.ChestCT(studytest.CT{Seed: 5, Slices: 1, Size: 900}) // longer than its head, and short enough for memory
	if err != nil {
		t.Fatal(err)
	}
	one := d.Objects[0].File
	files := [][]byte{one}
	for i := range 5 {
		other := slices.Clone(one)
		other[len(other)-1-i] ^= 0x55
		files = append(files, other, one)
	}
	code, answer := s.post(t, "/studies", files...)
	if code != http.StatusOK || len(items(answer, "00081199")) != len(files) {
		t.Errorf("answered %d: %v", code, answer)
	}
	open, err := s.ledger.Conflicts(t.Context(), study.ConflictOpen, 100)
	if err != nil || len(open) != 5 {
		t.Errorf("%d conflicts, %v", len(open), err)
	}
}

func TestRequestThatBreaksOffKeepsWhatWasWhole(t *testing.T) {
	s := newSite(t)
	d := drawChest(t, 12)
	var files [][]byte
	for _, o := range d.Objects {
		files = append(files, o.File)
	}
	text, kind := body(t, files...)
	code, answer := s.send(t, "/studies", kind, bytes.NewReader(text[:len(text)-len(files[0])/2]))
	if code != http.StatusBadRequest {
		t.Errorf("answered %d", code)
	}
	if got := items(answer, "00081199"); len(got) != 11 {
		t.Errorf("%d are stored", len(got))
	}
	if all, err := s.ledger.Instances(t.Context(), d.Study); err != nil || len(all) != 11 {
		t.Errorf("%d instances, %v", len(all), err)
	}
}

// TestSlowClientsHoldNobodyUp has more clients stop in the middle of a part than
// there is memory for.
func TestSlowClientsHoldNobodyUp(t *testing.T) {
	s := newSite(t)
	s.service.Ended = nil
	d := drawChest(t, 4)
	text, kind := body(t, d.Objects[0].File)
	var over sync.WaitGroup
	var slow []*io.PipeWriter
	for range 30 {
		r, w := io.Pipe()
		slow = append(slow, w)
		over.Go(func() {
			if resp, err := http.Post(s.URL+"/dicom-web/studies", kind, r); err == nil {
				_ = resp.Body.Close()
			}
		})
		if _, err := w.Write(text[:len(text)/2]); err != nil {
			t.Fatal(err)
		}
	}
	if code, _ := s.post(t, "/studies", d.Objects[1].File, d.Objects[2].File, d.Objects[3].File); code != http.StatusOK {
		t.Errorf("answered %d", code)
	}
	for _, w := range slow {
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}
	over.Wait()
}
