// Package words is the one catalog of what Varde says to people, in English,
// bokmål and Danish: on pages, in reports, in messages. A text is found under a
// key; numbers, dates and spans are written as the language writes them.
//
//	Lang.T         the text under a key, with its arguments
//	Lang.Number    and Decimal, Date, Moment, Short, Span: values in words
//	ParseLang      a language tag
//
// The texts lie in locale/LANG, one file for each subject, and each key in one
// file only.
package words

import (
	"embed"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed locale
var files embed.FS

// A Lang is a language that Varde speaks.
type Lang string

// The languages.
const (
	English Lang = "en"
	Bokmal  Lang = "nb"
	Danish  Lang = "da"
)

// Langs lists them.
var Langs = []Lang{English, Bokmal, Danish}

// A catalog holds the texts of one language by key. {0}, {1} stand for
// arguments. Where key.one exists, it is the text for a first argument of 1.
type catalog map[string]string

// catalogs reads the embedded texts, once.
var catalogs = sync.OnceValues(func() (map[Lang]catalog, error) {
	all := map[Lang]catalog{}
	for _, l := range Langs {
		c, err := read("locale/" + string(l))
		if err != nil {
			return nil, fmt.Errorf("read the texts of %s: %w", l, err)
		}
		all[l] = c
	}
	return all, nil
})

// read reads the files of one language. A key in two of them is a fault.
func read(folder string) (catalog, error) {
	entries, err := files.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	c := catalog{}
	for _, e := range entries {
		b, err := files.ReadFile(folder + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		one := catalog{}
		if err := json.Unmarshal(b, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		for key, text := range one {
			if _, taken := c[key]; taken {
				return nil, fmt.Errorf("%s has %s, and so has another file", e.Name(), key)
			}
			c[key] = text
		}
	}
	return c, nil
}

// Check reports what is wrong with the embedded texts; nil when they can be read.
func Check() error {
	_, err := catalogs()
	return err
}

// ParseLang reads a language tag. Norwegian of any kind is bokmål here.
func ParseLang(tag string) (Lang, bool) {
	tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
	switch tag {
	case "en":
		return English, true
	case "nb", "no", "nn":
		return Bokmal, true
	case "da":
		return Danish, true
	}
	return "", false
}

// Accepted gives the language of an Accept-Language header that we speak and the
// visitor likes best; English when there is none.
func Accepted(header string) Lang {
	best, weight := English, 0.0
	for i, item := range strings.Split(header, ",") {
		if i == 20 { // no visitor speaks more
			break
		}
		tag, params, _ := strings.Cut(item, ";")
		l, ok := ParseLang(tag)
		q := 1.0
		if v, found := strings.CutPrefix(strings.TrimSpace(params), "q="); found {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				q = 0
			}
		}
		if ok && q > weight {
			best, weight = l, q
		}
	}
	return best
}

// Has reports whether there is a text under key.
func (l Lang) Has(key string) bool {
	all, err := catalogs()
	_, ok := all[l][key]
	return err == nil && ok
}

// T gives the text under key, with the arguments in their places and numbers as
// the language writes them. A key without a text comes back as it is, so that a
// gap is seen and hides nothing.
func (l Lang) T(key string, args ...any) string {
	all, err := catalogs()
	if err != nil {
		return key
	}
	text, ok := all[l][key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	if n, isInt := args[0].(int); isInt && n == 1 {
		if one, found := all[l][key+".one"]; found {
			text = one
		}
	}
	return l.fill(text, args)
}

// fill puts values into the places {0}, {1}, … of a text. What stands in a value is no
// place, and a place without a value stays.
func (l Lang) fill(text string, args []any) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		number, after, _ := strings.Cut(rest, "}")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n >= len(args) {
			out.WriteByte('{')
			text = rest
			continue
		}
		out.WriteString(l.format(args[n]))
		text = after
	}
}

func (l Lang) format(a any) string {
	switch v := a.(type) {
	case int:
		return l.Number(v)
	case float64:
		return l.Decimal(v)
	}
	if s, ok := a.(string); ok {
		return s
	}
	return fmt.Sprint(a)
}

// Number writes a whole number with its thousands apart: 1,204 in English,
// 1.204 in Danish, with a no-break space in Norwegian.
func (l Lang) Number(n int) string {
	digits, sign := strconv.Itoa(n), ""
	if n < 0 {
		digits, sign = digits[1:], "−"
	}
	mark := map[Lang]string{English: ",", Bokmal: "\u00a0", Danish: "."}[l]
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(mark)
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// Decimal writes a number to three significant digits, or all digits before the
// point, with the language's decimal mark.
func (l Lang) Decimal(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	places := 0
	if a := math.Abs(v); a > 0 && a < 100 {
		places = min(6, 2-int(math.Floor(math.Log10(a))))
	}
	whole, part, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'f', places, 64), ".")
	part = strings.TrimRight(part, "0")
	n, err := strconv.Atoi(whole)
	text := whole
	if err == nil {
		text = l.Number(n)
	}
	if part != "" {
		mark := ","
		if l == English {
			mark = "."
		}
		text += mark + part
	}
	if v < 0 && strings.Trim(text, "0.,") != "" {
		text = "−" + text
	}
	return text
}

// Date writes a day.
func (l Lang) Date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if l == English {
		return t.Format("Jan 2, 2006")
	}
	return t.Format("02.01.2006")
}

// DICOMDate writes a date as DICOM has it (PS3.5 §6.2: YYYYMMDD); what is none stays
// as it is.
func (l Lang) DICOMDate(da string) string {
	t, err := time.Parse("20060102", strings.TrimSpace(da))
	if err != nil {
		return da
	}
	return l.Date(t)
}

// Moment writes a day and the time of day.
func (l Lang) Moment(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case l == Danish:
		return l.Date(t) + " " + t.Format("15.04")
	}
	return l.Date(t) + " " + t.Format("15:04")
}

// Short writes the time of day, and the day before it when that is not now's.
func (l Lang) Short(t, now time.Time) string {
	clock := "15:04"
	if l == Danish {
		clock = "15.04"
	}
	day := "02.01. "
	if l == English {
		day = "Jan 2 "
	}
	switch y, m, d := t.Date(); {
	case t.IsZero():
		return ""
	case y == now.Year() && m == now.Month() && d == now.Day():
		return t.Format(clock)
	case y == now.Year():
		return t.Format(day + clock)
	}
	return l.Moment(t)
}

// Span writes how long something took or lasts, in its largest one or two units.
func (l Lang) Span(d time.Duration) string {
	switch {
	case d < 0:
		return "−" + l.Span(-d)
	case d < time.Minute:
		return l.T("span.s", l.Decimal(d.Seconds()))
	case d < time.Hour:
		return l.T("span.min", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		h, m := int(d.Hours()), int(d.Minutes())%60
		if m == 0 {
			return l.T("span.h", h)
		}
		return l.T("span.hmin", h, m)
	}
	return l.T("span.d", int(d.Hours()/24))
}
