package messages_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/hl7"
	"varde/internal/studytest/peers"
	"varde/internal/words"
	"varde/report/messages"
	"varde/study"
)

var update = flag.Bool("update", false, "write the golden messages anew")

func mustWrite(t testing.TB, in messages.Input) []byte {
	t.Helper()
	b, err := messages.ORU(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// formOf is what a sample is brought into; the others stay as they are written.
func formOf(name string) hl7.Form {
	kind, _, _ := strings.Cut(name, ".")
	return map[string]hl7.Form{
		"latin":   {Version: "2.3.1", Charset: hl7.Latin1},
		"ascii":   {Version: "2.3", Charset: hl7.ASCII},
		"version": {Version: "2.6"},
	}[kind]
}

// mustSend writes a sample in its form.
func mustSend(t testing.TB, name string, in messages.Input) []byte {
	t.Helper()
	b, _, err := formOf(name).Fit(mustWrite(t, in))
	if err != nil {
		t.Fatal(name, err)
	}
	return b
}

// samples are messages of every outcome, status, language and version.
func samples() map[string]messages.Input {
	all := map[string]messages.Input{}
	for _, l := range words.Langs {
		name := func(s string) string { return s + "." + string(l) }
		all[name("nothing")] = told(chest(l, 0))
		all[name("findings")] = told(chest(l, 2))
		all[name("calibrated")] = told(labeled(calibrated(chest(l, 1))))
		all[name("partial")] = told(partial(chest(l, 0)))
		all[name("failed")] = told(failed(chest(l, 0)))
		all[name("outside")] = told(outside(chest(l, 0)))
		all[name("slides")] = told(slides(chest(l, 0)))
		in := chest(l, 1)
		in.Options.Final = true
		all[name("final")] = told(in)
		in = chest(l, 1)
		in.Verified = &messages.Verification{By: "Lege^Åse^^Dr", At: at.Add(time.Hour)}
		all[name("verified")] = told(in)
		in = chest(l, 1)
		in.Replaces = true
		all[name("corrected")] = told(in)
		in = told(labeled(calibrated(chest(l, 1))))
		in.Withdrawn, in.Reason, in.At = true, "Sensitivity | fell & fell", at.Add(24*time.Hour)
		all[name("withdrawn")] = in
		in = told(chest(l, 1))
		in.Options = messages.Options{App: "KI", Facility: "OUS", Country: "NOR", OrderFiller: true}
		all[name("latin")] = in
		all[name("ascii")] = told(chest(l, 1))
		all[name("version")] = told(chest(l, 1))
	}
	return all
}

func TestMessagesAreAsReviewed(t *testing.T) {
	for name, in := range samples() {
		got := bytes.ReplaceAll(mustSend(t, name, in), []byte("\r"), []byte("\n"))
		file := filepath.Join("testdata", name+".hl7")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not as it was reviewed; go test -update writes it anew:\n%s", name, got)
		}
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	for name, in := range samples() {
		if a, b := mustSend(t, name, in), mustSend(t, name, in); !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

// fields is a message as a reader takes it apart: segments of fields of
// repetitions of components.
type fields [][]any

// TestTwoReadersFindTheSame reads every message by python3-hl7 and by our own
// reader, and holds each component of each field against the other.
func TestTwoReadersFindTheSame(t *testing.T) {
	python := peers.NeedHL7(t)
	const program = `
import sys, json, hl7
out = {}
for name, text in json.load(sys.stdin).items():
    m = hl7.parse(text)
    rows = []
    for s in m:
        row = [str(s[0])]
        for f in range(1, len(s)):
            if row[0] == "MSH" and f < 3:
                row.append([[str(s[f])]])
                continue
            row.append([[m.unescape(str(c)) for c in r] if not isinstance(r, str) else [m.unescape(r)] for r in s[f]])
        rows.append(row)
    out[name] = rows
json.dump(out, sys.stdout)
`
	texts := map[string]string{}
	for name, in := range samples() {
		b := mustSend(t, name, in)
		if formOf(name).Charset == hl7.Latin1 {
			runes := make([]rune, len(b))
			for i, c := range b {
				runes[i] = rune(c)
			}
			texts[name] = string(runes)
			continue
		}
		texts[name] = string(b)
	}
	send, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", program)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(send), os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]fields{}
	if err := json.Unmarshal(answer, &theirs); err != nil {
		t.Fatal(err)
	}
	for name, in := range samples() {
		m, err := hl7.Parse(mustSend(t, name, in), hl7.Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		if len(m.Segments) != len(theirs[name]) {
			t.Errorf("%s: %d segments, they find %d", name, len(m.Segments), len(theirs[name]))
			continue
		}
		for i, row := range theirs[name] {
			compare(t, name, m.Segments[i], row)
		}
	}
}

func compare(t *testing.T, name string, s hl7.Segment, row []any) {
	t.Helper()
	if s.ID != row[0] {
		t.Errorf("%s: %s, they find %v", name, s.ID, row[0])
		return
	}
	for f := 1; f < len(row); f++ {
		for r, rep := range row[f].([]any) {
			for c, text := range rep.([]any) {
				theirs := strings.TrimSpace(text.(string))
				if theirs == `""` || strings.Contains(s.Raw(f), "&") && s.ID != "MSH" {
					continue // a null reads as empty with us, and they leave subcomponents together
				}
				if ours := s.At(f, r+1, c+1, 1); ours != theirs {
					t.Errorf("%s: %s-%d repetition %d component %d: %q, they find %q", name, s.ID, f, r+1, c+1, ours, theirs)
				}
			}
		}
	}
}

// rows gives the observations of a message.
func rows(t testing.TB, in messages.Input) []hl7.Segment {
	t.Helper()
	m, err := hl7.Parse(mustWrite(t, in), hl7.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Groups()[0].OBX
}

// coded gives the value of an observation by its code.
func coded(all []hl7.Segment, code string) string {
	for _, s := range all {
		if s.Text(3, 1) == code {
			return s.Text(5, 1)
		}
	}
	return ""
}

func TestNoMessageWithoutAnAnswerReadsAsNegative(t *testing.T) {
	for _, l := range words.Langs {
		for name, tt := range map[string]struct {
			in              messages.Input
			summary, status string
		}{
			"failed":           {failed(chest(l, 0)), "111245", "111224"},
			"outside":          {outside(chest(l, 0)), "111245", "111225"},
			"partial":          {partial(chest(l, 0)), "111243", "111223"},
			"partial, flagged": {partial(chest(l, 1)), "111244", "111223"},
		} {
			all := rows(t, told(tt.in))
			if a, b := coded(all, "111017"), coded(all, "111064"); a != tt.summary || b != tt.status {
				t.Errorf("%s: summary %s, status %s", name, a, b)
			}
			for _, s := range all {
				if s.Text(5, 1) == "260385009" || s.Text(3, 1) == "AIFINDINGS" && s.Text(5, 1) == "0" || s.Text(8, 1) == "N" {
					t.Errorf("%s reads as negative: %s", name, s.Raw(3))
				}
			}
			if reason := coded(all, "AIREASON"); reason != tt.in.Result.Reason.Code {
				t.Errorf("%s: reason %q", name, reason)
			}
		}
	}
	// And one that somebody calls not flagged though AI did not see all.
	in := told(partial(chest(words.English, 0)))
	in.Result.AI = study.NotFlagged
	if got := coded(rows(t, in), "363713009"); got != "82334004" {
		t.Errorf("a partial result without findings is %s", got)
	}
}

func TestUncalibratedNumbersAreToldToNobody(t *testing.T) {
	for name, in := range map[string]messages.Input{"uncalibrated": labeled(chest(words.English, 1)), "partial": partial(labeled(calibrated(chest(words.English, 1))))} {
		in.Result.Probability = ptr(0.91)
		for _, s := range rows(t, told(in)) {
			if s.Text(6, 1) == "%" || s.Text(3, 2) == "A chance" {
				t.Errorf("%s: %s is told", name, s.Raw(3))
			}
		}
	}
	if got := coded(rows(t, told(calibrated(chest(words.English, 1)))), "111013"); got != "91" {
		t.Errorf("the calibrated probability is %q", got)
	}
}

func TestEveryMessageNamesModelVersionAndHashAndSaysWhatItIsFor(t *testing.T) {
	for name, in := range samples() {
		all := rows(t, in)
		if coded(all, "111001") == "" || coded(all, "111003") != "1.2.0+sha256:"+in.Result.Model.SHA256.String() {
			t.Errorf("%s does not name its model", name)
		}
		text := ""
		for _, s := range all {
			if s.Text(2, 1) == "TX" {
				text += s.Text(5, 1) + "\n"
			}
		}
		if last := in.Lines[len(in.Lines)-1]; !in.Withdrawn && !strings.Contains(text, strings.NewReplacer("–", "-").Replace(last)) && !strings.Contains(text, last) {
			t.Errorf("%s lacks %q:\n%s", name, last, text)
		}
		if in.Withdrawn == strings.Contains(text, in.Lines[0]) {
			t.Errorf("%s says:\n%s", name, text)
		}
	}
}

func TestTheReportsOwnWordsAreTold(t *testing.T) {
	for _, l := range words.Langs {
		in := failed(chest(l, 0))
		in.Lines = words.Tell(l, in.Study, in.Result, words.TellOptions{}).Lines()
		text := ""
		for _, s := range rows(t, in) {
			text += s.Text(5, 1) + "\n"
		}
		for _, line := range in.Lines {
			if !strings.Contains(text, line) {
				t.Errorf("%s: %q is not told", l, line)
			}
		}
	}
}

func TestStatusSaysWhatTheMessageIs(t *testing.T) {
	for name, in := range samples() {
		name, _, _ = strings.Cut(name, ".")
		want := map[string][2]string{"final": {"F", "F"}, "verified": {"F", "F"}, "corrected": {"C", "C"}, "withdrawn": {"W", "C"}}[name]
		if want[0] == "" {
			want = [2]string{"P", "P"}
		}
		m, err := hl7.Parse(mustWrite(t, in), hl7.Options{})
		if err != nil {
			t.Fatal(err)
		}
		g := m.Groups()[0]
		if got := g.OBR.Text(25, 1); got != want[1] {
			t.Errorf("%s: OBR-25 is %s", name, got)
		}
		for _, s := range g.OBX {
			got := s.Text(11, 1)
			if s.Text(3, 1) == "113014" && got != "O" || s.Text(2, 1) == "CWE" && got != want[0] {
				t.Errorf("%s: %s has status %s", name, s.Raw(3), got)
			}
		}
	}
}

// TestWithdrawalTakesBackEveryObservation holds a withdrawal against the message
// that it takes back: each observation has its counterpart, without a value.
func TestWithdrawalTakesBackEveryObservation(t *testing.T) {
	was := told(labeled(calibrated(chest(words.English, 3))))
	is := was
	is.Withdrawn = true
	var names []string
	for _, s := range rows(t, is) {
		names = append(names, s.Raw(3)+"/"+s.Raw(4))
		switch {
		case s.Text(11, 1) == "W" && s.Raw(5) != `""` && s.Text(3, 1) != "111001" && s.Text(3, 1) != "111003":
			t.Errorf("%s/%s keeps its value", s.Raw(3), s.Raw(4))
		case s.Raw(8) != "":
			t.Errorf("%s is called abnormal", s.Raw(3))
		}
	}
	for _, s := range rows(t, was) {
		if name := s.Raw(3) + "/" + s.Raw(4); !slices.Contains(names, name) {
			t.Errorf("%s is not taken back", name)
		}
	}
}

func TestNumbersAreThoseOfTheOrderAndOurs(t *testing.T) {
	in := told(chest(words.English, 1))
	m, err := hl7.Parse(mustWrite(t, in), hl7.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, ids := m.Patient()
	if p.Reveal().ID != "010190-12345" || len(ids) != 2 || ids[0].AuthorityUID != "2.16.578.1.12.4.1.4.1" || p.Reveal().Name != "Ødegård^Bjørn^Åge^Dr^Jr" {
		t.Errorf("the patient is another: %d identifiers", len(ids))
	}
	pid, _ := m.First("PID")
	if pid.At(3, 1, 5, 1) != "NNNOR" || pid.At(3, 2, 5, 1) != "" {
		t.Errorf("kinds of identifiers in %d repetitions", pid.Reps(3))
	}
	g := m.Groups()[0]
	if g.Placer() != "PL-9" || g.Accession() != "A-1001" || len(g.Filler()) != 20 || g.Filler() == "FI-9" {
		t.Errorf("placer %s, accession %s, filler %s", g.Placer(), g.Accession(), g.Filler())
	}
	if id := m.Header(time.UTC).ID; len(id) != 20 {
		t.Errorf("control ID %q", id)
	}
	// A correction has the filler's number of what it corrects, and a control ID of
	// its own.
	in.Replaces, in.UID, in.Result.Rev = true, study.DerivedUID("another"), 2
	n, err := hl7.Parse(mustWrite(t, in), hl7.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n.Groups()[0].Filler() != g.Filler() || n.Header(time.UTC).ID == m.Header(time.UTC).ID {
		t.Error("a correction is not known by its numbers")
	}
}

func TestWhatMustNotBeToldIsNotWritten(t *testing.T) {
	good := told(chest(words.English, 0))
	for name, tt := range map[string]struct {
		change func(*messages.Input)
		kind   error
	}{
		"running":    {func(in *messages.Input) { in.Result.AI = study.Running }, study.ErrIncomplete},
		"shadow":     {func(in *messages.Input) { in.Result.Shadow = true }, study.ErrRefused},
		"no words":   {func(in *messages.Input) { in.Lines = nil }, study.ErrInvalid},
		"no name":    {func(in *messages.Input) { in.UID = "" }, study.ErrInvalid},
		"country":    {func(in *messages.Input) { in.Options.Country = "Norge" }, study.ErrInvalid},
		"identifier": {func(in *messages.Input) { in.Study.Accession = "A\r1" }, study.ErrInvalid},
		"no letter":  {func(in *messages.Input) { in.Study.Accession = "A\xff" }, study.ErrInvalid},
	} {
		in := good
		tt.change(&in)
		if _, err := messages.ORU(in); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v", name, err)
		} else if p := in.Study.Patient.Reveal(); strings.Contains(err.Error(), p.ID) || strings.Contains(err.Error(), p.Name) {
			t.Errorf("%s: the error names the patient", name)
		}
	}
}
