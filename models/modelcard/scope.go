package modelcard

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"varde/study"
)

// Outside says which filter of the intended use an image fails, or nothing: the
// image's own and those of its patient. Filters are asked from the coarsest to
// the finest, so that the reason is the one that a reader would name first. It
// decides by its arguments alone. Spacing and the number of images are not
// asked here: they are of a stack and not of an image.
//
// The detail of a reason says what the card asks for or which attribute of the
// header is empty, and never holds a person.
func (u Use) Outside(st study.Study, in study.Instance) study.Reason {
	if in.Image == nil || len(u.Classes) > 0 && !slices.Contains(u.Classes, in.Class) {
		return study.Reason{Code: study.ReasonModality, Detail: string(in.Class)}
	}
	if localizer(in.Image) {
		return study.Reason{Code: study.ReasonTooFew, Detail: "LOCALIZER"}
	}
	for _, f := range headerFilters {
		if !u.sets(f.key) {
			continue
		}
		switch known, ok := f.fits(u, st, in.Image); {
		case !known && u.passes(f.key), known && ok:
		case !known:
			return study.Reason{Code: f.reason, Detail: f.tag + " –"}
		default:
			return study.Reason{Code: f.reason, Detail: f.detail(u, in.Image)}
		}
	}
	return study.Reason{}
}

// localizer reports a scout view, PS3.3 §C.8.2.1.1.1.
func localizer(img *study.Image) bool {
	return slices.ContainsFunc(img.ImageType, func(v string) bool {
		return strings.EqualFold(v, "LOCALIZER") || strings.EqualFold(v, "SCOUT")
	})
}

// A filter is one question to a header.
type filter struct {
	key    string // in the card
	reason string
	tag    string // of the attribute that is asked
	// fits says whether the header says anything, and whether that passes.
	fits   func(Use, study.Study, *study.Image) (known, ok bool)
	detail func(Use, *study.Image) string
}

// headerFilters are the filters that ask the header and may find nothing there,
// in the order in which they are asked.
var headerFilters = []filter{
	{filterBodyParts, study.ReasonBodyPart, "(0018,0015)", coded(func(u Use) []string { return u.BodyParts }, bodyPart,
		func(i *study.Image) []study.Code { return i.Taken.Regions }, regions), word(bodyPart)},
	{filterIntents, study.ReasonIntent, "(0008,0068)", plain(func(u Use) []string { return u.Intents }, intent), word(intent)},
	{filterViews, study.ReasonView, "(0018,5101)", coded(func(u Use) []string { return u.Views }, view,
		func(i *study.Image) []study.Code { return i.Taken.Views }, views), word(view)},
	{filterLaterality, study.ReasonLaterality, "(0020,0062)", plain(func(u Use) []string { return u.Laterality }, side), word(side)},
	{filterSex, study.ReasonSex, "(0010,0040)", func(u Use, st study.Study, _ *study.Image) (bool, bool) {
		v := strings.TrimSpace(st.Patient.Reveal().Sex)
		return v != "", containsFold(u.Sex, v)
	}, silent},
	{filterAge, study.ReasonAge, "(0010,1010)", fitsAge, func(u Use, _ *study.Image) string { return span(u.MinAge, u.MaxAge) }},
	{filterManufacturers, study.ReasonScanner, "(0008,0070)", func(u Use, _ study.Study, i *study.Image) (bool, bool) {
		return i.Manufacturer != "", begins(u.Manufacturers, i.Manufacturer)
	}, silent},
	{filterScanners, study.ReasonScanner, "(0008,1090)", func(u Use, _ study.Study, i *study.Image) (bool, bool) {
		return i.Taken.Device != "", begins(u.Scanners, i.Taken.Device)
	}, silent},
	ends(filterThickness, study.ReasonThickness, "(0018,0050)", "mm", func(i *study.Image) float64 { return i.ThicknessMM },
		func(u Use) [2]float64 { return [2]float64{u.MinThicknessMM, u.MaxThicknessMM} }),
	ends(filterKVP, study.ReasonAcquisition, "(0018,0060)", "kV", func(i *study.Image) float64 { return i.Taken.KVP },
		func(u Use) [2]float64 { return u.KVP }),
	ends(filterTesla, study.ReasonAcquisition, "(0018,0087)", "T", func(i *study.Image) float64 { return i.Taken.Tesla },
		func(u Use) [2]float64 { return u.Tesla }),
	{filterKernels, study.ReasonAcquisition, "(0018,1210)", plain(func(u Use) []string { return u.Kernels },
		func(i *study.Image) string { return i.Taken.Kernel }), func(Use, *study.Image) string { return "(0018,1210)" }},
	{filterPhotometric, study.ReasonPixels, "(0028,0004)", plain(func(u Use) []string { return u.Photometric }, photometric), word(photometric)},
	{filterStains, study.ReasonStaining, "(0040,0610)", func(u Use, _ study.Study, i *study.Image) (bool, bool) {
		return stained(u.Stains, i.Taken.Stains)
	}, func(u Use, _ *study.Image) string { return "≠ " + strings.Join(u.Stains, ", ") }},
	{filterOrgans, study.ReasonSpecimen, "(0008,2228)", coded(func(u Use) []string { return u.Organs }, unsaid,
		func(i *study.Image) []study.Code { return i.Taken.Anatomy }, regions), silent},
	{filterSpecimens, study.ReasonSpecimen, "(0040,059A)", coded(func(u Use) []string { return u.Specimens }, unsaid,
		func(i *study.Image) []study.Code { return i.Taken.Specimen }, terms{}), silent},
}

func bodyPart(i *study.Image) string    { return i.BodyPart }
func intent(i *study.Image) string      { return i.Intent }
func view(i *study.Image) string        { return i.View }
func side(i *study.Image) string        { return i.Laterality }
func photometric(i *study.Image) string { return i.Photometric }
func unsaid(*study.Image) string        { return "" }

// silent is the detail of a filter of which the header's word may be anything.
func silent(Use, *study.Image) string { return "" }

// word is the header's own word as a detail.
func word(have func(*study.Image) string) func(Use, *study.Image) string {
	return func(_ Use, i *study.Image) string { return codeWord(have(i)) }
}

// plain compares one word of the header with those of the card, in any case.
func plain(want func(Use) []string, have func(*study.Image) string) func(Use, study.Study, *study.Image) (bool, bool) {
	return func(u Use, _ study.Study, i *study.Image) (bool, bool) {
		v := strings.TrimSpace(have(i))
		return v != "", containsFold(want(u), v)
	}
}

// coded compares what the header says in a word and in codes with the card.
func coded(want func(Use) []string, text func(*study.Image) string, codes func(*study.Image) []study.Code, t terms) func(Use, study.Study, *study.Image) (bool, bool) {
	return func(u Use, _ study.Study, i *study.Image) (bool, bool) { return t.match(want(u), text(i), codes(i)) }
}

// ends is a filter by a number of the header.
func ends(key, reason, tag, unit string, have func(*study.Image) float64, limits func(Use) [2]float64) filter {
	return filter{key, reason, tag,
		func(u Use, _ study.Study, i *study.Image) (bool, bool) {
			l := limits(u)
			return within(have(i), l[0], l[1])
		},
		func(u Use, i *study.Image) string {
			l := limits(u)
			return fmt.Sprintf("%s %s ≠ %s %s", number(have(i)), unit, span(l[0], l[1]), unit)
		}}
}

// fitsAge asks for the age that the header gives, and for that which the birth
// date gives. Where both are there both must pass.
func fitsAge(u Use, st study.Study, img *study.Image) (known, ok bool) {
	var ages []float64
	if img.Taken.Years != nil {
		ages = append(ages, *img.Taken.Years)
	}
	if years, ok := yearsBetween(st.Patient.Reveal().Birth, st.Date); ok {
		ages = append(ages, years)
	}
	for _, a := range ages {
		most := u.MaxAge
		if most > 0 && most == math.Trunc(most) {
			most = math.Nextafter(most+1, 0) // until the next birthday
		}
		if a < u.MinAge || most > 0 && a > most {
			return true, false
		}
	}
	return len(ages) > 0, true
}

// yearsBetween counts from one date to another, both YYYYMMDD.
func yearsBetween(birth, day string) (float64, bool) {
	b, ok := ymd(birth)
	d, ok2 := ymd(day)
	if !ok || !ok2 {
		return 0, false
	}
	years := float64(d[0]-b[0]) + float64(d[1]-b[1])/12 + float64(d[2]-b[2])/372
	return years, years >= 0 && years < 130
}

func ymd(s string) ([3]int, bool) {
	if len(s) != 8 || strings.Trim(s, "0123456789") != "" {
		return [3]int{}, false
	}
	y, _ := strconv.Atoi(s[:4]) // digits, as was looked at above
	m, _ := strconv.Atoi(s[4:6])
	d, _ := strconv.Atoi(s[6:])
	return [3]int{y, m, d}, y > 1850 && m >= 1 && m <= 12 && d >= 1 && d <= 31
}

// within asks whether a number lies between two ends, 0 standing for none. The
// slack is for rounding.
func within(v, low, high float64) (known, ok bool) {
	const slack = 1e-3
	return v > 0, v >= low*(1-slack) && (high == 0 || v <= high*(1+slack))
}

// span writes two ends as 18–75, 18– or –75.
func span(low, high float64) string {
	var a, b string
	if low > 0 {
		a = number(low)
	}
	if high > 0 {
		b = number(high)
	}
	return a + "–" + b
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func containsFold(list []string, v string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), strings.TrimSpace(v)) })
}

// begins reports whether a name begins with the words of one of a list: siemens
// with Siemens Healthineers, and not with Siemensstadt.
func begins(list []string, name string) bool {
	have := words(name)
	return slices.ContainsFunc(list, func(s string) bool {
		want := words(s)
		return len(want) > 0 && len(want) <= len(have) && slices.Equal(want, have[:len(want)])
	})
}

// words gives the words of a name, folded.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return strings.ContainsRune(" \t.,;:/()_-®™", r) })
}

// codeWord lets a code string (PS3.5 §6.2, CS) through as a detail. Whatever
// else a sender put there may be a person, and does not pass.
func codeWord(s string) string {
	if len(s) > 16 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ") != "" {
		return ""
	}
	return s
}
