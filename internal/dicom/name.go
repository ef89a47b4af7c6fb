package dicom

import "strings"

// A Name is a person's name in its three writings, PS3.5 §6.2.1. Each keeps its
// carets.
type Name struct{ Alphabetic, Ideographic, Phonetic string }

// SplitName takes a PN value apart. What follows a third group is left out.
func SplitName(pn string) Name {
	g := append(strings.SplitN(pn, "=", 4), "", "")
	for i := range g {
		g[i] = strings.TrimRight(g[i], "^ ")
	}
	return Name{g[0], g[1], g[2]}
}
