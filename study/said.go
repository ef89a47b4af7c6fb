package study

import (
	"strings"
	"unicode"
)

// Said gives what somebody said without what can't be seen at its ends: blanks,
// controls, NUL, characters of no width, marks of direction. What holds nothing else
// is empty: where a name or a reason is asked for, none was given.
func Said(text string) string {
	if strings.IndexFunc(text, seen) < 0 {
		return ""
	}
	return strings.TrimFunc(text, func(c rune) bool { return !unicode.IsGraphic(c) || unicode.IsSpace(c) })
}

// seen reports whether a character shows something.
func seen(c rune) bool {
	switch {
	case !unicode.IsGraphic(c), unicode.IsSpace(c), unicode.IsMark(c): // an accent or a variant of nothing
		return false
	case c == '\u2800': // a pattern of Braille without a dot
		return false
	}
	return !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c) // fillers
}
