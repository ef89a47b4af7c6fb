package dicom

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
)

// JSON writes a data set in the DICOM JSON model, PS3.18 §F.2, in UTF-8. Group
// lengths are left out. For every binary value bulk is asked for the address it
// can be had at: path names the element with tags and item numbers from 0, as in
// "00480105/0/00282000", and length is -1 for encapsulated pixel data. If bulk is
// nil or gives the empty string, the value stands in the text; pixels and values
// over Limits.Value, which were not kept, then come without a value. No data set
// that was read makes an error.
func JSON(d *Dataset, bulk func(path string, t Tag, length int64) string) ([]byte, error) {
	w := jsonWriter{bulk: bulk}
	w.dataset(d, "")
	return w.b, nil
}

type jsonWriter struct {
	b    []byte
	bulk func(string, Tag, int64) string
}

func (w *jsonWriter) dataset(d *Dataset, path string) {
	w.b = append(w.b, '{')
	first := true
	for e := range d.sorted() {
		if e.Tag.Element() == 0 { // a group length
			continue
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.element(d, e, path)
	}
	w.b = append(w.b, '}')
}

// sorted gives the elements by tag, the first of those written twice.
func (d *Dataset) sorted() iter.Seq[Element] {
	ascending := true
	var last Tag
	for i := d.from; i < d.to && ascending; i = d.doc.entries[i].end {
		t := d.doc.entries[i].tag
		ascending, last = t > last, t
	}
	if ascending {
		return d.All()
	}
	all := slices.SortedStableFunc(d.All(), func(a, b Element) int { return cmp.Compare(a.Tag, b.Tag) })
	return slices.Values(slices.CompactFunc(all, func(a, b Element) bool { return a.Tag == b.Tag }))
}

func (w *jsonWriter) element(d *Dataset, e Element, path string) {
	v := e.meaning(false)
	if v == vrSQ && e.flags&flagSequence == 0 {
		v = vrUN
	}
	key := fmt.Sprintf("%08X", uint32(e.Tag))
	w.b = append(w.b, '"')
	w.b = append(w.b, key...)
	w.b = append(w.b, `":{"vr":"`...)
	w.b = append(w.b, byte(v>>8), byte(v), '"')
	switch {
	case e.Length == 0:
	case v == vrSQ:
		w.sequence(d, e, path+key+"/")
	case e.Value == nil || !v.text() && (v.width() == 0 || v >= vrOB && v <= vrOW):
		w.binary(e, v, path+key)
	case e.Tag == SpecificCharacterSet:
		w.b = append(w.b, `,"Value":["ISO_IR 192"]`...) // what this text is in
	case v.text():
		w.texts(d.texts(e), v)
	case len(e.Value) >= v.width():
		w.numbers(e, v)
	}
	w.b = append(w.b, '}')
}

func (w *jsonWriter) sequence(d *Dataset, e Element, path string) {
	n := 0
	for item := range d.items(e.index) {
		if n == 0 {
			w.b = append(w.b, `,"Value":[`...)
		} else {
			w.b = append(w.b, ',')
		}
		w.dataset(item, path+strconv.Itoa(n)+"/")
		n++
	}
	if n > 0 {
		w.b = append(w.b, ']')
	}
}

// binary writes a value as an address or in base64, little endian.
func (w *jsonWriter) binary(e Element, v vr, path string) {
	if w.bulk != nil {
		if uri := w.bulk(path, e.Tag, e.Length); uri != "" {
			w.b = append(w.b, `,"BulkDataURI":`...)
			w.quote(uri)
			return
		}
	}
	if e.Value == nil {
		return
	}
	w.b = append(w.b, `,"InlineBinary":"`...)
	w.b = base64.StdEncoding.AppendEncode(w.b, littleEndian(e, v))
	w.b = append(w.b, '"')
}

// littleEndian gives the bytes of a value with its words turned round if need be.
func littleEndian(e Element, v vr) []byte {
	n := v.width()
	if !e.BigEndian || n < 2 {
		return e.Value
	}
	b := slices.Clone(e.Value)
	for i := 0; i+n <= len(b); i += n {
		slices.Reverse(b[i : i+n])
	}
	return b
}

// texts writes the values of a text element. Empty ones are null among others,
// and nothing when there are no others.
func (w *jsonWriter) texts(values []string, v vr) {
	if v == vrPN {
		for i, s := range values {
			if (SplitName(s) == Name{}) {
				values[i] = ""
			}
		}
	}
	if !slices.ContainsFunc(values, func(s string) bool { return s != "" }) {
		return
	}
	w.b = append(w.b, `,"Value":[`...)
	for i, s := range values {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		switch {
		case s == "":
			w.b = append(w.b, "null"...)
		case v == vrPN:
			w.name(SplitName(s))
		case v == vrIS || v == vrDS:
			w.decimal(s)
		default:
			w.quote(s)
		}
	}
	w.b = append(w.b, ']')
}

func (w *jsonWriter) name(n Name) {
	w.b = append(w.b, '{')
	for _, g := range []struct{ key, text string }{
		{"Alphabetic", n.Alphabetic}, {"Ideographic", n.Ideographic}, {"Phonetic", n.Phonetic}} {
		if g.text == "" {
			continue
		}
		if w.b[len(w.b)-1] != '{' {
			w.b = append(w.b, ',')
		}
		w.quote(g.key)
		w.b = append(w.b, ':')
		w.quote(g.text)
	}
	w.b = append(w.b, '}')
}

// decimal writes an IS or DS as a number if it is one, else as it stands.
func (w *jsonWriter) decimal(s string) {
	switch f := decimals(s, -1); {
	case len(f) != 1:
		w.quote(s)
	case json.Valid([]byte(s)):
		w.b = append(w.b, s...)
	default:
		w.float(f[0], 64)
	}
}

func (w *jsonWriter) float(f float64, bits int) {
	switch {
	case math.IsNaN(f):
		w.b = append(w.b, `"NaN"`...)
	case math.IsInf(f, 0):
		w.quote(map[bool]string{true: "inf", false: "-inf"}[f > 0])
	default:
		w.b = strconv.AppendFloat(w.b, f, 'g', -1, bits)
	}
}

// numbers writes binary numbers, and tags as eight digits.
func (w *jsonWriter) numbers(e Element, v vr) {
	var order binary.ByteOrder = binary.LittleEndian
	if e.BigEndian {
		order = binary.BigEndian
	}
	n := v.width()
	w.b = append(w.b, `,"Value":[`...)
	for i := 0; i+n <= len(e.Value); i += n {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		b := e.Value[i:]
		switch v {
		case vrAT:
			w.b = fmt.Appendf(w.b, `"%04X%04X"`, order.Uint16(b), order.Uint16(b[2:]))
		case vrUV:
			w.b = strconv.AppendUint(w.b, order.Uint64(b), 10)
		case vrSV:
			w.b = strconv.AppendInt(w.b, int64(order.Uint64(b)), 10)
		case vrFL:
			w.float(number(b, v, order), 32)
		case vrFD:
			w.float(number(b, v, order), 64)
		default:
			w.b = strconv.AppendInt(w.b, int64(number(b, v, order)), 10)
		}
	}
	w.b = append(w.b, ']')
}

// quote writes a string. What is not UTF-8 becomes U+FFFD.
func (w *jsonWriter) quote(s string) {
	b, err := json.Marshal(strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil { // a string can always be written
		b = []byte(`""`)
	}
	w.b = append(w.b, b...)
}
