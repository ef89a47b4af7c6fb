package settings

import (
	"context"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"varde/cmd/varde/scu"
	"varde/internal/dimse"
	"varde/internal/studytest/certs"
	"varde/internal/studytest/peers"
)

// TestDestinationsReadAsTheyAreWritten takes what a peer is written as apart and
// puts it together again.
func TestDestinationsReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Destination{
		"PACS=ARCHIVE@pacs:104":                         {Name: "PACS", AET: "ARCHIVE", Addr: "pacs:104"},
		"PACS=ARCHIVE@pacs:104+commit+tls":              {Name: "PACS", AET: "ARCHIVE", Addr: "pacs:104", Commit: true, TLS: true},
		"P=A@h:1+tls?ca=%2Fetc%2Fca.pem&name=pacs.test": {Name: "P", AET: "A", Addr: "h:1", TLS: true, CA: "/etc/ca.pem", ServerName: "pacs.test"},
		"P=A@h:1?kinds=sr,gsps&lang=nb":                 {Name: "P", AET: "A", Addr: "h:1", Kinds: []string{"sr", "gsps"}, Lang: "nb"},
		"VNA=https://vna.test/dicom-web?kinds=sr&token_file=%2Frun%2Ftoken": {Name: "VNA", Sort: "stow", URL: "https://vna.test/dicom-web",
			Kinds: []string{"sr"}, TokenFile: "/run/token"},
		"RIS=mllp://ris:2575?lang=da&app=RIS&facility=OUH": {Name: "RIS", Sort: "mllp", Addr: "ris:2575", Lang: "da", App: "RIS", Facility: "OUH"},
		"RIS=mllp://ris:2575?version=2.3&charset=8859%2F1": {Name: "RIS", Sort: "mllp", Addr: "ris:2575", Version: "2.3", Charset: "8859/1"},
		"FILES=folder:/srv?kinds=oru&charset=ASCII":        {Name: "FILES", Sort: "folder", Path: "/srv", Kinds: []string{"oru"}, Charset: "ASCII"},
		"RIS=mllps://ris:2575?ca=ca.pem":                   {Name: "RIS", Sort: "mllp", Addr: "ris:2575", TLS: true, CA: "ca.pem"},
		"EPR=fhir+https://epr.test/r5?version=r5":          {Name: "EPR", Sort: "fhir", URL: "https://epr.test/r5", Version: "r5"},
		"FILES=folder:/srv/results?kinds=sr,oru,fhir-r4":   {Name: "FILES", Sort: "folder", Path: "/srv/results", Kinds: []string{"sr", "oru", "fhir-r4"}},
	} {
		var d Destination
		if err := d.UnmarshalText([]byte(text)); err != nil || !reflect.DeepEqual(d, want) || d.String() != text {
			t.Errorf("%s: %+v, written %s, %v", text, d, d, err)
		}
	}
	var d Destination
	if err := d.UnmarshalText([]byte("A@h:1?cert=c.pem&key=c.key")); err != nil || !d.TLS || d.Name != "A" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, bad := range []string{"", "A", "A@", "@h:1", "A@h:1+tsl", "A@h:1?cn=x", "A@h:1+commit+x", "https://h/dicom-web", "folder:/srv",
		"R=mllp://h:1?token_file=x", "F=folder:/srv?ca=x", "P=A@h:1?version=r4", "P=A@h:1?charset=ASCII", "E=fhir+https://h/x?charset=ASCII", "V=ftp://h/x"} {
		if err := d.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, bad := range []Destination{
		{Name: "P", AET: "A", Addr: "h:1", CA: "ca.pem"},
		{Name: "R", Sort: "mllp", Addr: "h:1", Version: "r4"},
		{Name: "R", Sort: "mllp", Addr: "h:1", Charset: "8859/2"},
		{Name: "P", AET: "A", Addr: "h:1", TLS: true, CA: "missing.pem"},
		{Name: "P", AET: "A", Addr: "h:1", TLS: true, Cert: "c.pem"},
		{Name: "P", AET: "A", Addr: "h"},
		{Name: "P", AET: "SEVENTEEN LETTERS", Addr: "h:1"},
		{Name: "P", Sort: "ftp", Addr: "h:1"},
		{Name: "P", AET: "A", Addr: "h:1", Kinds: []string{"oru"}},
		{Name: "P", AET: "A", Addr: "h:1", Kinds: []string{"tea"}},
		{Name: "P", AET: "A", Addr: "h:1", Lang: "sv"},
		{Name: "V", Sort: "stow", URL: "http://vna.test/x", TokenFile: "token"},
		{Name: "V", Sort: "stow", URL: "https://user:secret@vna.test/x"},
		{Name: "V", Sort: "stow", URL: "https://vna.test/x", TokenFile: "missing"},
		{Name: "V", Sort: "stow", URL: "https://vna.test/x", Commit: true},
		{Name: "R", Sort: "mllp", Addr: "h:1", Kinds: []string{"sr"}},
		{Name: "R", Sort: "mllp", Addr: "h:1", App: "A|B"},
		{Name: "E", Sort: "fhir", URL: "https://epr.test/r4", Version: "r3"},
		{Name: "F", Sort: "folder", Path: "missing"},
	} {
		if err := (Settings{Destinations: []Destination{bad}}).CheckPeers(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestListsOfDestinationsKeepTheirKinds reads them as a flag and a variable give them:
// cut at every comma.
func TestListsOfDestinationsKeepTheirKinds(t *testing.T) {
	want := []string{"A=A@h:1?kinds=sr,gsps&lang=nb", "B=https://h/dicom-web?kinds=sr", "C=mllp://h:1", "D=folder:/srv?kinds=sr,oru,fhir-r4"}
	if got := wholeDestinations(strings.Split(strings.Join(want, ","), ",")); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	t.Setenv("VARDE_DESTINATIONS", strings.Join(want[:3], ","))
	l := Loader{}
	l.Bind(pflag.NewFlagSet("", pflag.ContinueOnError))
	if err := l.Load(); err != nil || len(l.Destinations) != 3 || len(l.Destinations[0].Kinds) != 2 || l.Destinations[1].Way() != BySTOW {
		t.Errorf("%+v, %v", l.Destinations, err)
	}
}

// TestCallsOverTLSSayWhatIsMissing calls DCMTK's storescp and a door of ours, each
// of which wants a certificate, in the right way and in each wrong one.
func TestCallsOverTLSSayWhatIsMissing(t *testing.T) {
	at := certs.Two(t)
	dcmtk, _ := peers.StoreOverTLS(t, "PACS", at("peer.pem"), at("peer.key"), at("ca.pem"))
	own := "127.0.0.1:" + secureDoor(t, Settings{TLSCert: at("peer.pem"), TLSKey: at("peer.key"), TLSCA: at("ca.pem")})
	plain := peers.Addr(t)
	listenPlain(t, plain)
	ct1 := Settings{AET: "CT1"}
	good := Destination{TLS: true, CA: at("ca.pem"), Cert: at("varde.pem"), Key: at("varde.key")}
	for _, tt := range []struct {
		what   string
		change func(*Destination)
		words  string // of the error; empty where there is none
	}{
		{"right", func(*Destination) {}, ""},
		{"another CA", func(d *Destination) { d.CA = at("other/ca.pem") }, "name the file of who has, the CA"},
		{"another host", func(d *Destination) { d.ServerName = "pacs.example" }, "set the server name"},
		{"no certificate of ours", func(d *Destination) { d.Cert, d.Key = "", "" }, "certificate of ours"},
		{"a stranger's certificate", func(d *Destination) { d.Cert, d.Key = at("other/stranger.pem"), at("other/stranger.key") }, "certificate"},
	} {
		for _, addr := range []string{dcmtk, own} {
			d := good
			tt.change(&d)
			d.AET = "VARDE"
			dialer, err := ct1.Dialer(d, 0)
			if err == nil {
				dialer.Timeout = 5 * time.Second
				err = scu.Echo(t.Context(), dialer, addr)
			}
			if (err == nil) != (tt.words == "") || err != nil && !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%s: %s: %v", addr, tt.what, err)
			}
		}
	}
	dialer, err := ct1.Dialer(good, 0)
	dialer.Called, dialer.Timeout = "VARDE", 5*time.Second
	if err == nil {
		err = scu.Echo(t.Context(), dialer, plain)
	}
	if err == nil || !strings.Contains(err.Error(), "TLS at this port") {
		t.Errorf("a door without TLS: %v", err)
	}
}

// listenPlain serves C-ECHO in the clear.
func listenPlain(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&dimse.Server{AET: "VARDE", Handler: deaf{}}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
