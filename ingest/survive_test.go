package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// receiverEnv names the folder in which a test binary works as the receiver that
// is to be killed.
const receiverEnv = "VARDE_TEST_RECEIVER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(receiverEnv); dir != "" {
		if err := receiveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// receiveUntilKilled takes objects in over DIMSE and says on stdout where.
func receiveUntilKilled(dir string) error {
	ctx := context.Background()
	objects, err := objects.OpenDir(filepath.Join(dir, "objects"))
	if err != nil {
		return err
	}
	ledger, err := store.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	traffic := &ingest.Traffic{}
	r := &ingest.Receiver{Archive: objects, Keeper: objects, Register: ledger, Traffic: traffic, MinFree: 1, Log: slog.New(slog.DiscardHandler)}
	fmt.Println(l.Addr())
	return (&dimse.Server{AET: "VARDE", Handler: r, Log: slog.New(slog.DiscardHandler), Ended: traffic.AssociationEnded}).Serve(ctx, l)
}

// A victim is the receiver that is started and killed.
type victim struct {
	dir string
	mu  sync.Mutex // guards what follows
	cmd *exec.Cmd
	at  string // its address
}

// start brings up a receiver over what the last one left.
func (v *victim) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), receiverEnv+"="+v.dir)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("the receiver does not start: %v\n%s", err, told.String())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cmd, v.at = cmd, strings.TrimSpace(line)
}

// kill ends the receiver as a power cut would end its process.
func (v *victim) kill() {
	v.mu.Lock()
	cmd := v.cmd
	v.mu.Unlock()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func (v *victim) addr() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at
}

// A parcel is one object to send.
type parcel struct {
	uid, study study.UID
	body       []byte
}

// parcels draws small objects, fifty a study.
func parcels(t *testing.T, n int) []parcel {
	t.Helper()
	all := make([]parcel, n)
	for i := range all {
		p := parcel{uid: study.UID(fmt.Sprintf("2.25.4711.%d.%d", i/50, i)), study: study.UID(fmt.Sprintf("2.25.4711.%d", i/50))}
		o := dicom.NewObject(dicom.CTImage, p.uid)
		o.Set(dicom.StudyInstanceUID, p.study).Set(dicom.SeriesInstanceUID, p.study+".1").Set(dicom.Modality, "CT")
		o.Set(dicom.PatientID, fmt.Sprint("P", i/50)).Set(dicom.InstanceNumber, i)
		o.Native(8, 8, 1, 16, false, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 64))
		file, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, err := dicom.DataSet(bytes.NewReader(file))
		if err == nil {
			p.body, err = io.ReadAll(rest)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[i] = p
	}
	return all
}

// A post sends parcels from several senders, each again until it is acknowledged.
type post struct {
	victim *victim
	mu     sync.Mutex // guards what follows
	left   []parcel
	acks   int
	again  int // sendings that came to nothing
	pass   chan int
}

func (p *post) next() (parcel, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left) == 0 {
		return parcel{}, false
	}
	x := p.left[0]
	p.left = p.left[1:]
	return x, true
}

// acknowledged counts, and tells whoever kills how far it is.
func (p *post) acknowledged() {
	p.mu.Lock()
	p.acks++
	n := p.acks
	p.mu.Unlock()
	p.pass <- n
}

// run is one sender: one association as long as it lasts.
func (p *post) run(ctx context.Context) error {
	var a *dimse.Association
	defer func() {
		if a != nil {
			_ = a.Release()
		}
	}()
	for {
		x, ok := p.next()
		if !ok {
			return nil
		}
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			if a == nil {
				var err error
				a, err = dimse.Dialer{Calling: "SENDER", Called: "VARDE", Timeout: 10 * time.Second}.Dial(ctx, p.victim.addr(),
					dimse.Context{Class: dicom.CTImage, Syntaxes: []study.UID{dicom.ExplicitLE}})
				if err != nil {
					a = nil
					time.Sleep(5 * time.Millisecond) // it is being started
					continue
				}
			}
			status, err := a.Store(ctx, dicom.CTImage, x.uid, dicom.ExplicitLE, bytes.NewReader(x.body))
			if err == nil && status == dimse.Success {
				break
			}
			if err == nil {
				return fmt.Errorf("instance %s: %v", x.uid, status)
			}
			_ = a.Abort()
			a = nil
			p.mu.Lock()
			p.again++
			p.mu.Unlock()
		}
		p.acknowledged()
	}
}

// fromEnv reads a count, or gives the usual one.
func fromEnv(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// TestAcknowledgedObjectsSurviveKills sends small objects from four senders while
// the receiver is killed at random moments and started again over what it left.
// Each object that was acknowledged is there, byte for byte, once.
// VARDE_KILL_OBJECTS and VARDE_KILL_TIMES say how many and how often: the figures
// of the promise are 100000 and 100.
func TestAcknowledgedObjectsSurviveKills(t *testing.T) {
	n, kills := fromEnv("VARDE_KILL_OBJECTS", 3000), fromEnv("VARDE_KILL_TIMES", 20)
	if testing.Short() {
		n, kills = min(n, 600), min(kills, 5)
	}
	all := parcels(t, n)
	v := &victim{dir: t.TempDir()}
	v.start(t)
	p := &post{victim: v, left: all, pass: make(chan int, n)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := make(chan error, 4)
	for range 4 {
		go func() { errs <- p.run(ctx) }()
	}
	random := rand.New(rand.NewPCG(uint64(n), uint64(kills)))
	done, running, aim := 0, 4, 1+random.IntN(max(1, n/kills))
	for running > 0 {
		select {
		case got := <-p.pass:
			if done < kills && got >= aim {
				// Not at the acknowledgment itself, but somewhere in what follows.
				time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
				v.kill()
				v.start(t)
				done++
				aim = n*done/kills + 1 + random.IntN(max(1, n/kills))
			}
		case err := <-errs:
			running--
			if err != nil {
				t.Error(err)
			}
		}
	}
	v.kill()
	if done < kills*9/10 {
		t.Errorf("only %d kills", done)
	}
	t.Logf("%d objects, %d kills, %d sent again", n, done, p.again)
	checkSurvivors(t, v.dir, all)
}

// checkSurvivors opens what the last receiver left.
func checkSurvivors(t *testing.T, dir string, all []parcel) {
	t.Helper()
	objects, err := objects.OpenDir(filepath.Join(dir, "objects"))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := store.OpenLedger(t.Context(), filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ledger.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	})
	keys := map[string]bool{}
	for key, err := range objects.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys[key] = true
	}
	counts := map[study.UID]int{}
	for _, p := range all {
		want := append(dicom.Prefix(dicom.CTImage, p.uid, dicom.ExplicitLE, ""), p.body...)
		in, err := ledger.Instance(t.Context(), p.uid)
		if err != nil {
			t.Fatal(err)
		}
		r, err := objects.Range(t.Context(), in.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil || !bytes.Equal(got, want) || in.SHA256 != sha256.Sum256(want) || in.Bytes != int64(len(want)) {
			t.Fatalf("instance %s is not what was acknowledged: %d bytes, %v", p.uid, len(got), err)
		}
		delete(keys, in.Key)
		counts[p.study]++
	}
	for key := range keys {
		t.Errorf("%s lies there and belongs to nothing", key)
	}
	for uid, n := range counts {
		if s, err := ledger.Study(t.Context(), uid); err != nil || s.Instances != n || s.Conflicts != 0 {
			t.Errorf("study %s: %d instances in place of %d, %d conflicts, %v", uid, s.Instances, n, s.Conflicts, err)
		}
	}
	if _, err := ledger.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
}
