package study_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"varde/study"
)

// TestScreeningByEveryCombination reads one examination by every plan and with every
// answer, and says what becomes of it.
func TestScreeningByEveryCombination(t *testing.T) {
	const yes, no = true, false
	for _, tt := range []struct {
		readers             int
		alone, meeting, pos bool
		answers             []bool
		state, look         string
	}{
		{readers: 1, answers: []bool{no}, state: "not_recalled"},
		{readers: 1, answers: []bool{no}, pos: yes, state: "not_recalled", look: "open"},
		{readers: 1, answers: []bool{yes}, state: "second"},
		{readers: 1, answers: []bool{yes}, alone: yes, state: "recalled"},
		{readers: 1, answers: []bool{no}, alone: yes, state: "not_recalled"},
		{readers: 1, answers: []bool{yes, yes}, state: "recalled"},
		{readers: 1, answers: []bool{yes, no}, state: "consensus"},
		{readers: 1, answers: []bool{yes, no, no}, state: "not_recalled"},
		{readers: 2, state: "first"},
		{readers: 2, answers: []bool{no}, state: "second"},
		{readers: 2, answers: []bool{yes}, state: "second"},
		{readers: 2, answers: []bool{yes}, alone: yes, state: "second"},
		{readers: 2, answers: []bool{no, no}, state: "not_recalled"},
		{readers: 2, answers: []bool{no, no}, pos: yes, state: "not_recalled", look: "open"},
		{readers: 2, answers: []bool{yes, yes}, pos: yes, state: "recalled"},
		{readers: 2, answers: []bool{yes, no}, state: "consensus"},
		{readers: 2, answers: []bool{no, yes}, meeting: yes, state: "consensus"},
		{readers: 2, answers: []bool{no, yes, yes}, pos: yes, state: "recalled"},
		{readers: 2, answers: []bool{yes, no, no}, pos: yes, state: "not_recalled"},
	} {
		name := fmt.Sprintf("%d readers, alone %v, meeting %v, AI %v, answers %v", tt.readers, tt.alone, tt.meeting, tt.pos, tt.answers)
		s := screened(tt.readers)
		s.Plan.AloneRecalls, s.Plan.Meeting, s.Plan.Positive = tt.alone, tt.meeting, tt.pos
		for n, recall := range tt.answers {
			var err error
			if s, err = s.After(study.ScreeningRead{By: fmt.Sprint("dr", n), Recall: recall, At: time.Unix(int64(n), 0)}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if s.State != tt.state || s.Look != tt.look || len(s.Reads) != len(tt.answers) || s.Decided() == s.DecidedAt.IsZero() {
			t.Errorf("%s: %s, look %q, %d reads; want %s, %q", name, s.State, s.Look, len(s.Reads), tt.state, tt.look)
		}
	}
}

func screened(readers int) study.Screening {
	return study.Screening{Study: "1.2", Plan: study.ScreeningPlan{Program: "mammo", Readers: readers}, State: study.ScreeningFirst}
}

func TestNobodyReadsAScreeningTwice(t *testing.T) {
	s, err := screened(2).After(study.ScreeningRead{By: "K. Hansen", Recall: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"K. Hansen", "k.  hansen"} {
		if _, err := s.After(study.ScreeningRead{By: by}); !errors.Is(err, study.ErrRefused) {
			t.Errorf("%q: %v", by, err)
		}
	}
	if s.Due("K. Hansen") || !s.Due("B. Lund") || !s.Blind("B. Lund") || s.Blind("K. Hansen") {
		t.Error("whose turn it is, or who is blind")
	}
	if s, err = s.After(study.ScreeningRead{By: "B. Lund"}); err != nil || s.Blind("C. Dahl") || s.Due("B. Lund") || !s.Due("C. Dahl") {
		t.Error("who settles a disagreement knows both answers:", err)
	}
	if s, err = s.After(study.ScreeningRead{By: "C. Dahl"}); err != nil || s.Reads[2].Turn != study.TurnThird {
		t.Error(err)
	}
	if _, err = s.After(study.ScreeningRead{By: "D. Vik"}); !errors.Is(err, study.ErrRefused) {
		t.Error("an answer after the decision:", err)
	}
}

func TestAMeetingDecidesWhereTheProgramSaysSo(t *testing.T) {
	s := screened(2)
	s.Plan.Meeting = true
	meeting := study.ScreeningRead{Turn: study.TurnMeeting, By: "anna", With: []string{"bo"}, Recall: true}
	if _, err := s.After(meeting); !errors.Is(err, study.ErrRefused) {
		t.Error("before anybody has read:", err)
	}
	s, _ = s.After(study.ScreeningRead{By: "anna", Recall: true})
	s, _ = s.After(study.ScreeningRead{By: "bo"})
	if _, err := s.After(study.ScreeningRead{By: "carl"}); !errors.Is(err, study.ErrRefused) || s.Due("carl") {
		t.Error("a third reader beside the meeting:", err)
	}
	for _, alone := range [][]string{nil, {"Anna", " "}} {
		m := meeting
		m.With = alone
		if _, err := s.After(m); !errors.Is(err, study.ErrInvalid) {
			t.Error("a meeting of one:", err)
		}
	}
	got, err := s.After(meeting)
	if err != nil || got.State != study.ScreeningRecalled || len(got.Reads) != 3 {
		t.Error(got, err)
	}
	s.Plan.Meeting = false
	if _, err := s.After(meeting); !errors.Is(err, study.ErrRefused) {
		t.Error("a meeting where a third reader decides:", err)
	}
}

func TestASecondLookIsAtWhatTheAIAloneFound(t *testing.T) {
	s := screened(2)
	s, _ = s.After(study.ScreeningRead{By: "anna"})
	s, _ = s.After(study.ScreeningRead{By: "bo"})
	if _, err := s.After(study.ScreeningRead{Turn: study.TurnLook, By: "anna"}); !errors.Is(err, study.ErrRefused) {
		t.Error("nothing to look at:", err)
	}
	if got := s.Learns(study.ScreeningPlan{}); got.Look != "" {
		t.Error("a negative result asks for a look")
	}
	s = s.Learns(study.ScreeningPlan{Positive: true})
	if s.Look != study.LookOpen || s.State != study.ScreeningNotRecalled {
		t.Fatal("a late positive result asks for none:", s.Look)
	}
	for recall, want := range map[bool]string{true: study.ScreeningRecalled, false: study.ScreeningNotRecalled} {
		got, err := s.After(study.ScreeningRead{Turn: study.TurnLook, By: "anna", Recall: recall})
		if err != nil || got.State != want || got.Look != study.LookDone {
			t.Error(recall, got.State, got.Look, err)
		}
		if _, err := got.After(study.ScreeningRead{Turn: study.TurnLook, By: "anna"}); !errors.Is(err, study.ErrRefused) {
			t.Error("looked at twice:", err)
		}
	}
	d := screened(2)
	d, _ = d.After(study.ScreeningRead{By: "anna", Recall: true})
	d, _ = d.After(study.ScreeningRead{By: "bo"})
	d, _ = d.After(study.ScreeningRead{By: "carl"})
	if d = d.Learns(study.ScreeningPlan{Positive: true}); d.Look != "" {
		t.Error("where readers disagreed the AI is no news")
	}
}
