package desk

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// A Reading is how far the visitor is with a study, as its page shows it.
type Reading struct {
	Sight      veil.Sight
	Readings   []Line // who has read it, and what they said
	Steps      []Line // what was said beyond that: own impressions, marks, addenda
	MaySay     bool   // the visitor may give a verdict, and nobody has on this revision
	MayAdd     bool   // the visitor has answered, and may add to it
	NotYet     bool   // images are still coming
	Saved      bool
	Locked     bool     // the own impression has just been locked
	Mine       bool     // the visitor has it in hand
	HeldBy     string   // somebody else has, in words; then the visitor looks on
	Asked      string   // who would like to have it from the visitor
	Colleagues []string // to whom the visitor may hand it
	Unhanded   string   // why it was not handed over just now, in words
	MayFree    bool     // the visitor may free somebody else's
	LookOnly   bool     // the visitor wanted to look and no more
	Wrongs     []Choice
	Impress    []Choice
	Screen     *screen   // nil where the study is of no screening
	SlidePage  study.UID // the slide that the page shows, for the way back
}

// Open opens a study as its reader: it is taken up, unless somebody else has it in hand
// or the visitor only wants to look, and what is shown of the AI is noted. said are the
// words in which the page shows each result, in their order.
func (d *Desk) Open(r *http.Request, c veil.Seen, said [][]string) (s Reading, err error) {
	ctx, uid := r.Context(), c.Study.UID
	visit := webui.VisitOf(ctx)
	l, now := visit.Lang, d.site.Now()
	s.Sight, s.SlidePage = c.Sight, study.UID(r.PathValue("series"))
	s.NotYet = c.Study.Status == study.Receiving || c.Study.Status == study.Refused
	s.Saved, s.Locked = r.URL.Query().Get("saved") == "1", r.URL.Query().Get("locked") == "1"
	s.MayFree = visit.Who.May(webui.RunQueue)
	for _, w := range study.Wrongs {
		s.Wrongs = append(s.Wrongs, Choice{Value: w, Text: l.T("wrong." + w)})
	}
	for _, i := range study.Impressions {
		s.Impress = append(s.Impress, Choice{Value: i, Text: l.T("impression." + i)})
	}
	readings, err := d.Readings.Readings(ctx, uid)
	if err != nil {
		return s, err
	}
	steps, err := d.Veil.Steps(ctx, uid, c.Sight)
	if err != nil {
		return s, err
	}
	s.MaySay = visit.Who.May(webui.ReadStudies)
	for _, one := range readings {
		if !c.OwnFirst && !c.Alone || one.By == visit.Who.Name {
			s.Readings = append(s.Readings, readingOf(l, one, now))
		}
		s.MaySay = s.MaySay && (one.Rev != c.Study.Rev || c.OwnFirst && one.By != visit.Who.Name)
	}
	for _, t := range steps {
		s.MayAdd = s.MayAdd || t.Step == study.StepFinal && t.By == visit.Who.Name && t.Rev == c.Study.Rev
		if line, ok := stepOf(l, t, now); ok {
			s.Steps = append(s.Steps, line)
		}
	}
	ahead := strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch")
	s.LookOnly = r.URL.Query().Get("look") == "1"
	if err := d.addScreening(ctx, c, &s); err != nil {
		return s, err
	}
	if err := d.takeUp(r, c, &s, ahead); err != nil || ahead || c.OwnFirst || !visit.Who.May(webui.ReadStudies) {
		return s, err
	}
	return s, d.shows(ctx, c, said, steps)
}

// takeUp takes the study up for the visitor, if they may answer it, and says who
// has it.
func (d *Desk) takeUp(r *http.Request, c veil.Seen, s *Reading, ahead bool) error {
	ctx, uid := r.Context(), c.Study.UID
	visit := webui.VisitOf(ctx)
	if !s.MaySay || ahead || s.LookOnly || s.NotYet {
		all, err := d.Claims.Claims(ctx, d.Idle)
		if err != nil {
			return err
		}
		s.held(visit, ClaimOf(all, uid), d.site.Now())
		if s.NotYet && s.MaySay && !ahead && !s.LookOnly && !c.Study.Opened {
			return d.Readings.MarkOpened(ctx, uid, visit.Who.Name)
		}
		return nil
	}
	claim, err := d.move(ctx, uid, study.ClaimTake, "", "")
	var held *study.HeldError
	if errors.As(err, &held) {
		claim, err = held.Claim, nil
	}
	if err != nil {
		return err
	}
	s.held(visit, claim, d.site.Now())
	if s.Mine {
		if s.Colleagues, err = d.colleagues(ctx, uid, visit.Who.Name); err != nil {
			return err
		}
		switch why := r.URL.Query().Get("to"); why {
		case toSelf, toNobody:
			s.Unhanded = visit.Lang.T("claim.to." + why)
		}
	}
	if s.Mine && !c.Study.Opened {
		return d.Readings.MarkOpened(ctx, uid, visit.Who.Name)
	}
	return nil
}

// held notes who has the study in hand.
func (s *Reading) held(v webui.Visit, c study.Claim, now time.Time) {
	s.Mine = c.By != "" && study.SamePerson(c.By, v.Who.Name)
	if s.Mine {
		s.Asked = c.Asked
	} else if c.By != "" {
		s.HeldBy = ClaimWords(v.Lang, c, v.Who.Name, now)
	}
}

// stepOf tells of one step what the readings do not.
func stepOf(l webui.Lang, t study.ReadingStep, now time.Time) (Line, bool) {
	who := l.T("step.by", l.T("step."+t.Step), t.By, l.Moment(t.At.In(now.Location())))
	var said []string
	switch t.Step {
	case study.StepOwn:
		said = append(said, l.T("impression."+t.Verdict))
	case study.StepFinding:
		said = append(said, l.T("verdict."+t.Verdict))
	case study.StepMissed:
		said = append(said, l.T("step.missed.at", t.Mark.Frame, int(t.Mark.Points[0]), int(t.Mark.Points[1])))
	case study.StepAddendum, study.StepSkipped:
	default:
		return Line{}, false
	}
	for _, w := range t.Wrong {
		said = append(said, l.T("wrong."+w))
	}
	if t.Text != "" {
		said = append(said, t.Text)
	}
	return Line{who, strings.Join(said, " – ")}, true
}

// A stepJSON is one step of a reading in the API.
type stepJSON struct {
	N        int64        `json:"n"`
	Step     string       `json:"step" enum:"skipped,own,shown,finding,missed,final,addendum"`
	By       string       `json:"by"`
	At       time.Time    `json:"at"`
	Revision int          `json:"revision" doc:"of the study: what it was about"`
	StudyUID study.UID    `json:"study_uid"`
	Model    string       `json:"model,omitempty"`
	SHA256   string       `json:"model_sha256,omitempty"`
	Tracking study.UID    `json:"tracking,omitempty" doc:"of the finding"`
	Verdict  string       `json:"verdict,omitempty" doc:"own: none, followup, suspicious; otherwise agree, changes, disagree, none"`
	Recall   string       `json:"recall,omitempty" doc:"of a final answer in a screening: recall, no_recall"`
	Wrong    []string     `json:"wrong,omitempty" doc:"not_there, missed, place, quality, text, incident"`
	Text     string       `json:"text,omitempty"`
	Mark     *markJSON    `json:"mark,omitempty" doc:"where something was missed"`
	Shown    *study.Shown `json:"shown,omitempty" doc:"what the reader was shown of the AI, to the letter"`
}

// A markJSON is a place on an image: pixels from the upper left corner, the center
// of the first being 0.5, 0.5. Of a slide they count in its total pixel matrix.
type markJSON struct {
	Instance study.UID `json:"instance" doc:"SOP Instance UID" pattern:"^[0-9.]+$" maxLength:"64"`
	Frame    int       `json:"frame" minimum:"1" doc:"from 1; 1 for a slide"`
	X        float64   `json:"x" minimum:"0"`
	Y        float64   `json:"y" minimum:"0"`
}

func stepJSONOf(t study.ReadingStep) stepJSON {
	j := stepJSON{N: t.N, Step: t.Step, By: t.By, At: t.At.UTC(), Revision: t.Rev, StudyUID: t.Study, Tracking: t.Tracking,
		Verdict: t.Verdict, Recall: t.Recall, Wrong: t.Wrong, Text: t.Text, Shown: t.Shown}
	if t.Model.ID != "" {
		j.Model, j.SHA256 = t.Model.String(), t.Model.SHA256.String()
	}
	if t.Mark != nil && len(t.Mark.Points) == 2 {
		j.Mark = &markJSON{t.Mark.Instance, t.Mark.Frame, t.Mark.Points[0], t.Mark.Points[1]}
	}
	return j
}

// readingOf says who has read a study, and what they said.
func readingOf(l webui.Lang, r study.Reading, now time.Time) Line {
	said, reason, _ := strings.Cut(r.Verdict, ": ")
	if l.Has("verdict." + said) {
		said = l.T("verdict." + said)
	}
	if reason != "" {
		said += " – " + reason
	}
	return Line{l.T("verdict.by", r.By, l.Moment(r.At.In(now.Location()))), said}
}
