package study_test

import (
	"errors"
	"testing"
	"time"

	"varde/study"
)

func TestCursorSurvivesItsText(t *testing.T) {
	c := study.Place{Class: 2, Key: time.UnixMilli(1731239999123).UTC()}.Cursor("1.2.840.1")
	got, err := study.ParseCursor(c.String())
	if err != nil || got != c {
		t.Errorf("got %v, %v; want %v", got, err, c)
	}
	if got, err := study.ParseCursor(""); err != nil || !got.Zero() || got.String() != "" {
		t.Errorf("the empty cursor came back as %v, %v", got, err)
	}
	for _, s := range []string{"x", "1_2", "1_2_", "a_2_1.2", "1_b_1.2", "1_2_1.2_3"} {
		if _, err := study.ParseCursor(s); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
