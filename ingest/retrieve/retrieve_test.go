package retrieve_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/ingest"
	"varde/ingest/retrieve"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A house holds two studies of small slices and answers peers.
type house struct {
	addr     string
	provider *retrieve.Provider
	receiver *ingest.Receiver
	objects  *objects.Dir
	ledger   *store.Ledger
	studies  []studytest.Drawn
	peers    sync.Map // addresses by AE title
}

func newHouse(t *testing.T) *house {
	t.Helper()
	objects, err := objects.OpenDir(filepath.Join(t.TempDir(), "objects"))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	r := &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: &ingest.Traffic{}, MinFree: 1, Log: log}
	h := &house{receiver: r, objects: objects, ledger: ledger}
	for seed := range uint64(2) {
		d, err := studytest.ChestCT(studytest.CT{Seed: seed + 1, Slices: 6, Size: 32})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range d.Objects {
			if _, err := r.Receive(t.Context(), ingest.Source{Kind: "stow"}, ingest.Object{Data: bytes.NewReader(o.File)}); err != nil {
				t.Fatal(err)
			}
		}
		h.studies = append(h.studies, d)
	}
	h.provider = &retrieve.Provider{Finder: ledger, Objects: objects, Frames: ledger.Frames, AET: "VARDE", Log: log,
		Dial: func(ctx context.Context, ae string, contexts ...dimse.Context) (*dimse.Association, error) {
			addr, ok := h.peers.Load(ae)
			if !ok {
				return nil, study.ErrNotFound
			}
			return dimse.Dialer{Calling: "VARDE", Called: ae, Timeout: 10 * time.Second}.Dial(ctx, addr.(string), contexts...)
		}}
	h.addr = serve(t, r, map[study.UID]dimse.Service{
		retrieve.FindClass: h.provider, retrieve.MoveClass: h.provider, retrieve.GetClass: h.provider,
	})
	t.Cleanup(func() {
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func serve(t *testing.T, handler dimse.Handler, services map[study.UID]dimse.Service) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&dimse.Server{Handler: handler, Services: services}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// A keeper keeps what it is sent.
type keeper struct {
	mu     sync.Mutex
	data   map[study.UID][]byte
	status dimse.Status
}

func (k *keeper) Store(_ context.Context, r dimse.StoreRequest) dimse.Status {
	b, err := io.ReadAll(r.Data)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		return dimse.CannotUnderstand
	}
	if k.data == nil {
		k.data = map[study.UID][]byte{}
	}
	k.data[r.Instance] = b
	return k.status
}

// holds expects the data sets of a study, bit for bit.
func (k *keeper) holds(t *testing.T, d studytest.Drawn) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.data) != len(d.Objects) {
		t.Errorf("%d objects came, not %d", len(k.data), len(d.Objects))
	}
	for _, o := range d.Objects {
		_, want, err := dicom.DataSet(bytes.NewReader(o.File))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(want)
		if err != nil || !bytes.Equal(b, k.data[o.Instance]) {
			t.Errorf("%s came as other bytes, %v", o.Instance, err)
		}
	}
}

func (h *house) dial(t *testing.T, contexts ...dimse.Context) *dimse.Association {
	t.Helper()
	a, err := dimse.Dialer{Calling: "READER", Called: "VARDE", Timeout: 10 * time.Second}.Dial(t.Context(), h.addr, contexts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Abort() })
	return a
}

func query(at string, keys ...any) *dicom.Item {
	q := dicom.NewItem().Set(dicom.QueryRetrieveLevel, at)
	for n := 0; n+1 < len(keys); n += 2 {
		if v := keys[n+1]; v == "" {
			q.Set(keys[n].(dicom.Tag))
		} else {
			q.Set(keys[n].(dicom.Tag), v)
		}
	}
	return q
}

func (h *house) uid(n int) study.UID { return h.studies[n].Study }

func TestFindMatchesEveryKeyAtItsLevel(t *testing.T) {
	h := newHouse(t)
	a := h.dial(t, dimse.Plain(retrieve.FindClass))
	first := h.studies[0].Objects[0]
	head, err := dicom.Open(bytes.NewReader(first.File), int64(len(first.File)))
	if err != nil {
		t.Fatal(err)
	}
	id, seriesUID := head.Data.Text(dicom.PatientID), head.Data.Text(dicom.SeriesInstanceUID)
	for what, tt := range map[string]struct {
		query  *dicom.Item
		want   int
		status dimse.Status
	}{
		"all studies":            {query("STUDY", dicom.PatientID, "*", dicom.NumberOfStudyRelatedInstances, ""), 2, dimse.Success},
		"one by UID":             {query("STUDY", dicom.StudyInstanceUID, h.uid(0)), 1, dimse.Success},
		"both by UID":            {query("STUDY").Set(dicom.StudyInstanceUID, h.uid(0), h.uid(1)), 2, dimse.Success},
		"by patient":             {query("STUDY", dicom.PatientID, id), 2, dimse.Success},
		"of nobody":              {query("STUDY", dicom.PatientID, "no such"), 0, dimse.Success},
		"by modality":            {query("STUDY", dicom.ModalitiesInStudy, "MG"), 0, dimse.Success},
		"series":                 {query("SERIES", dicom.StudyInstanceUID, h.uid(0), dicom.Modality, "CT"), 1, dimse.Success},
		"slices":                 {query("IMAGE", dicom.StudyInstanceUID, h.uid(0), dicom.SeriesInstanceUID, seriesUID, dicom.InstanceNumber, ""), 6, dimse.Success},
		"one slice":              {query("IMAGE", dicom.StudyInstanceUID, h.uid(0), dicom.SeriesInstanceUID, seriesUID, dicom.SOPInstanceUID, first.Instance), 1, dimse.Success},
		"without a level":        {dicom.NewItem().Set(dicom.PatientID, "1"), 0, dimse.IdentifierMismatch},
		"of an unknown level":    {query("FRAME"), 0, dimse.IdentifierMismatch},
		"series of no study":     {query("SERIES", dicom.Modality, "CT"), 0, dimse.IdentifierMismatch},
		"a date that is no date": {query("STUDY").SetVR(dicom.StudyDate, "LO", "yesterday"), 0, dimse.IdentifierMismatch},
		"nothing at all":         {nil, 0, dimse.IdentifierMismatch},
	} {
		n := 0
		status, err := a.Find(t.Context(), retrieve.FindClass, tt.query, func(d *dicom.Dataset) error {
			n++
			if d.Text(dicom.StudyInstanceUID) == "" || d.Text(dicom.RetrieveAETitle) != "VARDE" {
				t.Errorf("%s: a match without its UID or where to have it", what)
			}
			if tt.query.Has(dicom.NumberOfStudyRelatedInstances) {
				if k, _ := d.Int(dicom.NumberOfStudyRelatedInstances); k != 6 {
					t.Errorf("%s: %d instances told", what, k)
				}
			}
			return nil
		})
		if err != nil || n != tt.want || status != tt.status {
			t.Errorf("%s: %d matches, %v, %v; want %d, %v", what, n, status, err, tt.want, tt.status)
		}
	}
}

func TestMoveBringsAStudyBitForBit(t *testing.T) {
	h := newHouse(t)
	k := &keeper{}
	h.peers.Store("STATION", serve(t, k, nil))
	a := h.dial(t, dimse.Plain(retrieve.MoveClass))
	counts, status, err := a.Move(t.Context(), retrieve.MoveClass, query("STUDY", dicom.StudyInstanceUID, h.uid(0)), "STATION", nil)
	if err != nil || status != dimse.Success || counts != (dimse.Suboperations{Completed: 6}) {
		t.Errorf("%+v, %v, %v", counts, status, err)
	}
	k.holds(t, h.studies[0])

	k.status = dimse.OutOfResources
	counts, status, err = a.Move(t.Context(), retrieve.MoveClass, query("STUDY", dicom.StudyInstanceUID, h.uid(1)), "STATION", nil)
	if err != nil || status != dimse.CannotPerform || counts.Failed != 6 {
		t.Errorf("a destination that is full: %+v, %v, %v", counts, status, err)
	}
	if _, status, err = a.Move(t.Context(), retrieve.MoveClass, query("STUDY", dicom.StudyInstanceUID, h.uid(1)), "NOBODY", nil); status != dimse.DestinationUnknown || err != nil {
		t.Errorf("an unknown destination: %v, %v", status, err)
	}
	h.peers.Store("AWAY", "127.0.0.1:1")
	if counts, status, err = a.Move(t.Context(), retrieve.MoveClass, query("STUDY", dicom.StudyInstanceUID, h.uid(1)), "AWAY", nil); status != dimse.CannotPerform || counts.Failed != 6 || err != nil {
		t.Errorf("a destination that is away: %+v, %v, %v", counts, status, err)
	}
	if counts, status, err = a.Move(t.Context(), retrieve.MoveClass, query("STUDY", dicom.StudyInstanceUID, "1.2.3"), "STATION", nil); status != dimse.Success || counts.Completed != 0 || err != nil {
		t.Errorf("a study that is not here: %+v, %v, %v", counts, status, err)
	}
}

func TestGetBringsAStudyOverTheSameAssociation(t *testing.T) {
	h := newHouse(t)
	k := &keeper{}
	ct := dimse.Context{Class: dicom.CTImage, Provide: true, Syntaxes: []study.UID{"1.2.840.10008.1.2.4.80", dicom.ExplicitLE, dicom.ImplicitLE}}
	a := h.dial(t, dimse.Plain(retrieve.GetClass), ct)
	counts, status, err := a.Get(t.Context(), retrieve.GetClass, query("STUDY", dicom.StudyInstanceUID, h.uid(0)), k, nil)
	if err != nil || status != dimse.Success || counts.Completed != 6 {
		t.Errorf("%+v, %v, %v", counts, status, err)
	}
	k.holds(t, h.studies[0])

	ct.Provide = false // whoever takes on no role is sent nothing
	b := h.dial(t, dimse.Plain(retrieve.GetClass), ct)
	counts, status, err = b.Get(t.Context(), retrieve.GetClass, query("STUDY", dicom.StudyInstanceUID, h.uid(0)), k, nil)
	if err != nil || status != dimse.CannotPerform || counts.Failed != 6 {
		t.Errorf("without a role: %+v, %v, %v", counts, status, err)
	}
}

// slow takes its time, so that there is some to cancel in.
type slow struct{ keeper }

func (s *slow) Store(ctx context.Context, r dimse.StoreRequest) dimse.Status {
	time.Sleep(30 * time.Millisecond)
	return s.keeper.Store(ctx, r)
}

func TestWhatIsCanceledEnds(t *testing.T) {
	h := newHouse(t)
	k := &slow{}
	h.peers.Store("STATION", serve(t, k, nil))
	a := h.dial(t, dimse.Plain(retrieve.MoveClass))
	for range 2 { // the association goes on after it
		stop := func(dimse.Suboperations) bool { return false }
		counts, status, err := a.Move(t.Context(), retrieve.MoveClass, query("STUDY").Set(dicom.StudyInstanceUID, h.uid(0), h.uid(1)), "STATION", stop)
		if err != nil || status != dimse.Canceled || counts.Remaining == 0 {
			t.Errorf("%+v, %v, %v", counts, status, err)
		}
	}
}

func TestWhoIsNotAllowedLearnsNothing(t *testing.T) {
	h := newHouse(t)
	h.provider.Allowed = func(ae, _ string) bool { return ae != "READER" }
	a := h.dial(t, dimse.Plain(retrieve.FindClass), dimse.Plain(retrieve.MoveClass))
	n := 0
	status, err := a.Find(t.Context(), retrieve.FindClass, query("STUDY"), func(*dicom.Dataset) error { n++; return nil })
	if err != nil || status != dimse.NotAuthorized || n != 0 {
		t.Errorf("%d matches, %v, %v", n, status, err)
	}
	if _, status, err := a.Move(t.Context(), retrieve.MoveClass, query("STUDY", dicom.StudyInstanceUID, h.uid(0)), "STATION", nil); status != dimse.NotAuthorized || err != nil {
		t.Errorf("%v, %v", status, err)
	}
}

func (h *house) tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(h.addr)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, peers.Need(t, name, "dcmtk"), append(append([]string{"-v", "-aec", "VARDE", "-S"}, args...), host, port)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestDCMTKFindsMovesAndGets(t *testing.T) {
	h := newHouse(t)
	one := "StudyInstanceUID=" + string(h.uid(0))
	out := h.tool(t, "findscu", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientName", "-k", "StudyDate")
	if n := strings.Count(out, string(h.uid(0))) + strings.Count(out, string(h.uid(1))); n != 2 || !strings.Contains(out, "Success") {
		t.Errorf("findscu: %d\n%s", n, out)
	}
	k := &keeper{}
	h.peers.Store("STATION", serve(t, k, nil))
	if out := h.tool(t, "movescu", "-aem", "STATION", "-k", "QueryRetrieveLevel=STUDY", "-k", one); !strings.Contains(out, "Success") {
		t.Errorf("movescu\n%s", out)
	}
	k.holds(t, h.studies[0])
	dir := t.TempDir()
	h.tool(t, "getscu", "-od", dir, "-k", "QueryRetrieveLevel=STUDY", "-k", one)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 6 {
		t.Errorf("getscu has %d files, %v", len(files), err)
	}
}
