package modelcard

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"varde/study"
)

// What a card says of the law, of reading, and of how well the model does is
// checked here, and the filters of its intended use.

// classes lists the classes of devices by regulation, lowest first.
var classes = map[string][]string{
	"MDR":  {"I", "IIa", "IIb", "III"},
	"IVDR": {"A", "B", "C", "D"},
	"FDA":  {"I", "II", "III"},
}

// facts checks the sections of the law, of reading and of how well the model does.
func (k *check) facts(c Card) {
	k.device(c)
	if c.Protocol != nil {
		k.protocol(*c.Protocol)
	}
	for i, claim := range c.Claims {
		k.claim(fmt.Sprintf("claim %d (%s)", i+1, claim.Metric), claim)
	}
	if c.Golden != nil {
		k.golden(c)
	}
}

// device checks that a card says either that it is no device, or what device.
func (k *check) device(c Card) {
	d := c.Device
	if d == nil {
		k.that(strings.Contains(c.Regulatory, NotADevice), "regulatory is %q; without a section device it must say %q", c.Regulatory, NotADevice)
		return
	}
	k.that(c.Regulatory != "", "regulatory is empty; say in words what the section device says")
	k.that(!strings.Contains(strings.ToLower(c.Regulatory), NotADevice), "regulatory says %q, and there is a section device", NotADevice)
	k.word("device.regulation", d.Regulation, "MDR", "IVDR", "FDA")
	if all, ok := classes[d.Regulation]; ok {
		k.word("device.class by "+d.Regulation, d.Class, all...)
		if d.Regulation != "FDA" && d.Class != all[0] {
			k.that(d.NotifiedBody != "", "device.notified_body is missing: class %s needs one", d.Class)
			k.that(d.Certificate != "", "device.certificate is missing: class %s needs one", d.Class)
		}
	}
	k.that(d.NotifiedBody == "" || len(d.NotifiedBody) == 4 && isNumber(d.NotifiedBody), "device.notified_body is %q; it is the four digits beside the CE mark", d.NotifiedBody)
	k.that(isUDI(d.UDI), "device.udi_di is %q; it is 8, 12, 13 or 14 digits of GS1 of which the last one checks the others, or begins with + (HIBCC) or = (ICCBBA)", d.UDI)
	k.date("device.valid_until", d.ValidUntil)
	k.that(d.Manufacturer != "", "device.manufacturer, by law, is missing")
}

func (k *check) date(key, s string) {
	_, err := time.Parse(time.DateOnly, s)
	k.that(s == "" || err == nil, "%s is %q; it must be a day as YYYY-MM-DD", key, s)
}

// isNumber reports whether s is digits and nothing else.
func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }

// isUDI reports whether a word can be the device identifier of a UDI.
func isUDI(s string) bool {
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "=") {
		return len(s) >= 6 && len(s) <= 25 && strings.Trim(s[1:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-.$+%=") == ""
	}
	if !slices.Contains([]int{8, 12, 13, 14}, len(s)) || !isNumber(s) {
		return false
	}
	sum := 0 // GS1: the digits weigh 3 and 1 in turn, from the right
	for i := range len(s) {
		weight := 1 + 2*(i%2)
		sum += weight * int(s[len(s)-1-i]-'0')
	}
	return sum%10 == 0
}

func (k *check) protocol(p Protocol) {
	k.word("protocol.mode", p.Mode, ModeTriage, ModeConcurrent, ModeSecond, ModeFirst, ModeIndependent, ModeResearch)
	k.that(p.Text != "", "protocol.text is empty; say how the result is read")
}

func (k *check) claim(at string, c Claim) {
	k.that(c.Metric != "", "%s: metric is empty", at)
	k.that(c.Source != "", "%s: source is empty; a number without one is no claim", at)
	k.that(c.Population != "", "%s: population is empty; say who it was measured on", at)
	for _, v := range []float64{c.Value, c.Low, c.High} {
		k.that(!math.IsNaN(v) && !math.IsInf(v, 0), "%s: value, low or high is %v", at, v)
	}
	interval := c.Low != 0 || c.High != 0
	k.that(!interval || c.Low <= c.Value && c.Value <= c.High, "%s: %v does not lie between low %v and high %v", at, c.Value, c.Low, c.High)
	k.that(c.Level >= 0 && c.Level < 1 && (c.Level == 0 || interval), "%s: level is %v; it is a share below 1, of the interval", at, c.Level)
	k.that(c.Cases >= 0, "%s: cases is %d", at, c.Cases)
	k.that(c.Year == 0 || c.Year >= 1950 && c.Year <= 2200, "%s: year is %d", at, c.Year)
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		k.that(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "", "%s: url is %q", at, c.URL)
	}
}

func (k *check) golden(c Card) {
	g := c.Golden
	names := []string{c.Network, g.Input, g.Output}
	if c.MIL != nil {
		names = append(names, c.MIL.Network)
	}
	for i, n := range []struct {
		key, name string
		sum       study.Hash
	}{{"golden.input", g.Input, g.InputSHA256}, {"golden.output", g.Output, g.OutputSHA256}} {
		k.that(fileName(n.name) && strings.HasSuffix(n.name, ".npz"), "%s is %q; it must be the name of an .npz file beside the card", n.key, n.name)
		k.that(n.sum != study.Hash{}, "%s_sha256 is missing", n.key)
		k.that(n.name == "" || !slices.Contains(slices.Delete(slices.Clone(names), 1+i, 2+i), n.name), "%s: %q is another file", n.key, n.name)
	}
	k.that(g.Tolerance >= 0 && g.Tolerance <= 0.1, "golden.tolerance is %v; it must be 0 to 0.1", g.Tolerance)
}

// filters checks the filters of the intended use.
func (k *check) filters(u Use) {
	for _, f := range []struct {
		key   string
		words []string
	}{
		{filterBodyParts, u.BodyParts}, {filterIntents, u.Intents}, {filterViews, u.Views}, {filterManufacturers, u.Manufacturers},
		{filterScanners, u.Scanners}, {filterKernels, u.Kernels}, {filterPhotometric, u.Photometric}, {filterStains, u.Stains},
		{filterOrgans, u.Organs}, {filterSpecimens, u.Specimens},
	} {
		blank := slices.ContainsFunc(f.words, func(w string) bool { return strings.TrimSpace(w) == "" })
		k.that(!blank, "use.%s has an empty word", f.key)
	}
	for _, w := range u.Laterality {
		k.word("use.laterality", w, "L", "R")
	}
	for _, w := range u.Sex {
		k.word("use.sex", w, "F", "M", "O")
	}
	for _, e := range []struct {
		key       string
		low, high float64
	}{{"age", u.MinAge, u.MaxAge}, {"thickness_mm", u.MinThicknessMM, u.MaxThicknessMM}} {
		k.amount("use.min_"+e.key, e.low)
		k.amount("use.max_"+e.key, e.high)
		k.that(e.high == 0 || e.low <= e.high, "use.min_%s is %v and max_%s is %v", e.key, e.low, e.key, e.high)
	}
	k.that(u.MaxAge <= 130 && u.MinAge <= 130, "use.min_age is %v and max_age is %v; ages are in years", u.MinAge, u.MaxAge)
	for _, e := range []struct {
		key  string
		ends [2]float64
	}{{filterKVP, u.KVP}, {filterTesla, u.Tesla}} {
		k.amount("use."+e.key, e.ends[:]...)
		k.that(e.ends[1] == 0 || e.ends[0] <= e.ends[1], "use.%s is %v; it must be the lowest and the highest", e.key, e.ends)
	}
	for _, key := range slices.Sorted(maps.Keys(u.Missing)) {
		w := u.Missing[key]
		k.that(slices.Contains(filterKeys(), key), "use.missing.%s: no such filter; there are %s", key, strings.Join(filterKeys(), ", "))
		k.that(!slices.Contains(filterKeys(), key) || u.sets(key), "use.missing.%s: the card has no such filter", key)
		k.word("use.missing."+key, w, MissingPass, MissingRefuse)
	}
}
