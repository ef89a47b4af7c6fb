package dicom

import (
	"strings"
	"time"
)

// RangeForms says how a key of a date (DA), a time (TM) or a moment (DT) is written, for
// who wrote another.
func RangeForms(vr string) string {
	one := map[string]string{"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}[vr]
	return "write " + one + ", or a range as " + one + "-" + one + ", " + one + "- or -" + one
}

// RangeOf reads what is asked for by a key of a date (DA), a time (TM) or a moment (DT):
// one of them, which then is both ends, or a range in which either end may be missing,
// PS3.4 §C.2.2.2.5. A time may leave out its seconds and minutes, and a moment all behind
// its year. ok is false where an end is no day of the calendar or no time of a day. What
// is empty asks for nothing.
func RangeOf(vr, value string) (from, to string, ok bool) {
	from, to, ranged := strings.Cut(strings.TrimSpace(value), "-")
	if !ranged {
		to = from
	}
	for _, end := range []string{from, to} {
		if end != "" && !moment(vr, end) {
			return "", "", false
		}
	}
	return from, to, true
}

// moment reports whether a text is a value of a VR that says when.
func moment(vr, text string) bool {
	digits, fraction, fractured := strings.Cut(text, ".")
	layout, least, whole := "20060102", 8, 8
	switch vr {
	case "TM":
		layout, least, whole = "150405", 2, 6
	case "DT":
		layout, least, whole = "20060102150405", 4, 14
		if at := strings.IndexAny(text, "+ "); at >= 0 { // in an address that is not escaped the sign is a blank
			if _, err := time.Parse("1504", text[at+1:]); err != nil {
				return false
			}
			digits, fraction, fractured = strings.Cut(text[:at], ".")
		}
	}
	if len(digits) < least || len(digits) > whole || len(digits)%2 != 0 {
		return false
	}
	if fractured && (vr == "DA" || len(digits) != whole || len(fraction) == 0 || len(fraction) > 6 || strings.Trim(fraction, "0123456789") != "") {
		return false
	}
	if strings.Trim(digits, "0123456789") != "" {
		return false
	}
	// A leap second is one of the standard's, and none of Go's calendar.
	if cut, leap := strings.CutSuffix(digits, "60"); leap && vr != "DA" && len(digits) == whole {
		digits = cut + "59"
	}
	_, err := time.Parse(layout[:len(digits)], digits)
	return err == nil
}
