package dicom

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"varde/study"
)

// maxShort is the longest value of a VR with a 16-bit length: 65535 is odd, and
// many readers take it for undefined.
const maxShort = 65534

// textLimits gives the longest value of each text VR in characters, PS3.5 §6.2;
// for PN of each component group.
var textLimits = map[vr]int{
	vrAE: 16, vrAS: 4, vrCS: 16, vrDA: 8, vrDS: 16, vrDT: 26, vrIS: 12, vrLO: 64, vrLT: 10240,
	vrPN: 64, vrSH: 16, vrST: 1024, vrTM: 14, vrUI: 64,
}

// convert turns the values given to Set into what the VR holds, padded, or says
// why they cannot be.
func convert(v vr, values []any) (any, error) {
	values = flatten(values)
	switch {
	case v.text():
		return convertText(v, values)
	case v == vrUS || v == vrSS || v == vrUL || v == vrSL:
		return convertInts(v, values)
	case v == vrAT:
		return convertTags(values)
	case v == vrFL || v == vrFD:
		return convertFloats(v, values)
	case v == vrOF || v == vrOD:
		f, err := convertFloats(v, values)
		if err != nil {
			return nil, err
		}
		return floats(v, f), nil
	case v == vrOB || v == vrOW || v == vrUN || v == vrOL:
		return convertBytes(v, values)
	}
	return nil, fmt.Errorf("VR %v cannot be written", v)
}

// flatten lets a slice stand for its elements.
func flatten(values []any) []any {
	if len(values) != 1 || values[0] == nil {
		return values
	}
	x := reflect.ValueOf(values[0])
	if x.Kind() != reflect.Slice || x.Type().Elem().Kind() == reflect.Uint8 {
		return values
	}
	out := make([]any, x.Len())
	for i := range out {
		out[i] = x.Index(i).Interface()
	}
	return out
}

func convertText(v vr, values []any) ([]string, error) {
	if v.single() && len(values) > 1 {
		return nil, fmt.Errorf("%d values where VR %v has one", len(values), v)
	}
	out := make([]string, len(values))
	for i, x := range values {
		s, err := textOf(v, x)
		if err == nil {
			err = checkText(v, s)
		}
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	n := max(0, len(out)-1)
	for _, s := range out {
		n += len(s)
	}
	if !v.long() && n > maxShort {
		return nil, fmt.Errorf("%d bytes where VR %v takes %d", n, v, maxShort)
	}
	if n%2 == 1 {
		pad := " "
		if v == vrUI {
			pad = "\x00"
		}
		out[len(out)-1] += pad
	}
	return out, nil
}

// textOf writes a value as text.
func textOf(v vr, x any) (string, error) {
	switch x := x.(type) {
	case string:
		return x, nil
	case time.Time:
		switch v {
		case vrDA:
			return x.Format("20060102"), nil
		case vrTM:
			return x.Format("150405"), nil
		case vrDT:
			return x.Format("20060102150405.000-0700"), nil
		}
		return "", fmt.Errorf("a time in VR %v", v)
	case float64:
		if v == vrDS {
			return decimalString(x)
		}
	}
	switch r := reflect.ValueOf(x); {
	case r.Kind() == reflect.String:
		return r.String(), nil
	case r.CanInt() && (v == vrIS || v == vrDS):
		if v == vrIS && int64(int32(r.Int())) != r.Int() {
			return "", errors.New("an IS beyond 32 bits")
		}
		return strconv.FormatInt(r.Int(), 10), nil
	}
	return "", fmt.Errorf("%T in VR %v", x, v)
}

// decimalString writes a number in the 16 characters of a DS, with as many
// digits as fit.
func decimalString(f float64) (string, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", errors.New("a DS that is no number")
	}
	for _, format := range []byte{'f', 'g'} {
		if s := strconv.FormatFloat(f, format, -1, 64); len(s) <= 16 {
			return s, nil
		}
	}
	for digits := 15; digits > 0; digits-- {
		if s := strconv.FormatFloat(f, 'g', digits, 64); len(s) <= 16 {
			return s, nil
		}
	}
	return "", errors.New("a DS of more than 16 characters")
}

// checkText holds a value against its VR, PS3.5 §6.2.
func checkText(v vr, s string) error {
	if !utf8.ValidString(s) {
		return errors.New("not UTF-8")
	}
	for _, r := range s {
		switch {
		case r == '\\' && !v.single():
			return errors.New("a backslash inside a value")
		case r < 0x20 && !(v.single() && v != vrUR && strings.ContainsRune("\r\n\t\f", r)), r == 0x7F:
			return errors.New("a control character")
		case r >= 0x80 && !v.localized():
			return fmt.Errorf("a character beyond ASCII in VR %v", v)
		}
	}
	limit := textLimits[v]
	for _, part := range groups(v, s) {
		if n := utf8.RuneCountInString(part); limit > 0 && n > limit {
			return fmt.Errorf("%d characters where VR %v takes %d", n, v, limit)
		}
	}
	return checkForm(v, s)
}

// groups gives the parts that a length limit is for.
func groups(v vr, s string) []string {
	if v == vrPN {
		return strings.Split(s, "=")
	}
	return []string{s}
}

// checkForm holds a value against the form that its VR prescribes.
func checkForm(v vr, s string) error {
	if s == "" {
		return nil
	}
	only := func(allowed string) error {
		if strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(allowed, r) }) {
			return fmt.Errorf("a character that VR %v does not allow", v)
		}
		return nil
	}
	const digits = "0123456789"
	switch v {
	case vrUI:
		_, err := study.ParseUID(s)
		return err
	case vrCS:
		return only("ABCDEFGHIJKLMNOPQRSTUVWXYZ _" + digits)
	case vrDA:
		if _, err := time.Parse("20060102", s); err != nil {
			return errors.New("not a date")
		}
	case vrTM:
		return only(digits + ".")
	case vrDT:
		return only(digits + ".+-")
	case vrIS:
		if _, err := strconv.ParseInt(s, 10, 32); err != nil {
			return errors.New("not a whole number")
		}
	case vrDS:
		if len(decimals(s, -1)) != 1 {
			return errors.New("not a number")
		}
	case vrPN:
		if strings.Count(s, "=") > 2 {
			return errors.New("more than three component groups")
		}
	}
	return nil
}

func convertInts(v vr, values []any) ([]int, error) {
	bounds := map[vr][2]int64{vrUS: {0, math.MaxUint16}, vrSS: {math.MinInt16, math.MaxInt16},
		vrUL: {0, math.MaxUint32}, vrSL: {math.MinInt32, math.MaxInt32}}[v]
	out := make([]int, len(values))
	for i, x := range values {
		r := reflect.ValueOf(x)
		var n int64
		switch {
		case r.CanInt():
			n = r.Int()
		case r.CanUint() && r.Uint() <= math.MaxUint32:
			n = int64(r.Uint())
		default:
			return nil, fmt.Errorf("%T in VR %v", x, v)
		}
		if n < bounds[0] || n > bounds[1] {
			return nil, fmt.Errorf("%d is beyond VR %v", n, v)
		}
		out[i] = int(n)
	}
	return out, short(v, len(out)*v.width())
}

func convertTags(values []any) ([]int, error) {
	var out []int
	for _, x := range values {
		t, ok := x.(Tag)
		if !ok {
			return nil, fmt.Errorf("%T in VR AT", x)
		}
		out = append(out, int(t.Group()), int(t.Element()))
	}
	return out, short(vrAT, 2*len(out))
}

func convertFloats(v vr, values []any) ([]float64, error) {
	out := make([]float64, len(values))
	for i, x := range values {
		switch r := reflect.ValueOf(x); {
		case r.CanFloat():
			out[i] = r.Float()
		case r.CanInt():
			out[i] = float64(r.Int())
		default:
			return nil, fmt.Errorf("%T in VR %v", x, v)
		}
	}
	return out, short(v, len(out)*v.width())
}

func convertBytes(v vr, values []any) ([]byte, error) {
	if len(values) == 0 {
		return []byte{}, nil
	}
	b, ok := values[0].([]byte)
	if !ok || len(values) > 1 {
		return nil, fmt.Errorf("%T in VR %v, which takes one []byte", values[0], v)
	}
	if w := v.width(); w > 0 && len(b)%w != 0 {
		return nil, fmt.Errorf("%d bytes in VR %v", len(b), v)
	}
	if len(b)%2 == 1 {
		b = append(append(make([]byte, 0, len(b)+1), b...), 0)
	}
	return b, nil
}

// short refuses what does not fit a 16-bit length.
func short(v vr, n int) error {
	if !v.long() && n > maxShort {
		return fmt.Errorf("%d bytes where VR %v takes %d", n, v, maxShort)
	}
	return nil
}
