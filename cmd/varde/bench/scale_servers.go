package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"varde/store/objects"
	"varde/study"
)

// startServers starts a Redis, a PostgreSQL and a MinIO of our own, and says where
// they are. One that is not installed is [study.ErrNotFound].
func (p *scalePlant) startServers(ctx context.Context) (where map[string]string, access objects.Credentials, err error) {
	where = map[string]string{}
	if where["queue"], err = p.startRedis(ctx); err != nil {
		return nil, access, err
	}
	if where["ledger"], err = p.startPostgres(ctx); err != nil {
		return nil, access, err
	}
	minio := os.Getenv("VARDE_MINIO")
	if minio == "" {
		minio = filepath.Join(".tools", "minio")
	}
	if minio, err = exec.LookPath(minio); err != nil {
		if minio, err = exec.LookPath("minio"); err != nil {
			return nil, access, fmt.Errorf("no MinIO: make minio builds one, VARDE_MINIO names one: %w", study.ErrNotFound)
		}
	}
	access = objects.Credentials{AccessKey: "varde-bench", SecretKey: "varde-bench-key"}
	addr, err := freeAddr()
	if err != nil {
		return nil, access, err
	}
	c := exec.Command(minio, "server", filepath.Join(p.dir, "minio"), "--address", addr)
	c.Env = append(os.Environ(), "MINIO_ROOT_USER="+access.AccessKey, "MINIO_ROOT_PASSWORD="+access.SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	where["store"] = "s3://varde-bench?endpoint=" + addr + "&secure=0"
	return where, access, p.serve(ctx, c, func() bool {
		r, err := http.Get("http://" + addr + "/minio/health/ready")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// startRedis makes an empty Redis and gives its address.
func (p *scalePlant) startRedis(ctx context.Context) (string, error) {
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("redis-server is not installed: %w", study.ErrNotFound)
	}
	addr, err := freeAddr()
	if err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(addr, ":")
	err = p.serve(ctx, exec.Command(redis, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", p.dir), listening(addr))
	return "redis://" + addr + "/0", err
}

// serve starts a server and waits until it is up.
func (p *scalePlant) serve(ctx context.Context, c *exec.Cmd, up func() bool) error {
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	p.servers = append(p.servers, c)
	for began := time.Now(); !up(); {
		if time.Since(began) > startLimit || ctx.Err() != nil {
			return fmt.Errorf("%s does not answer: %w", c.Path, study.ErrBusy)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func listening(addr string) func() bool {
	return func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
}

// startPostgres makes an empty PostgreSQL and gives its address.
func (p *scalePlant) startPostgres(ctx context.Context) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is sound
	slices.Sort(found)
	if len(found) == 0 {
		return "", fmt.Errorf("PostgreSQL is not installed: %w", study.ErrNotFound)
	}
	bin, data := filepath.Dir(found[len(found)-1]), filepath.Join(p.dir, "postgres")
	if err := os.Mkdir(data, 0o700); err != nil {
		return "", err
	}
	as, err := notRoot(data)
	if err != nil {
		return "", err
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr = "/", as
		return c
	}
	if out, err := command("initdb", "-D", data, "-U", "varde", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N").CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	addr, err := freeAddr()
	if err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(addr, ":")
	err = p.serve(ctx, command("postgres", "-D", data, "-p", port, "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"), func() bool {
		return command("pg_isready", "-q", "-h", "127.0.0.1", "-p", port, "-U", "varde", "-d", "postgres").Run() == nil
	})
	return "postgres://varde@" + addr + "/postgres?sslmode=disable", err
}

// notRoot lets PostgreSQL, which does not run as root, run as another user on a
// folder. It is nil where we are not root.
func notRoot(folder string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			continue
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(folder, int(uid), int(gid))
	}
	return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres or nobody: %w", study.ErrNotFound)
}

// A scaleProcess is one of our processes on the plant.
type scaleProcess struct {
	*exec.Cmd
	dicom string
	over  chan struct{}

	mu     sync.Mutex
	blocks []scaleBlock // guarded by mu
}

// A scaleBlock is one block that a worker has scored.
type scaleBlock struct {
	At    time.Time `json:"time"`
	Msg   string    `json:"msg"`
	Tiles int       `json:"tiles"`
}

// start starts a process that runs on the given cores only; on none given, on all.
func (p *scalePlant) start(ctx context.Context, cores []int, verb string, args ...string) (*scaleProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp(p.dir, verb+"-")
	if err != nil {
		return nil, err
	}
	web, err := freeAddr()
	if err != nil {
		return nil, err
	}
	w := &scaleProcess{over: make(chan struct{})}
	w.Cmd = exec.CommandContext(ctx, self, slices.Concat([]string{verb, "--dir", dir, "--http-addr", web}, p.args, args)...)
	w.Env = p.env
	out, err := w.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := onCores(cores, w.Cmd.Start); err != nil {
		return nil, fmt.Errorf("start varde %s: %w", verb, err)
	}
	go func() {
		defer close(w.over)
		w.listen(out)
		_ = w.Wait()
	}()
	return w, nil
}

// listen reads the log.
func (w *scaleProcess) listen(out io.Reader) {
	d := json.NewDecoder(out)
	for {
		var b scaleBlock
		if err := d.Decode(&b); err != nil {
			_, _ = io.Copy(io.Discard, out) // what is no log is the end of one
			return
		}
		if b.Msg == "block scored" {
			w.mu.Lock()
			w.blocks = append(w.blocks, b)
			w.mu.Unlock()
		}
	}
}

// stop asks it to end, and waits.
func (w *scaleProcess) stop() {
	_ = w.Process.Signal(syscall.SIGTERM)
	<-w.over
}

// await waits until it has scored n blocks.
func (w *scaleProcess) await(ctx context.Context, n int) error {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		have := len(w.blocks)
		w.mu.Unlock()
		select {
		case <-w.over:
			return fmt.Errorf("a worker has ended: %w", study.ErrIncomplete)
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if have >= n {
			return nil
		}
		if time.Since(began) > scaleLimit {
			return fmt.Errorf("a worker scored no block within %s: %w", scaleLimit, study.ErrIncomplete)
		}
	}
}

// scored gives the tiles of the blocks that were done between two moments, but for
// the first one, and the seconds from the first to the last.
func (w *scaleProcess) scored(from, to time.Time) (tiles, seconds float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first, last time.Time
	for _, b := range w.blocks {
		if b.At.Before(from) || b.At.After(to) {
			continue
		}
		if first.IsZero() {
			first = b.At
		} else {
			tiles += float64(b.Tiles)
		}
		last = b.At
	}
	return tiles, last.Sub(first).Seconds()
}
