package ingest

import (
	"math"
	"slices"
	"strings"
	"time"

	"varde/study"
)

// How long a study must be quiet before it counts as whole.
const (
	// shortGap is enough when whoever sent has said that it is done, or when
	// everything that such a study holds is there.
	shortGap = 500 * time.Millisecond
	// leastGap is the floor of what is learned of a sender that keeps its
	// association open: a busy PACS pauses longer than it usually does.
	leastGap = 2 * time.Second
	// defaultCap is the wait where nothing else tells.
	defaultCap = 60 * time.Second
)

// Signs is what is known of whether a study is whole.
type Signs struct {
	// Complete says that all is there which a study of this kind holds.
	Complete bool
	// Lacking says that something is missing which the objects announce.
	Lacking bool
	// Told is how many objects peers have said that the study has, by performed
	// procedure steps, notices of availability and answers of an archive; Missing is how many of those
	// are not here. Unfinished says that a step is still in progress.
	Told, Missing int
	Unfinished    bool
	// Ended says that the sender has ended its association, or its request,
	// since the last object came.
	Ended bool
	// Gap is how long this sender may pause within a study, and EndedGap how
	// soon it comes back to a study after it ended an association; zero when
	// too little is known.
	Gap, EndedGap time.Duration
	// Cap bounds every wait; 0 stands for a minute.
	Cap time.Duration
}

// Wait is how long a study must have been quiet to be whole. It decides by what
// is known, and falls back to the cap only when nothing is. A study that is
// settled too early loses nothing: the late object opens it again, and the gap is
// learned.
func Wait(s Signs) time.Duration {
	limit := s.Cap
	if limit <= 0 {
		limit = defaultCap
	}
	wait := limit
	switch {
	case s.Lacking, s.Missing > 0, s.Unfinished:
	case s.Complete, s.Told > 0:
		wait = shortGap
	case s.Ended:
		wait = max(shortGap, s.EndedGap)
	case s.Gap > 0:
		wait = max(leastGap, s.Gap)
	}
	return min(wait, limit)
}

// expect says by the kind of a study whether it is complete, or lacks something.
// Studies of most kinds do not tell.
func expect(modality study.Modality, instances []study.Instance) (complete, lacking bool) {
	switch modality {
	case study.MG:
		return fourViews(instances), false
	case study.SM:
		return false, partedLevel(instances)
	}
	return false, false
}

// fourViews reports whether both breasts are there in both standard views, once
// for each presentation intent that there is.
func fourViews(instances []study.Instance) bool {
	seen := map[string]map[string]bool{}
	for _, in := range instances {
		if in.Image == nil || in.Modality != study.MG {
			continue
		}
		if seen[in.Image.Intent] == nil {
			seen[in.Image.Intent] = map[string]bool{}
		}
		seen[in.Image.Intent][in.Image.Laterality+standardView(in.Image.View)] = true
	}
	for _, views := range seen {
		if !views["LCC"] || !views["RCC"] || !views["LMLO"] || !views["RMLO"] {
			return false
		}
	}
	return len(seen) > 0
}

// standardView reads a view position (PS3.3 §C.8.11.7) or the meaning of a view
// code (CID 4014).
func standardView(v string) string {
	switch v := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(v), "-", "")); v {
	case "cc", "craniocaudal":
		return "CC"
	case "mlo", "mediolateral oblique":
		return "MLO"
	}
	return ""
}

// partedLevel reports whether a level of a slide came in parts (PS3.3
// §C.7.6.16.2.2.4, concatenation) of which some are missing.
func partedLevel(instances []study.Instance) bool {
	have, want := map[study.UID]int{}, map[study.UID]int{}
	for _, in := range instances {
		if in.Image == nil || in.Image.Slide == nil || in.Image.Slide.Concatenation == "" || !in.Image.Slide.TiledFull {
			continue
		}
		img, level := in.Image, in.Image.Slide
		if img.Rows <= 0 || img.Columns <= 0 {
			continue
		}
		grid := ceilDiv(level.TotalColumns, img.Columns) * ceilDiv(level.TotalRows, img.Rows)
		have[level.Concatenation] += img.Frames
		want[level.Concatenation] = grid * max(1, level.FocalPlanes) * max(1, level.OpticalPaths)
	}
	for uid, n := range want {
		if have[uid] < n {
			return true
		}
	}
	return false
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// A rhythm is what is known of the pauses of one sender: a histogram over
// logarithmic steps, so that it needs no memory of single pauses.
type rhythm struct {
	counts [rhythmSteps]uint32
	total  uint32
}

const (
	rhythmSteps = 80
	rhythmBase  = 1.2 // 1 ms · 1.2^79 is half an hour
	// rhythmLeast is how many pauses must be known before one can be called
	// unusual.
	rhythmLeast = 100
	// rhythmMost halves the histogram, so that a sender may change its ways.
	rhythmMost = 1 << 20
	// rhythmShare is the pause that is looked for: one in a thousand is longer.
	rhythmShare = 0.999
)

func (r *rhythm) add(pause time.Duration) {
	step := 0
	if ms := float64(pause) / float64(time.Millisecond); ms > 1 {
		step = min(int(math.Ceil(math.Log(ms)/math.Log(rhythmBase))), rhythmSteps-1)
	}
	r.counts[step]++
	if r.total++; r.total < rhythmMost {
		return
	}
	r.total = 0
	for i := range r.counts {
		r.counts[i] /= 2
		r.total += r.counts[i]
	}
}

// keep gives the histogram as it is kept, and take takes it back. One of other steps
// than ours is of no use.
func (r *rhythm) keep() []uint32 { return slices.Clone(r.counts[:]) }

func (r *rhythm) take(counts []uint32) {
	if len(counts) != rhythmSteps {
		return
	}
	*r = rhythm{}
	for i, n := range counts {
		n = min(n, rhythmMost)
		r.counts[i], r.total = n, r.total+n
	}
}

// pause is a pause that 99.9 % of all are no longer than, or 0 when fewer than
// least are known.
func (r *rhythm) pause(least uint32) time.Duration {
	if r.total == 0 || r.total < least {
		return 0
	}
	beyond := uint32(float64(r.total) * (1 - rhythmShare))
	for i := rhythmSteps - 1; i > 0; i-- {
		if r.counts[i] > beyond {
			return time.Duration(math.Pow(rhythmBase, float64(i)) * float64(time.Millisecond))
		}
		beyond -= r.counts[i]
	}
	return time.Millisecond
}
