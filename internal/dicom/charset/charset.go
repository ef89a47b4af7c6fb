// Package charset decodes text in the character sets of DICOM to UTF-8, PS3.3
// §C.12.1.1.2 and PS3.5 §6.1.
//
//	Parse        what Specific Character Set (0008,0005) says, misspelled or not
//	Set.Decode   text by it, with the code extensions of ISO/IEC 2022
//	Terms        the sets that are read, for the conformance statement
//
// Text that is not what its set says is decoded as far as it goes: nothing is an
// error, and what comes out is valid UTF-8.
package charset

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// A repertoire is a set of graphic characters that G0 or G1 can hold, PS3.3
// §C.12.1.1.2.
type repertoire uint8

const (
	noSet repertoire = iota
	asciiSet
	katakana // JIS X 0201, ISO-IR 13
	jis0208  // ISO-IR 87
	jis0212  // ISO-IR 159
	ks1001   // ISO-IR 149
	gb2312   // ISO-IR 58
	latin1
	latin2
	latin3
	latin4
	latin5
	latin9
	cyrillic
	arabic
	greek
	hebrew
	thai
)

// pairs reports whether a character takes two bytes.
func (r repertoire) pairs() bool { return r >= jis0208 && r <= gb2312 }

// rightHalves gives the upper half of each one-byte repertoire.
var rightHalves = map[repertoire]*charmap.Charmap{
	latin1: charmap.ISO8859_1, latin2: charmap.ISO8859_2, latin3: charmap.ISO8859_3,
	latin4: charmap.ISO8859_4, latin5: charmap.ISO8859_9, latin9: charmap.ISO8859_15,
	cyrillic: charmap.ISO8859_5, arabic: charmap.ISO8859_6, greek: charmap.ISO8859_7,
	hebrew: charmap.ISO8859_8, thai: charmap.Windows874,
}

// registrations gives the G1 repertoire of each ISO-IR number of a defined term;
// asciiSet for those that only change G0.
var registrations = map[string]repertoire{
	"6": asciiSet, "13": katakana, "14": asciiSet, "87": asciiSet, "159": asciiSet,
	"149": ks1001, "58": gb2312,
	"100": latin1, "101": latin2, "109": latin3, "110": latin4, "148": latin5, "203": latin9,
	"144": cyrillic, "127": arabic, "126": greek, "138": hebrew, "166": thai,
}

// Terms lists the defined terms of (0008,0005) that are read, PS3.3
// §C.12.1.1.2, without those for code extensions, which are read too.
func Terms() []string {
	var all []string
	for n := range registrations {
		all = append(all, "ISO_IR "+n)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return append(all, "ISO_IR 192", "GB18030", "GBK")
}

// An escape is what one escape sequence does, PS3.3 tables C.12-3 and C.12-4.
type escape struct {
	g1  bool
	set repertoire
}

// escapes maps what follows ESC.
var escapes = map[string]escape{
	"(B": {false, asciiSet}, "(J": {false, asciiSet}, "$B": {false, jis0208}, "$(D": {false, jis0212},
	")I": {true, katakana}, "$)C": {true, ks1001}, "$)A": {true, gb2312},
	"-A": {true, latin1}, "-B": {true, latin2}, "-C": {true, latin3}, "-D": {true, latin4},
	"-M": {true, latin5}, "-b": {true, latin9}, "-L": {true, cyrillic}, "-G": {true, arabic},
	"-F": {true, greek}, "-H": {true, hebrew}, "-T": {true, thai},
}

// A Set is how the text of a data set is to be read.
type Set struct {
	named bool              // one that we know is named
	whole encoding.Encoding // GB18030 or GBK: no escapes
	utf8  bool
	g1    repertoire // before any escape
	later repertoire // the two-byte repertoire that a later term names
}

// Parse reads the values of (0008,0005). Devices misspell them ("ISO-IR
// 100", "ISO_2022_IR_100"), so only letters and digits are looked at.
func Parse(s string) Set {
	c := Set{g1: noSet}
	for i, term := range strings.Split(s, `\`) {
		term = strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return r - 'a' + 'A'
			case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
				return r
			}
			return -1
		}, term)
		switch term {
		case "":
			continue
		case "ISOIR192", "ISO2022IR192", "UTF8":
			return Set{named: true, utf8: true}
		case "GB18030":
			return Set{named: true, whole: simplifiedchinese.GB18030}
		case "GBK", "GB2312":
			return Set{named: true, whole: simplifiedchinese.GBK}
		}
		g1 := registrations[irNumber(term)]
		if g1 == noSet {
			continue
		}
		c.named = true
		if i == 0 && g1 != asciiSet {
			c.g1 = g1
		} else if g1.pairs() {
			c.later = g1
		}
	}
	return c
}

// irNumber gives the ISO-IR number of a term without blanks, or that of an ISO
// 8859 part written out.
func irNumber(term string) string {
	for _, prefix := range []string{"ISO2022IR", "ISOIR", "IR"} {
		if n, ok := strings.CutPrefix(term, prefix); ok {
			return n
		}
	}
	if part, ok := strings.CutPrefix(term, "ISO8859"); ok {
		return map[string]string{"1": "100", "2": "101", "3": "109", "4": "110", "5": "144",
			"6": "127", "7": "126", "8": "138", "9": "148", "11": "166", "15": "203"}[part]
	}
	return ""
}

// Named reports whether a set that is known was named. Text of one that was not is
// read as UTF-8 where it is that, and as Latin-1 otherwise.
func (c Set) Named() bool { return c.named }

// Decode turns text into UTF-8. ends are the characters of ASCII that end a value
// or a component of it, where the code extensions fall back to what they were,
// PS3.5 §6.1.2.5.3.
func (c Set) Decode(b []byte, ends string) string {
	plain := true
	for _, x := range b {
		if x >= 0x80 || x == 0x1B {
			plain = false
			break
		}
	}
	switch {
	case plain:
		return string(b)
	case c.utf8:
		return strings.ToValidUTF8(string(b), "\uFFFD")
	case c.whole != nil:
		return decodeAll(c.whole, b)
	case !c.named && utf8.Valid(b) && !strings.ContainsRune(string(b), 0x1B):
		return string(b)
	}
	x := extension{Set: c, ends: ends}
	x.reset()
	x.run(b)
	return x.out.String()
}

func decodeAll(e encoding.Encoding, b []byte) string {
	u, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(u)
}

// An extension decodes text with code extension techniques, ISO/IEC 2022.
type extension struct {
	Set
	ends    string
	out     strings.Builder
	g0, g1s repertoire
}

func (x *extension) reset() { x.g0, x.g1s = asciiSet, x.g1 }

func (x *extension) run(b []byte) {
	for len(b) > 0 {
		switch c := b[0]; {
		case c == 0x1B:
			b = x.escape(b[1:])
		case c < 0x21 || c == 0x7F:
			if c == '\t' || c == '\n' || c == '\f' || c == '\r' {
				x.reset()
			}
			x.out.WriteByte(c)
			b = b[1:]
		case c < 0x80 && x.g0.pairs():
			b = x.pair(x.g0, b)
		case c < 0x80:
			if strings.IndexByte(x.ends, c) >= 0 {
				x.reset()
			}
			x.out.WriteByte(c)
			b = b[1:]
		default:
			b = x.right(b)
		}
	}
}

// escape takes an escape sequence: intermediate bytes and a final one.
func (x *extension) escape(b []byte) []byte {
	n := 0
	for n < len(b) && n < 3 && b[n] >= 0x20 && b[n] <= 0x2F {
		n++
	}
	if n < len(b) {
		n++
	}
	e, ok := escapes[string(b[:n])]
	if !ok && n > 1 && b[0] == '$' { // ESC $ B has its one letter right behind
		n = 2
		e, ok = escapes[string(b[:n])]
	}
	switch {
	case !ok:
	case e.g1:
		x.g1s = e.set
	default:
		x.g0 = e.set
	}
	return b[n:]
}

// right takes a character of G1.
func (x *extension) right(b []byte) []byte {
	switch set := x.g1s; {
	case set.pairs():
		return x.pair(set, b)
	case set == katakana:
		if b[0] >= 0xA1 && b[0] <= 0xDF {
			x.out.WriteRune(0xFF61 + rune(b[0]-0xA1))
		} else {
			x.out.WriteRune(utf8.RuneError)
		}
		return b[1:]
	case rightHalves[set] != nil:
		x.out.WriteRune(rightHalves[set].DecodeByte(b[0]))
		return b[1:]
	case x.later != noSet:
		return x.pair(x.later, b) // the escape was forgotten
	}
	if r, n := utf8.DecodeRune(b); r != utf8.RuneError {
		x.out.WriteRune(r)
		return b[n:]
	}
	x.out.WriteRune(charmap.ISO8859_1.DecodeByte(b[0]))
	return b[1:]
}

// pair takes a character of two bytes.
func (x *extension) pair(set repertoire, b []byte) []byte {
	if len(b) < 2 || b[1]&0x7F < 0x21 || b[1]&0x7F > 0x7E || b[0]&0x80 != b[1]&0x80 {
		x.out.WriteRune(utf8.RuneError)
		return b[1:]
	}
	hi, lo := b[0]|0x80, b[1]|0x80
	var e encoding.Encoding
	euc := []byte{hi, lo}
	switch set {
	case jis0208:
		e = japanese.EUCJP
	case jis0212:
		e, euc = japanese.EUCJP, []byte{0x8F, hi, lo}
	case ks1001:
		e = korean.EUCKR
	case gb2312:
		e = simplifiedchinese.GBK
	}
	x.out.WriteString(decodeAll(e, euc))
	return b[2:]
}
