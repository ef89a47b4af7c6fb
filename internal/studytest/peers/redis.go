package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Redis is a real redis-server that keeps what it holds, as far as a second
// allows, in a folder of its own.
type Redis struct {
	Addr string // host:port
	dir  string
	server
}

// debianRedis is the package that has the server, the Sentinel and the client.
const debianRedis = "redis-server"

// StartRedis runs one until the test ends, with these settings beside the usual.
func StartRedis(tb testing.TB, settings ...string) *Redis {
	tb.Helper()
	r := newRedis(tb, append([]string{"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		"--maxmemory-policy", "noeviction"}, settings...)...)
	r.start(tb)
	return r
}

func newRedis(tb testing.TB, settings ...string) *Redis {
	tb.Helper()
	program, port := Need(tb, "redis-server", debianRedis), Port(tb)
	r := &Redis{Addr: "127.0.0.1:" + port, dir: tb.TempDir()}
	r.server = server{name: "redis-server at " + r.Addr, up: func() bool { return listens(r.Addr) }, line: func() *exec.Cmd {
		return exec.Command(program, append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--loglevel", "notice"}, settings...)...)
	}}
	r.last(tb)
	return r
}

// URL is how a client reaches it.
func (r *Redis) URL() string { return "redis://" + r.Addr + "/0" }

// Kill ends it at once.
func (r *Redis) Kill() { r.kill() }

// Start runs it again, with what it had written.
func (r *Redis) Start(tb testing.TB) {
	tb.Helper()
	r.start(tb)
}

// StartEmpty runs it again, with nothing.
func (r *Redis) StartEmpty(tb testing.TB) {
	tb.Helper()
	for _, name := range []string{"appendonlydir", "dump.rdb"} {
		if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
			tb.Fatal(err)
		}
	}
	r.start(tb)
}

// Command sends one command and gives the answer.
func (r *Redis) Command(tb testing.TB, words ...string) string {
	tb.Helper()
	_, port, _ := strings.Cut(r.Addr, ":")
	out, err := exec.Command(Need(tb, "redis-cli", "redis-tools"), append([]string{"-p", port}, words...)...).CombinedOutput()
	if err != nil {
		tb.Fatalf("redis-cli %v: %v: %s", words, err, out)
	}
	return strings.TrimSpace(string(out))
}

// A Watched is a Redis with a replica, and three Sentinels that put the replica
// in its place when it is gone.
type Watched struct {
	Master, Replica *Redis
	Sentinels       []*Redis
}

// watchedName is what the Sentinels call it.
const watchedName = "varde"

// StartSentinel runs all five until the test ends.
func StartSentinel(tb testing.TB) *Watched {
	tb.Helper()
	w := &Watched{Master: StartRedis(tb)}
	host, port, _ := strings.Cut(w.Master.Addr, ":")
	w.Replica = StartRedis(tb, "--replicaof", host+" "+port)
	waitUntil(tb, "replica", w.Replica.over, func() bool {
		return strings.Contains(w.Replica.Command(tb, "info", "replication"), "master_link_status:up")
	})
	for range 3 {
		s := newRedis(tb)
		_, own, _ := strings.Cut(s.Addr, ":")
		// A Sentinel writes what it learns into its file.
		file := filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %s %s %s 2\n"+
			"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 5000\n", own, s.dir, watchedName, host, port)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		program := Need(tb, "redis-server", debianRedis)
		s.line = func() *exec.Cmd { return exec.Command(program, file, "--sentinel") }
		s.start(tb)
		w.Sentinels = append(w.Sentinels, s)
	}
	waitUntil(tb, "Sentinels", w.Sentinels[0].over, func() bool {
		return strings.Contains(w.Sentinels[0].Command(tb, "sentinel", "ckquorum", watchedName), "3 usable") &&
			strings.Contains(w.Sentinels[0].Command(tb, "sentinel", "replicas", watchedName), w.Replica.Addr)
	})
	return w
}

// URL is how a client reaches whoever is the master.
func (w *Watched) URL() string {
	var addrs []string
	for _, s := range w.Sentinels {
		addrs = append(addrs, s.Addr)
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/0?master=" + watchedName
}

// StartRedisCluster runs a cluster of three until the test ends and gives its
// members.
func StartRedisCluster(tb testing.TB) (members []*Redis) {
	tb.Helper()
	var addrs []string
	for range 3 {
		r := newRedis(tb, "--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-port", Port(tb)) // the usual one may be beyond the last
		r.start(tb)
		members, addrs = append(members, r), append(addrs, r.Addr)
	}
	for i, r := range members {
		const slots = 16384
		r.Command(tb, "cluster", "addslotsrange", fmt.Sprint(i*slots/3), fmt.Sprint((i+1)*slots/3-1))
		if i > 0 {
			host, port, _ := strings.Cut(r.Addr, ":")
			bus := strings.TrimSpace(strings.TrimPrefix(r.Command(tb, "config", "get", "cluster-port"), "cluster-port"))
			members[0].Command(tb, "cluster", "meet", host, port, bus)
		}
	}
	for _, r := range members {
		waitUntil(tb, "cluster of "+strings.Join(addrs, ", "), r.over, func() bool {
			info := r.Command(tb, "cluster", "info")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return members
}
