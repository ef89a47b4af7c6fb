package hl7

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"varde/study"
)

// observed is a message with every field that a form may change.
func observed(t testing.TB, text string) []byte {
	t.Helper()
	w := begun()
	w.Add("PID").Put(1, Text("1")).Put(3, Exact("010190-1")).Put(5, Text(text))
	w.Add("OBX").Put(1, Text("1")).Put(2, Text("ST")).Put(3, Exact("113014"), Text("Study")).Put(5, Exact("1.2.3")).Put(11, Text("O")).Put(17, Exact("m@1")).Put(18, Exact("1"), Text("Varde"))
	w.Add("OBX").Put(1, Text("2")).Put(2, Text("CWE")).Put(3, Exact("1")).Put(5, Exact("2"), Text(text)).Put(11, Text("P")).Put(17, Exact("m@1")).Put(18, Exact("1"), Text("Varde"))
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAFormHasWhatItsVersionKnows(t *testing.T) {
	for _, tt := range []struct{ version, kind, value, name, maker string }{
		{"2.3", "ORU^R01", "CE", "F", ""},
		{"2.3.1", "ORU^R01", "CE", "O", ""},
		{"2.4", "ORU^R01^ORU_R01", "CE", "O", "1^Varde"},
		{"2.5", "ORU^R01^ORU_R01", "CWE", "O", "1^Varde"},
		{"2.5.1", "ORU^R01^ORU_R01", "CWE", "O", "1^Varde"},
		{"2.6", "ORU^R01^ORU_R01", "CWE", "O", "1^Varde"},
		{"2.8", "ORU^R01^ORU_R01", "CWE", "O", "1^Varde"},
	} {
		b, loss, err := Form{Version: tt.version}.Fit(observed(t, "Ødegård"))
		if err != nil || loss != (Loss{}) {
			t.Fatalf("%s: %+v, %v", tt.version, loss, err)
		}
		m, err := Parse(b, Options{})
		if err != nil || len(m.Segments) != 4 {
			t.Fatalf("%s: %v", tt.version, err)
		}
		head, name, value := m.Segments[0], m.Segments[2], m.Segments[3]
		if head.Raw(12) != tt.version || head.Raw(9) != tt.kind || head.Raw(18) != UTF8 || head.Raw(10) != "M1" {
			t.Errorf("%s: header %s, %s, %s, %s", tt.version, head.Raw(12), head.Raw(9), head.Raw(18), head.Raw(10))
		}
		if value.Raw(2) != tt.value || name.Raw(11) != tt.name || value.Raw(11) != "P" || value.Raw(17) != "m@1" || value.Raw(18) != tt.maker {
			t.Errorf("%s: %s, %s, %s", tt.version, value.Raw(2), name.Raw(11), value.Raw(18))
		}
		if m.Segments[1].Text(5, 1) != "Ødegård" {
			t.Errorf("%s: the name is another", tt.version)
		}
	}
	// What was written before stays of its version.
	old, _, err := Form{Version: "2.3.1", Charset: Latin1}.Fit(observed(t, "Åse"))
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := Form{Version: "2.5.1", Charset: UTF8}.Fit(old)
	if err != nil || !bytes.Contains(b, []byte("|2.3.1|")) || !bytes.Contains(b, []byte("Åse")) {
		t.Errorf("%q, %v", b, err)
	}
	if again, _, err := (Form{}).Fit(old); err != nil || !bytes.Equal(again, old) {
		t.Errorf("no form changes it: %v", err)
	}
}

func TestLettersThatDoNotFitArePrintedOtherwiseAndCounted(t *testing.T) {
	for _, tt := range []struct {
		charset, text, want string
		loss                Loss
	}{
		{UTF8, "Ødegård 中 –", "Ødegård 中 –", Loss{}},
		{Latin1, "Ødegård 中 ≤ 3 μm “x” …", "\xD8deg\xE5rd ? <= 3 \xB5m \"x\" ...", Loss{5, 1}},
		{Latin1, "Żółć Šimić", "Z\xF3lc Simic", Loss{5, 0}},
		{ASCII, "Ødegård Åse Ærø Müller é 中中", "Oedegaard Aase Aeroe Mueller e ??", Loss{7, 2}},
		{ASCII, "a|b^c&d~e\\", `a\F\b\S\c\T\d\R\e\E\`, Loss{}},
		{ASCII, "“”", "", Loss{2, 0}}, // two quotes would delete what the receiver has
	} {
		b, loss, err := Form{Charset: tt.charset}.Fit(observed(t, tt.text))
		if err != nil {
			t.Fatal(err)
		}
		line := strings.Split(string(b), "\r")[1]
		if got := strings.TrimPrefix(strings.TrimPrefix(line, "PID|1||010190-1"), "||"); got != tt.want {
			t.Errorf("%s in %s: %q, want %q", tt.text, tt.charset, got, tt.want)
		}
		if want := (Loss{2 * tt.loss.Replaced, 2 * tt.loss.Lost}); loss != want { // it stands there twice
			t.Errorf("%s in %s: %+v, want %+v", tt.text, tt.charset, loss, want)
		}
		if tt.charset == ASCII && bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Errorf("%q is not ASCII", b)
		}
		if !bytes.Contains(b, []byte("|"+tt.charset+"\r")) {
			t.Errorf("MSH-18 is not %s", tt.charset)
		}
	}
}

func TestAnIdentifierIsNeverPrintedOtherwise(t *testing.T) {
	for _, where := range []struct {
		segment string
		field   int
	}{{"PID", 3}, {"ORC", 2}, {"ORC", 3}, {"OBR", 2}, {"OBR", 3}, {"OBR", 18}, {"OBX", 3}} {
		w := begun()
		w.Add(where.segment).Put(where.field, Exact("12Å"), Text("Ålesund"))
		b, err := w.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Form{Charset: ASCII}.Fit(b)
		if !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), where.segment+"-") || strings.Contains(err.Error(), "12") {
			t.Errorf("%s-%d: %v", where.segment, where.field, err)
		}
		if _, _, err := (Form{Charset: Latin1}).Fit(b); err != nil {
			t.Errorf("%s-%d: %v", where.segment, where.field, err)
		}
	}
}

func TestWhatIsNoFormOrNoMessageOfOursIsRefused(t *testing.T) {
	good := observed(t, "x")
	for name, tt := range map[string]struct {
		form Form
		b    []byte
	}{
		"version":   {Form{Version: "3"}, good},
		"charset":   {Form{Charset: "ISO IR87"}, good},
		"no header": {Form{Version: "2.3"}, []byte("PID|1\r")},
		"delimiter": {Form{Version: "2.3"}, []byte("MSH|$~\\&|a||||||ORU$R01|1|P|2.5.1\r")},
		"short":     {Form{Version: "2.3"}, []byte("MSH|^~\\&|a\r")},
		"empty":     {Form{Version: "2.3"}, nil},
	} {
		if _, _, err := tt.form.Fit(tt.b); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
