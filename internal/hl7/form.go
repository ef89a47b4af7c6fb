package hl7

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"varde/study"
)

// Versions lists those that a message of a [Writer] can be brought into, oldest
// first. Messages are written in 2.5.1.
var Versions = [...]string{"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"}

// Charsets lists the character sets that a message can be brought into, as MSH-18
// names them, table 0211.
var Charsets = [...]string{UTF8, Latin1, ASCII}

// A Form is how one system wants its messages. What is empty stays as the message has
// it.
type Form struct {
	Version string // MSH-12, of [Versions]
	Charset string // MSH-18, of [Charsets]
}

// Check says what is wrong with a form, as an error of kind [study.ErrInvalid].
func (f Form) Check() error {
	if f.Version != "" && !slices.Contains(Versions[:], f.Version) {
		return fmt.Errorf("HL7 version %q is none of %s: %w", f.Version, strings.Join(Versions[:], ", "), study.ErrInvalid)
	}
	if f.Charset != "" && !slices.Contains(Charsets[:], f.Charset) {
		return fmt.Errorf("HL7 character set %q is none of %s: %w", f.Charset, strings.Join(Charsets[:], ", "), study.ErrInvalid)
	}
	return nil
}

// A Loss is what a character set had no letters for: how many stand there as the plain
// ones that are read for them ("Oe" for "Ø", "-" for a dash), and how many as a
// question mark.
type Loss struct{ Replaced, Lost int }

// lastField is how many fields a segment of ours has in versions before the one named,
// as far as we write more.
var lastField = [...]struct {
	before, segment string
	fields          int
}{
	{"2.4", "OBX", 17}, // what made the observation came with 2.4
}

// exactly lists the components that are identifiers, which are one another's if a
// letter of them is replaced; 0 stands for all components.
var exactly = map[string]int{"MSH-10": 0, "PID-3": 0, "ORC-2": 0, "ORC-3": 0, "OBR-2": 0, "OBR-3": 0, "OBR-18": 0, "OBX-3": 1, "OBX-17": 1}

// A fitting is one message on its way into a form.
type fitting struct {
	version string // of the message then
	charset string
	loss    Loss
}

// Fit brings a message that a [Writer] has made into the form: its character set, its
// version, and no field or type that the version does not know. It never makes a
// message of an older version a newer one, for it can't say what that one lacks. A
// letter that the set lacks is replaced, and counted; in an identifier it is an error
// of kind [study.ErrInvalid], as is a message with other encoding characters than ours.
// The control ID stays.
func (f Form) Fit(message []byte) ([]byte, Loss, error) {
	if err := f.Check(); err != nil {
		return nil, Loss{}, err
	}
	if f == (Form{}) {
		return message, Loss{}, nil
	}
	head, _, _ := bytes.Cut(message, []byte("\r"))
	if !bytes.HasPrefix(head, []byte(`MSH|^~\&|`)) {
		return nil, Loss{}, fmt.Errorf("a message without a header of ours: %w", study.ErrInvalid)
	}
	msh := strings.Split(string(head), "|")
	named := nth(string(head), '|', 18)
	set, err := charsetOf(named, message)
	if err != nil {
		return nil, Loss{}, err
	}
	t := &fitting{version: nth(string(head), '|', 12), charset: or(f.Charset, or(named, UTF8))}
	if len(msh) < 12 || !slices.Contains(Versions[:], t.version) {
		return nil, Loss{}, fmt.Errorf("a message of a version that is none of ours: %w", study.ErrInvalid)
	}
	if f.Version != "" && (earlier(f.Version, t.version) || t.version == written) {
		t.version = f.Version
	}
	out := make([]byte, 0, len(message))
	for line := range strings.SplitSeq(strings.TrimRight(set.decode(message), "\r"), "\r") {
		if out, err = t.segment(out, line); err != nil {
			return nil, Loss{}, err
		}
	}
	return out, t.loss, nil
}

// written is the version in which messages are made.
const written = "2.5.1"

// earlier reports whether version a came before version b.
func earlier(a, b string) bool {
	return slices.Index(Versions[:], a) < slices.Index(Versions[:], b)
}

// segment writes one segment in the form.
func (t *fitting) segment(out []byte, line string) ([]byte, error) {
	fields := strings.Split(line, "|")
	id, shift := fields[0], 0
	if id == "MSH" {
		shift = 1 // the first bar is itself MSH-1
		t.header(&fields)
	}
	if id == "OBX" {
		t.observation(fields)
	}
	for _, l := range lastField {
		if l.segment == id && earlier(t.version, l.before) && len(fields) > l.fields+1 {
			fields = fields[:l.fields+1]
		}
	}
	for len(fields) > 1 && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	for n, text := range fields {
		if n > 0 {
			out = append(out, '|')
		}
		if id == "MSH" && n == 1 { // the encoding characters
			out = append(out, text...)
			continue
		}
		var err error
		if out, err = t.field(out, fmt.Sprintf("%s-%d", id, n+shift), text); err != nil {
			return nil, err
		}
	}
	return append(out, '\r'), nil
}

// header writes what MSH says of the form. MSH-n is the field n-1 behind the name.
func (t *fitting) header(fields *[]string) {
	for len(*fields) < 18 {
		*fields = append(*fields, "")
	}
	f := *fields
	f[11], f[17] = t.version, t.charset
	if kind := strings.Split(f[8], "^"); earlier(t.version, "2.4") && len(kind) > 2 {
		f[8] = strings.Join(kind[:2], "^") // the structure goes without saying
	}
}

// observation writes an OBX in the types and statuses of the version.
func (t *fitting) observation(f []string) {
	if len(f) > 2 && f[2] == "CWE" && earlier(t.version, "2.5") {
		f[2] = "CE"
	}
	if len(f) > 11 && f[11] == "O" && earlier(t.version, "2.3.1") {
		f[11] = "F" // the name of an object, for which there is no other status
	}
}

// field writes one field in the character set, with its delimiters as they are.
func (t *fitting) field(out []byte, name, text string) ([]byte, error) {
	component, known := exactly[name]
	at, from := 1, len(out)
	ours := true // the component is two quotes in the message itself
	for i, r := range text {
		if strings.ContainsRune("^~&", r) {
			switch r {
			case '^':
				at++
			case '~':
				at = 1
			}
			out = append(t.ended(out, from, ours), byte(r))
			from, ours = len(out), true
			continue
		}
		if ours && r != '"' {
			ours = false
		}
		var fits bool
		if out, fits = t.letter(out, r); !fits && known && (component == 0 || component == at) {
			return nil, fmt.Errorf("%s holds a letter of an identifier, at byte %d, that %s lacks; choose %s: %w", name, i, t.charset, UTF8, study.ErrInvalid)
		}
	}
	return t.ended(out, from, ours), nil
}

// ended takes back a component that has become two quotes, which would delete what the
// receiver has there.
func (t *fitting) ended(out []byte, from int, ours bool) []byte {
	if !ours && string(out[from:]) == `""` {
		return out[:from]
	}
	return out
}

// letter writes one letter, or what stands for it, and says which.
func (t *fitting) letter(out []byte, r rune) ([]byte, bool) {
	switch {
	case t.charset == UTF8 || r < 0x80:
		return utf8.AppendRune(out, r), r != utf8.RuneError
	case t.charset == Latin1 && r >= 0xA0 && r <= 0xFF:
		return append(out, byte(r)), true
	}
	plain := printed(r)
	if t.charset == Latin1 && r == 'μ' {
		plain = "\xB5"
	}
	if plain == "" {
		t.loss.Lost++
		return append(out, '?'), false
	}
	t.loss.Replaced++
	return append(out, plain...), false
}

// accented holds letters behind the plain one that is printed for them, as passports
// have it (ICAO Doc 9303, part 3, section 6).
var accented = [...]struct{ plain, letters string }{
	{"A", "ÀÁÂÃĀĂĄ"}, {"a", "àáâãāăą"}, {"Ae", "ÄÆ"}, {"ae", "äæ"}, {"Aa", "Å"}, {"aa", "å"},
	{"C", "ÇĆĈĊČ"}, {"c", "çćĉċč"}, {"D", "ĎĐÐ"}, {"d", "ďđð"},
	{"E", "ÈÉÊËĒĔĖĘĚ"}, {"e", "èéêëēĕėęě"}, {"G", "ĜĞĠĢ"}, {"g", "ĝğġģ"}, {"H", "ĤĦ"}, {"h", "ĥħ"},
	{"I", "ÌÍÎÏĨĪĬĮİ"}, {"i", "ìíîïĩīĭįı"}, {"J", "Ĵ"}, {"j", "ĵ"}, {"K", "Ķ"}, {"k", "ķ"},
	{"L", "ĹĻĽĿŁ"}, {"l", "ĺļľŀł"}, {"N", "ÑŃŅŇŊ"}, {"n", "ñńņňŋ"},
	{"O", "ÒÓÔÕŌŎŐ"}, {"o", "òóôõōŏő"}, {"Oe", "ÖØŒ"}, {"oe", "öøœ"},
	{"R", "ŔŖŘ"}, {"r", "ŕŗř"}, {"S", "ŚŜŞŠȘ"}, {"s", "śŝşšș"}, {"ss", "ß"}, {"T", "ŢŤŦȚ"}, {"t", "ţťŧț"}, {"Th", "Þ"}, {"th", "þ"},
	{"U", "ÙÚÛŨŪŬŮŰŲ"}, {"u", "ùúûũūŭůűų"}, {"Ue", "Ü"}, {"ue", "ü"}, {"W", "Ŵ"}, {"w", "ŵ"},
	{"Y", "ÝŶŸ"}, {"y", "ýÿŷ"}, {"Z", "ŹŻŽ"}, {"z", "źżž"},
	{"-", "–—−‐‑"}, {"'", "‘’‚′´"}, {`"`, "“”„″«»"}, {"...", "…"}, {"*", "•·"}, {"x", "×"},
	{"EUR", "€"}, {"<=", "≤"}, {">=", "≥"}, {"ca.", "≈"}, {"+-", "±"}, {"u", "µμ"}, {" ", "\u00A0\u2009\u202F"},
	{"deg", "°"}, {"2", "²"}, {"3", "³"}, {"1/2", "½"}, {"par.", "§"},
}

// printed is what stands for a letter that a character set lacks, in ASCII; empty for
// one that nothing stands for.
func printed(r rune) string {
	for _, a := range accented {
		if strings.ContainsRune(a.letters, r) {
			return a.plain
		}
	}
	return ""
}
