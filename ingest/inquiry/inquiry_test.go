package inquiry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"varde/ingest/inquiry"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

func TestNumbersDecideWhetherTheArchiveMustList(t *testing.T) {
	for what, tt := range map[string]struct {
		here  inquiry.Holding
		there inquiry.Count
		want  inquiry.Verdict
	}{
		"the archive does not know the study": {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{}, inquiry.Enough},
		"… nor after our report":              {inquiry.Holding{Instances: 8, Series: 1, Own: 1}, inquiry.Count{}, inquiry.Enough},
		"as many":                             {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{Found: true, Instances: 8, Series: 1}, inquiry.Enough},
		"as many, the series not told":        {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{Found: true, Instances: 8, Series: -1}, inquiry.Enough},
		"fewer: it is still receiving":        {inquiry.Holding{Instances: 8, Series: 2}, inquiry.Count{Found: true, Instances: 5, Series: 1}, inquiry.Enough},
		"more":                                {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{Found: true, Instances: 12, Series: 1}, inquiry.Differs},
		"as many, in more series":             {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{Found: true, Instances: 8, Series: 2}, inquiry.Differs},
		"as many, of which one may be ours":   {inquiry.Holding{Instances: 8, Series: 1, Own: 1}, inquiry.Count{Found: true, Instances: 8, Series: 1}, inquiry.Differs},
		"the number is not told":              {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{Found: true, Instances: -1, Series: 1}, inquiry.Unclear},
		"nothing is told":                     {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{Found: true, Instances: -1, Series: -1}, inquiry.Unclear},
		"the number is not told, more series": {inquiry.Holding{Instances: 8, Series: 1}, inquiry.Count{Found: true, Instances: -1, Series: 2}, inquiry.Differs},
	} {
		if got := inquiry.Judge(tt.here, tt.there); got != tt.want {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
}

// inquirer asks an archive for the house.
func (h *house) inquirer(dial func(context.Context, ...dimse.Context) (*dimse.Association, error)) *inquiry.Inquirer {
	return &inquiry.Inquirer{Ledger: h.ledger, Receiver: h.Fetched(), Traffic: h.traffic, AET: "ORTHANC", Dial: dial, Log: h.Log}
}

func drawChest(t *testing.T, seed uint64, slices int) studytest.Drawn {
	t.Helper()
	d, err := studytest.ChestCT(studytest.CT{Seed: seed, Slices: slices, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// push sends some objects over an association of their own.
func push(t *testing.T, addr, called string, objects []studytest.Object) {
	t.Helper()
	a, err := dimse.Dialer{Calling: "CT1", Called: called, Timeout: 20 * time.Second}.Dial(t.Context(), addr,
		dimse.Context{Class: dicom.CTImage, Syntaxes: []study.UID{dicom.ExplicitLE}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if status, err := a.Store(t.Context(), o.Class, o.Instance, o.Syntax, strings.NewReader(string(o.DataSet))); err != nil || status != dimse.Success {
			t.Fatal(status, err)
		}
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestMissingSlicesAreFetchedFromOrthanc pushes 8 of 12 slices that Orthanc has. The
// study settles with all of them, bit for bit; one that is whole and one that Orthanc
// does not know settle with what was pushed.
func TestMissingSlicesAreFetchedFromOrthanc(t *testing.T) {
	h := newHouse(t)
	ours := h.serve(t, nil)
	archive := peers.StartOrthanc(t, map[string]any{"DicomModalities": map[string]any{"varde": peers.Modality(t, "VARDE", ours)}})
	d, whole, unknown := drawChest(t, 1, 12), drawChest(t, 2, 5), drawChest(t, 3, 5)
	push(t, archive.DICOM, "ORTHANC", d.Objects)
	push(t, archive.DICOM, "ORTHANC", whole.Objects)
	q := h.inquirer(func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
		return dimse.Dialer{Calling: "VARDE", Called: "ORTHANC", Timeout: 20 * time.Second}.Dial(ctx, archive.DICOM, contexts...)
	})
	run(t, q.Run)
	settler := h.settler()
	settler.Archive, settler.Cap = q, 20*time.Second
	run(t, settler.Run)

	began := time.Now()
	push(t, ours, "VARDE", slices.Concat(d.Objects[:3], d.Objects[5:8], d.Objects[10:]))
	push(t, ours, "VARDE", whole.Objects)
	push(t, ours, "VARDE", unknown.Objects)
	for _, tt := range []struct {
		of   studytest.Drawn
		told int
	}{{d, 12}, {whole, 0}, {unknown, 0}} {
		s := h.await(t, tt.of.Study, study.Scoring, study.Settled, study.Scored)
		if s.Rev != 1 || s.Instances != len(tt.of.Objects) || s.Sender != "CT1" {
			t.Errorf("settled as revision %d with %d objects of %d, from %s", s.Rev, s.Instances, len(tt.of.Objects), s.Sender)
		}
		told, missing, err := h.ledger.Expected(t.Context(), tt.of.Study)
		n := 0
		for _, e := range told {
			n += len(e.Objects)
		}
		if n != tt.told || missing != 0 || err != nil {
			t.Errorf("%d objects told of, not %d; %d missing, %v", n, tt.told, missing, err)
		}
	}
	if took := time.Since(began); took >= settler.Cap {
		t.Errorf("settled after %v, by the cap", took)
	}
	for _, o := range d.Objects {
		in, err := h.ledger.Instance(t.Context(), o.Instance)
		if err != nil {
			t.Fatal(err)
		}
		if _, data, ok := strings.Cut(string(h.bytes(t, in.Key)), string(o.DataSet)); !ok || data != "" {
			t.Errorf("%s is kept otherwise than it was drawn", o.Instance)
		}
	}
}

// TestASilentArchiveHoldsNothingUp settles studies while the archive can't be
// reached, and says so once.
func TestASilentArchiveHoldsNothingUp(t *testing.T) {
	h := newHouse(t)
	var dials atomic.Int32
	q := h.inquirer(func(context.Context, ...dimse.Context) (*dimse.Association, error) {
		dials.Add(1)
		return nil, errors.New("nobody is there")
	})
	run(t, q.Run)
	settler := h.settler()
	settler.Archive = q // the cap is a minute
	run(t, settler.Run)
	for seed := range uint64(3) {
		d := drawChest(t, 10+seed, 3)
		h.keepAll(t, d.Objects)
		h.traffic.StudiesEnded(d.Study)
		if s := h.await(t, d.Study, study.Scoring, study.Settled, study.Scored); s.Instances != 3 {
			t.Errorf("%d objects", s.Instances)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("the archive was called %d times", n)
	}
}

// TestWhatIsListedAndNotGivenIsWaitedForUpToTheCap has an archive that lists an object
// more than there is, and takes no C-GET.
func TestWhatIsListedAndNotGivenIsWaitedForUpToTheCap(t *testing.T) {
	h := newHouse(t)
	d := drawChest(t, 20, 3)
	all := []study.UID{"1.2.3.77"}
	for _, o := range d.Objects {
		all = append(all, o.Instance)
	}
	addr := h.serve(t, map[study.UID]dimse.Service{"1.2.840.10008.5.1.4.1.2.2.1": lister{series: "1.2.3.5", objects: all}})
	q := h.inquirer(func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
		return dimse.Dialer{Calling: "VARDE", Called: "VARDE", Timeout: 20 * time.Second}.Dial(ctx, addr, contexts...)
	})
	run(t, q.Run)
	settler := h.settler()
	settler.Archive, settler.Cap = q, 3*time.Second
	run(t, settler.Run)
	h.keepAll(t, d.Objects)
	h.traffic.StudiesEnded(d.Study)
	s := h.await(t, d.Study, study.Scoring, study.Settled, study.Scored)
	if waited := s.SettledAt.Sub(s.LastInstanceAt); s.Instances != 3 || waited < settler.Cap {
		t.Errorf("settled with %d objects after %v", s.Instances, waited)
	}
	if _, missing, err := h.ledger.Expected(t.Context(), d.Study); missing != 1 || err != nil {
		t.Errorf("%d are missing, %v", missing, err)
	}
}

// TestOurOwnReportsAreNotMissing has an archive that answers for a study with a
// report of ours that is here as our own.
func TestOurOwnReportsAreNotMissing(t *testing.T) {
	own := study.UID("1.2.3.99")
	for what, tt := range map[string]struct {
		lists []study.UID // by the archive
		want  []study.UID // expected
	}{
		"all, and our report":       {[]study.UID{"1.2.3.1", "1.2.3.2", own}, []study.UID{"1.2.3.1", "1.2.3.2"}},
		"one is replaced by ours":   {[]study.UID{"1.2.3.1", own}, []study.UID{"1.2.3.1"}},
		"the archive has ours only": {[]study.UID{own}, nil},
	} {
		h := newHouse(t)
		addr := h.serve(t, map[study.UID]dimse.Service{"1.2.840.10008.5.1.4.1.2.2.1": lister{series: "1.2.3.5", objects: tt.lists}})
		kept := &inventory{received: []study.UID{"1.2.3.1", "1.2.3.2"}, own: own}
		q := h.inquirer(func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
			return dimse.Dialer{Calling: "VARDE", Called: "VARDE", Timeout: 20 * time.Second}.Dial(ctx, addr, contexts...)
		})
		q.Ledger = kept
		run(t, q.Run)
		of := study.Study{UID: "1.2.3"}
		for began := time.Now(); !q.Over(of); time.Sleep(5 * time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%s: no end; log:\n%s", what, h.log)
			}
		}
		if got, _ := kept.expected.Load().([]study.UID); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v are expected, not %v", what, got, tt.want)
		}
	}
}

// An inventory has a study with some objects and a report of ours.
type inventory struct {
	received []study.UID
	own      study.UID
	expected atomic.Value // []study.UID
}

func (v *inventory) Instances(context.Context, study.UID) (all []study.Instance, err error) {
	for _, uid := range v.received {
		all = append(all, study.Instance{UID: uid, Study: "1.2.3", Series: "1.2.3.5", Class: dicom.CTImage})
	}
	return all, nil
}

func (v *inventory) ObjectsOf(ctx context.Context, uid, _ study.UID) ([]study.Instance, error) {
	all, err := v.Instances(ctx, uid)
	return append(all, study.Instance{UID: v.own, Study: uid, Series: "1.2.3.6", Class: dicom.Comprehensive3DSR}), err
}

func (v *inventory) Expect(_ context.Context, e []study.Expectation) error {
	v.expected.Store(e[0].Objects)
	return nil
}

// A lister answers queries with one series.
type lister struct {
	series  study.UID
	objects []study.UID
}

func (l lister) Serve(_ context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	level := x.Data.Text(dicom.QueryRetrieveLevel)
	match := func() *dicom.Item {
		return dicom.NewItem().Set(dicom.QueryRetrieveLevel, level).Set(dicom.StudyInstanceUID, x.Data.Text(dicom.StudyInstanceUID))
	}
	var all []*dicom.Item
	switch level {
	case "STUDY":
		all = append(all, match().Set(dicom.NumberOfStudyRelatedInstances, len(l.objects)))
	case "SERIES":
		all = append(all, match().Set(dicom.SeriesInstanceUID, string(l.series)))
	case "IMAGE":
		for _, o := range l.objects {
			all = append(all, match().Set(dicom.SeriesInstanceUID, string(l.series)).Set(dicom.SOPInstanceUID, string(o)))
		}
	default:
		return dimse.Answer{}, fmt.Errorf("level %q", level)
	}
	for _, m := range all {
		if err := x.Pending(m, false); err != nil {
			return dimse.Answer{}, err
		}
	}
	return dimse.Answer{Status: dimse.Success}, nil
}

// TestMissingSlicesAreAskedOfTheirSender has the sender be the one that holds the
// rest, while no archive is there.
func TestMissingSlicesAreAskedOfTheirSender(t *testing.T) {
	h := newHouse(t)
	ours := h.serve(t, nil)
	sender := peers.StartOrthanc(t, map[string]any{"DicomModalities": map[string]any{"varde": peers.Modality(t, "VARDE", ours)}})
	d := drawChest(t, 4, 12)
	push(t, sender.DICOM, "ORTHANC", d.Objects)
	q := h.inquirer(nil)
	q.AET = ""
	q.Sender = func(ae string) inquiry.Dialing {
		if ae != "CT1" {
			return nil
		}
		return func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
			return dimse.Dialer{Calling: "VARDE", Called: "ORTHANC", Timeout: 20 * time.Second}.Dial(ctx, sender.DICOM, contexts...)
		}
	}
	run(t, q.Run)
	settler := h.settler()
	settler.Archive, settler.Cap = q, 20*time.Second
	run(t, settler.Run)
	push(t, ours, "VARDE", d.Objects[:7])
	if s := h.await(t, d.Study, study.Scoring, study.Settled, study.Scored); s.Rev != 1 || s.Instances != len(d.Objects) {
		t.Errorf("settled as revision %d with %d objects of %d", s.Rev, s.Instances, len(d.Objects))
	}
}
