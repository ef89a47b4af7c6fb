package main

import (
	"github.com/spf13/pflag"

	"varde/cmd/varde/settings"
	"varde/internal/dimse"
)

// A speaker is who calls a DICOM node from the command line.
type speaker struct {
	calling string
	to      settings.Destination
}

func (s *speaker) bind(flags *pflag.FlagSet) {
	flags.StringVar(&s.calling, "aet", "VARDE-SCU", "our AE title")
	flags.StringVar(&s.to.AET, "called", "VARDE", "the AE title to call")
	flags.BoolVar(&s.to.TLS, "tls", false, "call over TLS; the other --tls flags mean it too")
	flags.StringVar(&s.to.CA, "tls-ca", "", "PEM file of who signs the node's certificate; empty for those that the system trusts")
	flags.StringVar(&s.to.Cert, "tls-cert", "", "PEM file of our certificate, where the node asks for one")
	flags.StringVar(&s.to.Key, "tls-key", "", "PEM file of our certificate's key")
	flags.StringVar(&s.to.ServerName, "tls-name", "", "name that the node's certificate must bear; empty for the host that is called")
}

// dialer is how a node is called.
func (s *speaker) dialer(addr string) (dimse.Dialer, error) {
	d := s.to
	d.Name, d.Addr = d.AET, addr
	d.TLS = d.TLS || d.CA != "" || d.Cert != "" || d.Key != "" || d.ServerName != ""
	return settings.Settings{AET: s.calling}.Dialer(d, 0)
}
