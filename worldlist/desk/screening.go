package desk

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// Screenings are how far examinations of the site's screening programs are, and what
// becomes of them.
type Screenings interface {
	veil.Screenings
	// DecideScreening keeps what a meeting decided, or what came of a second look.
	DecideScreening(ctx context.Context, uid study.UID, r study.ScreeningRead) (study.Screening, error)
}

// A screen is what the page of a study says of its screening.
type screen struct {
	Name    string
	State   string
	Turn    string // which reading this visitor's is
	Alone   bool   // the visitor is told nothing of the others until they have answered
	Reads   []Line // who said what, as far as the visitor may know
	Readers string // how many read, and why
	Due     bool   // the visitor's answer is awaited
	Meeting bool   // a meeting is to decide, and the visitor may write down what it did
	Look    bool   // a second look is due, and the visitor may take it
}

// Turns tells of studies how far they are; zero screenings where there are no programs.
func (d *Desk) Turns(ctx context.Context, studies ...study.Study) ([]study.Screening, error) {
	if d.Screenings == nil || len(studies) == 0 {
		return make([]study.Screening, len(studies)), nil
	}
	return d.Screenings.Screenings(ctx, studies)
}

// Reader names the visitor where the list leaves out what they have read already.
func (d *Desk) Reader(ctx context.Context) string {
	if who := webui.VisitOf(ctx).Who; d.Screenings != nil && who.Role == webui.Reader {
		return who.Name
	}
	return ""
}

// tells reports whether a visitor may know what was said in a screening, and why by
// so many: a reader not before their own answer.
func tells(who webui.Identity, s study.Screening, sight veil.Sight) bool {
	return who.Role != webui.Reader || !s.Blind(who.Name) && !sight.OwnFirst
}

// TurnWord is one word for a screening, which says nothing of anybody's answer to
// whoever still has to give one.
func TurnWord(l webui.Lang, s study.Screening) string {
	switch {
	case s.Zero():
		return ""
	case s.Look == study.LookOpen:
		return l.T("screening.list_discordance")
	case s.State == study.ScreeningConsensus:
		return l.T("screening.list_consensus")
	}
	return l.T("screening.state_" + s.State)
}

// addScreening says on a study's page how its screening stands.
func (d *Desk) addScreening(ctx context.Context, c veil.Seen, s *Reading) error {
	all, err := d.Turns(ctx, c.Study)
	if err != nil || all[0].Zero() {
		return err
	}
	one, v, now := all[0], webui.VisitOf(ctx), d.site.Now()
	l := v.Lang
	may := v.Who.May(webui.ReadStudies)
	told := tells(v.Who, one, c.Sight)
	s.Screen = &screen{Name: one.Plan.Name.In(string(l)), State: l.T("screening.state_" + one.State), Alone: !told, Due: may && one.Due(v.Who.Name),
		Meeting: may && told && one.State == study.ScreeningConsensus && one.Plan.Meeting, Look: may && told && one.Look == study.LookOpen}
	if one.Look == study.LookOpen && told {
		s.Screen.State = l.T("screening.look")
	}
	s.MaySay = s.MaySay && one.Due(v.Who.Name)
	if s.Screen.Due {
		turn := map[string]string{study.ScreeningFirst: study.TurnFirst, study.ScreeningSecond: study.TurnSecond, study.ScreeningConsensus: study.TurnThird}
		s.Screen.Turn = l.T("screening.turn_" + turn[one.State])
	}
	for _, r := range one.Reads {
		if told || study.SamePerson(r.By, v.Who.Name) {
			s.Screen.Reads = append(s.Screen.Reads, readLine(l, r, now))
		}
	}
	if told && one.State != study.ScreeningFirst {
		s.Screen.Readers = l.T("screening.readers", one.Plan.Readers) + " " + l.T("screening.why_"+one.Plan.Why)
	}
	return nil
}

// readLine is what one person said.
func readLine(l webui.Lang, r study.ScreeningRead, now time.Time) Line {
	said := []string{l.T("screening." + recallOf(r.Recall))}
	if r.Text != "" {
		said = append(said, r.Text)
	}
	by := strings.Join(append([]string{r.By}, r.With...), ", ")
	return Line{l.T("step.by", l.T("screening.turn_"+r.Turn), by, l.Moment(r.At.In(now.Location()))), strings.Join(said, " – ")}
}

func recallOf(recall bool) string {
	if recall {
		return study.AnswerRecall
	}
	return study.AnswerNoRecall
}

// recalls reads an answer in a screening.
func recalls(word string) (bool, error) {
	switch word {
	case study.AnswerRecall, study.AnswerNoRecall:
		return word == study.AnswerRecall, nil
	}
	return false, fmt.Errorf("%q: say recall or no_recall: %w", word, study.ErrInvalid)
}

// settles keeps what a meeting decided, or what the visitor found at a second look.
// Whoever has not answered for themselves may know too little, or too much, for it.
func (d *Desk) settles(ctx context.Context, uid study.UID, turn, word, text string, with []string) error {
	c, err := d.Veil.Case(ctx, uid)
	if err != nil {
		return err
	}
	all, err := d.Turns(ctx, c.Study)
	if err != nil {
		return err
	}
	v := webui.VisitOf(ctx)
	if all[0].Zero() {
		return fmt.Errorf("study %s is of no screening program: %w", uid, study.ErrNotFound)
	}
	if !tells(v.Who, all[0], c.Sight) {
		return fmt.Errorf("screening of study %s: your own impression comes first: %w", uid, study.ErrIncomplete)
	}
	recall, err := recalls(word)
	if err != nil {
		return err
	}
	_, err = d.Screenings.DecideScreening(ctx, uid, study.ScreeningRead{Turn: turn, By: v.Who.Name, Recall: recall, Text: lines(text), With: with})
	return err
}

// settle takes the decision of a meeting, or of a second look, from a form.
func (d *Desk) settle(turn string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, err := webui.PathUID(r, "study")
		if err != nil {
			d.site.Fail(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		with := strings.FieldsFunc(r.PostFormValue("with"), func(c rune) bool { return c == ',' || c == ';' || c == '\n' })
		if err := d.settles(r.Context(), uid, turn, r.PostFormValue("recall"), r.PostFormValue("text"), with); err != nil {
			d.site.Fail(w, r, err)
			return
		}
		http.Redirect(w, r, "/studies/"+string(uid)+"?saved=1", http.StatusSeeOther)
	})
}

// Lists are the lists of screenings; none where there are no programs.
func (d *Desk) Lists(l webui.Lang, chosen string) []Choice {
	if d.Screenings == nil {
		return nil
	}
	all := []Choice{{"", l.T("list.all"), chosen == ""}}
	for _, name := range []string{study.ListSecond, study.ListConsensus, study.ListDiscordance} {
		all = append(all, Choice{name, l.T("screening.list_" + name), name == chosen})
	}
	return all
}

// A screeningJSON is how a study's screening stands, as far as whoever asks may know.
type screeningJSON struct {
	StudyUID  study.UID           `json:"study_uid"`
	Revision  int                 `json:"revision"`
	Program   string              `json:"program"`
	Name      string              `json:"name"`
	State     string              `json:"state" enum:"first,second,consensus,recalled,not_recalled" doc:"first, second: awaits that reader; consensus: readers disagree"`
	Look      string              `json:"second_look,omitempty" doc:"open, done: at what the AI alone found; hidden from who may not know the AI"`
	Due       bool                `json:"due" doc:"your answer is awaited"`
	Blinded   bool                `json:"blinded" doc:"you are told nothing of the others and of the AI until you have answered: reads are your own, and the rest is left out"`
	Readers   *int                `json:"readers,omitempty" doc:"how many read"`
	Why       string              `json:"why,omitempty" doc:"what decided that: band, floor, no_ai, running, failed, stopped, out_of_scope, partial, uncalibrated, no_score"`
	Model     string              `json:"model,omitempty"`
	Score     *float64            `json:"score,omitempty"`
	Consensus string              `json:"consensus" enum:"third,meeting" doc:"who settles a disagreement"`
	Reads     []screeningReadJSON `json:"reads"`
	DecidedAt *time.Time          `json:"decided_at"`
}

type screeningReadJSON struct {
	Turn   string         `json:"turn" enum:"first,second,third,meeting,look"`
	By     string         `json:"by"`
	Answer string         `json:"answer" enum:"recall,no_recall"`
	Text   string         `json:"text,omitempty"`
	With   []string       `json:"with,omitempty" doc:"who else was at the meeting"`
	Saw    []study.SeenAI `json:"saw,omitempty" doc:"what of the AI they had been shown before"`
	At     time.Time      `json:"at"`
}

func screeningJSONOf(l webui.Lang, who webui.Identity, s study.Screening, sight veil.Sight) screeningJSON {
	told := tells(who, s, sight)
	j := screeningJSON{StudyUID: s.Study, Revision: s.Rev, Program: s.Plan.Program, Name: s.Plan.Name.In(string(l)), State: s.State,
		Due: who.May(webui.ReadStudies) && s.Due(who.Name), Blinded: !told, Consensus: "third", Reads: []screeningReadJSON{}, DecidedAt: webui.Moment(s.DecidedAt)}
	if s.Plan.Meeting {
		j.Consensus = "meeting"
	}
	for _, r := range s.Reads {
		if told || study.SamePerson(r.By, who.Name) {
			j.Reads = append(j.Reads, screeningReadJSON{r.Turn, r.By, recallOf(r.Recall), r.Text, r.With, r.Saw, r.At.UTC()})
		}
	}
	if !told {
		return j
	}
	j.Look = s.Look
	if !sight.Blind {
		j.Readers, j.Why, j.Model, j.Score = &s.Plan.Readers, s.Plan.Why, s.Plan.Model, s.Plan.Score
	}
	return j
}

type screeningOut struct{ Body screeningJSON }

type meetingIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Answer string   `json:"answer" enum:"recall,no_recall"`
		With   []string `json:"with" doc:"who else was there" minItems:"1" maxItems:"20"`
		Text   string   `json:"text,omitempty" maxLength:"2000"`
	}
}

type lookIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Answer string `json:"answer" enum:"recall,no_recall"`
		Text   string `json:"text,omitempty" maxLength:"2000"`
	}
}

func (d *Desk) addScreenings() {
	if d.Screenings == nil {
		return
	}
	d.site.Handle("POST /studies/{study}/meeting", webui.ReadStudies, d.settle(study.TurnMeeting))
	d.site.Handle("POST /studies/{study}/second-look", webui.ReadStudies, d.settle(study.TurnLook))
	const one = "/api/v1/screening/{study_uid}"
	webui.Operate(d.site, webui.Operation{ID: "get-screening", Method: http.MethodGet, Path: one,
		Summary: "How a study's screening stands", Right: webui.SeeStudies}, d.apiScreening)
	webui.Operate(d.site, webui.Operation{ID: "decide-screening", Method: http.MethodPost, Path: one + "/meeting",
		Summary: "Keep what a meeting decided where readers disagree", Right: webui.ReadStudies}, d.apiMeeting)
	webui.Operate(d.site, webui.Operation{ID: "look-again", Method: http.MethodPost, Path: one + "/look",
		Summary: "Answer a second look at what the AI alone found", Right: webui.ReadStudies}, d.apiLook)
}

func (d *Desk) apiScreening(ctx context.Context, in *studyIn) (*screeningOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err != nil {
		return nil, err
	}
	c, err := d.Veil.Case(ctx, uid)
	if err != nil {
		return nil, err
	}
	all, err := d.Turns(ctx, c.Study)
	if err != nil {
		return nil, err
	}
	if all[0].Zero() {
		return nil, fmt.Errorf("study %s is of no screening program: %w", uid, study.ErrNotFound)
	}
	v := webui.VisitOf(ctx)
	return &screeningOut{screeningJSONOf(v.Lang, v.Who, all[0], c.Sight)}, nil
}

func (d *Desk) apiMeeting(ctx context.Context, in *meetingIn) (*screeningOut, error) {
	return d.apiSettle(ctx, in.UID, study.TurnMeeting, in.Body.Answer, in.Body.Text, in.Body.With)
}

func (d *Desk) apiLook(ctx context.Context, in *lookIn) (*screeningOut, error) {
	return d.apiSettle(ctx, in.UID, study.TurnLook, in.Body.Answer, in.Body.Text, nil)
}

func (d *Desk) apiSettle(ctx context.Context, text, turn, answer, words string, with []string) (*screeningOut, error) {
	uid, err := study.ParseUID(text)
	if err == nil {
		err = d.settles(ctx, uid, turn, answer, words, with)
	}
	if err != nil {
		return nil, err
	}
	return d.apiScreening(ctx, &studyIn{UID: text})
}
