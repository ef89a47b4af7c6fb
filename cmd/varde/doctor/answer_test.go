package doctor

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/cmd/varde/settings"
	"varde/internal/dimse"
	"varde/internal/studytest/peers"
)

// hangsUp listens and says one thing to whoever has greeted it.
func hangsUp(t *testing.T, says string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, says)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// TestDoctorSaysWhatAnAnswerMeans has destinations that are there answer in each way
// that a setting, theirs or ours, makes them answer: each has a remedy of its own.
func TestDoctorSaysWhatAnAnswerMeans(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() {
		over <- (&dimse.Server{AET: "PACS", AcceptCalling: func(ae, _ string) bool { return ae == "FRIEND" }}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	pacs := l.Addr().String()
	code := func(n int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	login := filepath.Join(t.TempDir(), "login")
	if err := os.WriteFile(login, []byte("me:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ written, cause, remedy string }{
		{"X=OTHER@" + pacs, "called AE title not recognized", "another AE title than OTHER"},
		{"X=PACS@" + pacs, "calling AE title not recognized", "our AE title VARDE"},
		{"X=PACS@" + hangsUp(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "", "port of its DICOM service"},
		{"X=PACS@" + hangsUp(t, "\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"), "ends the association at once", "our AE title VARDE"},
		{"X=" + code(401), "no credentials are set", "token_file= or login_file="},
		{"X=" + code(401) + "?login_file=" + login, "401", login},
		{"X=" + code(403) + "?login_file=" + login, "403", "let us store"},
		{"X=" + code(404), "404", "without, /studies"},
		{"X=fhir+" + code(404), "404", "without, /metadata"},
		{"X=fhir+" + code(401), "no credentials are set", "token_file="},
		{"X=http://" + hangsUp(t, "\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"), "", "does not answer in HTTP"},
		{"X=http://" + hangsUp(t, ""), "", "does not answer in HTTP"},
		{"X=mllp://" + hangsUp(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "no acknowledgment", "HL7 v2 listener"},
	} {
		t.Run(tt.written, func(t *testing.T) {
			t.Parallel()
			var d settings.Destination
			if err := d.UnmarshalText([]byte(tt.written)); err != nil {
				t.Fatal(err)
			}
			checks := Try(t.Context(), settings.Defaults(), d)
			k := checks[len(checks)-1]
			if k.Outcome != Fail || !strings.Contains(k.Found, tt.cause) || !strings.Contains(k.Remedy, tt.remedy) || strings.Contains(k.Found+k.Remedy, "secret") {
				t.Errorf("%s: %s: %s\nremedy: %s", k.Name, k.Outcome, k.Found, k.Remedy)
			}
		})
	}
}

// TestDoctorTellsAnOrthancItsOwnTitle is the first slip of all with a real archive.
func TestDoctorTellsAnOrthancItsOwnTitle(t *testing.T) {
	o := peers.StartOrthanc(t, map[string]any{"DicomCheckCalledAet": true})
	checks := Try(t.Context(), settings.Defaults(), settings.Destination{Name: "X", AET: "WRONG", Addr: o.DICOM})
	if k := checks[len(checks)-1]; k.Outcome != Fail || !strings.Contains(k.Remedy, "another AE title than WRONG") {
		t.Errorf("%s: %s\nremedy: %s", k.Name, k.Found, k.Remedy)
	}
	checks = Try(t.Context(), settings.Defaults(), settings.Destination{Name: "X", AET: "ORTHANC", Addr: o.DICOM})
	for _, k := range checks {
		if k.Outcome == Fail {
			t.Errorf("%s: %s\nremedy: %s", k.Name, k.Found, k.Remedy)
		}
	}
}
