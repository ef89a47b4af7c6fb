package peers

import (
	"os/exec"
	"testing"
)

// StoreOverTLS runs DCMTK's storescp, which asks for certificates that ca signed, and
// gives its address and the folder of what it takes.
func StoreOverTLS(t testing.TB, aet, certificate, key, ca string) (addr, taken string) {
	t.Helper()
	port, dir := Port(t), t.TempDir()
	c := exec.Command(Need(t, "storescp", "dcmtk"), "-od", dir, "-aet", aet, "+tls", key, certificate, "+cf", ca, "-rc", port)
	Serve(t, c, "127.0.0.1:"+port)
	return "127.0.0.1:" + port, dir
}
