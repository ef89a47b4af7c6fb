package main_test

import (
	"testing"
	"time"

	"varde/internal/studytest"
	"varde/internal/studytest/peers"
)

// TestArchiveBringsWhatTheSenderLeftOut pushes some slices of those that the archive
// has, and lets the report go back there, so that the archive counts one object more.
// A late slice then gives a second revision, of which the report is no part.
func TestArchiveBringsWhatTheSenderLeftOut(t *testing.T) {
	s := newService(t)
	o := peers.StartOrthanc(t, map[string]any{"DicomModalities": map[string]any{"varde": peers.Modality(t, "VARDE", s.dicom)}})
	s.args = append(s.args, "--archive", "ORTHANC@"+o.DICOM, "--destinations", "PACS=ORTHANC@"+o.DICOM, "--gap-cap", "30s")
	s.start()
	d := smallCT(t, 31, true)
	last := len(d.Objects) - 1
	some := func(objects []studytest.Object) studytest.Drawn {
		part := d
		part.Objects = objects
		return part
	}
	folder, _ := files(t, some(d.Objects[:last]))
	run(t, "send", "--called", "ORTHANC", o.DICOM, folder).must(t)
	s.rememberAll(d)
	s.push(some(d.Objects[:16]))
	if v := s.reported(d.Study, last); v.Revision != 1 {
		t.Errorf("revision %d", v.Revision)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var held []string
		if o.Get(t, "/instances", &held); len(held) == last+1 {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the archive has %d objects and no report\n%s", last, s.log.tail())
		}
	}
	began := time.Now()
	s.push(some(d.Objects[last:]))
	if v := s.reported(d.Study, last+1); v.Revision != 2 || time.Since(began) > 20*time.Second {
		t.Errorf("revision %d after %v", v.Revision, time.Since(began))
	}
}

func TestArchiveWithoutAnAddressIsRefused(t *testing.T) {
	for _, bad := range []string{"PACS", "NAME=PACS@127.0.0.1:104", "PACS@127.0.0.1:104+commit"} {
		e := run(t, "serve", "--dir", t.TempDir(), "--dicom-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--archive", bad)
		if e.code != 2 || !containsAll(e.stderr, "AET@host:port", bad) {
			t.Errorf("%s: ends with %d: %s", bad, e.code, e.stderr)
		}
	}
}
