package peers

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The keys of a MinIO's owner.
const (
	MinIOAccessKey = "varde-access"
	MinIOSecretKey = "varde-secret-key"
)

// A MinIO is a real object store with a data folder of its own.
type MinIO struct {
	Addr string // host:port
	server
}

// StartMinIO runs one until the test ends. The program is the one that VARDE_MINIO
// names, or .tools/minio in the module's folder, which make minio builds; where
// there is none the test is skipped, or fails under CI=true.
func StartMinIO(tb testing.TB) *MinIO {
	tb.Helper()
	program := os.Getenv("VARDE_MINIO")
	if program == "" {
		program = filepath.Join(moduleFolder(tb), ".tools", "minio")
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("no MinIO: make minio builds one: %v", err)
		}
		tb.Skipf("no MinIO: make minio builds one: %v", err)
	}
	m, dir := &MinIO{Addr: Addr(tb)}, tb.TempDir()
	m.server = server{name: "MinIO", line: func() *exec.Cmd {
		c := exec.Command(program, "server", dir, "--address", m.Addr)
		c.Env = append(os.Environ(), "MINIO_ROOT_USER="+MinIOAccessKey, "MINIO_ROOT_PASSWORD="+MinIOSecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
		return c
	}, up: func() bool {
		r, err := http.Get("http://" + m.Addr + "/minio/health/ready")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	}}
	m.last(tb)
	m.start(tb)
	return m
}

// Kill ends it at once.
func (m *MinIO) Kill() { m.kill() }

// Start runs it again, with what it had.
func (m *MinIO) Start(tb testing.TB) {
	tb.Helper()
	m.start(tb)
}

// Bucket is the address of a bucket in it, as --store takes it.
func (m *MinIO) Bucket(name string) string {
	return "s3://" + name + "?endpoint=" + m.Addr + "&secure=0"
}

// moduleFolder is the nearest folder above the test's with a go.mod.
func moduleFolder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the test's folder")
		}
	}
}
