package peers

import (
	"os/exec"
	"testing"
)

// A server is a program that can be killed and started again, with the same
// data at the same address.
type server struct {
	name string
	line func() *exec.Cmd
	up   func() bool
	run  *exec.Cmd
	over chan struct{}
	log  journal
}

// start runs the server and returns when it is up. end kills it.
func (s *server) start(tb testing.TB) {
	tb.Helper()
	s.run, s.over = s.line(), make(chan struct{})
	s.run.Stdout, s.run.Stderr = &s.log, &s.log
	if err := s.run.Start(); err != nil {
		tb.Fatal(err)
	}
	go func(c *exec.Cmd, over chan struct{}) {
		defer close(over)
		_ = c.Wait()
	}(s.run, s.over)
	waitUntil(tb, s.name, s.over, s.up)
}

// kill ends the server as a power cut would, but for what the system still
// writes. A server that does not run stays as it is.
func (s *server) kill() {
	if s.run == nil || s.run.Process == nil {
		return
	}
	_ = s.run.Process.Kill()
	<-s.over
}

// last ends the server with the test, and shows what it said if that failed.
func (s *server) last(tb testing.TB) {
	tb.Cleanup(func() {
		s.kill()
		if tb.Failed() {
			tb.Logf("%s says:\n%s", s.name, s.log.tail())
		}
	})
}
