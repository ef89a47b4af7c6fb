package webui

import "varde/internal/words"

// A Lang is a language of the pages.
type Lang = words.Lang

// The languages.
const (
	English = words.English
	Bokmal  = words.Bokmal
	Danish  = words.Danish
)

// Langs lists them.
var Langs = words.Langs

// ParseLang reads a language tag. Norwegian of any kind is bokmål here.
func ParseLang(tag string) (Lang, bool) { return words.ParseLang(tag) }

// Accepted gives the language of an Accept-Language header that we speak and the
// visitor likes best; English when there is none.
func Accepted(header string) Lang { return words.Accepted(header) }
