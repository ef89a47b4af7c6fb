package worldlist

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// Screenings are how far examinations of the site's screening programs are.
type Screenings interface {
	// Screenings tells it of studies, in their order; of one that is of no program,
	// the zero screening.
	Screenings(ctx context.Context, studies []study.Study) ([]study.Screening, error)
	// DecideScreening keeps what a meeting decided, or what came of a second look.
	DecideScreening(ctx context.Context, uid study.UID, r study.ScreeningRead) (study.Screening, error)
}

// A screen is what the page of a study says of its screening.
type screen struct {
	Name    string
	State   string
	Turn    string     // which reading this visitor's is
	Alone   bool       // the visitor is told nothing of the others until they have answered
	Reads   []factLine // who said what, as far as the visitor may know
	Readers string     // how many read, and why
	Due     bool       // the visitor's answer is awaited
	Meeting bool       // a meeting is to decide, and the visitor may write down what it did
	Look    bool       // a second look is due, and the visitor may take it
}

// screeningsOf tells of cases how far they are; nil where there are no programs.
func (p *pages) screeningsOf(ctx context.Context, cases ...study.Case) ([]study.Screening, error) {
	if p.Screenings == nil || len(cases) == 0 {
		return make([]study.Screening, len(cases)), nil
	}
	studies := make([]study.Study, len(cases))
	for i, c := range cases {
		studies[i] = c.Study
	}
	return p.Screenings.Screenings(ctx, studies)
}

func casesOf(all []seenCase) []study.Case {
	cases := make([]study.Case, len(all))
	for i, s := range all {
		cases[i] = s.Case
	}
	return cases
}

// readerOf names the visitor where the list leaves out what they have read already.
func (p *pages) readerOf(ctx context.Context) string {
	if who := webui.VisitOf(ctx).Who; p.Screenings != nil && who.Role == webui.Reader {
		return who.Name
	}
	return ""
}

// tells reports whether a visitor may know what was said in a screening, and why by
// so many: a reader not before their own answer.
func tells(who webui.Identity, s study.Screening, sight Sight) bool {
	return who.Role != webui.Reader || !s.Blind(who.Name) && !sight.OwnFirst
}

// screenWord is one word for a screening, which says nothing of anybody's answer to
// whoever still has to give one.
func screenWord(l webui.Lang, s study.Screening) string {
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
func (p *pages) addScreening(ctx context.Context, c study.Case, sight Sight, s *sheet) error {
	all, err := p.screeningsOf(ctx, c)
	if err != nil || all[0].Zero() {
		return err
	}
	one, v, now := all[0], webui.VisitOf(ctx), p.site.Now()
	l := v.Lang
	may := v.Who.May(webui.ReadStudies)
	told := tells(v.Who, one, sight)
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
func readLine(l webui.Lang, r study.ScreeningRead, now time.Time) factLine {
	said := []string{l.T("screening." + recallOf(r.Recall))}
	if r.Text != "" {
		said = append(said, r.Text)
	}
	by := strings.Join(append([]string{r.By}, r.With...), ", ")
	return factLine{l.T("step.by", l.T("screening.turn_"+r.Turn), by, l.Moment(r.At.In(now.Location()))), strings.Join(said, " – ")}
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
func (p *pages) settles(ctx context.Context, uid study.UID, turn, word, text string, with []string) error {
	c, sight, err := p.caseFor(ctx, uid)
	if err != nil {
		return err
	}
	all, err := p.screeningsOf(ctx, c)
	if err != nil {
		return err
	}
	v := webui.VisitOf(ctx)
	if all[0].Zero() {
		return fmt.Errorf("study %s is of no screening program: %w", uid, study.ErrNotFound)
	}
	if !tells(v.Who, all[0], sight) {
		return fmt.Errorf("screening of study %s: your own impression comes first: %w", uid, study.ErrIncomplete)
	}
	recall, err := recalls(word)
	if err != nil {
		return err
	}
	_, err = p.Screenings.DecideScreening(ctx, uid, study.ScreeningRead{Turn: turn, By: v.Who.Name, Recall: recall, Text: lines(text), With: with})
	return err
}

// settle takes the decision of a meeting, or of a second look, from a form.
func (p *pages) settle(turn string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, err := uidIn(r, "study")
		if err != nil {
			p.site.Fail(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		with := strings.FieldsFunc(r.PostFormValue("with"), func(c rune) bool { return c == ',' || c == ';' || c == '\n' })
		if err := p.settles(r.Context(), uid, turn, r.PostFormValue("recall"), r.PostFormValue("text"), with); err != nil {
			p.site.Fail(w, r, err)
			return
		}
		http.Redirect(w, r, "/studies/"+string(uid)+"?saved=1", http.StatusSeeOther)
	})
}

// listChoices are the lists of screenings; none where there are no programs.
func (p *pages) listChoices(l webui.Lang, chosen string) []choice {
	if p.Screenings == nil {
		return nil
	}
	all := []choice{{"", l.T("list.all"), chosen == ""}}
	for _, name := range []string{study.ListSecond, study.ListConsensus, study.ListDiscordance} {
		all = append(all, choice{name, l.T("screening.list_" + name), name == chosen})
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

func screeningJSONOf(l webui.Lang, who webui.Identity, s study.Screening, sight Sight) screeningJSON {
	told := tells(who, s, sight)
	j := screeningJSON{StudyUID: s.Study, Revision: s.Rev, Program: s.Plan.Program, Name: s.Plan.Name.In(string(l)), State: s.State,
		Due: who.May(webui.ReadStudies) && s.Due(who.Name), Blinded: !told, Consensus: "third", Reads: []screeningReadJSON{}, DecidedAt: moment(s.DecidedAt)}
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

func (p *pages) addScreenings() {
	if p.Screenings == nil {
		return
	}
	p.site.Handle("POST /studies/{study}/meeting", webui.ReadStudies, p.settle(study.TurnMeeting))
	p.site.Handle("POST /studies/{study}/second-look", webui.ReadStudies, p.settle(study.TurnLook))
	const one = "/api/v1/screening/{study_uid}"
	webui.Operate(p.site, webui.Operation{ID: "get-screening", Method: http.MethodGet, Path: one,
		Summary: "How a study's screening stands", Right: webui.SeeStudies}, p.apiScreening)
	webui.Operate(p.site, webui.Operation{ID: "decide-screening", Method: http.MethodPost, Path: one + "/meeting",
		Summary: "Keep what a meeting decided where readers disagree", Right: webui.ReadStudies}, p.apiMeeting)
	webui.Operate(p.site, webui.Operation{ID: "look-again", Method: http.MethodPost, Path: one + "/look",
		Summary: "Answer a second look at what the AI alone found", Right: webui.ReadStudies}, p.apiLook)
}

func (p *pages) apiScreening(ctx context.Context, in *studyIn) (*screeningOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err != nil {
		return nil, err
	}
	c, sight, err := p.caseFor(ctx, uid)
	if err != nil {
		return nil, err
	}
	all, err := p.screeningsOf(ctx, c)
	if err != nil {
		return nil, err
	}
	if all[0].Zero() {
		return nil, fmt.Errorf("study %s is of no screening program: %w", uid, study.ErrNotFound)
	}
	v := webui.VisitOf(ctx)
	return &screeningOut{screeningJSONOf(v.Lang, v.Who, all[0], sight)}, nil
}

func (p *pages) apiMeeting(ctx context.Context, in *meetingIn) (*screeningOut, error) {
	return p.apiSettle(ctx, in.UID, study.TurnMeeting, in.Body.Answer, in.Body.Text, in.Body.With)
}

func (p *pages) apiLook(ctx context.Context, in *lookIn) (*screeningOut, error) {
	return p.apiSettle(ctx, in.UID, study.TurnLook, in.Body.Answer, in.Body.Text, nil)
}

func (p *pages) apiSettle(ctx context.Context, text, turn, answer, words string, with []string) (*screeningOut, error) {
	uid, err := study.ParseUID(text)
	if err == nil {
		err = p.settles(ctx, uid, turn, answer, words, with)
	}
	if err != nil {
		return nil, err
	}
	return p.apiScreening(ctx, &studyIn{UID: text})
}
