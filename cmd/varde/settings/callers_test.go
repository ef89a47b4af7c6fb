package settings

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest/certs"
	"varde/internal/studytest/peers"
	"varde/study"
)

func TestCallersAreToldApartByTitleAddressAndCertificate(t *testing.T) {
	certificate := &x509.Certificate{Subject: pkix.Name{CommonName: "ct1.hospital"}}
	here, there := "10.1.2.3:104", "192.168.1.5:104"
	for _, tt := range []struct {
		line string
		peer dimse.Peer
		want bool
	}{
		{"CT1", dimse.Peer{AE: "CT1", Remote: there}, true},
		{"CT1", dimse.Peer{AE: "CT2", Remote: there}, false},
		{"CT1@10.0.0.0/8", dimse.Peer{AE: "CT1", Remote: here}, true},
		{"CT1@10.0.0.0/8", dimse.Peer{AE: "CT1", Remote: "[::ffff:10.1.2.3]:104"}, true},
		{"CT1@10.0.0.0/8", dimse.Peer{AE: "CT1", Remote: there}, false},
		{"*@192.168.1.5", dimse.Peer{AE: "ANY", Remote: there}, true},
		{"*@192.168.1.5", dimse.Peer{AE: "ANY", Remote: here}, false},
		{"CT1@10.0.0.0/8#ct1.hospital", dimse.Peer{AE: "CT1", Remote: here, Certificate: certificate}, true},
		{"CT1@10.0.0.0/8#ct2.hospital", dimse.Peer{AE: "CT1", Remote: here, Certificate: certificate}, false},
		{"CT1#ct1.hospital", dimse.Peer{AE: "CT1", Remote: here}, false},
		{"CT1#ct1.hospital", dimse.Peer{AE: "CT1", Remote: here, Certificate: certificate}, true},
		{"CT1#CN=ct1.hospital", dimse.Peer{AE: "CT1", Remote: here, Certificate: certificate}, true},
	} {
		admit, err := Settings{Callers: []string{tt.line}}.Admits()
		if err != nil {
			t.Fatal(err)
		}
		if got := admit(tt.peer); got != tt.want {
			t.Errorf("%s and %s at %s: %v", tt.line, tt.peer.AE, tt.peer.Remote, got)
		}
	}
	for _, line := range []string{"", "@10.0.0.0/8", "CT1@", "CT1@host", "CT1@10.0.0.0/99", "CT1#", "SEVENTEEN_LETTERS"} {
		if _, err := readCallers([]string{line}); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
	if admit, err := (Settings{}).Admits(); admit != nil || err != nil {
		t.Error("without a list not all are let in")
	}
}

// deaf takes no objects.
type deaf struct{}

func (deaf) Store(context.Context, dimse.StoreRequest) dimse.Status { return dimse.OutOfResources }

// secureDoor listens as the settings say and gives the port.
func secureDoor(t *testing.T, s Settings) string {
	t.Helper()
	config, err := s.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	admit, err := s.Admits()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&dimse.Server{AET: "VARDE", Handler: deaf{}, Admit: admit}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestSecureDoorLetsInWhoHasTheRightCertificate(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca := certs.New(t, dir)
	ca.Issue(t, "varde")
	ca.Issue(t, "ct1")
	ca.Issue(t, "ct2")
	s := Settings{TLSCert: at("varde.pem"), TLSKey: at("varde.key"), TLSCA: at("ca.pem"), Callers: []string{"CT1@127.0.0.0/8#ct1"}}
	port := secureDoor(t, s)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	echo := func(aet, certificate string, change func(*tls.Config)) error {
		config := &tls.Config{RootCAs: roots}
		if certificate != "" {
			pair, err := tls.LoadX509KeyPair(at(certificate+".pem"), at(certificate+".key"))
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		if change != nil {
			change(config)
		}
		a, err := dimse.Dialer{Calling: aet, Called: "VARDE", Timeout: 5 * time.Second, TLS: config}.Dial(t.Context(), "127.0.0.1:"+port,
			dimse.Context{Class: dicom.Verification, Syntaxes: []study.UID{dicom.ImplicitLE}})
		if err != nil {
			return err
		}
		if _, err := a.Echo(t.Context()); err != nil {
			return err
		}
		return a.Release()
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if err := echo("CT1", "ct1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	for what, err := range map[string]error{
		"another's certificate": echo("CT1", "ct2", nil),
		"another title":         echo("CT2", "ct1", nil),
		"no certificate":        echo("CT1", "", nil),
		"TLS 1.1":               echo("CT1", "ct1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }),
		"an old cipher": echo("CT1", "ct1", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}),
	} {
		if err == nil {
			t.Errorf("%s: let in", what)
		}
	}
	if err := echo("CT1", "ct1", nil); err != nil {
		t.Errorf("after those: %v", err)
	}

	program := peers.Need(t, "echoscu", "dcmtk")
	scu := func(port string, args ...string) (string, error) {
		out, err := exec.Command(program, append(args, "-to", "5", "-ta", "5", "-aet", "CT1", "-aec", "VARDE", "127.0.0.1", port)...).CombinedOutput()
		return string(out), err
	}
	if out, err := scu(port, "+tls", at("ct1.key"), at("ct1.pem"), "+cf", at("ca.pem")); err != nil {
		t.Errorf("echoscu +tls: %v\n%s", err, out)
	}
	if _, err := scu(port, "+tla", "+cf", at("ca.pem")); err == nil {
		t.Error("echoscu +tla: let in without a certificate")
	}
	if _, err := scu(port); err == nil {
		t.Error("echoscu in the clear: let in")
	}
	s.TLSCA, s.Callers = "", nil
	if out, err := scu(secureDoor(t, s), "+tla", "+cf", at("ca.pem")); err != nil {
		t.Errorf("echoscu +tla where no certificate is asked for: %v\n%s", err, strings.TrimSpace(out))
	}
}
