package screening_test

import (
	"testing"

	"varde/study"
	"varde/worldlist/screening"
)

// TestReplayCountsByHand replays five examinations and counts what five lines say.
func TestReplayCountsByHand(t *testing.T) {
	read := func(answers ...bool) study.Screening {
		s := study.Screening{Study: "1.2", Plan: study.ScreeningPlan{Program: "mammo", Readers: 2}, State: study.ScreeningFirst}
		for n, recall := range answers {
			var err error
			if s, err = s.After(study.ScreeningRead{By: string(rune('a' + n)), Recall: recall}); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	r := screening.NewReplayer(programs(t, mammo))
	r.Add(exam("screening", said("mg-a", 0.01)), read(false, false))      // one reads
	r.Add(exam("screening", said("mg-a", 0.02)), read(false, true, true)) // one would have missed it
	r.Add(exam("screening", said("mg-a", 0.95)), read(false, false))      // the AI alone
	r.Add(exam("screening", said("mg-a", 0.95)), read(true, true))        // all found it
	r.Add(exam("screening"), read(false))                                 // waits for its second reader
	r.Add(exam("Thorax", said("mg-a", 0.01)), study.Screening{})          // of no program
	got := r.Sums()
	if len(got) != 1 {
		t.Fatal(got)
	}
	want := screening.Replay{Program: "mammo", Exams: 5, Once: 2, Reads: 8, Twice: 11, Positive: 2, Decided: 4, Recalled: 2, AIOnly: 1, OnceRecalled: 1}
	why := got[0].Why
	if got[0].Why = nil; got[0].Exams != want.Exams || got[0].Once != want.Once || got[0].Reads != want.Reads || got[0].Twice != want.Twice ||
		got[0].Positive != want.Positive || got[0].Decided != want.Decided || got[0].Recalled != want.Recalled || got[0].AIOnly != want.AIOnly || got[0].OnceRecalled != want.OnceRecalled {
		t.Errorf("%+v, want %+v", got[0], want)
	}
	if why["band"] != 4 || why["no_ai"] != 1 {
		t.Error(why)
	}
}
