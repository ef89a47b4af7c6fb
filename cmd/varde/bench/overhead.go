package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

// The limits that the overhead is held against.
const (
	singleLimit = 1.0 // s, a single-image exam
	ctLimit     = 3.0 // s, a CT of 324 slices
	readyLimit  = 2.0 // s, from start to the first answer
)

// A served is a varde serve of our own in another process.
type served struct {
	dicom, web, token string
	process           *exec.Cmd
	ready             time.Duration // from start to the first C-ECHO
}

// startServe starts one on an empty folder and waits until it answers.
func startServe(ctx context.Context, dir string, args ...string) (*served, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	s := &served{}
	for _, addr := range []*string{&s.dicom, &s.web} {
		if *addr, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	s.process = exec.CommandContext(ctx, self, append([]string{"serve", "--dir", dir, "--dicom-addr", s.dicom, "--http-addr", s.web}, args...)...)
	began := time.Now()
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start varde serve: %w", err)
	}
	if err := awaitEcho(ctx, "VARDE", s.dicom); err != nil {
		s.stop()
		return nil, err
	}
	s.ready = time.Since(began)
	b, err := os.ReadFile(filepath.Join(dir, house.TokenFile))
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("read the token: %w", err)
	}
	s.token = strings.TrimSpace(string(b))
	return s, nil
}

func (s *served) stop() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// benchStart measures how long a start on an empty folder takes.
func benchStart(ctx context.Context, ask Options, show func(Figure)) error {
	var ready []float64
	for range ask.Rounds {
		dir, err := os.MkdirTemp("", "varde-bench-")
		if err != nil {
			return err
		}
		s, err := startServe(ctx, dir)
		if err == nil {
			ready = append(ready, s.ready.Seconds())
			s.stop()
		}
		_ = os.RemoveAll(dir)
		if err != nil {
			return err
		}
	}
	show(lower("start.ready_s", quantile(ready, 0.5), "s", "limit", readyLimit))
	return nil
}

// benchOverhead measures what the platform adds to the network's own time, from
// the moment that the last image is accepted until the report is stored at its
// destination, an archive of the benchmark's own. One network runs at a time, so
// that its seconds add up.
func benchOverhead(ctx context.Context, ask Options, show func(Figure)) error {
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	to, err := openSink(ctx)
	if err != nil {
		return err
	}
	s, err := startServe(ctx, dir, "--workers", "1", "--destinations", to.destination())
	if err != nil {
		return err
	}
	defer s.stop()
	single := func(seed uint64) (studytest.Drawn, error) {
		d, err := studytest.Mammogram(studytest.MG{Seed: seed, Rows: 768, Columns: 576})
		if err == nil {
			d.Objects = d.Objects[:1]
		}
		return d, err
	}
	ct := func(seed uint64) (studytest.Drawn, error) {
		return studytest.ChestCT(studytest.CT{Seed: seed, Slices: 324, Size: 512, StepMM: 1})
	}
	for _, b := range []struct {
		name  string
		draw  func(uint64) (studytest.Drawn, error)
		times int
		limit float64
	}{{"overhead.single_image_p95_s", single, 7 * ask.Rounds, singleLimit}, {"overhead.ct324_p95_s", ct, ask.Rounds, ctLimit}} {
		var over []float64
		for i := range b.times {
			v, err := s.overhead(ctx, to, b.draw, uint64(100+i))
			if err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
			over = append(over, v)
		}
		show(lower(b.name, quantile(over, 0.95), "s", "limit", b.limit))
	}
	return nil
}

// overhead sends one study and gives the seconds that no network ran in.
func (s *served) overhead(ctx context.Context, to *sink, draw func(uint64) (studytest.Drawn, error), seed uint64) (float64, error) {
	d, err := draw(seed)
	if err != nil {
		return 0, err
	}
	before, err := s.ran(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := scu.Send(ctx, dimse.Dialer{Calling: "BENCH", Called: "VARDE"}, s.dicom, scu.FromStudy(d), nil); err != nil {
		return 0, err
	}
	ended := time.Now()
	stored, err := to.await(ctx, d.Study, 5*time.Minute)
	if err != nil {
		return 0, err
	}
	after, err := s.ran(ctx)
	return stored.Sub(ended).Seconds() - (after - before), err
}

// ran asks for how many seconds networks have run since the start.
func (s *served) ran(ctx context.Context) (float64, error) {
	body, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	total := 0.0
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "varde_network_run_seconds_total{") {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("read the metrics: %w", err)
			}
			total += v
		}
	}
	return total, nil
}

// get fetches something small as the administrator.
func (s *served) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.web+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %w", path, resp.Status, study.ErrRefused)
	}
	return b, err
}
