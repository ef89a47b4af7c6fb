// Package certs makes certificates for tests: [New] a signer, [Signer.Issue] what it
// signs, and [Two] the files of a whole test.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Signer makes certificates, which hold for 127.0.0.1 and for an hour.
type Signer struct {
	Certificate *x509.Certificate
	dir         string
	key         *ecdsa.PrivateKey
}

// New makes a signer and writes ca.pem and ca.key into a folder.
func New(t testing.TB, dir string) *Signer {
	t.Helper()
	s := &Signer{dir: dir}
	s.Certificate, s.key = s.issue(t, "ca", true)
	return s
}

// Issue writes NAME.pem and NAME.key beside them. Its subject is NAME.
func (s *Signer) Issue(t testing.TB, name string) {
	t.Helper()
	s.issue(t, name, false)
}

func (s *Signer) issue(t testing.TB, name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, with := s.Certificate, s.key
	if ca {
		parent, with = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, with)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: packed}} {
		if err := os.WriteFile(filepath.Join(s.dir, path), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// Two writes what a test of TLS needs into a folder: a CA with the certificates
// varde and peer, and another CA, other/ca.pem, with other/stranger.pem. It gives
// where a file lies.
func Two(t testing.TB) (at func(string) string) {
	t.Helper()
	dir := t.TempDir()
	ca := New(t, dir)
	ca.Issue(t, "varde")
	ca.Issue(t, "peer")
	if err := os.Mkdir(filepath.Join(dir, "other"), 0o700); err != nil {
		t.Fatal(err)
	}
	New(t, filepath.Join(dir, "other")).Issue(t, "stranger")
	return func(name string) string { return filepath.Join(dir, name) }
}
