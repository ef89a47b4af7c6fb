package hl7

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"varde/study"
)

// expectation is what the test data's expected.json says of a message.
type expectation struct {
	Behavior   string   `json:"behaviour"`
	Segments   int      `json:"segments"`
	Encoding   string   `json:"encoding_chars"`
	Sender     string   `json:"sending_app"`
	Type       string   `json:"message_type"`
	ID         string   `json:"control_id"`
	Processing string   `json:"processing_id"`
	Version    string   `json:"version"`
	Charset    string   `json:"charset"`
	PID3       string   `json:"pid3"`
	PID5       string   `json:"pid5"`
	IDs        []string `json:"segment_ids"`
}

func shared(t testing.TB) (string, map[string]expectation) {
	t.Helper()
	dir, named := os.LookupEnv("VARDE_TESTDATA")
	if !named {
		dir = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		if named {
			t.Fatal(err)
		}
		t.Skip("the shared test data is not here; set VARDE_TESTDATA: ", err)
	}
	all := map[string]expectation{}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for path, e := range all {
		if e.Behavior != "hl7" {
			delete(all, path)
		}
	}
	return dir, all
}

func TestEveryMessageOfTheManifestReadsAsListed(t *testing.T) {
	dir, all := shared(t)
	if len(all) != 15 {
		t.Errorf("%d messages, want 15", len(all))
	}
	for path, want := range all {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(b, Options{})
			if err != nil {
				t.Fatal(err)
			}
			msh, _ := m.First("MSH")
			pid, _ := m.First("PID")
			for _, f := range []struct{ name, got, want string }{
				{"MSH-2", msh.Raw(2), want.Encoding}, {"MSH-3", msh.Raw(3), want.Sender}, {"MSH-9", msh.Raw(9), want.Type},
				{"MSH-10", msh.Raw(10), want.ID}, {"MSH-11", msh.Raw(11), want.Processing}, {"MSH-12", msh.Raw(12), want.Version},
				{"MSH-18", msh.Raw(18), want.Charset}, {"PID-3", pid.Raw(3), want.PID3}, {"PID-5", pid.Raw(5), want.PID5},
			} {
				if f.got != f.want {
					t.Errorf("%s: %q, want %q", f.name, f.got, f.want)
				}
			}
			if m.Lines != want.Segments {
				t.Errorf("%d lines, want %d", m.Lines, want.Segments)
			}
			checkNames(t, m, want.IDs)
		})
	}
}

// checkNames holds the segments against the listed beginnings of lines: a
// byte-order mark is part of the first one there, and wrapped lines are no
// segments here.
func checkNames(t *testing.T, m *Message, lines []string) {
	t.Helper()
	var want, got []string
	for _, id := range lines {
		if strings.HasPrefix(id, "\uFEFF") {
			id = "MSH"
		}
		if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" {
			want = append(want, id)
		}
	}
	for _, s := range m.Segments {
		got = append(got, s.ID)
	}
	if !slices.Equal(got[:min(len(got), len(want))], want) {
		t.Errorf("segments %v, want %v", got, want)
	}
}

func TestWrappedLinesAreOneSegment(t *testing.T) {
	m, err := Parse([]byte("MSH|^~\\&|A|B\r\nPID|1||7||DOE^J|||M|||12 LONG\r\nSTREET^^TOWN|\r\n\r\nPV1|1\r\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := m.First("PID")
	if len(m.Segments) != 3 || m.Lines != 4 || pid.Text(11, 1) != "12 LONG STREET" || pid.Text(11, 3) != "TOWN" {
		t.Errorf("%d segments of %d lines; PID-11 %q", len(m.Segments), m.Lines, pid.Raw(11))
	}
}

func TestEscapesAreUndone(t *testing.T) {
	for in, want := range map[string]string{
		`a\F\b\S\c\T\d\R\e\E\f\P\g`: `a|b^c&d~e\f#g`,
		`OPERA\XC7\\XC3\O`:          `OPERAÇÃO`,
		`one\.br\two\.sp2\three`:    "one\ntwo\n\nthree",
		`\H\bold\N\`:                `bold`,
		`C:\temp\file`:              `C:\temp\file`,
		`\\server`:                  `\\server`,
		`end\`:                      `end\`,
		`\Xzz\`:                     `\Xzz\`,
		`\unknown\F\`:               `\unknown|`,
		`""`:                        ``,
	} {
		m, err := Parse([]byte("MSH|^~\\&#||||||||||||||||8859/1\rOBX|1|ST|x||"+in+"\r"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		obx, _ := m.First("OBX")
		if got := obx.Text(5, 1); got != want {
			t.Errorf("%q reads as %q, want %q", in, got, want)
		}
	}
}

func TestTextIsReadInItsCharacterSet(t *testing.T) {
	for _, tt := range []struct{ name, set, option, bytes, want string }{
		{"named 8859/1", "8859/1", "", "S\xf8ren \xc5s", "Søren Ås"},
		{"named UTF-8", "UNICODE UTF-8", "", "Søren Ås", "Søren Ås"},
		{"none, UTF-8 by its bytes", "", "", "Søren Ås", "Søren Ås"},
		{"none, not UTF-8", "", "", "S\xf8ren", "Søren"},
		{"none, told by the site", "", "8859/15", "\xa4", "€"},
		{"ASCII that is more", "ASCII", "", "S\xf8ren", "Søren"},
		{"UTF-8 that is not", "UNICODE UTF-8", "", "S\xf8ren", "Søren"},
		{"Windows quotes", "8859/1", "", "\x93x\x94", "“x”"},
	} {
		m, err := Parse([]byte("MSH|^~\\&"+strings.Repeat("|", 16)+tt.set+"\rPID|||1||"+tt.bytes+"\r"), Options{Charset: tt.option})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if p, _ := m.Patient(); p.Reveal().Name != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, p.Reveal().Name, tt.want)
		}
	}
	if _, err := Parse([]byte("MSH|^~\\&"+strings.Repeat("|", 16)+"ISO IR87\r"), Options{}); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("a set that is not read: %v", err)
	}
}

func TestOrderIsReadFromEveryPlace(t *testing.T) {
	dir, _ := shared(t)
	b, err := os.ReadFile(filepath.Join(dir, "hl7", "dcm4che__ORM_O01-GeneralOrder.hl7"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := m.Groups()
	if len(g) != 1 || g[0].StudyUID() != "1.2.392.200036.9125.0.198811291108.7" || g[0].Accession() != "AccessionNumber" ||
		g[0].Placer() != "PlacerOrderNumberImagingServiceRequest" || !g[0].Deadline(time.UTC).IsZero() {
		t.Errorf("orders: %d", len(g))
	}
	m, err = Parse([]byte("MSH|^~\\&|RIS\rRF1|||||||20260102\rORC|NW|P1|F1||||^^^^^R\rTQ1|1|||||||20260301|S^Stat^HL70485\r"+
		"OBR|1|P1|F1|||||||||||||||A1\rIPC|A9|RP|1.2.3^X\rORC|CA|P2|F2\rOBR|2||||A\r"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	g = m.Groups()
	if len(g) != 2 || g[0].Priority() != study.PriorityStat || g[0].Accession() != "A9" || g[0].StudyUID() != "1.2.3" ||
		!g[0].Deadline(time.UTC).Equal(time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)) ||
		!g[0].Referred(time.UTC).Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) ||
		!g[1].Canceled() || g[1].Priority() != study.PriorityUrgent {
		t.Errorf("orders read as %d groups; first %s by %s", len(g), g[0].Priority(), g[0].Deadline(time.UTC))
	}
}

func TestPriorityCodes(t *testing.T) {
	for code, want := range map[string]study.Priority{"S": "stat", "stat": "stat", "A": "urgent", "R": "routine", "T": "urgent",
		"TM30": "urgent", "PRN": "routine", "Tuesday": "", "": "", "X9": ""} {
		if got := priority(code); got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

func TestTimesOfEveryLength(t *testing.T) {
	oslo := time.FixedZone("", 3600)
	for text, want := range map[string]string{
		"2026": "2025-12-31T23:00:00Z", "20260102": "2026-01-01T23:00:00Z", "202601021530": "2026-01-02T14:30:00Z",
		"20260102153001.1234": "2026-01-02T14:30:01Z", "20260102153001-0500": "2026-01-02T20:30:01Z", "": "", "2026010": "", "junkjunk": "",
		"20261301": "", "20260102+9": "2026-01-01T23:00:00Z",
	} {
		got, _ := Time(text, oslo)
		if s := got.Format(time.RFC3339); s != want && (want != "" || !got.IsZero()) {
			t.Errorf("%q: %s, want %s", text, s, want)
		}
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	for _, in := range []string{"", "MSH", "PID|1||2|||||", "MSHA^~\\&|x|y", "MSH|^^\\&|x|y", "MSH||x|yyyyyyy", "MSH|^~\\&#$%|x", "\x00\x00MSH|^\n\n\n"} {
		if _, err := Parse([]byte(in), Options{}); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%q: %v", in, err)
		}
	}
	if m, err := Parse([]byte("MSH|^~\\&|x\r"+strings.Repeat("NTE\r", maxSegments)), Options{}); m == nil || !errors.Is(err, study.ErrInvalid) {
		t.Errorf("too many segments: %v", err)
	}
}

// TestDamagedMessagesAreSurvived reads more than a hundred thousand messages with
// bytes changed, cut, doubled and put in, and asks each for all that it may hold.
// VARDE_MUTATIONS says how many.
func TestDamagedMessagesAreSurvived(t *testing.T) {
	seeds := [][]byte{ // ours, and those of the shared set where it is
		[]byte("MSH|^~\\&|RIS|A|V|B|20260101||ORM^O01^ORM_O01|1|P|2.5.1||||||8859/1\rPID|1||7^^^A~8||DOE^J||19600101|M\rORC|NW|P1|F1||||^^^^^S\rOBR|1|P1|F1|CT^Chest\rTQ1|1|||||||20260301|S^Stat\rZDS|1.2.3^A^Application^DICOM\r"),
		[]byte("MSH|^~\\&|ADT|A|V|B|20260101||ADT^A40|2|P|2.3\nPID|1||7||NEW^N\nMRG|8\n"),
		[]byte("\xEF\xBB\xBFMSH|^~\\&#|R|A|V|B|||ORU^R01|3|P|2.5||||||UNICODE UTF-8\r\nOBR|1||F1\r\nOBX|1|TX|R||a\\T\\b\\X0D\\~c||||||F\r\n"),
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "testdata", "hl7", "*"))
	if dir, named := os.LookupEnv("VARDE_TESTDATA"); named {
		files, err = filepath.Glob(filepath.Join(dir, "hl7", "*"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	slices.SortFunc(seeds, slices.Compare)
	r := rand.New(rand.NewPCG(1, 2))
	n := 120000
	if testing.Short() {
		n = 10000
	}
	if set, err := strconv.Atoi(os.Getenv("VARDE_MUTATIONS")); err == nil {
		n = set
	}
	for range n {
		readAll(damage(r, seeds[r.IntN(len(seeds))]))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.Sys > 1<<30 {
		t.Errorf("%d MiB taken", m.Sys>>20)
	}
}

func damage(r *rand.Rand, seed []byte) []byte {
	b := slices.Clone(seed[:min(len(seed), 1500)])
	for range 1 + r.IntN(6) {
		i := r.IntN(len(b))
		switch r.IntN(5) {
		case 0:
			b[i] = byte(r.IntN(256))
		case 1:
			b = b[:max(i, 4)]
		case 2:
			b = slices.Insert(b, i, `|^~\&#`[r.IntN(6)], `|^~\&#`[r.IntN(6)])
		case 3:
			b = slices.Insert(b, i, b[i:min(len(b), i+50)]...)
		case 4:
			b = slices.Insert(b, i, []byte{'\r', '\n', 0x1c, 0x0b, '\\', 'X'}[r.IntN(6)])
		}
	}
	return b
}

func readAll(b []byte) {
	m, err := Parse(b, Options{})
	for _, a := range Answers(m, err, time.Unix(1, 0)) {
		if back, err := Parse(a, Options{}); back == nil {
			panic("an answer is no message: " + err.Error())
		}
	}
	if err != nil {
		return
	}
	p, ids := m.Patient()
	_, _ = p.Reveal(), ids
	for _, g := range m.Groups() {
		_, _, _, _, _, _ = g.Accession(), g.StudyUID(), g.Priority(), g.Deadline(time.UTC), g.Referred(time.UTC), g.Codes()
		for _, o := range g.OBX {
			_ = o.Whole(5, 1)
		}
	}
}

func TestReasonsOfAnOrderAreItsCodes(t *testing.T) {
	m, err := Parse([]byte("MSH|^~\\&|RIS|H|V|H|2026||ORM^O01|1|P|2.5.1\r"+
		"DG1|1|I10|C50.9^Breast\rORC|NW|1\rOBR|1|1|||||||||||||||||||||||||||||R92^Abnormal^I10~X1^^99H\r"+
		"DG1|2||Z51.5^Palliative^I10^DZ515^^SKS\rOBX|1|CWE|x^y||HLR-^HLR minus^99H\rOBX|2|TX|x||only text\r"+
		"ORC|NW|2\rOBR|2|2"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	groups := m.Groups()
	if len(groups) != 2 {
		t.Fatalf("%d groups", len(groups))
	}
	var got []string
	for _, c := range groups[0].Codes() {
		got = append(got, c.Scheme+":"+c.Value)
	}
	want := []string{"I10:C50.9", "I10:Z51.5", "SKS:DZ515", "I10:R92", "99H:X1", "99H:HLR-"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := groups[1].Codes(); len(got) != 1 || got[0].Value != "C50.9" {
		t.Errorf("the second order has %v", got)
	}
}
