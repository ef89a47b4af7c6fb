// Package peers runs programs of other makers for tests: DICOM tools, servers
// and a real archive to test against.
//
//	Need          where a program is; the test is skipped where it is not installed
//	Port          a port that nobody listens on
//	Serve         a server that runs until the test ends
//	StoreOverTLS  a storage SCP that asks for certificates
//	NewOrthanc    an archive, with an AE title, modalities and a REST API
//	StartPostgres a PostgreSQL server, which can be killed and started again
//	StartMinIO    an object store, alike
//	StartRedis    a Redis, alike; StartSentinel and StartRedisCluster run several
//	NeedHL7       a Python that reads HL7 v2
//
// A test that looks for a program never passes for want of it: where the
// environment says CI=true, all are meant to be there, and a missing one fails.
package peers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience is how long a server may take until it answers.
const patience = 30 * time.Second

// Need gives the path of a program, or of a file when name is an absolute path.
// Where there is none it skips the test, or fails it under CI=true; debian is the
// package to install then.
func Need(tb testing.TB, name, debian string) string {
	tb.Helper()
	path, err := name, error(nil)
	if filepath.IsAbs(name) {
		_, err = os.Stat(name) // a plugin is no program
	} else {
		path, err = exec.LookPath(name)
	}
	if err != nil && os.Getenv("CI") == "true" {
		tb.Fatalf("%s is not installed; it is in Debian's package %s", name, debian)
	}
	if err != nil {
		tb.Skipf("%s is not installed; it is in Debian's package %s", name, debian)
	}
	return path
}

// Port finds a port of 127.0.0.1 that nobody listens on. It looks below the ports
// that the system gives to clients: a client that dials a dead port of that range
// may be given the very same port, and would talk to itself.
func Port(tb testing.TB) string {
	tb.Helper()
	for range 200 {
		port := fmt.Sprint(12000 + rand.IntN(20000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatal("no free port")
	return ""
}

// Addr is Port with its host.
func Addr(tb testing.TB) string {
	tb.Helper()
	return "127.0.0.1:" + Port(tb)
}

// Serve starts a server, which runs until the test ends, and returns when it
// takes connections at addr. What it says is logged when the test fails.
func Serve(tb testing.TB, cmd *exec.Cmd, addr string) {
	tb.Helper()
	serve(tb, cmd, &journal{}, func() bool { return listens(addr) })
}

func listens(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// serve starts cmd for the rest of the test and waits until it is up.
func serve(tb testing.TB, cmd *exec.Cmd, log *journal, up func() bool) {
	tb.Helper()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = cmd.Wait()
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-over
		if tb.Failed() {
			tb.Logf("%s says:\n%s", cmd.Path, log.tail())
		}
	})
	waitUntil(tb, cmd.Path, over, up)
}

// waitUntil waits until what was started is up; over is closed when it has ended.
func waitUntil(tb testing.TB, what string, over <-chan struct{}, up func() bool) {
	tb.Helper()
	for began := time.Now(); !up(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-over:
			tb.Fatalf("%s stops", what)
		default:
		}
		if time.Since(began) > patience {
			tb.Fatalf("%s does not answer", what)
		}
	}
}

// A journal takes what a program says while it runs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// tail gives the last lines.
func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.text.String()
	return s[max(0, len(s)-4000):]
}
