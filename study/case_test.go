package study_test

import (
	"errors"
	"testing"
	"time"

	"varde/study"
)

func TestWhatACaseMayWaitFor(t *testing.T) {
	for _, tt := range []struct {
		w  study.CaseWait
		ok bool
	}{
		{study.CaseWait{By: "dr", Kind: "rescan", Reason: "focus", Slide: "1.2.3"}, true},
		{study.CaseWait{By: "dr", Kind: "rescan"}, false},
		{study.CaseWait{By: "dr", Kind: "rescan", Reason: "mood"}, false},
		{study.CaseWait{By: "dr", Kind: "stain", Text: "Ki-67"}, true},
		{study.CaseWait{By: "dr", Kind: "stain"}, false},
		{study.CaseWait{By: "dr", Kind: "stain", Text: "Ki-67", Reason: "focus"}, false},
		{study.CaseWait{By: "dr", Kind: "stain", Text: "Ki-67", Slide: "1.2.3"}, false},
		{study.CaseWait{By: "dr", Kind: "slides"}, true},
		{study.CaseWait{By: " ", Kind: "slides"}, false},
		{study.CaseWait{By: "dr", Kind: "lunch"}, false},
	} {
		if err := tt.w.Sound(); (err == nil) != tt.ok || err != nil && !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%+v: %v", tt.w, err)
		}
	}
}

func TestANewSlideEndsWhatItFits(t *testing.T) {
	rescan := func(container string) study.CaseWait { return study.CaseWait{Kind: "rescan", Container: container} }
	stain, over := study.CaseWait{Kind: "stain"}, study.CaseWait{Kind: "slides", EndedAt: time.Unix(1, 0)}
	for _, tt := range []struct {
		name      string
		waits     []study.CaseWait
		container string
		want      int
	}{
		{"nothing waits", []study.CaseWait{over}, "A1", -1},
		{"its own label first", []study.CaseWait{stain, rescan("A1")}, "A1", 1},
		{"then what is new", []study.CaseWait{rescan("A1"), stain}, "A2", 1},
		{"the oldest of them", []study.CaseWait{over, stain, stain}, "", 1},
		{"a rescan of no label", []study.CaseWait{rescan("")}, "A2", 0},
		{"a label that is not told", []study.CaseWait{rescan("A1")}, "", 0},
		{"another slide's rescan goes on", []study.CaseWait{rescan("A1")}, "A2", -1},
	} {
		if got := study.EndedBySlide(tt.waits, tt.container); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
