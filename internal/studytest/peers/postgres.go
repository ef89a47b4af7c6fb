package peers

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
)

// A Postgres is a real PostgreSQL server with a data folder of its own, on
// 127.0.0.1.
type Postgres struct {
	bin, dir, port string
	as             *syscall.Credential // nil: as whoever runs the test
	server         *exec.Cmd
	over           chan struct{}
	log            journal
	schemas        atomic.Int32
}

// postgresPrograms is where Debian keeps the server's programs, by version.
const postgresPrograms = "/usr/lib/postgresql/*/bin"

// StartPostgres makes a server and runs it until the test ends.
func StartPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	found, _ := filepath.Glob(postgresPrograms) // the pattern is sound
	slices.Sort(found)
	program := "initdb"
	if len(found) > 0 {
		program = filepath.Join(found[len(found)-1], "initdb")
	}
	bin := filepath.Dir(Need(tb, program, "postgresql"))
	dir, err := os.MkdirTemp("", "varde-postgres-") // another user must come through to it
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &Postgres{bin: bin, dir: dir, port: Port(tb)}
	if os.Getuid() == 0 { // it refuses to run as root
		p.as = another(tb)
		if err := os.Chown(p.dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	if out, err := p.command("initdb", "-D", p.dir, "-U", "varde", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N").CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("PostgreSQL says:\n%s", p.log.tail())
		}
	})
	p.Start(tb)
	return p
}

// another is a user who is not root.
func another(tb testing.TB) *syscall.Credential {
	tb.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	tb.Fatal("PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(p.bin, name), args...)
	c.Dir = "/"
	if p.as != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	}
	return c
}

// Start runs the server and returns when it answers. It is for a server that was
// killed; [StartPostgres] has called it already.
func (p *Postgres) Start(tb testing.TB) {
	tb.Helper()
	p.server = p.command("postgres", "-D", p.dir, "-p", p.port, "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200")
	p.over = make(chan struct{})
	p.server.Stdout, p.server.Stderr = &p.log, &p.log
	if err := p.server.Start(); err != nil {
		tb.Fatal(err)
	}
	go func(c *exec.Cmd, over chan struct{}) {
		defer close(over)
		_ = c.Wait()
	}(p.server, p.over)
	waitUntil(tb, "PostgreSQL", p.over, func() bool {
		return p.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", p.port).Run() == nil
	})
}

// Kill ends the server as a power cut would, but for what the system still
// writes.
func (p *Postgres) Kill() {
	_ = p.server.Process.Signal(syscall.SIGQUIT) // at once; its children go with it
	<-p.over
}

// Schema makes an empty schema and gives the address under which its tables are
// the ones that are seen.
func (p *Postgres) Schema(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("s%d", p.schemas.Add(1))
	if out, err := p.command("psql", "-q", "-h", "127.0.0.1", "-p", p.port, "-U", "varde", "-c", "CREATE SCHEMA "+name, "postgres").CombinedOutput(); err != nil {
		tb.Fatalf("psql: %v\n%s", err, out)
	}
	return fmt.Sprintf("postgres://varde@127.0.0.1:%s/postgres?sslmode=disable&search_path=%s", p.port, name)
}
