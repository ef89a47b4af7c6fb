package study

import (
	"errors"
	"testing"
	"time"
)

// unsaid are texts in which nothing can be seen.
var unsaid = []string{"", " \t\n", "\x00", "\x00 \x01\x7f", "\u200b\u200c\u200d", "\ufeff", "\u2060\u00ad", "\u202e\u202c",
	"\u00a0\u2003\u3000", "\u3164", "\u2800", "\ufe0f", "\u034f", "\U000e0041", "\u2028\u0085"}

func TestWhatCannotBeSeenIsNotSaid(t *testing.T) {
	for _, text := range unsaid {
		if got := Said(text); got != "" {
			t.Errorf("%+q is kept as %+q", text, got)
		}
	}
	for text, want := range map[string]string{
		" on call \n": "on call", "\u200bvagt\x00": "vagt", "on\u200bcall": "on\u200bcall", "ÅØ – å": "ÅØ – å",
		"✔\ufe0f": "✔\ufe0f", "e\u0301": "e\u0301", "?": "?", "夜勤": "夜勤", "1": "1",
	} {
		if got := Said(text); got != want {
			t.Errorf("%+q is kept as %+q, not %+q", text, got, want)
		}
	}
}

// TestReasonThatCannotBeSeenIsNone is each decision of this package that asks for words.
func TestReasonThatCannotBeSeenIsNone(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	held := Claim{Study: "1.2", By: "anna", Since: now, Seen: now}
	for _, text := range unsaid {
		_, take := held.After(ClaimMove{Study: "1.2", Kind: ClaimTake, By: "bo", Reason: text, Idle: time.Hour}, now)
		_, release := held.After(ClaimMove{Study: "1.2", Kind: ClaimRelease, By: "bo", Reason: text, Idle: time.Hour}, now)
		_, give := held.After(ClaimMove{Study: "1.2", Kind: ClaimGive, By: "anna", To: text, Idle: time.Hour}, now)
		_, nobody := Claim{Study: "1.2"}.After(ClaimMove{Study: "1.2", Kind: ClaimTake, By: text, Idle: time.Hour}, now)
		for name, tt := range map[string]struct{ got, want error }{
			"take": {take, ErrRefused}, "release": {release, ErrRefused}, "give": {give, ErrInvalid}, "nobody": {nobody, ErrInvalid},
			"suspend": {ModelChange{State: ModelSuspended, By: "bo", Reason: text}.Follows(ModelChange{State: ModelLive}), ErrInvalid},
			"skip":    {ReadingStep{Study: "1.2", Step: StepSkipped, By: "bo", Text: text}.Sound(), ErrInvalid},
			"add":     {ReadingStep{Study: "1.2", Step: StepAddendum, By: "bo", Text: text}.Sound(), ErrInvalid},
			"stain":   {CaseWait{Study: "1.2", Kind: WaitStain, By: "bo", Text: text}.Sound(), ErrInvalid},
		} {
			if !errors.Is(tt.got, tt.want) {
				t.Errorf("%s with %+q: %v, not %v", name, text, tt.got, tt.want)
			}
		}
	}
}
