package modelcard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"varde/study"
)

// languages are those in which a card may have its texts besides English.
var languages = []string{"nb", "da"}

// Languages lists the languages in which a card may have its texts besides English,
// as their tags.
func Languages() []string { return slices.Clone(languages) }

// A Text is what a card says in another language than English. Each text stands for
// the English one of that name; what is left out is told in English.
type Text struct {
	Description string   `toml:"description"`
	Regulatory  string   `toml:"regulatory"`
	Use         string   `toml:"use"`      // for use.text
	NotFor      []string `toml:"not_for"`  // for use.not_for, as many and in its order
	Measures    string   `toml:"measures"` // for use.measures
	Limits      string   `toml:"limits"`   // for use.limits
	Protocol    string   `toml:"protocol"` // for protocol.text

	Claims []ClaimText `toml:"claims"` // for claims, as many and in their order

	// Codes are the card's codes, each with its meaning in the language. Those of
	// which the program has a word itself are told by that one.
	Codes []study.Code `toml:"codes"`
}

// A ClaimText is the words of a claim in another language. The source keeps its own.
type ClaimText struct {
	Metric     string `toml:"metric"`
	Population string `toml:"population"`
}

// In gives the card with its texts in a language, and in English where it has none
// in that. Identity, codes, filters and numbers are the same in all of them, and so is
// the hash.
func (c Card) In(lang string) Card {
	t := c.Text[lang]
	put := func(to *string, text string) {
		if text != "" {
			*to = text
		}
	}
	put(&c.Description, t.Description)
	put(&c.Regulatory, t.Regulatory)
	put(&c.Use.Text, t.Use)
	put(&c.Use.Measures, t.Measures)
	put(&c.Use.Limits, t.Limits)
	if len(t.NotFor) == len(c.Use.NotFor) {
		c.Use.NotFor = t.NotFor
	}
	if c.Protocol != nil && t.Protocol != "" {
		p := *c.Protocol
		p.Text = t.Protocol
		c.Protocol = &p
	}
	if len(t.Claims) == len(c.Claims) {
		c.Claims = slices.Clone(c.Claims)
		for i, x := range t.Claims {
			put(&c.Claims[i].Metric, x.Metric)
			put(&c.Claims[i].Population, x.Population)
		}
	}
	return c
}

// Terms gives the card's codes in the words of other languages, as a result keeps
// them. It is nil for a card that has none.
func (c Card) Terms() []study.Term {
	var all []study.Term
	for _, lang := range languages {
		for _, code := range c.Text[lang].Codes {
			all = append(all, study.Term{Lang: lang, Code: code})
		}
	}
	return all
}

// Untranslated lists, for whoever writes the card, what readers of other languages
// will see in English, and words for codes that are not used. known says whether the
// program has a word of its own for a code in a language. None of it is a fault.
func (c Card) Untranslated(known func(lang string, code study.Code) bool) []string {
	var all []string
	for _, lang := range languages {
		t, at := c.Text[lang], "text."+lang
		var gaps, spare []string
		for _, code := range c.codes() {
			has := slices.ContainsFunc(t.Codes, sameCode(code))
			switch {
			case has && known(lang, code):
				spare = append(spare, codeName(code))
			case !has && !known(lang, code):
				gaps = append(gaps, fmt.Sprintf("%s (%s)", codeName(code), code.Meaning))
			}
		}
		if missing := t.missing(c); len(missing) > 0 {
			all = append(all, fmt.Sprintf("%s: without %s; it is shown in English", at, strings.Join(missing, ", ")))
		}
		if len(gaps) > 0 {
			all = append(all, fmt.Sprintf("%s.codes: no word for %s; the meaning is shown as it is", at, strings.Join(gaps, ", ")))
		}
		if len(spare) > 0 {
			all = append(all, fmt.Sprintf("%s.codes: the program has words of its own, and uses them, for %s", at, strings.Join(spare, ", ")))
		}
	}
	return all
}

// missing names the texts of a card that a language does not have.
func (t Text) missing(c Card) []string {
	var all []string
	gap := func(key, english, text string) {
		if english != "" && text == "" {
			all = append(all, key)
		}
	}
	gap("description", c.Description, t.Description)
	gap("regulatory", c.Regulatory, t.Regulatory)
	gap("use", c.Use.Text, t.Use)
	gap("not_for", strings.Join(c.Use.NotFor, ""), strings.Join(t.NotFor, ""))
	gap("measures", c.Use.Measures, t.Measures)
	gap("limits", c.Use.Limits, t.Limits)
	if c.Protocol != nil {
		gap("protocol", c.Protocol.Text, t.Protocol)
	}
	if len(c.Claims) > 0 && len(t.Claims) == 0 {
		all = append(all, "claims")
	}
	return all
}

// codes lists the codes that a card gives its findings, numbers and units, each once.
func (c Card) codes() []study.Code {
	var all []study.Code
	add := func(codes ...study.Code) {
		for _, code := range codes {
			if !code.Zero() && !slices.ContainsFunc(all, sameCode(code)) {
				all = append(all, code)
			}
		}
	}
	outputs := c.Output
	if c.MIL != nil {
		outputs = slices.Concat(outputs, c.MIL.Output)
	}
	for _, o := range outputs {
		add(o.Measure, o.Unit)
	}
	if c.Find != nil {
		add(c.Find.What, c.Find.Site)
	}
	if c.Count != nil {
		add(c.Count.Hotspot, c.Count.Total, c.Count.Density)
	}
	for _, l := range c.Label {
		add(l.What)
		for _, g := range l.Grade {
			add(g.Code)
		}
	}
	for _, s := range c.Segment {
		add(s.What, s.Site, s.Total)
	}
	return all
}

// sameCode asks whether another code is this one, whatever it is called.
func sameCode(c study.Code) func(study.Code) bool {
	return func(o study.Code) bool { return o.Value == c.Value && o.Scheme == c.Scheme }
}

// blank reports whether a text would be read as none.
func blank(s string) bool { return strings.TrimSpace(s) == "" }

func codeName(c study.Code) string { return c.Scheme + ":" + c.Value }

// texts checks the texts in other languages.
func (k *check) texts(c Card) {
	for _, lang := range slices.Sorted(maps.Keys(c.Text)) {
		at := "text." + lang
		if lang == "en" {
			k.that(false, "%s: the card itself is in English; [text.…] is for %s", at, strings.Join(languages, " and "))
			continue
		}
		k.that(slices.Contains(languages, lang), "%s: no such language; besides English there are %s", at, strings.Join(languages, " and "))
		k.text(at, c, c.Text[lang])
	}
}

func (k *check) text(at string, c Card, t Text) {
	k.that(len(t.NotFor) == 0 || len(t.NotFor) == len(c.Use.NotFor), "%s.not_for has %d texts, and use.not_for has %d", at, len(t.NotFor), len(c.Use.NotFor))
	k.that(!slices.ContainsFunc(t.NotFor, blank), "%s.not_for has an empty text", at)
	for _, one := range []struct{ key, text string }{{"description", t.Description}, {"regulatory", t.Regulatory}, {"use", t.Use}, {"measures", t.Measures}, {"limits", t.Limits}, {"protocol", t.Protocol}} {
		k.that(one.text == "" || !blank(one.text), "%s.%s is blank; leave it out, and it is told in English", at, one.key)
	}
	for i, x := range t.Claims {
		k.that((x.Metric == "" || !blank(x.Metric)) && (x.Population == "" || !blank(x.Population)), "%s.claims %d has a blank text; leave it out, and it is told in English", at, i+1)
	}
	k.that(t.Description == "" || c.Description != "", "%s.description: the card has none in English", at)
	k.that(t.Regulatory == "" || c.Regulatory != "", "%s.regulatory: the card has none in English", at)
	k.that(t.Protocol == "" || c.Protocol != nil, "%s.protocol: the card has no section protocol", at)
	k.that(len(t.Claims) == 0 || len(t.Claims) == len(c.Claims), "%s.claims has %d entries, and the card has %d claims", at, len(t.Claims), len(c.Claims))
	have := c.codes()
	for i, code := range t.Codes {
		n := fmt.Sprintf("%s.codes %d (%s)", at, i+1, codeName(code))
		k.that(code.Value != "" && code.Scheme != "" && !blank(code.Meaning), "%s needs value, scheme and meaning", n)
		k.that(utf8.RuneCountInString(code.Meaning) <= 64, "%s: the meaning is longer than 64 characters", n)
		k.that(slices.ContainsFunc(have, sameCode(code)), "%s: nothing in the card has that code", n)
		k.that(!slices.ContainsFunc(t.Codes[:i], sameCode(code)), "%s is there twice", n)
	}
}
