package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
)

// script sends one message by a shell's own means, and gives the answer. It is a
// sender that shares no line with the listener.
const script = `exec 3<>"/dev/tcp/$1/$2" || exit 1
printf '\013%s\034\r' "$3" >&3
IFS= read -r -d $'\034' -t 20 answer <&3
printf '%s' "$answer" | tr '\r' '\n'`

// tell sends segments to the service from a shell and wants AA.
func tell(t testing.TB, addr string, segments ...string) {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	got := runProgram(t, peers.Need(t, "bash", "bash"), "-c", script, "tell", host, port, strings.Join(segments, "\r")+"\r").must(t)
	if !strings.Contains(got, "\nMSA|AA|") {
		t.Fatalf("answered %q", got)
	}
}

// patientOf reads who is in a drawn study, as PID says it.
func patientOf(t testing.TB, d studytest.Drawn) string {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(d.Objects[0].File), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return "PID|1||" + h.Data.Text(dicom.PatientID) + "||" + h.Data.Text(dicom.PatientName) + "||" + h.Data.Text(dicom.PatientBirthDate)
}

func TestStatOrderFromAScriptMovesItsStudy(t *testing.T) {
	addr := peers.Addr(t)
	s := newService(t, "--hl7-addr", addr).start()
	early, late := smallCT(t, 1, false), smallMG(t, 2, false)
	tell(t, addr, `MSH|^~\&|RIS|H|VARDE|H|20260301080000||ORM^O01|1|P|2.3.1`, patientOf(t, early), "ORC|NW|P1|F1||||^^^^^S", "OBR|1|P1|F1",
		"ZDS|"+string(early.Study)+"^X^Application^DICOM")
	s.push(early)
	s.push(late)
	s.reported(early.Study, len(early.Objects))
	s.reported(late.Study, len(late.Objects))
	classes := func() map[string]any {
		var rows []map[string]any
		s.json("/api/v1/worklist", &rows)
		all := map[string]any{}
		for _, r := range rows {
			all[r["study_uid"].(string)] = r["class"]
		}
		return all
	}
	if c := classes(); c[string(early.Study)] != 0.0 || c[string(late.Study)] != 4.0 {
		t.Errorf("classes %v after an order before the images", c)
	}
	tell(t, addr, `MSH|^~\&|RIS|H|VARDE|H|20260301080100||OMI^O23|2|P|2.5.1`, patientOf(t, late), "ORC|NW|P2|F2", "TQ1|1||||||||A", "OBR|1|P2|F2",
		"IPC|ACC|RP|"+string(late.Study))
	if c := classes(); c[string(late.Study)] != 3.0 {
		t.Errorf("classes %v after an order behind the images", c)
	}
	if got := string(s.get("/readyz", "")); !strings.Contains(got, `"hl7"`) {
		t.Errorf("/readyz: %s", got)
	}
	if got := string(s.get("/metrics", "")); !strings.Contains(got, `varde_hl7_messages_total{answer="AA",type="ORM^O01"} 1`) {
		t.Error("the message is not counted")
	}
	s.verb("audit", "verify").must(t)
}

func TestMessagesComeOverTLSFromThoseWhoHaveACertificate(t *testing.T) {
	cert, key, pair := certificate(t)
	addr := peers.Addr(t)
	newService(t, "--hl7-addr", addr, "--hl7-tls-cert", cert, "--hl7-tls-key", key, "--hl7-tls-ca", cert).start()
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("\x0bMSH|^~\\&|A|B|||2026||ADT^A01|7|P|2.5\r\x1c\r")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1000)
	n, err := c.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), "MSA|AA|7") {
		t.Errorf("answered %q, %v", b[:n], err)
	}
	if stranger, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots}); err == nil {
		defer stranger.Close()
		if _, err := stranger.Read(b); err == nil {
			t.Error("a sender without a certificate is let in")
		}
	}
}

// certificate makes one that signs itself, for this machine.
func certificate(t testing.TB) (cert, key string, pair tls.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "RIS"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pair, err = tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	return cert, key, pair
}
