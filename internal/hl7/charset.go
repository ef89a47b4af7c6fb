package hl7

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"varde/study"
)

// A charset turns bytes into UTF-8. Only sets in which every delimiter is one
// ASCII byte are read, so that a message can be decoded before it is taken apart.
type charset int

const (
	charsetUTF8 charset = iota
	charsetLatin1
	charsetLatin9
)

// charsets are the names of table 0211, and those that senders write for them.
var charsets = map[string]charset{
	"ASCII": charsetLatin1, "US-ASCII": charsetLatin1, // whoever says ASCII and sends more means this
	"8859/1": charsetLatin1, "8859-1": charsetLatin1, "ISO-8859-1": charsetLatin1, "ISO8859-1": charsetLatin1,
	"ISO_IR 100": charsetLatin1, "ISO IR100": charsetLatin1, "WINDOWS-1252": charsetLatin1,
	"8859/15": charsetLatin9, "8859-15": charsetLatin9, "ISO-8859-15": charsetLatin9,
	"UNICODE UTF-8": charsetUTF8, "UNICODE": charsetUTF8, "UTF-8": charsetUTF8, "UTF8": charsetUTF8, "ISO_IR 192": charsetUTF8,
}

// charsetOf finds the set that a message means. What says that it is UTF-8 and is
// not is read as 8859/1.
func charsetOf(name string, b []byte) (charset, error) {
	valid := utf8.Valid(b)
	if name == "" {
		if valid {
			return charsetUTF8, nil
		}
		return charsetLatin1, nil
	}
	set, ok := charsets[strings.ToUpper(name)]
	if !ok {
		return 0, fmt.Errorf("MSH-18 names a character set that is not read: %w", study.ErrUnsupported)
	}
	if set == charsetUTF8 && !valid {
		return charsetLatin1, nil
	}
	return set, nil
}

// latin9 is where 8859/15 differs from 8859/1.
var latin9 = map[byte]rune{0xa4: '€', 0xa6: 'Š', 0xa8: 'š', 0xb4: 'Ž', 0xb8: 'ž', 0xbc: 'Œ', 0xbd: 'œ', 0xbe: 'Ÿ'}

// windows holds the letters that Windows senders put where 8859 has controls.
var windows = [32]rune{'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ'}

func (c charset) decode(b []byte) string {
	if c == charsetUTF8 {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	var out strings.Builder
	out.Grow(len(b))
	for _, x := range b {
		r := rune(x)
		if x >= 0x80 && x < 0xa0 {
			r = windows[x-0x80]
		} else if to, ok := latin9[x]; ok && c == charsetLatin9 {
			r = to
		}
		out.WriteRune(r)
	}
	return out.String()
}

// maxBlanks bounds what an escape for blanks or empty lines may write.
const maxBlanks = 80

// unescape puts the characters back that an escape sequence stands for, HL7
// 2.5.1 §2.7. A sequence that is not known stays as it is; highlighting is
// dropped.
func (e *encoding) unescape(s string) string {
	if e.escape == 0 || strings.IndexByte(s, e.escape) < 0 {
		return s
	}
	var out strings.Builder
	var raw []byte // of hexadecimal escapes that follow each other
	flush := func() {
		if len(raw) > 0 {
			set := e.charset
			if set == charsetUTF8 && !utf8.Valid(raw) {
				set = charsetLatin1
			}
			out.WriteString(set.decode(raw))
			raw = raw[:0]
		}
	}
	for {
		i := strings.IndexByte(s, e.escape)
		if i != 0 {
			flush()
		}
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s[1:], e.escape)
		if end < 0 {
			break
		}
		code, rest := s[1:1+end], s[end+2:]
		if x, ok := hexBytes(code); ok {
			raw, s = append(raw, x...), rest
			continue
		}
		flush()
		if text, ok := e.escaped(code); ok {
			out.WriteString(text)
			s = rest
			continue
		}
		out.WriteString(s[:1+end]) // and its end may begin the next one
		s = s[1+end:]
	}
	flush()
	out.WriteString(s)
	return out.String()
}

// hexBytes reads \Xhhhh…\.
func hexBytes(code string) ([]byte, bool) {
	if len(code) < 3 || len(code)%2 == 0 || code[0] != 'X' {
		return nil, false
	}
	b := make([]byte, 0, len(code)/2)
	for i := 1; i < len(code); i += 2 {
		n, err := strconv.ParseUint(code[i:i+2], 16, 8)
		if err != nil {
			return nil, false
		}
		b = append(b, byte(n))
	}
	return b, true
}

// escaped is what one escape sequence stands for.
func (e *encoding) escaped(code string) (string, bool) {
	char := func(c byte) (string, bool) {
		if c == 0 {
			return "", false
		}
		return string(rune(c)), true
	}
	switch code {
	case "F":
		return char(e.field)
	case "S":
		return char(e.component)
	case "T":
		return char(e.sub)
	case "R":
		return char(e.repetition)
	case "E":
		return char(e.escape)
	case "P":
		return char(e.truncation)
	case "H", "N", ".fi", ".nf":
		return "", true
	case ".br", ".BR", ".ce":
		return "\n", true
	}
	for prefix, with := range map[string]string{".sp": "\n", ".sk": " ", ".in": "", ".ti": ""} {
		if rest, ok := strings.CutPrefix(code, prefix); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(rest, "+")))
			if rest == "" {
				n, err = 1, nil
			}
			if err != nil {
				return "", false
			}
			return strings.Repeat(with, max(0, min(n, maxBlanks))), true
		}
	}
	return "", false
}
