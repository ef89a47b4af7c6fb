package report

import (
	"varde/internal/words"
	"varde/study"
)

// A language is one that a report can be written in, with its codes. Codes keep
// the standard's English meanings; what is written for a reader comes from
// [words.Tell].
type language struct {
	words.Lang
	code, country study.Code // PS3.16 CID 5000 and CID 5001
}

// tongue gives a language by its name, English where the name is unknown.
func tongue(name string) language {
	switch words.Lang(name) {
	case words.Bokmal:
		return language{words.Bokmal, study.Code{Value: "nb", Scheme: "RFC5646", Meaning: "Bokmål, Norwegian"}, study.Code{Value: "NO", Scheme: "ISO3166_1", Meaning: "Norway"}}
	case words.Danish:
		return language{words.Danish, study.Code{Value: "da", Scheme: "RFC5646", Meaning: "Danish"}, study.Code{Value: "DK", Scheme: "ISO3166_1", Meaning: "Denmark"}}
	}
	return language{words.English, study.Code{Value: "en", Scheme: "RFC5646", Meaning: "English"}, study.Code{Value: "US", Scheme: "ISO3166_1", Meaning: "United States"}}
}

// series is the Series Description of our reports, at most 64 characters.
func (l language) series() string { return l.T("result.series") }
