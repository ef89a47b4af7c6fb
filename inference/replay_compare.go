package inference

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"varde/study"
)

// conditionNames are the conditions of a run in a person's words, by their name in
// JSON. What has no name here goes by that one.
var conditionNames = map[string]string{
	"runtime": "ONNX Runtime", "library_sha256": "runtime library", "provider": "execution provider", "decoders": "decoders", "card_sha256": cardDiffers,
	"varde": "Varde", "mil_sha256": secondDiffers, "cpu": "CPU class", "objects_sha256": objectsDiffer, "calibration_sha256": calibrationDiffers,
}

// The conditions that say what was asked, rather than who answered.
const (
	modelDiffers  = "model"
	secondDiffers = "second network"
	cardDiffers   = "card"

	calibrationDiffers = "calibration"
	objectDiffers      = "object " // and its key
	objectsDiffer      = "objects" // others, or others of these
)

func asksOtherwise(d Difference) bool {
	return slices.Contains([]string{modelDiffers, secondDiffers, cardDiffers, objectsDiffer, calibrationDiffers}, d.What) || strings.HasPrefix(d.What, objectDiffers)
}

// conditions lists in what two runs differ. What was not recorded is not compared,
// and neither is by which route the library was found: its hash is.
func conditions(was, now study.Provenance) []Difference {
	a, b := fields(was), fields(now)
	var all []Difference
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if x, y := a[name], b[name]; name != "route" && x != "" && x != y {
			all = append(all, Difference{cmp.Or(conditionNames[name], name), x, y})
		}
	}
	return all
}

// fields gives a provenance as its JSON's texts.
func fields(p study.Provenance) map[string]string {
	all := map[string]string{}
	tree, err := plain(p)
	if m, ok := tree.(map[string]any); ok && err == nil {
		for name, v := range m {
			all[name] = said(v, math.MaxInt)
		}
	}
	return all
}

// compare holds the parts and the result against what was recorded.
func (out *Replay) compare(was, now []study.Part, recorded study.Result) error {
	out.Equal = true
	for i := range was {
		equal, err := out.walk(fmt.Sprintf("part %d", was[i].Index), bare(was[i]), bare(now[i]))
		if err != nil {
			return err
		}
		if equal {
			out.PartsEqual++
		}
	}
	again := out.Result
	again.Model, again.Ran, again.Seconds, again.Name = recorded.Model, recorded.Ran, recorded.Seconds, recorded.Name
	if recorded.Unlisted == 0 && recorded.Ran.Varde != out.Result.Ran.Varde && len(recorded.Findings) == len(again.Findings) {
		again.Unlisted = 0 // a Varde of before did not say how many its list leaves out
	}
	_, err := out.walk("result", recorded, again)
	return err
}

// bare is a part without what differs from run to run: how long it took, and what
// is compared by itself.
func bare(p study.Part) study.Part {
	p.Seconds, p.Ran = 0, study.Provenance{}
	return p
}

// walk compares two values by their JSON, in which every number stands to its last
// bit.
func (out *Replay) walk(name string, was, now any) (bool, error) {
	a, err := json.Marshal(was)
	if err != nil {
		return false, err
	}
	b, err := json.Marshal(now)
	if err != nil {
		return false, err
	}
	if bytes.Equal(a, b) {
		return true, nil
	}
	x, err := decode(a)
	if err != nil {
		return false, err
	}
	y, err := decode(b)
	if err != nil {
		return false, err
	}
	out.Equal = false
	out.differ(name, x, y)
	return false, nil
}

// plain gives a value as its JSON's objects, lists, texts and numbers.
func plain(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return decode(b)
}

func decode(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return v, d.Decode(&v)
}

// differ counts the values in which two trees differ.
func (out *Replay) differ(where string, was, now any) {
	switch a := was.(type) {
	case map[string]any:
		if b, ok := now.(map[string]any); ok {
			names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
			slices.Sort(names)
			for _, name := range slices.Compact(names) {
				out.differ(where+"."+name, a[name], b[name])
			}
			return
		}
	case []any:
		if b, ok := now.([]any); ok && len(a) == len(b) {
			for i := range a {
				out.differ(fmt.Sprintf("%s[%d]", where, i), a[i], b[i])
			}
			return
		}
	}
	if x, y := said(was, fewEntries), said(now, fewEntries); x != y {
		out.deviate(Deviation{Where: where, Recorded: x, Now: y, By: offBy(was, now)})
	}
}

// deviate notes a value that differs.
func (out *Replay) deviate(d Deviation) {
	out.Values++
	if out.Largest == nil || d.By > out.Largest.By {
		out.Largest = &d
	}
}

// offBy is how far two numbers lie from each other. It is 0 of what is none.
func offBy(was, now any) float64 {
	a, ok := was.(json.Number)
	b, also := now.(json.Number)
	if !ok || !also {
		return 0
	}
	x, err := a.Float64()
	y, other := b.Float64()
	if err != nil || other != nil {
		return 0
	}
	return math.Abs(x - y)
}

// fewEntries is how long a list may be that is written out.
const fewEntries = 4

// said gives a value in words: a list of more than most entries by its length.
func said(v any, most int) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		if len(v) > most {
			return fmt.Sprintf("%d entries", len(v))
		}
		var words []string
		for _, one := range v {
			words = append(words, said(one, most))
		}
		return strings.Join(words, ", ")
	case map[string]any:
		return fmt.Sprintf("%d fields", len(v))
	}
	return fmt.Sprint(v)
}
