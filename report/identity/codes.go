package identity

import "varde/study"

// DCM is a code of the standard's own terminology, PS3.16 Annex D.
func DCM(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "DCM", Meaning: meaning}
}

// SCT is a code of SNOMED CT, in the subset that PS3.16 lets all use.
func SCT(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

// Cut shortens a text of ours to what an attribute holds, characters; three dots say
// that it was cut, each of one byte, for some readers count bytes. A backslash, which
// parts values, becomes a slash.
func Cut(s string, most int) string {
	r := []rune(s)
	for i, c := range r {
		if c == '\\' {
			r[i] = '/'
		}
	}
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-len(dots)]) + dots
}

const dots = "..."
