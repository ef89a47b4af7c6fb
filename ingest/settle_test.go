package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"varde/ingest"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// shelf is a registry of cards that are all live.
type shelf []modelcard.Card

func (s shelf) Cards(context.Context) ([]models.Entry, error) {
	var out []models.Entry
	for _, c := range s {
		out = append(out, models.Entry{Card: c, State: study.ModelLive})
	}
	return append(out, models.Entry{Card: modelcard.Card{ID: "draft", Version: "1", Use: modelcard.Use{}, Input: modelcard.Input{Kind: study.Images}}, State: study.ModelDraft}), nil
}

func noduleCard() modelcard.Card {
	return modelcard.Card{ID: "nodules", Version: "1", SHA256: study.Hash{1}, Hash: study.Hash{2},
		Use:   modelcard.Use{Modality: []study.Modality{study.CT}, BodyParts: []string{"CHEST"}, MinImages: 10, MaxStepMM: 3},
		Input: modelcard.Input{Kind: study.Volume, Values: "hu", SpacingMM: [3]float64{1, 1, 1}, HaloPlanes: 8},
	}
}

func mammoCard() modelcard.Card {
	return modelcard.Card{ID: "calcifications", Version: "1", SHA256: study.Hash{3}, Hash: study.Hash{4},
		Use:   modelcard.Use{Modality: []study.Modality{study.MG}, Intents: []string{"FOR PRESENTATION"}},
		Input: modelcard.Input{Kind: study.Images, Values: "unit"},
	}
}

func slideCard() modelcard.Card {
	return modelcard.Card{ID: "density", Version: "1", SHA256: study.Hash{5}, Hash: study.Hash{6},
		Use:   modelcard.Use{Modality: []study.Modality{study.SM}},
		Input: modelcard.Input{Kind: study.Patches, Values: "rgb", Width: 128, Height: 128, MicronsPerPixel: 0.5, MinTissue: 0.5}}
}

func (h *house) settler(woken *atomic.Int32) *ingest.Settler {
	return &ingest.Settler{Ledger: h.ledger, Models: shelf{noduleCard(), mammoCard(), slideCard()}, Traffic: h.traffic, Log: h.Log,
		Slides:  &slide.Reader{Objects: h.objects, Frames: h.ledger.Frames},
		Decodes: codec.Supported, Wake: func() { woken.Add(1) }}
}

// serve takes associations on a free port until the test ends.
func (h *house) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dimse.Server{AET: "VARDE", Handler: h.Receiver, Log: h.Log,
		Ended: h.traffic.AssociationEnded}
	run(t, func(ctx context.Context) error { return server.Serve(ctx, l) })
	return l.Addr().String()
}

// run runs f until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// await waits until a study is in one of some states.
func (h *house) await(t *testing.T, uid study.UID, want ...study.Status) study.Study {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s, err := h.ledger.Study(t.Context(), uid)
		if err == nil && slices.Contains(want, s.Status) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("study is %s after half a minute (%v), want %s; log:\n%s", s.Status, err, want, h.log)
		}
	}
}

func draw(t *testing.T) []studytest.Drawn {
	t.Helper()
	ct, err1 := studytest.ChestCT(studytest.CT{Seed: 1, Slices: 24, Size: 64})
	mg, err2 := studytest.Mammogram(studytest.MG{Seed: 1})
	sm, err3 := studytest.Slide(studytest.SM{Seed: 1, Columns: 1600, Rows: 1200})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return []studytest.Drawn{ct, mg, sm}
}

// storescu sends a study's files with DCMTK's sender.
func storescu(t *testing.T, addr string, d studytest.Drawn) {
	t.Helper()
	path := peers.Need(t, "storescu", "dcmtk")
	dir := t.TempDir()
	for i, o := range d.Objects {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(1000+i)+".dcm"), o.File, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	syntax := map[study.UID]string{dicom.JPEGBaseline: "-xy", dicom.ExplicitLE: "-x="}[d.Objects[0].Syntax]
	args := []string{"-aet", "TEST", "-aec", "VARDE", "-R", "+sd", syntax, host, port, dir}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("storescu: %v\n%s", err, out)
	}
}

func TestAStudySentByDCMTKIsSettledAndPlanned(t *testing.T) {
	h := newHouse(t)
	addr := h.serve(t)
	var woken atomic.Int32
	run(t, h.settler(&woken).Run)
	for i, d := range draw(t) {
		storescu(t, addr, d)
		s := h.await(t, d.Study, study.Scoring)
		if s.Rev != 1 || s.Sender != "TEST" || s.Instances != len(d.Objects) || s.SettledAt.IsZero() {
			t.Errorf("%s: %+v", d.Name, s)
		}
		jobs, err := h.ledger.Claim(t.Context(), study.PoolCPU, 100, study.Backfill)
		if err != nil || len(jobs) == 0 || int(woken.Load()) != i+1 {
			t.Fatalf("%s: %d jobs, woken %d times, %v", d.Name, len(jobs), woken.Load(), err)
		}
		tiles := 0
		for _, j := range jobs {
			if j, _, err = h.ledger.Job(t.Context(), j.ID); err != nil {
				t.Fatal(err)
			}
			tiles += j.Block.Planned()
			if len(d.Objects) != 3 && len(j.Block.Tiles) == 0 || j.Study != d.Study || j.Rev != 1 {
				t.Errorf("%s: job %+v", d.Name, j)
			}
		}
		if d.Modality != study.SM && tiles != len(d.Objects) {
			t.Errorf("%s: %d tiles planned of %d images", d.Name, tiles, len(d.Objects))
		}
		if d.Modality == study.SM && (tiles < 30 || tiles > 130) { // of 13 × 10 places
			t.Errorf("%s: %d patches planned", d.Name, tiles)
		}
		for _, o := range d.Objects {
			in, err := h.ledger.Instance(t.Context(), o.Instance)
			if err != nil || !bytes.Equal(firstFrame(t, h.bytes(t, in.Key)), firstFrame(t, o.File)) {
				t.Errorf("%s: instance %s has other pixels: %v", d.Name, o.Instance, err)
			}
		}
	}
}

// firstFrame gives a frame's bytes. DCMTK writes a data set anew before it sends
// it, so that only the pixels stay as they were.
func firstFrame(t *testing.T, file []byte) []byte {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sp := h.Frames.Spans[0]
	return file[sp.Off : sp.Off+sp.Len]
}

func TestALateSliceOpensTheStudyAgain(t *testing.T) {
	h := newHouse(t)
	var woken atomic.Int32
	settler := h.settler(&woken)
	d := draw(t)[0]
	for _, o := range d.Objects[1:] {
		if s := h.cstore(t, o, "CT1"); s != dimse.Success {
			t.Fatal(s)
		}
	}
	h.traffic.SenderEnded("CT1")
	run(t, settler.Run)
	h.await(t, d.Study, study.Scoring)
	if s := h.cstore(t, d.Objects[0], "CT1"); s != dimse.Success {
		t.Fatal(s)
	}
	if s, err := h.ledger.Study(t.Context(), d.Study); err != nil || s.Status != study.Receiving {
		t.Fatalf("%s, %v", s.Status, err)
	}
	h.traffic.SenderEnded("CT1")
	if s := h.await(t, d.Study, study.Scoring); s.Rev != 2 || s.Instances != len(d.Objects) {
		t.Errorf("rev %d with %d instances", s.Rev, s.Instances)
	}
	plan, err := h.ledger.ModelPlan(t.Context(), d.Study, 2, noduleCard().Ref())
	if err != nil || plan.Planned != len(d.Objects) {
		t.Errorf("%d slices planned, %v", plan.Planned, err)
	}
}

func TestAStudyIsNotSettledWhileAnObjectIsOnItsWay(t *testing.T) {
	h := newHouse(t)
	var woken atomic.Int32
	long, err := studytest.ChestCT(studytest.CT{Seed: 1, Slices: 2, Size: 800}) // longer than the head that tells the study
	if err != nil {
		t.Fatal(err)
	}
	if s := h.cstore(t, long.Objects[0], "CT1"); s != dimse.Success {
		t.Fatal(s)
	}
	file := long.Objects[1].File
	slow, done := &slowReader{gate: make(chan struct{}), first: file[:1<<20+1000], second: file[1<<20+1000:]}, make(chan error, 1)
	go func() {
		_, err := h.Receive(t.Context(), stow, ingest.Object{Data: slow})
		done <- err
	}()
	for !slow.asked() {
		time.Sleep(time.Millisecond)
	}
	other := draw(t)[0]
	if s := h.cstore(t, other.Objects[0], "CT1"); s != dimse.Success {
		t.Fatal(s)
	}
	h.traffic.SenderEnded("CT1")
	run(t, h.settler(&woken).Run)
	h.await(t, other.Study, study.Scored, study.Settled, study.Scoring)
	if s, err := h.ledger.Study(t.Context(), long.Study); err != nil || s.Status != study.Receiving {
		t.Errorf("a study with an object on its way is %s, %v", s.Status, err)
	}
	close(slow.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	h.traffic.StudiesEnded(long.Study)
	if s := h.await(t, long.Study, study.Scored, study.Settled, study.Scoring); s.Instances != 2 || s.Rev != 1 {
		t.Errorf("%d instances, rev %d", s.Instances, s.Rev)
	}
}

// slowReader gives its second half only when the gate is open.
type slowReader struct {
	gate          chan struct{}
	first, second []byte
	waits         atomic.Bool
}

// asked reports whether the second half is waited for.
func (s *slowReader) asked() bool { return s.waits.Load() }

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.first) > 0 {
		n := copy(p, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	s.waits.Store(true)
	<-s.gate
	n := copy(p, s.second)
	if s.second = s.second[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// forgetful fails the first settlings.
type forgetful struct {
	ingest.Ledger
	left atomic.Int32
}

func (f *forgetful) Settle(ctx context.Context, p study.Plan) error {
	if f.left.Add(-1) >= 0 {
		return errors.New("the ledger's disk is busy")
	}
	return f.Ledger.Settle(ctx, p)
}

func TestSettlingIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	var woken atomic.Int32
	settler := h.settler(&woken)
	ledger := &forgetful{Ledger: h.ledger}
	ledger.left.Store(1)
	settler.Ledger = ledger
	d := draw(t)[0]
	for _, o := range d.Objects {
		if s := h.cstore(t, o, "CT1"); s != dimse.Success {
			t.Fatal(s)
		}
	}
	h.traffic.SenderEnded("CT1")
	run(t, settler.Run)
	h.await(t, d.Study, study.Scoring)
}

func TestAStudyThatNoModelIsForIsSettledWithANote(t *testing.T) {
	h := newHouse(t)
	var woken atomic.Int32
	settler := h.settler(&woken)
	settler.Models = shelf{mammoCard()}
	d := draw(t)[0]
	h.cstore(t, d.Objects[0], "CT1")
	h.traffic.SenderEnded("CT1")
	run(t, settler.Run)
	if s := h.await(t, d.Study, study.Settled); s.Note == "" {
		t.Errorf("%+v", s)
	}
}
