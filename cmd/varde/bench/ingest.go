package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"varde/cmd/varde/scu"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

// A receiver is something that an unmodified sender can push a study to.
type receiver struct {
	name string
	aet  string
	make func(dir, addr string) *exec.Cmd
}

// receivers lists ours and its peers. Ours only takes in: the peers do not score
// either.
func receivers() ([]receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []receiver{
		{"varde", "VARDE", func(dir, addr string) *exec.Cmd {
			return exec.Command(self, "serve", "--dir", dir, "--dicom-addr", addr, "--http-addr", "127.0.0.1:0", "--roles", "ingest")
		}},
		{"orthanc", "ORTHANC", func(dir, addr string) *exec.Cmd {
			_, port, _ := net.SplitHostPort(addr)
			conf := filepath.Join(dir, "orthanc.json")
			text := fmt.Sprintf(`{"DicomPort": %s, "DicomAet": "ORTHANC", "HttpServerEnabled": false,
				"StorageDirectory": %q, "IndexDirectory": %q, "DicomCheckCalledAet": false}`, port, dir, dir)
			if os.WriteFile(conf, []byte(text), 0o600) != nil {
				return nil
			}
			return exec.Command("Orthanc", conf)
		}},
		{"storescp", "STORESCP", func(dir, addr string) *exec.Cmd {
			_, port, _ := net.SplitHostPort(addr)
			return exec.Command("storescp", "-od", dir, port)
		}},
	}, nil
}

// benchIngest measures all that has to do with taking in and finding again.
func benchIngest(ctx context.Context, ask Options, show func(Figure)) error {
	for _, part := range []bench{benchStock, benchTraffic, benchFair, benchQIDO} {
		if err := part(ctx, ask, show); err != nil {
			return err
		}
	}
	return nil
}

// benchStock has a stock storescu push 324 CT slices to us, to Orthanc and to
// storescp, one after the other, in turns.
func benchStock(ctx context.Context, ask Options, show func(Figure)) error {
	const name, unit = "ingest.stock_sender_324ct", "s"
	tool, err := exec.LookPath("storescu")
	if err != nil {
		return fmt.Errorf("storescu is not installed; apt-get install dcmtk: %w", study.ErrNotFound)
	}
	files, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(files)
	if err := writeCT(files); err != nil {
		return err
	}
	all, err := receivers()
	if err != nil {
		return err
	}
	took := map[string][]float64{}
	for range ask.Rounds {
		for _, r := range all {
			s, err := r.time(ctx, tool, files)
			if err != nil && r.name == "varde" {
				return err
			}
			if err != nil {
				fmt.Fprintln(ask.Notices, "bench:", err)
				continue
			}
			took[r.name] = append(took[r.name], s)
		}
	}
	ours := quantile(took["varde"], 0.5)
	for _, peer := range []string{"orthanc", "storescp"} {
		if len(took[peer]) == 0 {
			show(alone(name, ours, unit))
			continue
		}
		show(lower(name, ours, unit, peer, quantile(took[peer], 0.5)))
	}
	return nil
}

// writeCT writes 324 slices of 512 × 512 × 16 bit, 170 MB, into a folder.
func writeCT(dir string) error {
	d, err := studytest.ChestCT(studytest.CT{Slices: 324, Size: 512, StepMM: 1, Nodules: true})
	if err != nil {
		return err
	}
	for i, o := range d.Objects {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.dcm", i)), o.File, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// time starts the receiver on an empty folder, has the tool push the files, and
// gives the tool's seconds. TCP_NODELAY is taken out of its environment: that is
// how modalities send.
func (r receiver) time(ctx context.Context, tool, files string) (float64, error) {
	dir, err := os.MkdirTemp("", "varde-bench-"+r.name+"-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	addr, err := freeAddr()
	if err != nil {
		return 0, err
	}
	server := r.make(dir, addr)
	if server == nil {
		return 0, fmt.Errorf("%s: no configuration could be written", r.name)
	}
	server.Env = withoutNoDelay()
	if err := server.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", r.name, err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	if err := awaitEcho(ctx, r.aet, addr); err != nil {
		return 0, fmt.Errorf("%s: %w", r.name, err)
	}
	host, port, _ := net.SplitHostPort(addr)
	push := exec.CommandContext(ctx, tool, "-aec", r.aet, host, port, "+sd", "+r", files)
	push.Env = withoutNoDelay()
	began := time.Now()
	if out, err := push.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("push to %s: %w: %.300s", r.name, err, out)
	}
	return time.Since(began).Seconds(), nil
}

func withoutNoDelay() []string {
	var env []string
	for _, e := range os.Environ() {
		if len(e) < 12 || e[:12] != "TCP_NODELAY=" {
			env = append(env, e)
		}
	}
	return env
}

// freeAddr finds a loopback address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startLimit is how long a server may take to answer its first C-ECHO.
const startLimit = 30 * time.Second

// awaitEcho asks until a DICOM node answers.
func awaitEcho(ctx context.Context, aet, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	d := dimse.Dialer{Calling: "BENCH", Called: aet, Timeout: 2 * time.Second}
	for {
		err := scu.Echo(ctx, d, addr)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer to C-ECHO within %s: %w", startLimit, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
