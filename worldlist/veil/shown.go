package veil

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"varde/study"
)

// A Shown names what the page of a study shows: that of the images, and what the AI
// says of them. Two pages that show the same have the same one. It tells nothing of
// what it names, and of a page on which the reader answers first it names the images
// alone, so that nothing which the AI does makes such a page look old.
type Shown string

// ownFirst begins one of a page on which the reader answers first.
const ownFirst = "o"

// ShownOf names what the page shows of a study that came from [Veil.OnPage].
func (v *Veil) ShownOf(s Seen) Shown {
	if s.OwnFirst {
		return shownOf(ownFirst, s, nil, nil)
	}
	stopped := v.stopped()
	lapsed := make([]bool, len(s.Results))
	for i, r := range s.Results {
		lapsed[i] = stopped(r.Model)
	}
	return shownOf("s", s, s.Results, lapsed)
}

// StillShown reports whether a page that showed something would show the same now.
// Of one on which its reader was to answer first only the images count, whatever may
// be seen by now. s is from [Veil.OnPage].
func (v *Veil) StillShown(was Shown, s Seen) bool {
	if strings.HasPrefix(string(was), ownFirst) {
		return was == shownOf(ownFirst, s, nil, nil)
	}
	return was == v.ShownOf(s)
}

// StoppedIn gives the results, of those that a page shows, whose models have been
// stopped: none where the AI is hidden, or was when the page was made. s is from
// [Veil.OnPage].
func (v *Veil) StoppedIn(was Shown, s Seen) (all []study.Result) {
	if s.OwnFirst || strings.HasPrefix(string(was), ownFirst) {
		return nil
	}
	stopped := v.stopped()
	for _, r := range s.Results {
		if stopped(r.Model) {
			all = append(all, r)
		}
	}
	return all
}

func shownOf(kind string, s Seen, results []study.Result, lapsed []bool) Shown {
	coming := s.Study.Status == study.Receiving || s.Study.Status == study.Refused
	note := ""
	if kind != ownFirst {
		note = s.Study.Note
	}
	b, err := json.Marshal([]any{s.Study.UID, s.Study.Rev, coming, note, results, lapsed})
	if err != nil { // a number that is none: the ledger holds no such result
		b = fmt.Append(nil, s.Study.UID, s.Study.Rev, coming, note, results, lapsed)
	}
	sum := sha256.Sum256(b)
	return Shown(kind + base64.RawURLEncoding.EncodeToString(sum[:18]))
}
