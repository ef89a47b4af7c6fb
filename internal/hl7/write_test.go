package hl7

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"varde/study"
)

// begun is a message with its MSH.
func begun() *Writer {
	w := &Writer{}
	w.Add("MSH").Put(3, Text("VARDE")).Put(9, Text("ORU"), Text("R01"), Text("ORU_R01")).Put(10, Exact("M1")).Put(11, Text("P")).Put(12, Text("2.5.1"))
	return w
}

func TestMessageIsWrittenAsTheStandardHasIt(t *testing.T) {
	w := begun()
	w.Add("PID").Set(3, Again(Of(Exact("1"), Text(""), Text(""), Subs("H", "1.2", "ISO"), Text("MR")), Of(Exact("2"))))
	w.Add("OBX").Put(1, Text("1")).Put(5, Null()).Put(8, Text(""), Text(""))
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	want := `MSH|^~\&|VARDE||||||ORU^R01^ORU_R01|M1|P|2.5.1||||||UNICODE UTF-8` + "\r" +
		`PID|||1^^^H&1.2&ISO^MR~2` + "\r" + `OBX|1||||""` + "\r"
	if string(b) != want {
		t.Errorf("wrote\n%q, want\n%q", b, want)
	}
}

// TestNoTextAddsAFieldOrASegment puts delimiters and control characters in random
// order into every kind of text, and reads back the same number of fields and the
// same letters.
func TestNoTextAddsAFieldOrASegment(t *testing.T) {
	letters := []rune("|^~\\&\"\r\n\x0b\x1c\x00\x7f\t MSHOBXæØ€–\u2028x\\.br")
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 {
		var text strings.Builder
		for range random.IntN(12) {
			text.WriteRune(letters[random.IntN(len(letters))])
		}
		for _, charset := range []string{UTF8, Latin1, ASCII} {
			w := begun()
			w.Add("PID").Put(4, Text(text.String())).Put(5, Text("end")).Put(6, Text(text.String()), Lines(text.String()), Text("c"))
			w.Add("PV1").Put(2, Text("O"))
			b, err := w.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if b, _, err = (Form{Charset: charset}).Fit(b); err != nil {
				t.Fatal(err)
			}
			if bytes.ContainsAny(b, "\x0b\x1c\n\x00") {
				t.Fatalf("%q: wrote %q", text.String(), b)
			}
			m, err := Parse(b, Options{})
			if err != nil || len(m.Segments) != 3 {
				t.Fatalf("%d, %q: %d segments, %v", n, text.String(), len(m.Segments), err)
			}
			pid := m.Segments[1]
			if pid.Reps(6) > 1 || pid.Text(6, 3) != "c" || pid.Text(5, 1) != "end" || pid.Raw(7) != "" {
				t.Fatalf("%q: wrote %q", text.String(), b)
			}
			blank := strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\x0b", " ", "\x1c", " ", "\x00", " ", "\x7f", " ", "\t", " ", "\u2028", " ")
			want := blank.Replace(strings.TrimSpace(text.String()))
			if charset != UTF8 {
				want = strings.NewReplacer("€", "EUR", "–", "-").Replace(want)
			}
			if charset == ASCII {
				want = strings.NewReplacer("æ", "ae", "Ø", "Oe").Replace(want)
			}
			if want = strings.TrimSpace(want); want == `""` {
				want = ""
			}
			if got := pid.Text(4, 1); got != want {
				t.Fatalf("%q was read back as %q, want %q", text.String(), got, want)
			}
		}
	}
}

func TestNoIdentifierHoldsWhatIsNoLetter(t *testing.T) {
	for _, id := range []string{"1\r2", "1\x0b2", "1\xff2"} {
		w := begun()
		w.Add("PID").Put(3, Exact(id))
		if _, err := w.Bytes(); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "PID-3") || strings.Contains(err.Error(), id) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestWhatIsNoMessageIsNotWritten(t *testing.T) {
	long := begun()
	for range 50 {
		long.Add("OBX").Put(5, Text(strings.Repeat("x", 100_000)))
	}
	odd := begun()
	odd.Add("ob|").Put(1, Text("1"))
	headless := &Writer{}
	headless.Add("PID")
	for name, w := range map[string]*Writer{"empty": {}, "no MSH": headless, "too long": long, "segment name": odd} {
		if _, err := w.Bytes(); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatWeWriteIsReadBackAsItWas writes text with line ends and delimiters and
// reads the same.
func TestWhatWeWriteIsReadBackAsItWas(t *testing.T) {
	w := begun()
	w.Add("OBX").Put(1, Text("1")).Put(2, Text("FT")).Put(5, Lines("one\ntwo | three\r\n& four")).Put(14, Text("20260314092653+0100"))
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	obx, _ := m.First("OBX")
	if got := obx.Text(5, 1); got != "one\ntwo | three\n& four" {
		t.Errorf("read back %q", got)
	}
	if at, _ := Time(obx.Text(14, 1), time.UTC); at.IsZero() {
		t.Error("no time")
	}
	if h := m.Header(time.UTC); h.Type != "ORU" || h.Event != "R01" || h.ID != "M1" || h.Version != "2.5.1" {
		t.Errorf("header %+v", h)
	}
}
