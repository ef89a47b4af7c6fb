package house_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/settings"
	"varde/internal/studytest"
	"varde/internal/studytest/certs"
	"varde/internal/studytest/peers"
)

// TestStudySentOverTLSIsReported has DCMTK's storescu push a study through the
// secure door, with its certificate, while the plain one is shut.
func TestStudySentOverTLSIsReported(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca := certs.New(t, dir)
	ca.Issue(t, "varde")
	ca.Issue(t, "ct1")
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr = filepath.Join(dir, "data"), "", "127.0.0.1:0"
	s.TLSAddr, s.TLSCert, s.TLSKey, s.TLSCA = "127.0.0.1:0", at("varde.pem"), at("varde.key"), at("ca.pem")
	s.Callers = []string{"CT1@127.0.0.0/8#ct1"}
	h := housetest.Start(t, s)
	_, port, err := net.SplitHostPort(h.TLS.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := studytest.ChestCT(studytest.CT{Seed: 40, Slices: 12, StepMM: 2})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-aet", "CT1", "-aec", "VARDE", "+tls", at("ct1.key"), at("ct1.pem"), "+cf", at("ca.pem"), "127.0.0.1", port}
	for n, o := range d.Objects {
		file := at(fmt.Sprintf("%d.dcm", n))
		if err := os.WriteFile(file, o.File, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if out, err := exec.Command(peers.Need(t, "storescu", "dcmtk"), args...).CombinedOutput(); err != nil {
		t.Fatalf("storescu over TLS: %v\n%s", err, out)
	}
	housetest.AwaitReported(t, h, d.Study, len(d.Objects))
}
