package house_test

import (
	"path/filepath"
	"testing"
	"time"

	"varde/cmd/varde/doctor"
	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/certs"
	"varde/internal/studytest/peers"
	"varde/study"
)

// TestEverythingGoesOutOverTLS has one house be the archive of another. Both shut
// their plain doors and ask for certificates. Missing slices come by C-GET, a
// report goes out by C-STORE to the archive, which answers for it on a new
// association, and to DCMTK's storescp; and the archive is moved from.
func TestEverythingGoesOutOverTLS(t *testing.T) {
	at := certs.Two(t)
	dcmtk, taken := peers.StoreOverTLS(t, "PACS", at("peer.pem"), at("peer.key"), at("ca.pem"))
	doors := map[string]string{"VARDE": peers.Addr(t), "ARCHIVE": peers.Addr(t)}
	over := func(name, certificate string) settings.Destination {
		return settings.Destination{Name: name, AET: name, Addr: doors[name], TLS: true, CA: at("ca.pem"), Cert: at(certificate + ".pem"), Key: at(certificate + ".key")}
	}
	door := func(aet, certificate string) settings.Settings {
		s := settings.Defaults()
		s.Dir, s.AET, s.DICOMAddr, s.HTTPAddr, s.TLSAddr = t.TempDir(), aet, "", "127.0.0.1:0", doors[aet]
		s.TLSCert, s.TLSKey, s.TLSCA = at(certificate+".pem"), at(certificate+".key"), at("ca.pem")
		return s
	}
	a := door("ARCHIVE", "peer")
	a.Roles, a.Peers = []string{"ingest"}, []settings.Destination{over("VARDE", "peer")}
	s := door("VARDE", "varde")
	s.Archive = "ARCHIVE@" + doors["ARCHIVE"] + "+tls" // with our own certificates
	pacs := over("ARCHIVE", "varde")
	pacs.Name, pacs.Commit = "PACS", true
	s.Destinations = []settings.Destination{pacs, {Name: "STORE", AET: "PACS", Addr: dcmtk, TLS: true}}
	h := housetest.Start(t, s)
	archive := housetest.Start(t, a)

	d, err := studytest.ChestCT(studytest.CT{Seed: 41, Slices: 12, StepMM: 2})
	if err != nil {
		t.Fatal(err)
	}
	send := func(to settings.Destination, objects []scu.Object) {
		dialer, err := s.Dialer(to, 20*time.Second)
		if err == nil {
			_, err = scu.Send(t.Context(), dialer, to.Addr, objects, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	send(over("ARCHIVE", "varde"), scu.FromStudy(d))
	send(over("VARDE", "varde"), scu.FromStudy(d)[:8])
	housetest.AwaitReported(t, h, d.Study, len(d.Objects))
	housetest.Eventually(t, "the report is not everywhere", func() bool {
		c, err := h.Ledger.Case(t.Context(), d.Study)
		if err != nil || len(c.Reports) != 1 {
			return false
		}
		for _, r := range c.Reports[0].Deliveries {
			if r.Status != "delivered" {
				return false
			}
		}
		held, err := archive.Ledger.ObjectsOf(t.Context(), d.Study, "")
		files, _ := filepath.Glob(filepath.Join(taken, "*"))
		return err == nil && len(held) == len(d.Objects)+1 && len(files) == 1
	})
	housetest.Eventually(t, "no commitment in the audit", func() bool {
		rows, err := h.Ledger.AuditRows(t.Context(), 0, 1000)
		return err == nil && audited(rows, "commitment received")
	})
	mover, err := s.Dialer(over("ARCHIVE", "varde"), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	as, err := mover.Dial(t.Context(), doors["ARCHIVE"], dimse.Plain("1.2.840.10008.5.1.4.1.2.2.2"))
	if err != nil {
		t.Fatal(err)
	}
	one := dicom.NewItem().Set(dicom.QueryRetrieveLevel, "STUDY").Set(dicom.StudyInstanceUID, string(d.Study))
	counts, status, err := as.Move(t.Context(), "1.2.840.10008.5.1.4.1.2.2.2", one, "VARDE", nil)
	if err != nil || status != dimse.Success || counts.Completed != len(d.Objects)+1 {
		t.Errorf("move: %+v, %v, %v", counts, status, err)
	}
	_ = as.Release()
	for _, k := range doctor.Peers(t.Context(), s) {
		if k.Outcome != doctor.OK {
			t.Errorf("doctor: %+v", k)
		}
	}
}

func audited(rows []study.AuditRow, action string) bool {
	for _, r := range rows {
		if r.Action == action {
			return true
		}
	}
	return false
}
