package inquiry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"testing"
	"time"

	"varde/ingest/inquiry"
	"varde/internal/dimse"
	"varde/internal/studytest/peers"
	"varde/study"
)

func TestPriorsAreOfTheSamePersonAndWhatTheRuleSays(t *testing.T) {
	person := study.Person{ID: "1", Name: "Hansen^Kari", Birth: "19690811", Sex: "F"}
	of := study.Study{UID: "1.1", Patient: study.NewPatient(person), Date: "20260301"}
	instances := []study.Instance{{Modality: "CT", Image: &study.Image{BodyPart: "CHEST"}}}
	listed := func(change func(*inquiry.Earlier, *study.Person)) inquiry.Earlier {
		e := inquiry.Earlier{Study: "1.2", Date: "20250301", Modalities: []string{"CT", "SR"}, BodyParts: []string{"CHEST"}, Objects: 9}
		p := person
		change(&e, &p)
		e.Patient = study.NewPatient(p)
		return e
	}
	rule := inquiry.PriorRule{Most: 2, Months: 24, SameModality: true, SameBodyPart: true}
	for what, tt := range map[string]struct {
		change func(*inquiry.Earlier, *study.Person)
		want   bool
	}{
		"as it should be":                    {func(*inquiry.Earlier, *study.Person) {}, true},
		"the study itself":                   {func(e *inquiry.Earlier, _ *study.Person) { e.Study = "1.1" }, false},
		"later than the study":               {func(e *inquiry.Earlier, _ *study.Person) { e.Date = "20260302" }, false},
		"the same day":                       {func(e *inquiry.Earlier, _ *study.Person) { e.Date = "20260301" }, true},
		"two years and a day before":         {func(e *inquiry.Earlier, _ *study.Person) { e.Date = "20240229" }, false},
		"without a date":                     {func(e *inquiry.Earlier, _ *study.Person) { e.Date = "" }, false},
		"of another modality":                {func(e *inquiry.Earlier, _ *study.Person) { e.Modalities = []string{"MR"} }, false},
		"of another part of the body":        {func(e *inquiry.Earlier, _ *study.Person) { e.BodyParts = []string{"KNEE"} }, false},
		"of an untold part of the body":      {func(e *inquiry.Earlier, _ *study.Person) { e.BodyParts = nil }, true},
		"of another ID":                      {func(_ *inquiry.Earlier, p *study.Person) { p.ID = "1 " }, false},
		"of another birth date":              {func(_ *inquiry.Earlier, p *study.Person) { p.Birth = "19690812" }, false},
		"of another sex":                     {func(_ *inquiry.Earlier, p *study.Person) { p.Sex = "M" }, false},
		"after a marriage":                   {func(_ *inquiry.Earlier, p *study.Person) { p.Name = "Olsen^Kari" }, true},
		"written otherwise, birth untold":    {func(_ *inquiry.Earlier, p *study.Person) { p.Name, p.Birth = "HANSEN^KARI M", "" }, true},
		"of another name, birth untold":      {func(_ *inquiry.Earlier, p *study.Person) { p.Name, p.Birth = "Olsen^Kari", "" }, false},
		"of whom nothing is told but the ID": {func(_ *inquiry.Earlier, p *study.Person) { p.Name, p.Birth, p.Sex = "", "", "" }, false},
	} {
		got := inquiry.ChoosePriors(of, instances, []inquiry.Earlier{listed(tt.change)}, rule)
		if (len(got) == 1) != tt.want {
			t.Errorf("a study %s: %+v", what, got)
		}
	}
	var many []inquiry.Earlier
	for n, date := range []string{"20240601", "20260201", "20250601"} {
		many = append(many, listed(func(e *inquiry.Earlier, _ *study.Person) { e.Study, e.Date = study.UID(fmt.Sprint("1.3.", n)), date }))
	}
	got := inquiry.ChoosePriors(of, instances, many, rule)
	if len(got) != 2 || got[0].Study != "1.3.1" || got[1].Study != "1.3.2" || got[0].Of != "1.1" ||
		!slices.Equal(got[0].Evidence.Matched, []string{"PatientID", "PatientBirthDate", "PatientSex", "PatientName", "ModalitiesInStudy", "BodyPartExamined"}) {
		t.Errorf("of three: %+v", got)
	}
}

// TestPriorsComeByGetOrMove fetches priors from Orthanc with C-GET and without, and
// from DCMTK's dcmqrscp, which tells modalities of series only.
func TestPriorsComeByGetOrMove(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(t *testing.T, ours string) (addr string)
		how   string
	}{
		{"Orthanc", func(t *testing.T, ours string) string { return orthanc(t, ours, true) }, "get"},
		{"Orthanc without C-GET", func(t *testing.T, ours string) string { return orthanc(t, ours, false) }, "move"},
		{"dcmqrscp without C-GET", func(t *testing.T, ours string) string { return dcmqrscp(t, ours, "--disable-get") }, "move"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			ours := h.serve(t, nil)
			addr := tt.start(t, ours)
			now, before := drawChest(t, 1, 12), drawChest(t, 2, 13)
			push(t, addr, "ARCHIVE", before.Objects)
			q := h.inquirer(func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
				return dimse.Dialer{Calling: "VARDE", Called: "ARCHIVE", Timeout: 20 * time.Second}.Dial(ctx, addr, contexts...)
			})
			q.AET, q.Own = "ARCHIVE", "VARDE"
			settler := h.settler()
			settler.Priors, settler.Cap = h.ledger, 20*time.Second
			run(t, settler.Run)
			historian := &inquiry.Historian{Archive: q, History: h.ledger, Wanted: h.ledger, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
				Rule: inquiry.PriorRule{Most: 3, Months: 12, SameModality: true, SameBodyPart: true}}
			run(t, historian.Run)
			push(t, ours, "VARDE", now.Objects)
			h.await(t, now.Study, study.Scoring)
			s := h.await(t, before.Study, study.Settled)
			if s.Instances != len(before.Objects) || s.Note != study.ReasonPrior {
				t.Errorf("settled with %d objects: %s", s.Instances, s.Note)
			}
			cases, _, err := h.ledger.Worklist(t.Context(), study.WorklistFilter{})
			if err != nil || len(cases) != 1 || cases[0].Study.UID != now.Study {
				t.Errorf("%d studies on the worklist, %v", len(cases), err)
			}
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				all, err := h.ledger.Priors(t.Context(), now.Study)
				if err == nil && len(all) == 1 && all[0].State == "fetched" && all[0].How == tt.how && all[0].AE == "ARCHIVE" && all[0].Evidence.Date == "20260105" {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("priors: %+v, %v", all, err)
				}
			}
			for _, o := range before.Objects {
				in, err := h.ledger.Instance(t.Context(), o.Instance)
				if err != nil || !strings.HasSuffix(string(h.bytes(t, in.Key)), string(o.DataSet[len(o.DataSet)-2048:])) {
					t.Fatalf("%s: %v", o.Instance, err)
				}
			}
			push(t, ours, "VARDE", before.Objects[:1]) // a scanner sends it: then it is work
			h.await(t, before.Study, study.Scoring)
			if cases, _, err := h.ledger.Worklist(t.Context(), study.WorklistFilter{}); err != nil || len(cases) != 2 {
				t.Errorf("%d studies on the worklist, %v", len(cases), err)
			}
		})
	}
}

// orthanc runs one, which knows us.
func orthanc(t *testing.T, ours string, get bool) string {
	us := peers.Modality(t, "VARDE", ours)
	us["AllowGet"] = get
	return peers.StartOrthanc(t, map[string]any{"DicomAet": "ARCHIVE", "DicomAlwaysAllowGet": get, "DicomAlwaysAllowFind": true, "DicomAlwaysAllowMove": true,
		"DicomModalities": map[string]any{"varde": us}}).DICOM
}

// dcmqrscp runs DCMTK's small archive, which knows us.
func dcmqrscp(t *testing.T, ours string, options ...string) string {
	t.Helper()
	dir, port := t.TempDir(), peers.Port(t)
	_, ourPort, err := net.SplitHostPort(ours)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "dcmqrscp.cfg")
	text := fmt.Sprintf("NetworkTCPPort = %s\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nvarde = (VARDE, 127.0.0.1, %s)\nHostTable END\n"+
		"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nARCHIVE %s RW (100, 1024mb) ANY\nAETable END\n", port, ourPort, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	peers.Serve(t, exec.Command(peers.Need(t, "dcmqrscp", "dcmtk"), append(options, "-c", config)...), "127.0.0.1:"+port)
	return "127.0.0.1:" + port
}
