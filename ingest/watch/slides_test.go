package watch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/studytest"
	"varde/study"
)

const hers = `{"patient_id":"P-4711","patient_name":"Ødegård^Åse","case_id":"C1"}`

// slides gives the place a keeper of slide files.
func (p *place) slides(t *testing.T) {
	t.Helper()
	p.stop()
	p.Slides = &slidefile.Keeper{Archive: p.objects, Traffic: &ingest.Traffic{}, Log: p.Log,
		Receiver: p.Receiver.(*ingest.Receiver)}
	p.start(t)
}

func (p *place) missing(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(p.Folder, filepath.FromSlash(name))); err == nil {
		t.Errorf("%s is there", name)
	}
}

func TestSlideFileWaitsForItsIdentifiers(t *testing.T) {
	p := newPlace(t)
	p.slides(t)
	b, err := studytest.SlideFile{Kind: studytest.AperioSVS, Coding: "jpeg-rgb", Columns: 500, Rows: 400}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	p.put(t, "ward/scan.svs", b)
	if note := string(p.await(t, "waiting/ward/scan.svs.txt")); !strings.Contains(note, "scan.json") || !strings.Contains(note, "patient_id") {
		t.Error("it is said: ", note)
	}
	time.Sleep(600 * time.Millisecond) // longer than the patience with damaged files
	p.missing(t, "done/ward/scan.svs")
	p.missing(t, "refused/ward/scan.svs")
	// It is written in two pieces, the first of them just now for as long as the test takes.
	p.put(t, "ward/scan.json.part", []byte(hers[:20]))
	part, whole := filepath.Join(p.Folder, "ward", "scan.json.part"), filepath.Join(p.Folder, "ward", "scan.json")
	if err := errors.Join(os.Chtimes(part, time.Time{}, time.Now().Add(time.Hour)), os.Rename(part, whole)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	p.missing(t, "refused/ward/scan.svs")
	p.put(t, "ward/scan.json.part", []byte(hers))
	if err := os.Rename(part, whole); err != nil {
		t.Fatal(err)
	}
	p.await(t, "done/ward/scan.svs")
	p.await(t, "done/ward/scan.json")
	p.missing(t, "waiting/ward/scan.svs.txt")
	found, err := p.ledger.FindStudies(t.Context(), study.Query{Limit: 9})
	if err != nil || len(found) != 1 || found[0].Study.Patient.Reveal().ID != "P-4711" {
		t.Errorf("%d studies: %v", len(found), err)
	}
}

func TestIdentifiersMayComeFirst(t *testing.T) {
	p := newPlace(t)
	p.slides(t)
	b, err := studytest.SlideFile{Columns: 500, Rows: 400}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	p.put(t, "scan.tif.json", []byte(hers))
	p.put(t, "scan.tif", b)
	p.await(t, "done/scan.tif")
	p.await(t, "done/scan.tif.json")
	p.put(t, "bad.tif", b[:len(b)/2])
	p.put(t, "bad.json", []byte(hers))
	if why := string(p.await(t, "refused/bad.tif.reason.txt")); !strings.Contains(why, "slide file") {
		t.Error("refused for ", why)
	}
	p.await(t, "refused/bad.json")
	p.put(t, "who.tif", b)
	p.put(t, "who.json", []byte(`{"patient":"x"}`))
	if why := string(p.await(t, "refused/who.tif.reason.txt")); !strings.Contains(why, "patient_id") {
		t.Error("refused for ", why)
	}
}

// shelf keeps what comes as slide files.
type shelf struct{ name, id, data string }

func (s *shelf) Keep(_ context.Context, _ ingest.Source, id slidefile.Identifiers, name string, r io.Reader, _ int64) (slidefile.Kept, error) {
	b, err := io.ReadAll(r)
	s.name, s.id, s.data = name, id.PatientID, string(b)
	return slidefile.Kept{Study: "1.2.3"}, err
}

func TestMiraxSlideComesWithItsFolder(t *testing.T) {
	p := newPlace(t)
	p.stop()
	got := &shelf{}
	p.Slides = got
	p.put(t, "scan.mrxs", []byte("a picture"))
	p.put(t, "scan/Slidedat.ini", []byte("[GENERAL]"))
	p.put(t, "scan/Data0001.dat", []byte("tiles"))
	p.put(t, "scan.json", []byte(hers))
	p.start(t)
	p.await(t, "done/scan.mrxs")
	p.await(t, "done/scan/Data0001.dat")
	p.stop()
	if got.name != "slide.zip" || got.id != "P-4711" {
		t.Errorf("kept %q of %q", got.name, got.id)
	}
	z, err := zip.NewReader(bytes.NewReader([]byte(got.data)), int64(len(got.data)))
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, f := range z.File {
		names += f.Name + " "
	}
	if names != "slide.mrxs slide/Data0001.dat slide/Slidedat.ini " {
		t.Error("packed ", names)
	}
}
