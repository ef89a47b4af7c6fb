package deid

import (
	"strings"
	"sync"
	"time"
	"unicode"
)

// words are the words that a cleaned description may hold.
var words = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(wordList) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range strings.Fields(line) {
			all[w] = true
		}
	}
	return all
})

// describe keeps of a description the words that are known and the numbers of up
// to three digits. A list of what may stay leaks nothing that nobody thought of.
func describe(s string) string {
	var kept []string
	fields := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' })
	for _, w := range fields {
		w = strings.Trim(w, ".")
		if words()[strings.ToLower(w)] || measure(w) {
			kept = append(kept, w)
		}
	}
	if len(kept) > 0 && strings.ContainsFunc(strings.Join(kept, ""), unicode.IsLetter) {
		return strings.Join(kept, " ")
	}
	return "" // numbers alone may be anything
}

// measure knows a short number with or without its unit: 5, 1.25, 5mm, 120kV.
func measure(w string) bool {
	number := strings.TrimRight(strings.ToLower(w), "mkvcsaghz")
	unit := strings.ToLower(w[len(number):])
	digits := 0
	for _, r := range number {
		if r != '.' && (r < '0' || r > '9') {
			return false
		}
		if r != '.' {
			digits++
		}
	}
	switch unit {
	case "", "mm", "cm", "m", "kv", "kvp", "mas", "ma", "s", "ms", "h", "hz", "mg":
		return digits > 0 && digits <= 3 && strings.Count(number, ".") <= 1
	}
	return false
}

// shiftDate moves a DA or a DT back by whole days, so that the time of day stays.
// What is not a whole date cannot be moved, and ok is false.
func shiftDate(s string, days int) (shifted string, ok bool) {
	if len(s) == 10 && s[4] == '.' && s[7] == '.' {
		s = s[:4] + s[5:7] + s[8:]
	}
	if len(s) < 8 {
		return "", false
	}
	day, err := time.Parse("20060102", s[:8])
	if err != nil || strings.ContainsFunc(s[8:], func(r rune) bool { return !strings.ContainsRune("0123456789.+-", r) }) {
		return "", false
	}
	return day.AddDate(0, 0, -days).Format("20060102") + s[8:], true
}
