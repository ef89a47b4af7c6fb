package house_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/hl7"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/models"
	"varde/report"
	"varde/study"
)

// drawerCard is of a model that draws: the network is the reference model's for CT,
// whose numbers are read as a segment.
const drawerCard = `
id = "their-drawer"
version = "1.0"
name = "A drawer of nodules"
vendor = "Tests"
regulatory = "not a medical device"
network = "drawer.onnx"
sha256 = "%s"

[use]
text = "tests"
measures = "where something is round"
limits = "everything"
modality = ["CT"]
body_parts = ["CHEST"]

[input]
name = "hu"
kind = "volume"
type = "float32"
layout = "NCDHW"
values = "hu"
spacing_mm = [1.5, 1.5, 1.5]
halo_planes = 9
batch = 1

[[output]]
name = "cand"
role = "segments"
activation = "sigmoid"
keep = true

[[segment]]
name = "nodule"
output = "cand"
threshold = 0.66
what = { value = "27925004", scheme = "SCT", meaning = "Nodule" }
site = { value = "39607008", scheme = "SCT", meaning = "Lung" }
lesions = true
min_mm = 4.0

[flag]
by = "findings"
flagged = 1
`

// addDrawer makes the model that draws speak in a house, and gives its name.
func addDrawer(t *testing.T, h *house.House) study.ModelRef {
	t.Helper()
	var network []byte
	for _, m := range models.Reference() {
		if bytes.Contains(m.CardTOML, []byte("varde-ct-nodule")) {
			network = m.Network
		}
	}
	card, err := h.Registry.Add(t.Context(), fmt.Appendf(nil, drawerCard, study.Hash(sha256.Sum256(network))), network, "bo")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Registry.Set(t.Context(), card.Ref(), study.ModelShadow, "bo", "tried in a test"); err != nil {
		t.Fatal(err)
	}
	council := models.Council{Registry: h.Registry, Proposals: h.Ledger}
	if _, err := council.Propose(t.Context(), study.ModelChange{Model: card.Ref(), State: study.ModelLive, By: "bo", Reason: "tried in a test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := council.Decide(t.Context(), card.Ref(), true, "kari", ""); err != nil {
		t.Fatal(err)
	}
	return card.Ref()
}

// damaged gives the n-th objects of a study pixels that nobody can read: they are
// said to be JPEG-LS.
func damaged(t *testing.T, d studytest.Drawn, which ...int) studytest.Drawn {
	t.Helper()
	d.Objects = slices.Clone(d.Objects)
	for _, n := range which {
		data := d.Objects[n].DataSet
		data = append(slices.Clone(data[:pixelsOf(t, data)]), 0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, // of no known length
			0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0, // no table of offsets
			0xFE, 0xFF, 0x00, 0xE0, 8, 0, 0, 0, 0xFF, 0xD8, 'n', 'o', 'n', 'e', '!', '!',
			0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0)
		d.Objects[n].DataSet, d.Objects[n].Syntax = data, dicom.JPEGLS
	}
	return d
}

// blank takes everything off the images of a study.
func blank(t *testing.T, d studytest.Drawn) studytest.Drawn {
	t.Helper()
	d.Objects = slices.Clone(d.Objects)
	for n := range d.Objects {
		data := slices.Clone(d.Objects[n].DataSet)
		clear(data[pixelsOf(t, data)+12:])
		d.Objects[n].DataSet = data
	}
	return d
}

// pixelsOf says where the pixel data begins, with its tag.
func pixelsOf(t *testing.T, data []byte) int {
	t.Helper()
	at := bytes.LastIndex(data, []byte{0xE0, 0x7F, 0x10, 0x00, 'O', 'W', 0, 0})
	if at < 0 {
		t.Fatal("no pixels")
	}
	return at
}

// outcomes are the studies that the judges see, by what becomes of them.
func outcomes(t *testing.T) map[string]studytest.Drawn {
	t.Helper()
	draw := func(d studytest.Drawn, err error) studytest.Drawn {
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ct := func(seed uint64, nodules bool) studytest.Drawn {
		return draw(studytest.ChestCT(studytest.CT{Seed: seed, Nodules: nodules, Slices: 24, Size: 256, StepMM: 2.5, Patient: fmt.Sprint("-", seed)}))
	}
	mg := func(seed uint64) studytest.Drawn {
		return draw(studytest.Mammogram(studytest.MG{Seed: seed, Calcifications: true, Rows: 512, Columns: 384, Patient: fmt.Sprint("-", seed)}))
	}
	return map[string]studytest.Drawn{
		"CT flagged": ct(1, true), "CT not flagged": ct(2, false), "CT out of scope": blank(t, ct(3, true)),
		"MG flagged": mg(4), "MG partial": damaged(t, mg(5), 0), "MG failed": damaged(t, mg(6), 0, 1, 2, 3),
		"SM flagged": draw(studytest.Slide(studytest.SM{Seed: 7, Cellular: true, Columns: 2048, Rows: 1536})),
	}
}

// strangers are the systems that get what a house writes, none of which is ours but
// the FHIR server.
type strangers struct {
	pacs, vna *peers.Orthanc
	dicomweb  string // the base of vna's services
	ris       *theirRIS
	records   *epr
	folder    string
}

// welcome starts the strangers and a house that sends to them: everything there is in
// Norwegian by DIMSE, in Danish by DICOMweb, in English into a folder.
func welcome(t *testing.T) (*house.House, strangers) {
	t.Helper()
	x := strangers{folder: t.TempDir(), ris: newRIS(t)}
	x.pacs = peers.StartOrthanc(t, nil)
	x.vna, x.dicomweb = peers.StartDICOMweb(t, nil)
	var base string
	x.records, base = openEPR(t)
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.GapCap, s.Lang, s.Organization = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", time.Second, "en", "Oslo University Hospital"
	objects := strings.Join(report.Kinds(study.MediaDICOM), ",")
	for _, text := range []string{
		"PACS=ORTHANC@" + x.pacs.DICOM + "?kinds=" + objects + "&lang=nb",
		"VNA=" + x.dicomweb + "?kinds=" + objects + "&lang=da",
		"RIS=mllp://" + x.ris.addr + "?lang=nb",
		"EPR=fhir+" + base + "?lang=da&kinds=fhir-r4,fhir-r4-final",
		"FILES=folder:" + x.folder + "?kinds=" + strings.Join(report.Kinds(""), ","),
	} {
		var d settings.Destination
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.Destinations = append(s.Destinations, d)
	}
	if err := s.CheckPeers(); err != nil {
		t.Fatal(err)
	}
	return housetest.Start(t, s), x
}

// A theirRIS hears messages by python3-hl7, and tells what it has read in each.
type theirRIS struct {
	addr  string
	mu    sync.Mutex
	heard map[string][]string // segments, by MSH-10
}

const risProgram = `
import asyncio, hl7, json
from hl7.mllp import start_hl7_server
async def serve(reader, writer):
    while not writer.is_closing():
        try:
            m = await reader.readmessage()
        except asyncio.IncompleteReadError:
            break
        print(json.dumps({"id": str(m.segment("MSH")[10]), "segments": [str(s) for s in m]}), flush=True)
        writer.writemessage(m.create_ack(ack_code="AA"))
        await writer.drain()
    writer.close()
async def main():
    s = await start_hl7_server(serve, host="127.0.0.1", port=0, encoding="utf-8")
    print(s.sockets[0].getsockname()[1], flush=True)
    await s.serve_forever()
asyncio.run(main())
`

func newRIS(t *testing.T) *theirRIS {
	t.Helper()
	cmd := exec.Command(peers.NeedHL7(t), "-c", risProgram)
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	port, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal("the RIS does not start: ", err)
	}
	r := &theirRIS{addr: "127.0.0.1:" + strings.TrimSpace(port), heard: map[string][]string{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m struct {
				ID       string
				Segments []string
			}
			line, err := lines.ReadBytes('\n')
			if err != nil || json.Unmarshal(line, &m) != nil {
				return
			}
			r.mu.Lock()
			r.heard[m.ID] = m.Segments
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-done; _ = cmd.Wait() })
	return r
}

func (r *theirRIS) of(id string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[id]
}

// A sent is one object or message as we hold it.
type sent struct {
	study.Report
	outcome string // of its study
	bytes   []byte
	path    string // a copy
}

// reaches reports whether it is to reach a destination.
func (s sent) reaches(destination string) bool {
	return slices.ContainsFunc(s.Deliveries, func(d study.Delivery) bool { return d.Destination == destination })
}

// written gives everything that was written of the studies, once all is delivered.
func written(t *testing.T, h *house.House, studies map[string]studytest.Drawn, ready func(study.Case) bool) []sent {
	t.Helper()
	dir := t.TempDir()
	var all []sent
	for outcome, d := range studies {
		var c study.Case
		waiting := func() bool {
			var err error
			c, err = h.Ledger.Case(t.Context(), d.Study)
			if err != nil || len(c.Reports) == 0 || !ready(c) {
				return true
			}
			for _, r := range c.Reports {
				for _, d := range r.Deliveries {
					if d.Status != "delivered" {
						return true
					}
				}
			}
			return false
		}
		for deadline := time.Now().Add(90 * time.Second); waiting(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s %s: %s", outcome, c.Study.Status, c.AI(), strings.Join(deliveriesOf(t, h, d.Study), ", "))
			}
		}
		for n, r := range c.Reports {
			body, err := h.Objects.Range(t.Context(), r.Key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			_ = body.Close()
			path := filepath.Join(dir, fmt.Sprintf("%s-%d-%s", strings.ReplaceAll(outcome, " ", "-"), n, filepath.Base(r.Key)))
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if r.Held != "" {
				t.Errorf("%s: %s is held: %s", outcome, r.Kind, r.Held)
			}
			all = append(all, sent{r, outcome, b, path})
		}
	}
	return all
}

// TestEverythingThatIsSentStandsBeforeOthers has a house write everything that it can
// write of studies of each outcome, in all languages, and send it to each sort of
// destination; a reader answers for one of them, and of another a model is recalled.
// Each object and message is then held against programs of other makers, and is at its
// destinations as we hold it.
func TestEverythingThatIsSentStandsBeforeOthers(t *testing.T) {
	h, x := welcome(t)
	drawer := addDrawer(t, h)
	studies := outcomes(t)
	for _, d := range studies {
		if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: "VARDE"}, h.DICOM.Addr().String(), scu.FromStudy(d), nil); err != nil {
			t.Fatal(err)
		}
	}
	all := written(t, h, studies, func(c study.Case) bool { return c.Study.Status == study.Reported })
	want := map[string]study.AIState{"CT flagged": study.Flagged, "CT not flagged": study.NotFlagged, "CT out of scope": study.OutOfScope,
		"MG flagged": study.Flagged, "MG partial": study.Flagged, "MG failed": study.Failed, "SM flagged": study.Flagged}
	for outcome, d := range studies {
		c, err := h.Ledger.Case(t.Context(), d.Study)
		if err != nil || c.AI() != want[outcome] || len(c.Results) > 0 && c.AI() != study.Failed && c.AI() != study.OutOfScope && c.Results[0].Partial() != (outcome == "MG partial") {
			t.Errorf("%s: AI says %s, %v", outcome, c.AI(), err)
		}
	}
	if err := h.Registry.Change(t.Context(), study.ModelChange{Model: drawer, State: study.ModelSuspended, By: "bo", Reason: "wrong threshold"}); err != nil {
		t.Fatal(err)
	}
	if n, err := h.Ledger.Recall(t.Context(), drawer, studies["CT flagged"].Study, "bo", "wrong threshold"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	final := study.ReadingStep{Study: studies["MG flagged"].Study, By: "A. Dahl", Step: study.StepFinal, Verdict: "agree"}
	if err := h.Ledger.Answer(t.Context(), final); err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(s sent) bool { return s.outcome == "CT flagged" || s.outcome == "MG flagged" })
	for outcome, kind := range map[string]string{"CT flagged": report.KindReject, "MG flagged": report.KindVerified} {
		all = append(all, written(t, h, map[string]studytest.Drawn{outcome: studies[outcome]}, func(c study.Case) bool {
			return len(slices.DeleteFunc(slices.Clone(c.Reports), func(r study.Report) bool { return !strings.HasPrefix(r.Kind, kind) })) == 3
		})...)
	}
	kinds := map[string]int{}
	for _, s := range all {
		kinds[strings.Trim(s.Kind, "-0123456789")]++
	}
	t.Logf("%d objects and messages: %v", len(all), kinds)
	for _, k := range report.Kinds("") {
		if kinds[k] == 0 && kinds[strings.TrimRight(k, "45")] == 0 {
			t.Errorf("nothing of kind %s was written", k)
		}
	}
	if !slices.ContainsFunc(all, func(s sent) bool { return s.kind() == report.KindMap && s.Model == drawer }) {
		t.Error("no map of the probabilities of a volume was written")
	}
	t.Run("they arrive as we hold them", func(t *testing.T) { x.checkArrived(t, all) })
	t.Run("judges find no fault", func(t *testing.T) { judgeAll(t, all, studies) })
}

// checkArrived holds what each destination has against what we hold.
func (x strangers) checkArrived(t *testing.T, all []sent) {
	pacs, vna := holds(t, x.pacs), holds(t, x.vna)
	expected := map[string]int{}
	for _, s := range all {
		name := s.outcome + ", " + s.Kind + " " + s.Lang
		for _, d := range s.Deliveries {
			expected[d.Destination]++
		}
		if s.reaches("PACS") {
			got := x.pacs.Call(t, "GET", "/instances/"+pacs[s.UID]+"/file", nil)
			if !sameContent(t, s.bytes, got) {
				t.Errorf("%s: other values at the PACS", name)
			}
		}
		if s.reaches("VNA") && !bytes.Equal(x.vna.Call(t, "GET", "/instances/"+vna[s.UID]+"/file", nil), s.bytes) {
			t.Errorf("%s: other bytes at the VNA", name)
		}
		if s.reaches("FILES") {
			found, _ := filepath.Glob(filepath.Join(x.folder, string(s.Study), "*"+string(s.UID)+"*"))
			if len(found) != 1 {
				t.Errorf("%s: %d files", name, len(found))
				continue
			}
			if b, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(b, s.bytes) {
				t.Errorf("%s: other bytes in the folder, %v", name, err)
			}
		}
		if s.reaches("RIS") {
			checkHeard(t, name, x.ris, s)
		}
	}
	if len(pacs) != expected["PACS"] || len(vna) != expected["VNA"] || len(pacs) < 30 || len(vna) < 30 {
		t.Errorf("the PACS lists %d objects of %d, the VNA %d of %d", len(pacs), expected["PACS"], len(vna), expected["VNA"])
	}
	var rows []map[string]struct{ Value []any }
	if err := json.Unmarshal(x.vna.Call(t, "GET", strings.TrimPrefix(x.dicomweb, x.vna.Web)+"/instances?limit=1000", nil), &rows); err != nil || len(rows) != len(vna) {
		t.Errorf("QIDO lists %d objects of %d, %v", len(rows), len(vna), err)
	}
	read := 0
	for _, s := range all {
		if s.Kind == report.KindFinalFHIRR4 && s.reaches("EPR") {
			read++
		}
	}
	if n := x.records.saying("DiagnosticReport", `"status":"final"`); n != read || n == 0 {
		t.Errorf("the record has %d final reports, of %d that a reader answered", n, read)
	}
	if n := x.records.count("DiagnosticReport"); n == 0 || x.records.taken < expected["EPR"] {
		t.Errorf("the record has taken %d bundles of %d, with %d reports", x.records.taken, expected["EPR"], n)
	}
}

// holds gives Orthanc's names of all that it holds.
func holds(t *testing.T, o *peers.Orthanc) map[study.UID]string {
	t.Helper()
	var rows []struct {
		ID            string
		MainDicomTags struct{ SOPInstanceUID study.UID }
	}
	o.Get(t, "/instances?expand", &rows)
	all := map[study.UID]string{}
	for _, r := range rows {
		all[r.MainDicomTags.SOPInstanceUID] = r.ID
	}
	return all
}

// sameContent compares two files by their values: an archive that reads what it is
// sent by DIMSE may write the lengths of sequences, and the head of the file, anew.
func sameContent(t *testing.T, ours, theirs []byte) bool {
	t.Helper()
	var texts, bulk [2][]byte
	for n, b := range [][]byte{ours, theirs} {
		h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
		if err != nil {
			t.Error(err)
			return false
		}
		if texts[n], err = dicom.JSON(h.Data, nil); err != nil {
			t.Fatal(err)
		}
		for e := range h.Data.All() {
			if e.Value == nil && e.Length > 0 && e.VR != "SQ" {
				bulk[n] = append(bulk[n], b[e.Offset:][:e.Length]...)
			}
		}
	}
	return bytes.Equal(texts[0], texts[1]) && bytes.Equal(bulk[0], bulk[1])
}

// checkHeard holds the segments that their reader finds in a message against ours.
func checkHeard(t *testing.T, name string, r *theirRIS, s sent) {
	t.Helper()
	m, err := hl7.Parse(s.bytes, hl7.Options{})
	if err != nil {
		t.Fatal(name, err)
	}
	theirs := r.of(m.Header(time.UTC).ID)
	ours := strings.Split(strings.TrimRight(string(s.bytes), "\r"), "\r")
	if len(m.Segments) != len(ours) || !slices.Equal(theirs, ours) {
		t.Errorf("%s: they read %d segments of %d:\n%s", name, len(theirs), len(ours), strings.Join(theirs, "\n"))
	}
}
