package report_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/dimse"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/study"
)

// A way leads to an archive, and breaks as it is told to: each connection goes on for
// so many bytes from us and then ends, both sides of it, without a word.
type way struct {
	to  string
	mu  sync.Mutex
	cut []int64 // bytes, of the next connections; then all of them hold
	ran int     // connections
}

func (w *way) open(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var each sync.WaitGroup
	each.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			each.Go(func() { w.lead(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		each.Wait()
	})
	return l.Addr().String()
}

func (w *way) lead(c net.Conn) {
	defer func() { _ = c.Close() }()
	w.mu.Lock()
	most := int64(-1)
	if len(w.cut) > 0 {
		most, w.cut = w.cut[0], w.cut[1:]
	}
	w.ran++
	w.mu.Unlock()
	there, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer func() { _ = there.Close() }()
	back := make(chan struct{})
	go func() {
		_, _ = io.Copy(c, there)
		_ = c.Close()
		close(back)
	}()
	if most < 0 {
		_, _ = io.Copy(there, c)
	} else {
		_, _ = io.CopyN(there, c, most)
	}
	_ = there.Close()
	<-back
}

// TestAWayThatBreaksInTheMiddleLosesNothing has DCMTK's receiver behind a way that breaks
// at the greeting, amid the first object, amid a later one and right before the last
// answers. Nothing is given up, and each object is there once.
func TestAWayThatBreaksInTheMiddleLosesNothing(t *testing.T) {
	port, dir := peers.Port(t), t.TempDir()
	peers.Serve(t, exec.Command(peers.Need(t, "storescp", "dcmtk"), "-od", dir, "-aet", "PACS", "-uf", port), "127.0.0.1:"+port)
	m := reported(t, "PACS")
	size := int64(len(m.objects[m.reports[0].Key]))
	for n := range 5 {
		r := m.deliveries[0]
		r.ID, r.Seq = fmt.Sprintf("again %d", n), int64(n+1)
		m.deliveries = append(m.deliveries, r)
	}
	w := &way{to: "127.0.0.1:" + port, cut: []int64{0, 40, 900, size, 3 * size, 5*size + 2000}}
	deliver(t, m, report.Destination{Name: "PACS", AET: "PACS", Addr: w.open(t)})
	wait := time.Now().Add(60 * time.Second)
	for ; ; time.Sleep(20 * time.Millisecond) {
		m.mu.Lock()
		open := 0
		for i := range m.deliveries {
			switch d := &m.deliveries[i]; d.Status {
			case "waiting":
				open++
				d.NextAt = time.Time{} // nobody waits for the pauses here
			case "failed":
				t.Fatalf("given up: %+v", *d)
			}
		}
		m.mu.Unlock()
		if open == 0 {
			break
		}
		if time.Now().After(wait) {
			t.Fatalf("%d are not delivered", open)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 || !strings.Contains(files[0], string(m.reports[0].UID)) {
		t.Errorf("the archive has %v", files)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.cut) != 0 || w.ran < 6 {
		t.Errorf("%d connections, and %d cuts that were not made", w.ran, len(w.cut))
	}
}

// TestADestinationThatSaysNothingIsAway takes the connection and is silent.
func TestADestinationThatSaysNothingIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	m := reported(t, "PACS")
	dialer := dimse.Dialer{Calling: "VARDE", Called: "PACS", Timeout: 300 * time.Millisecond}
	deliver(t, m, report.Destination{Name: "PACS", AET: "PACS", Dial: func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
		return dialer.Dial(ctx, l.Addr().String(), contexts...)
	}})
	d := m.await(t, "PACS", func(d study.Delivery) bool { return d.Tries > 0 })
	if d.Status != "waiting" || d.Error == "" {
		t.Errorf("%+v", d)
	}
}

// TestAnObjectThatIsThereAlreadyIsDelivered: the answer to the first try was lost.
func TestAnObjectThatIsThereAlreadyIsDelivered(t *testing.T) {
	m := reported(t, "PACS")
	a := &archive{statuses: []dimse.Status{dimse.DuplicateSOPInstance}}
	deliver(t, m, report.Destination{Name: "PACS", AET: "PACS", Addr: a.open(t, "127.0.0.1:0")})
	if d := m.await(t, "PACS", delivered); d.Tries != 1 {
		t.Errorf("%+v", d)
	}
}
