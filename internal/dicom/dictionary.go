package dicom

import (
	_ "embed" // the tables lie beside
	"sort"
	"strings"
)

// The data dictionary of PS3.6 §6 to §9, a line for each attribute: group and
// element, value representations, keyword. Lines are sorted, so that the table is
// searched where it lies and costs no memory of its own.
//
//go:embed dictionary.txt
var dictionary string

// The names of SOP classes and transfer syntaxes, PS3.6 §A, a line for each,
// sorted by UID.
//
//go:embed uids.txt
var uids string

// lookUp finds the line of a table that begins with key and a blank, and gives the
// rest of it.
func lookUp(table, key string) (string, bool) {
	key += " "
	begin := func(i int) int { return strings.LastIndexByte(table[:i], '\n') + 1 }
	at := begin(sort.Search(len(table), func(i int) bool {
		b := begin(i)
		return table[b:min(b+len(key), len(table))] >= key
	}))
	rest, ok := strings.CutPrefix(table[at:], key)
	if !ok {
		return "", false
	}
	line, _, _ := strings.Cut(rest, "\n")
	return line, true
}
