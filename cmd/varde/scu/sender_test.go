package scu

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
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// A moody receiver does with each object what its mood says, and counts.
type moody struct {
	mood func(r dimse.StoreRequest, n int) dimse.Status // n counts how often the object came, from 1

	mu    sync.Mutex
	conns map[string]net.Conn
	came  map[study.UID]int
	kept  map[study.UID]int
}

// breakOff is the mood that closes the connection.
const breakOff dimse.Status = 0xFFFF

func (m *moody) Store(_ context.Context, r dimse.StoreRequest) dimse.Status {
	if _, err := io.Copy(io.Discard, r.Data); err != nil {
		return dimse.ProcessingFailure // half an object
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.came[r.Instance]++
	s := m.mood(r, m.came[r.Instance])
	if s == breakOff {
		_ = m.conns[r.Remote].Close()
	}
	if s.OK() {
		m.kept[r.Instance]++
	}
	return s
}

// Accept remembers connections.
type remembering struct {
	net.Listener
	m *moody
}

func (l remembering) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.m.mu.Lock()
		l.m.conns[c.RemoteAddr().String()] = c
		l.m.mu.Unlock()
	}
	return c, err
}

// receiver starts one, and gives its address.
func receiver(t *testing.T, mood func(r dimse.StoreRequest, n int) dimse.Status) (*moody, string) {
	t.Helper()
	m := &moody{mood: mood, conns: map[string]net.Conn{}, came: map[study.UID]int{}, kept: map[study.UID]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- (&dimse.Server{AET: "VARDE", Handler: m}).Serve(ctx, remembering{l, m}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return m, l.Addr().String()
}

func sender(retries int) *Sender {
	return &Sender{Dialer: dimse.Dialer{Calling: "CT1", Called: "VARDE", Timeout: 20 * time.Second}, Retries: retries, Wait: time.Millisecond}
}

func chest(t *testing.T, slices int) studytest.Drawn {
	t.Helper()
	drawn, err := studytest.ChestCT(studytest.CT{Seed: 1, Size: 64, Slices: slices})
	if err != nil {
		t.Fatal(err)
	}
	return drawn
}

// some draws the objects of one exam.
func some(t *testing.T, n int) []Object {
	t.Helper()
	objects := FromStudy(chest(t, n))
	for i := range objects {
		objects[i].Name = string(objects[i].UID)
	}
	if len(objects) != n {
		t.Fatalf("%d objects, not %d", len(objects), n)
	}
	return objects
}

// names lists what was not sent.
func names(all []Unsent) (out []string) {
	for _, u := range all {
		out = append(out, u.Name)
	}
	return out
}

// TestWhatCanBeSentIsSent has a receiver that is wrong about some objects, in each way
// that one can be, and holds what is stored at the end against what is said of it.
func TestWhatCanBeSentIsSent(t *testing.T) {
	objects := some(t, 12)
	at := func(i int) study.UID { return objects[i].UID }
	for _, tt := range []struct {
		what   string
		mood   func(r dimse.StoreRequest, n int) dimse.Status
		unsent []int
		words  string // of the first cause
		broke  int
	}{
		{"takes all", func(dimse.StoreRequest, int) dimse.Status { return dimse.Success }, nil, "", 0},
		{"refuses two", func(r dimse.StoreRequest, _ int) dimse.Status {
			if r.Instance == at(0) || r.Instance == at(7) {
				return dimse.CannotUnderstand
			}
			return dimse.Success
		}, []int{0, 7}, "C000 error: cannot understand", 0},
		{"takes with a warning", func(dimse.StoreRequest, int) dimse.Status { return dimse.CoercedElements }, nil, "", 0},
		{"breaks off once in the middle", func(r dimse.StoreRequest, n int) dimse.Status {
			if r.Instance == at(5) && n == 1 {
				return breakOff
			}
			return dimse.Success
		}, nil, "", 1},
		{"breaks off at each object once", func(_ dimse.StoreRequest, n int) dimse.Status {
			if n == 1 {
				return breakOff
			}
			return dimse.Success
		}, nil, "", 12},
		{"breaks off whenever one object comes", func(r dimse.StoreRequest, _ int) dimse.Status {
			if r.Instance == at(0) {
				return breakOff
			}
			return dimse.Success
		}, []int{0}, "broken off 2 times while it was sent", 2},
		{"has no room at first", func(r dimse.StoreRequest, n int) dimse.Status {
			if r.Instance == at(3) && n < 3 {
				return dimse.OutOfResources
			}
			return dimse.Success
		}, nil, "", 0},
		{"never has room for one", func(r dimse.StoreRequest, _ int) dimse.Status {
			if r.Instance == at(3) {
				return dimse.OutOfResources
			}
			return dimse.Success
		}, []int{3}, "out of resources", 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			m, addr := receiver(t, tt.mood)
			out := sender(3).Send(t.Context(), addr, objects)
			var want []string
			for _, i := range tt.unsent {
				want = append(want, string(at(i)))
			}
			if got := names(out.Unsent); !slices.Equal(got, want) || out.Sent != len(objects)-len(want) || out.Broke != tt.broke {
				t.Errorf("%d sent, %v not, %d broke; not %v, %d", out.Sent, out.Unsent, out.Broke, want, tt.broke)
			}
			if len(out.Unsent) > 0 && !strings.Contains(out.Unsent[0].Why, tt.words) {
				t.Errorf("the cause: %s", out.Unsent[0].Why)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			for i, o := range objects {
				if n := m.kept[o.UID]; n != 1 && !slices.Contains(tt.unsent, i) || n != 0 && slices.Contains(tt.unsent, i) {
					t.Errorf("object %d is kept %d times", i, n)
				}
			}
		})
	}
}

// TestReceiverThatIsGivenUpIsSaidOfEveryObject: nothing is counted as sent that was
// not answered for, and no object goes unnamed.
func TestReceiverThatIsGivenUpIsSaidOfEveryObject(t *testing.T) {
	objects := some(t, 12)
	_, breaks := receiver(t, func(dimse.StoreRequest, int) dimse.Status { return breakOff })
	_, other := receiver(t, func(dimse.StoreRequest, int) dimse.Status { return dimse.Success })
	wrong := sender(3)
	wrong.Dialer.Called = "WRONG"
	stopping, cancel := context.WithCancel(t.Context())
	_, stops := receiver(t, func(_ dimse.StoreRequest, _ int) dimse.Status { cancel(); return dimse.Success })
	for what, tt := range map[string]struct {
		s     *Sender
		ctx   context.Context
		addr  string
		words string
	}{
		"nobody listens":          {sender(3), t.Context(), peers.Addr(t), "connection refused"},
		"another title":           {wrong, t.Context(), other, "Called AE Title"},
		"breaks off every time":   {sender(3), t.Context(), breaks, ""},
		"breaks off, no retries":  {sender(0), t.Context(), breaks, ""},
		"asked to stop meanwhile": {sender(3), stopping, stops, "asked to stop"},
	} {
		out := tt.s.Send(tt.ctx, tt.addr, objects)
		if out.Sent+len(out.Unsent) != len(objects) || len(out.Unsent) < len(objects)-1 {
			t.Errorf("%s: %d sent, %d not", what, out.Sent, len(out.Unsent))
		}
		for _, u := range out.Unsent {
			if u.Why == "" || u.Name == "" || !strings.Contains(strings.ToLower(u.Why), strings.ToLower(tt.words)) {
				t.Errorf("%s: %+v", what, u)
			}
		}
	}
}

// TestFileThatFailsUnderWayKeepsTheOthersGoing: half an object is not left behind, and
// the objects after it are sent.
func TestFileThatFailsUnderWayKeepsTheOthersGoing(t *testing.T) {
	objects := some(t, 4)
	whole := objects[1].Open
	objects[1].Open = func() (io.ReadCloser, error) {
		r, err := whole()
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r, 5000), failing{}), r}, err
	}
	objects[2].Open = func() (io.ReadCloser, error) { return nil, os.ErrPermission }
	m, addr := receiver(t, func(dimse.StoreRequest, int) dimse.Status { return dimse.Success })
	out := sender(1).Send(t.Context(), addr, objects)
	if out.Sent != 2 || out.Broke != 0 || len(out.Unsent) != 2 || !strings.Contains(out.Unsent[0].Why, "the disk says no") || !strings.Contains(out.Unsent[1].Why, "permission") {
		t.Errorf("%+v", out)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) != 2 || m.kept[objects[1].UID] != 0 {
		t.Errorf("kept: %v", m.kept)
	}
}

// failing is a disk that has gone.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk says no") }

// TestOtherMakersReceiversAreSentWhatTheyTake sends to a storage provider of another
// maker that takes some transfer syntaxes only, and to one that aborts whatever comes.
func TestOtherMakersReceiversAreSentWhatTheyTake(t *testing.T) {
	program := peers.Need(t, "storescp", "dcmtk")
	objects := some(t, 3)
	odd := objects[1]
	odd.Syntax = dicom.JPEGLS
	objects[1] = odd
	addr := peers.Addr(t)
	_, port, _ := net.SplitHostPort(addr)
	peers.Serve(t, exec.Command(program, "--ignore", "-aet", "VARDE", port), addr)
	out := sender(1).Send(t.Context(), addr, objects)
	if out.Sent != 2 || len(out.Unsent) != 1 || !strings.Contains(out.Unsent[0].Why, "does not take class") {
		t.Errorf("%+v", out)
	}
	addr = peers.Addr(t)
	_, port, _ = net.SplitHostPort(addr)
	peers.Serve(t, exec.Command(program, "--ignore", "--abort-after", "-aet", "VARDE", port), addr)
	if out := sender(1).Send(t.Context(), addr, objects); out.Sent != 0 || len(out.Unsent) != 3 || out.Broke == 0 {
		t.Errorf("of one that aborts: %+v", out)
	}
}

// TestFoldersAreWalkedAndEachFileIsTold: files of other formats are counted, what is
// broken is named, and none of it keeps the rest from being found.
func TestFoldersAreWalkedAndEachFileIsTold(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	drawn := chest(t, 3)
	file("a/1.dcm", drawn.Objects[0].File)
	file("a/deep/er/2", drawn.Objects[1].File)
	file("a/README.txt", []byte("no DICOM"))
	file("a/empty", nil)
	file("a/directory", append(dicom.Prefix(dicom.DirectoryStorage, "2.25.1", dicom.ExplicitLE, ""), drawn.Objects[0].DataSet...))
	short := file("a/short.dcm", drawn.Objects[2].File[:300])
	noUID := file("a/without.dcm", append(dicom.Prefix("1.2.840.10008.5.1.4.1.1.2", "2.25.1", dicom.ExplicitLE, ""), 8, 0, 0x60, 0, 'C', 'S', 2, 0, 'C', 'T'))
	missing := filepath.Join(dir, "missing")
	if err := errors.Join(os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "link")), os.Symlink(missing, filepath.Join(dir, "a/gone"))); err != nil {
		t.Fatal(err)
	}
	f := Find([]string{missing, filepath.Join(dir, "a")})
	slices.SortFunc(f.Broken, func(a, b Unsent) int { return strings.Compare(a.Name, b.Name) })
	want := []string{filepath.Join(dir, "a/gone"), short, noUID, missing}
	if got := names(f.Broken); len(f.Objects) != 2 || f.NotDICOM != 3 || !slices.Equal(got, want) {
		t.Errorf("%d objects, %d others, broken %+v; not %v", len(f.Objects), f.NotDICOM, f.Broken, want)
	}
	for _, u := range f.Broken {
		if u.Why == "" || strings.Contains(u.Why, "VARDE^") {
			t.Errorf("%+v", u)
		}
	}
	if f := Find([]string{filepath.Join(dir, "link")}); len(f.Objects) != 2 || !strings.HasPrefix(f.Broken[0].Name, dir) {
		t.Errorf("by a link: %+v", f)
	}
	r, err := f.Objects[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, drawn.Objects[0].DataSet) {
		t.Errorf("what is sent is not the data set: %v", err)
	}
}
