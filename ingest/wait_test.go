package ingest

import (
	"testing"
	"time"

	"varde/internal/dimse"
	"varde/study"
)

func TestWaitGoesByWhatIsKnown(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name  string
		signs Signs
		want  time.Duration
	}{
		{"nothing is known", Signs{}, 60 * s},
		{"nothing is known, with a cap", Signs{Cap: 20 * s}, 20 * s},
		{"the association was released", Signs{Ended: true}, shortGap},
		{"released, by a sender that comes back after 3 s", Signs{Ended: true, EndedGap: 3 * s}, 3 * s},
		{"four views", Signs{Complete: true}, shortGap},
		{"an open association of a sender with a rhythm", Signs{Gap: 4 * s}, 4 * s},
		{"of a quick one", Signs{Gap: 50 * time.Millisecond}, 2 * s},
		{"of a slow one", Signs{Gap: 300 * s}, 60 * s},
		{"released, with a part missing", Signs{Ended: true, Lacking: true}, 60 * s},
		{"a small cap bounds all", Signs{Cap: 100 * time.Millisecond, Ended: true}, 100 * time.Millisecond},
	} {
		if got := Wait(tt.signs); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAPauseIsUnusualWhenOneInAThousandIsLonger(t *testing.T) {
	var r rhythm
	for range 99 {
		r.add(10 * time.Millisecond)
	}
	if got := r.pause(rhythmLeast); got != 0 {
		t.Errorf("99 pauses say %v, want nothing", got)
	}
	for range 9900 {
		r.add(10 * time.Millisecond)
	}
	for range 5 { // fewer than one in a thousand
		r.add(20 * time.Second)
	}
	if got := r.pause(rhythmLeast); got < 10*time.Millisecond || got > 13*time.Millisecond {
		t.Errorf("pause %v, want about 10 ms", got)
	}
	for range 20 {
		r.add(3 * time.Second)
	}
	if got := r.pause(rhythmLeast); got < 3*time.Second || got > 3700*time.Millisecond {
		t.Errorf("pause %v, want a little over 3 s", got)
	}
}

func TestAFewPausesGiveTheLongest(t *testing.T) {
	var r rhythm
	r.add(0)
	r.add(4 * time.Second)
	if got := r.pause(1); got < 4*time.Second || got > 5*time.Second {
		t.Errorf("pause %v", got)
	}
	r.add(24 * time.Hour)
	if got := r.pause(1); got < 20*time.Minute {
		t.Errorf("the longest step stands for all beyond it: %v", got)
	}
}

func TestARhythmForgets(t *testing.T) {
	var r rhythm
	for range 3 * rhythmMost {
		r.add(time.Millisecond)
	}
	if r.total >= rhythmMost || r.pause(rhythmLeast) != time.Millisecond {
		t.Errorf("%d pauses, %v", r.total, r.pause(rhythmLeast))
	}
}

func view(laterality, view, intent string) study.Instance {
	return study.Instance{Modality: study.MG, Image: &study.Image{Laterality: laterality, View: view, Intent: intent}}
}

func TestFourViewsAreAWholeMammogram(t *testing.T) {
	const show, process = "FOR PRESENTATION", "FOR PROCESSING"
	four := []study.Instance{view("L", "CC", show), view("R", "cranio-caudal", show), view("L", "MLO", show), view("R", "medio-lateral oblique", show)}
	for _, tt := range []struct {
		name string
		in   []study.Instance
		want bool
	}{
		{"four views", four, true},
		{"three views", four[:3], false},
		{"four and a magnification", append(four[:4:4], view("L", "ML", show)), true},
		{"four and one to be processed", append(four[:4:4], view("L", "CC", process)), false},
		{"none", nil, false},
		{"no laterality", []study.Instance{view("", "CC", show), view("", "MLO", show)}, false},
	} {
		if got, _ := expect(study.MG, tt.in); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestALevelInPartsLacksTheMissingOnes(t *testing.T) {
	part := func(frames, offset int) study.Instance {
		return study.Instance{Modality: study.SM, Image: &study.Image{Rows: 256, Columns: 256, Frames: frames,
			Slide: &study.SlideLevel{TotalColumns: 2500, TotalRows: 1000, TiledFull: true, Concatenation: "1.2", FrameOffset: offset}}}
	}
	for n, want := range map[int]bool{1: true, 2: false} { // 10 × 4 tiles
		in := []study.Instance{part(25, 0), part(15, 25)}[:n]
		if _, lacking := expect(study.SM, in); lacking != want {
			t.Errorf("%d parts: lacking %v, want %v", n, lacking, want)
		}
	}
	whole := part(40, 0)
	whole.Image.Slide.Concatenation = ""
	if _, lacking := expect(study.SM, []study.Instance{whole}); lacking {
		t.Error("a level in one piece lacks nothing")
	}
}

func TestTrafficRemembersEndsAndForgetsOldOnes(t *testing.T) {
	var tr Traffic
	before := time.Now()
	if tr.endedSince("CT1", "1.2", before) {
		t.Error("nobody has ended")
	}
	tr.SenderEnded("CT1")
	tr.StudiesEnded("1.3")
	for _, tt := range []struct {
		sender string
		uid    study.UID
		at     time.Time
		want   bool
	}{
		{"CT1", "1.2", before, true}, {"CT2", "1.2", before, false}, {"stow", "1.3", before, true},
		{"CT1", "1.2", time.Now().Add(time.Second), false},
	} {
		if got := tr.endedSince(tt.sender, tt.uid, tt.at); got != tt.want {
			t.Errorf("%s and %s since %v: %v, want %v", tt.sender, tt.uid, tt.at, got, tt.want)
		}
	}
	for i := range 3 * maxEnds {
		tr.SenderEnded(string(rune('a'+i%26)) + string(rune(i)))
	}
	if len(tr.senders) > maxEnds {
		t.Errorf("%d ends are remembered", len(tr.senders))
	}
	end := tr.begin("1.2", "CT1")
	again := tr.begin("1.2", "CT2")
	end()
	if !tr.underway("1.2") {
		t.Error("one of two objects is still on its way")
	}
	before = time.Now()
	tr.SenderEnded("CT2") // the last object's sender; CT1 brought the first
	if !tr.endedSince("CT1", "1.2", before) {
		t.Error("whoever sent the last object has ended")
	}
	tr.AssociationEnded(dimse.Summary{Calling: "ECHO"})
	if tr.endedSince("ECHO", "1.9", before) {
		t.Error("an association that brought nothing has ended nothing")
	}
	if again(); tr.underway("1.2") || len(tr.busy) != 0 {
		t.Error("nothing is on its way")
	}
}
