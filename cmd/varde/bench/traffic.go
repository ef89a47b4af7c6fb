package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/store/objects"
	"varde/study"
)

// What taking in is held against.
const (
	parallelLimit = 400.0 // objects a second, from 8 senders
	streamLimit   = 300.0 // MB a second, one long object
	memoryLimit   = 50.0  // MB resident while it comes
)

const (
	// senders push at once, each on its own association.
	senders = 8
	// senderSlices is what each of them has: 512 × 512 × 16 bit.
	senderSlices = 60
	// spareRoom stays free on the disk beside what a benchmark writes.
	spareRoom = 3 << 30
)

// benchTraffic measures the receiver under many senders and under one long
// object, by C-STORE and by STOW-RS. All of it is durable when it is answered.
func benchTraffic(ctx context.Context, ask Options, show func(Figure)) error {
	long, err := longBytes(ask.LargeGB)
	if err != nil {
		return err
	}
	many, err := drawMany()
	if err != nil {
		return err
	}
	var rate []float64
	for range ask.Rounds {
		if err := withReceiver(ctx, 1<<30, func(ctx context.Context, s *served) error {
			v, err := s.parallel(ctx, many)
			rate = append(rate, v)
			return err
		}); err != nil {
			return err
		}
	}
	show(higher("ingest.parallel8_objects_per_s", quantile(rate, 0.5), "objects/s", "limit", parallelLimit))
	var mb, rss, stow []float64
	for range min(ask.Rounds, 2) { // gigabytes each
		o, err := newLongObject(long)
		if err != nil {
			return err
		}
		if err := withReceiver(ctx, o.size(), func(ctx context.Context, s *served) error {
			v, resident, err := s.long(ctx, o)
			mb = append(mb, v)
			if resident > 0 {
				rss = append(rss, resident)
			}
			return err
		}); err != nil {
			return err
		}
		if err := withReceiver(ctx, o.size(), func(ctx context.Context, s *served) error {
			v, err := s.post(ctx, o)
			stow = append(stow, v)
			return err
		}); err != nil {
			return err
		}
	}
	show(higher("ingest.large_object_mb_per_s", quantile(mb, 0.5), "MB/s", "limit", streamLimit))
	if len(rss) > 0 {
		show(lower("ingest.large_object_rss_mb", quantile(rss, 0.99), "MB", "limit", memoryLimit))
	}
	show(higher("ingest.stow_mb_per_s", quantile(stow, 0.5), "MB/s", "limit", streamLimit))
	return nil
}

// longBytes is how long the long object is.
func longBytes(gb float64) (int64, error) {
	if gb <= 0 || gb > 4.2 { // a native pixel element holds less than 2³² bytes
		return 0, fmt.Errorf("--large-gb %g is not above 0 and up to 4.2: %w", gb, study.ErrInvalid)
	}
	return int64(gb * 1e9), nil
}

// withReceiver starts a receiver in another process, on an empty folder that is
// removed afterwards. The disk must have room for n bytes and some to spare.
func withReceiver(ctx context.Context, n int64, do func(context.Context, *served) error) error {
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := checkRoom(ctx, dir, n); err != nil {
		return err
	}
	s, err := startServe(ctx, dir, "--roles", "ingest", "--log", "text")
	if err != nil {
		return err
	}
	defer s.stop()
	return do(ctx, s)
}

func checkRoom(ctx context.Context, dir string, n int64) error {
	d, err := objects.OpenDir(dir + "/room")
	if err != nil {
		return err
	}
	defer d.Close()
	if free, ok := d.Free(ctx); ok && free < n+spareRoom {
		return fmt.Errorf("%d bytes are free in %s and %d are needed; make room, set TMPDIR, or lower --large-gb: %w", free, dir, n+spareRoom, study.ErrBusy)
	}
	return nil
}

// drawMany draws a study for each sender.
func drawMany() ([][]scu.Object, error) {
	many := make([][]scu.Object, senders)
	var g errgroup.Group
	for i := range many {
		g.Go(func() error {
			d, err := studytest.ChestCT(studytest.CT{Seed: uint64(1000 + i), Slices: senderSlices, Size: 512, StepMM: 1})
			many[i] = scu.FromStudy(d)
			return err
		})
	}
	return many, g.Wait()
}

// parallel sends all studies at once and gives objects a second.
func (s *served) parallel(ctx context.Context, many [][]scu.Object) (float64, error) {
	g, ctx := errgroup.WithContext(ctx)
	total := 0
	began := time.Now()
	for i, objects := range many {
		total += len(objects)
		g.Go(func() error {
			_, err := scu.Send(ctx, dimse.Dialer{Calling: fmt.Sprintf("SENDER%d", i), Called: "VARDE"}, s.dicom, objects, nil)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(total) / time.Since(began).Seconds(), nil
}

// A longObject is a native multi-frame object whose pixels are made while they
// are read.
type longObject struct {
	uid    study.UID
	file   []byte // Part 10 up to the pixels
	pixels int64
}

// longSide is the side of a frame of a long object.
const longSide = 1000

func newLongObject(n int64) (longObject, error) {
	frames := max(1, n/(longSide*longSide))
	uid := study.DerivedUID("varde bench", time.Now().String())
	o := dicom.NewObject(dicom.SecondaryCapture, uid)
	o.Set(dicom.PatientID, "SYN-LARGE").Set(dicom.PatientName, "SYNTHETIC^LARGE").
		Set(dicom.StudyInstanceUID, string(study.DerivedUID(string(uid), "study"))).
		Set(dicom.SeriesInstanceUID, string(study.DerivedUID(string(uid), "series"))).
		Set(dicom.Modality, "OT").Set(dicom.InstanceNumber, 1).Set(dicom.SamplesPerPixel, 1).
		Set(dicom.PhotometricInterpretation, "MONOCHROME2").Set(dicom.NumberOfFrames, int(frames)).
		Set(dicom.Rows, longSide).Set(dicom.Columns, longSide).Set(dicom.BitsAllocated, 8).
		Set(dicom.BitsStored, 8).Set(dicom.HighBit, 7).Set(dicom.PixelRepresentation, 0)
	file, err := o.Encode()
	if err != nil {
		return longObject{}, err
	}
	pixels := frames * longSide * longSide
	file = append(file, 0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0, byte(pixels), byte(pixels>>8), byte(pixels>>16), byte(pixels>>24))
	return longObject{uid: uid, file: file, pixels: pixels}, nil
}

func (o longObject) size() int64 { return int64(len(o.file)) + o.pixels }

// open reads the file anew.
func (o longObject) open() io.Reader {
	return io.MultiReader(bytes.NewReader(o.file), io.LimitReader(&ramp{}, o.pixels))
}

// A ramp gives bytes without end, cheaply: the sender is not what is measured.
type ramp struct{ block []byte }

// Read repeats a block that compresses badly.
func (r *ramp) Read(p []byte) (int, error) {
	if r.block == nil {
		r.block = make([]byte, 1<<20)
		x := uint32(1)
		for i := range r.block {
			x = x*1664525 + 1013904223
			r.block[i] = byte(x >> 24)
		}
	}
	return copy(p, r.block), nil
}

// long sends a long object by C-STORE and gives MB a second, and the most MB that
// were resident in the receiver, or 0 where the system does not say.
func (s *served) long(ctx context.Context, o longObject) (rate, resident float64, err error) {
	open := func() (io.ReadCloser, error) {
		_, rest, err := dicom.DataSet(o.open())
		return io.NopCloser(rest), err
	}
	forgetPeak(s.process.Process.Pid)
	began := time.Now()
	_, err = scu.Send(ctx, dimse.Dialer{Calling: "BENCH", Called: "VARDE"}, s.dicom,
		[]scu.Object{{Name: "long object", Class: dicom.SecondaryCapture, UID: o.uid, Syntax: dicom.ExplicitLE, Open: open}}, nil)
	if err != nil {
		return 0, 0, err
	}
	return float64(o.size()) / 1e6 / time.Since(began).Seconds(), peakMB(s.process.Process.Pid), nil
}

// post sends a long object by STOW-RS and gives MB a second.
func (s *served) post(ctx context.Context, o longObject) (float64, error) {
	const boundary = "varde-bench"
	body := io.MultiReader(strings.NewReader("--"+boundary+"\r\nContent-Type: application/dicom\r\n\r\n"), o.open(),
		strings.NewReader("\r\n--"+boundary+"--\r\n"))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.web+house.DICOMwebBase+"/studies", body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", `multipart/related; type="application/dicom"; boundary=`+boundary)
	req.Header.Set("Authorization", "Bearer "+s.token)
	client := &http.Client{Transport: &http.Transport{WriteBufferSize: 256 << 10}}
	defer client.CloseIdleConnections()
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("STOW-RS: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return 0, fmt.Errorf("STOW-RS: %s: %s: %w", resp.Status, text, study.ErrRefused)
	}
	return float64(o.size()) / 1e6 / time.Since(began).Seconds(), nil
}

// forgetPeak has the system count anew the most memory that a process has had.
func forgetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // else the start counts too
}

// peakMB is the most memory that a process has had resident, in MB. 0 means that
// the system does not say.
func peakMB(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			if err == nil {
				return kb * 1024 / 1e6
			}
		}
	}
	return 0
}
