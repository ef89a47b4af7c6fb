// Package slip helps who wrote a word wrong in a TOML file: it says where the word
// stands and which one was probably meant.
//
//	Read     the places of all keys of a text
//	Unknown  one line for each key that nobody knows; Undecoded makes an error of them
//	Under    words before each line of an error
//	Keys     the keys that a struct takes
//	Nearest  the word that is most like another
package slip

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"varde/study"
)

// A Place is where a key or a table of a text begins.
type Place struct {
	Path string // keys parted by dots, without quotes, as in program.band.below
	Line int    // from 1
	Head bool   // the head of a table, [a.b] or [[a.b]]
}

// Read finds the places of all keys and heads, in the order of the text. It is for
// text that has been decoded: of what is no TOML it gives what it makes of it. Keys of
// tables within a line are not among them.
func Read(text string) []Place {
	var all []Place
	table, line := "", 1
	for rest := text; rest != ""; {
		statement := next(rest)
		if path, head, ok := begins(statement); ok {
			if head {
				table = path
			} else if table != "" {
				path = table + "." + path
			}
			all = append(all, Place{path, line, head})
		}
		line += strings.Count(statement, "\n")
		rest = rest[len(statement):]
	}
	return all
}

// next cuts the first statement off: a line, or as many as its brackets and strings
// reach over.
func next(text string) string {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'':
			i += quoted(text[i:]) - 1
		case '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\n':
			if depth <= 0 {
				return text[:i+1]
			}
		}
	}
	return text
}

// quoted gives the length of the string that a text begins with.
func quoted(text string) int {
	quote := text[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(text, triple) {
		if end := strings.Index(text[3:], triple); end >= 0 {
			return end + 6
		}
		return len(text)
	}
	for i := 1; i < len(text) && text[i] != '\n'; i++ {
		switch {
		case text[i] == '\\' && quote == `"`:
			i++
		case text[i] == quote[0]:
			return i + 1
		}
	}
	return 1
}

// begins reads what a statement is about.
func begins(statement string) (path string, head, ok bool) {
	s := strings.TrimSpace(statement)
	switch {
	case s == "" || s[0] == '#':
		return "", false, false
	case s[0] == '[':
		s, _, ok = strings.Cut(strings.TrimLeft(s, "["), "]")
		head = true
	default:
		s, _, ok = strings.Cut(s, "=")
	}
	var keys []string
	for k := range strings.SplitSeq(s, ".") {
		keys = append(keys, strings.Trim(strings.TrimSpace(k), `"'`))
	}
	return strings.Join(keys, "."), head, ok
}

// Lines lists where a key stands, or else the nearest table that holds it; none where
// nobody can say.
func Lines(places []Place, path string) (lines []int) {
	for path != "" && lines == nil {
		for _, p := range places {
			if p.Path == path && !slices.Contains(lines, p.Line) {
				lines = append(lines, p.Line)
			}
		}
		path = path[:max(0, strings.LastIndex(path, "."))]
	}
	return lines
}

// At writes lines as words: line 3, or lines 3 and 9; nothing for none.
func At(lines []int) string {
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("line %d", lines[0])
	}
	words := strings.Fields(strings.Trim(fmt.Sprint(lines), "[]"))
	last := len(words) - 1
	return "lines " + strings.Join(words[:last], ", ") + " and " + words[last]
}

// Unknown says of each key that a decoder did not know where it stands and which one
// was probably meant. A key within a table that is unknown itself is passed over.
func Unknown(text string, unknown []string, known []string) (all []string) {
	places, said := Read(text), map[string]bool{}
	for _, path := range unknown {
		if parent := path[:max(0, strings.LastIndex(path, "."))]; said[path] || said[parent] {
			said[path] = true
			continue
		}
		said[path] = true
		line := fmt.Sprintf("unknown key %q", path)
		if at := At(Lines(places, path)); at != "" {
			line = at + ": " + line
		}
		all = append(all, line+Meant(path, known))
	}
	return all
}

// Undecoded is what a decoder did not know of a text when it filled into, as one error
// of kind [study.ErrInvalid] for each key; nil when it knew all.
func Undecoded[K fmt.Stringer](text string, keys []K, into any) error {
	var paths []string
	for _, k := range keys {
		paths = append(paths, k.String())
	}
	var errs []error
	for _, line := range Unknown(text, paths, Keys(into)) {
		errs = append(errs, fmt.Errorf("%s: %w", line, study.ErrInvalid))
	}
	return errors.Join(errs...)
}

// Under puts words before each line of an error, so that of several that are joined
// every one says where it belongs. It is nil when err is.
func Under(where string, err error) error {
	if err == nil || where == "" {
		return err
	}
	return under{where, err}
}

type under struct {
	where string
	error
}

func (u under) Error() string {
	return u.where + strings.ReplaceAll(u.error.Error(), "\n", "\n"+u.where)
}
func (u under) Unwrap() error { return u.error }

// Meant says which of the known keys of the same table was probably meant, as
// `; did you mean "aet"?`, or else which there are.
func Meant(path string, known []string) string {
	cut := strings.LastIndex(path, ".") + 1
	var mates []string
	for _, k := range known {
		if rest, ok := strings.CutPrefix(k, path[:cut]); ok && !strings.Contains(rest, ".") {
			mates = append(mates, rest)
		}
	}
	if near := Nearest(path[cut:], mates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(mates) == 0 || len(mates) > 20 {
		return ""
	}
	return "; known are " + strings.Join(mates, ", ")
}

// Nearest gives the word of a list that is most like another: one that letters put in,
// left out, exchanged or swapped make of it, at most a third of them and no more than
// three. None is empty.
func Nearest(word string, list []string) (near string) {
	least := min(3, (len(word)+2)/3) + 1
	for _, w := range list {
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d < least {
			near, least = w, d
		}
	}
	return near
}

// distance counts how many letters must be put in, left out, exchanged, or swapped with
// their neighbor, to make one word of another.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// Keys lists the keys that a struct takes by its toml tags, those of the structs within
// it behind theirs.
func Keys(v any) []string { return keys(reflect.TypeOf(v)) }

func keys(t reflect.Type) (all []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if f.Anonymous && key == "" {
			all = append(all, keys(f.Type)...)
			continue
		}
		if key == "" || key == "-" || !f.IsExported() {
			continue
		}
		all = append(all, key)
		for _, k := range keys(f.Type) {
			all = append(all, key+"."+k)
		}
	}
	return all
}
