package veil

import (
	"slices"
	"strings"

	"varde/internal/words"
	"varde/study"
)

// State is the AI's word on the study, or [Hidden].
func (s Seen) State() study.AIState {
	if s.Blind {
		return Hidden
	}
	return s.AI()
}

// Word is the one word for what the AI says of the study, and what must stand beside
// it: tiles that went unseen, or that images are still coming. Of a stopped model the
// word says that there is no AI; of one that nobody runs, that the study waits for it; of
// what is hidden, that it is.
func (s Seen) Word(l words.Lang) (word, note string) {
	if s.Blind {
		return l.T("ai.hidden"), ""
	}
	word, note = wordOf(l, s.Case)
	switch stalled, _ := StallWords(l, s.Stall); {
	case stalled == "":
	case s.AI() == study.Running:
		word = stalled
	default: // one model has answered, and another is still to
		note = strings.TrimPrefix(note+", "+l.T("ai.more_waits_"+string(s.Stall)), ", ")
	}
	return word, note
}

func wordOf(l words.Lang, c study.Case) (word, note string) {
	state := c.AI()
	word = l.T("ai." + string(state))
	turned := false // a model was asked, and turned the study away
	for _, r := range speaking(c.Results) {
		if r.AI != state {
			continue
		}
		turned = true
		switch {
		case r.Reason.Code == study.ReasonStopped:
			return l.T("ai.stopped"), ""
		case r.Reason.Code == study.ReasonUnasked:
			return l.T("ai.unasked"), ""
		case r.Partial() && state != study.Failed && state != study.OutOfScope:
			return word, l.T("ai.partial", r.Seen, r.Planned)
		}
	}
	if c.Study.Status == study.Receiving {
		return word, l.T("ai.receiving", c.Study.Instances)
	}
	if state == study.OutOfScope && !turned {
		switch code, _, _ := strings.Cut(c.Study.Note, ": "); code {
		case study.ReasonNoModel:
			note = l.T("ai.no_model")
		case study.ReasonNoImages:
			note = l.T("ai.no_images")
		}
	}
	return word, note
}

// Says tells in words what the AI says of the study as a whole, what must stand beside
// it, and which models say so, by name, version and hash: nothing to whom it is hidden.
func (s Seen) Says(l words.Lang) string {
	if s.Blind {
		return ""
	}
	word, beside := s.Word(l)
	if beside != "" {
		word = strings.TrimPrefix(word+", "+beside, ", ")
	}
	said := []string{word}
	for _, r := range speaking(s.Results) {
		if r.AI == s.AI() {
			said = append(said, r.Model.String()+", SHA-256 "+r.Model.SHA256.Short())
		}
	}
	return strings.Join(said, " · ")
}

// speaking are the results that a reader sees: those of no shadow model.
func speaking(results []study.Result) []study.Result {
	return slices.DeleteFunc(slices.Clone(results), func(r study.Result) bool { return r.Shadow })
}
