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

// A claimJSON is who has a study in hand.
type claimJSON struct {
	StudyUID study.UID  `json:"study_uid"`
	By       string     `json:"by" doc:"empty when nobody has it"`
	Since    *time.Time `json:"since"`
	Seen     *time.Time `json:"seen" doc:"when the holder last did something with it"`
	Asked    string     `json:"asked,omitempty" doc:"who asks for it"`
}

type claimIn struct {
	UID  string     `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body *claimBody // may be left out
}

type claimBody struct {
	Reason string `json:"reason,omitempty" doc:"needed to take or to free what somebody else has in hand" maxLength:"2000"`
	To     string `json:"to,omitempty" doc:"of a handover: the name of whoever is to have it; without it, who asked" maxLength:"200"`
}

type claimOut struct{ Body claimJSON }

type skipIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Reason string `json:"reason" doc:"it is kept, and counted; the place stays" minLength:"1" maxLength:"2000"`
	}
}

type nextOut struct{ Body rowJSON }

type nextIn struct {
	Lang     string `query:"lang" doc:"of the words; the browser's without it" enum:"en,nb,da"`
	Modality string `query:"modality" maxLength:"16"`
}

type ownIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Impression string `json:"impression" enum:"none,followup,suspicious"`
		Remark     string `json:"remark,omitempty" maxLength:"2000"`
	}
}

type missedIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Instance study.UID `json:"instance" doc:"SOP Instance UID" pattern:"^[0-9.]+$" maxLength:"64"`
		Frame    int       `json:"frame" minimum:"1" doc:"from 1; 1 for a slide"`
		X        float64   `json:"x" minimum:"0" doc:"pixels from the left edge; of a slide, of its total pixel matrix"`
		Y        float64   `json:"y" minimum:"0" doc:"pixels from the upper edge"`
		Text     string    `json:"text,omitempty" doc:"what it is" maxLength:"2000"`
	}
}

type findingIn struct {
	UID      string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Tracking string `path:"tracking" doc:"the finding's tracking UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body     struct {
		Verdict string   `json:"verdict" enum:"agree,changes,disagree"`
		Wrong   []string `json:"wrong,omitempty" doc:"not_there, missed, place, quality, text, incident"`
		Text    string   `json:"text,omitempty" maxLength:"2000"`
	}
}

type answerIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Verdict string   `json:"verdict" enum:"agree,changes,disagree,none"`
		Recall  string   `json:"recall,omitempty" enum:"recall,no_recall" doc:"needed in a screening, and there alone"`
		Wrong   []string `json:"wrong,omitempty" doc:"not_there, missed, place, quality, text, incident"`
		Text    string   `json:"text,omitempty" maxLength:"2000"`
	}
}

type addendumIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"2000"`
	}
}

type stepsOut struct{ Body []stepJSON }

type judgmentsIn struct {
	Model string `query:"model" required:"true" doc:"ID@VERSION" maxLength:"200"`
	Since string `query:"since" doc:"RFC 3339; without it, all" maxLength:"40"`
	After int64  `query:"after" doc:"n of the last one seen"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type skipsIn struct {
	Since string `query:"since" doc:"RFC 3339; without it, all" maxLength:"40"`
}

type skipsOut struct{ Body map[string]int }

func (p *pages) addReadingAPI() {
	op := func(id, method, path, summary string, right webui.Right) webui.Operation {
		return webui.Operation{ID: id, Method: method, Path: path, Summary: summary, Right: right}
	}
	const row, one = "/api/v1/worklist/{study_uid}/", "/api/v1/studies/{study_uid}/"
	webui.Operate(p.site, op("claim-study", http.MethodPost, row+"claim", "Take a study up to read it; 409 when somebody else has it in hand", webui.ReadStudies), p.apiMove(study.ClaimTake))
	webui.Operate(p.site, op("release-study", http.MethodPost, row+"release", "Put a study down, or free somebody else's with a reason", webui.SeeStudies), p.apiMove(study.ClaimRelease))
	webui.Operate(p.site, op("ask-for-study", http.MethodPost, row+"ask", "Ask whoever has a study in hand for it", webui.ReadStudies), p.apiMove(study.ClaimAsk))
	webui.Operate(p.site, op("hand-over-study", http.MethodPost, row+"handover", "Give a study that you have in hand to somebody else", webui.ReadStudies), p.apiMove(study.ClaimGive))
	webui.Operate(p.site, op("skip-study", http.MethodPost, row+"skip", "Pass a study over, with a reason", webui.ReadStudies), p.apiSkip)
	webui.Operate(p.site, op("claim-next", http.MethodPost, "/api/v1/worklist/next", "Take up the first study that nobody has in hand; 404 when there is none", webui.ReadStudies), p.apiNext)
	webui.Operate(p.site, op("lock-impression", http.MethodPost, one+"own", "Lock your own impression, after which the AI is shown", webui.ReadStudies), p.apiOwn)
	webui.Operate(p.site, op("mark-missed", http.MethodPost, one+"missed", "Mark on an image what the AI did not find", webui.ReadStudies), p.apiMissed)
	webui.Operate(p.site, op("judge-finding", http.MethodPost, one+"findings/{tracking}/verdict", "Say what you think of one finding", webui.ReadStudies), p.apiFinding)
	webui.Operate(p.site, op("answer-study", http.MethodPost, one+"answer", "Give your final answer: the study is read", webui.ReadStudies), p.apiAnswer)
	webui.Operate(p.site, op("add-to-answer", http.MethodPost, one+"addendum", "Add to your answer", webui.ReadStudies), p.apiAddendum)
	webui.Operate(p.site, op("get-reading", http.MethodGet, one+"readings", "What readers did with a study, step by step; before your own answer, your own steps", webui.SeeStudies), p.apiSteps)
	if p.Judged != nil {
		webui.Operate(p.site, op("list-judgments", http.MethodGet, "/api/v1/judgments", "Readers' verdicts on single findings of a model", webui.StopModels), p.apiJudgments)
		webui.Operate(p.site, op("count-skips", http.MethodGet, "/api/v1/skips", "How often each reader has passed a study over", webui.StopModels), p.apiSkips)
	}
}

// apiMove is an operation that does one thing with a claim.
func (p *pages) apiMove(kind string) func(context.Context, *claimIn) (*claimOut, error) {
	return func(ctx context.Context, in *claimIn) (*claimOut, error) {
		uid, err := study.ParseUID(in.UID)
		if err == nil {
			err = p.mayMove(ctx, kind)
		}
		if err != nil {
			return nil, err
		}
		var said claimBody
		if in.Body != nil {
			said = *in.Body
		}
		c, err := p.move(ctx, uid, kind, said.Reason, said.To)
		if err != nil {
			return nil, err
		}
		return &claimOut{claimJSON{uid, c.By, moment(c.Since), moment(c.Seen), c.Asked}}, nil
	}
}

func (p *pages) apiSkip(ctx context.Context, in *skipIn) (*stepsOut, error) {
	return p.stepped(ctx, in.UID, func(uid study.UID) error { return p.skipped(ctx, uid, in.Body.Reason) })
}

func (p *pages) apiNext(ctx context.Context, in *nextIn) (*nextOut, error) {
	l, ok := webui.ParseLang(in.Lang)
	if !ok {
		l = webui.VisitOf(ctx).Lang
	}
	s, err := p.nextFree(ctx, study.WorklistFilter{Modality: study.Modality(in.Modality)})
	if err != nil {
		return nil, err
	}
	now := p.site.Now()
	return &nextOut{rowJSONOf(l, p.holding([]seenCase{s})[0], study.Claim{By: webui.VisitOf(ctx).Who.Name, Since: now}, now)}, nil
}

// stepped does something with a study and answers with its steps.
func (p *pages) stepped(ctx context.Context, text string, do func(study.UID) error) (*stepsOut, error) {
	uid, err := study.ParseUID(text)
	if err == nil {
		err = do(uid)
	}
	if err != nil {
		return nil, err
	}
	_, sight, err := p.caseFor(ctx, uid)
	if err != nil {
		return nil, err
	}
	steps, err := p.stepsFor(ctx, uid, sight)
	if err != nil {
		return nil, err
	}
	out := &stepsOut{Body: make([]stepJSON, 0, len(steps))}
	for _, s := range steps {
		out.Body = append(out.Body, stepJSONOf(s))
	}
	return out, nil
}

func (p *pages) apiSteps(ctx context.Context, in *studyIn) (*stepsOut, error) {
	return p.stepped(ctx, in.UID, func(study.UID) error { return nil })
}

func (p *pages) apiOwn(ctx context.Context, in *ownIn) (*stepsOut, error) {
	return p.stepped(ctx, in.UID, func(uid study.UID) error { return p.locks(ctx, uid, in.Body.Impression, in.Body.Remark) })
}

func (p *pages) apiMissed(ctx context.Context, in *missedIn) (*stepsOut, error) {
	return p.stepped(ctx, in.UID, func(uid study.UID) error {
		b := in.Body
		return p.misses(ctx, study.ReadingStep{Study: uid, Text: lines(b.Text), Wrong: []string{"missed"},
			Mark: &study.Region{Instance: b.Instance, Frame: b.Frame, Points: []float64{b.X, b.Y}}})
	})
}

func (p *pages) apiFinding(ctx context.Context, in *findingIn) (*stepsOut, error) {
	return p.stepped(ctx, in.UID, func(uid study.UID) error {
		return p.judges(ctx, study.ReadingStep{Study: uid, Tracking: study.UID(in.Tracking), Verdict: in.Body.Verdict, Wrong: in.Body.Wrong, Text: lines(in.Body.Text)})
	})
}

func (p *pages) apiAnswer(ctx context.Context, in *answerIn) (*stepsOut, error) {
	return p.stepped(ctx, in.UID, func(uid study.UID) error {
		return p.concludes(ctx, study.ReadingStep{Study: uid, Verdict: in.Body.Verdict, Wrong: in.Body.Wrong, Recall: in.Body.Recall, Text: lines(in.Body.Text)}, nil)
	})
}

func (p *pages) apiAddendum(ctx context.Context, in *addendumIn) (*stepsOut, error) {
	return p.stepped(ctx, in.UID, func(uid study.UID) error { return p.adds(ctx, uid, in.Body.Text) })
}

func (p *pages) apiJudgments(ctx context.Context, in *judgmentsIn) (*stepsOut, error) {
	since, err := sinceOf(in.Since)
	if err != nil {
		return nil, err
	}
	id, version, ok := strings.Cut(in.Model, "@")
	if !ok {
		return nil, fmt.Errorf("model %q: write ID@VERSION: %w", in.Model, study.ErrInvalid)
	}
	steps, err := p.Judged.Judgments(ctx, study.ModelRef{ID: id, Version: version}, since, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &stepsOut{Body: make([]stepJSON, 0, len(steps))}
	for _, s := range steps {
		out.Body = append(out.Body, stepJSONOf(s))
	}
	return out, nil
}

func (p *pages) apiSkips(ctx context.Context, in *skipsIn) (*skipsOut, error) {
	since, err := sinceOf(in.Since)
	if err != nil {
		return nil, err
	}
	n, err := p.Judged.Skips(ctx, since)
	return &skipsOut{n}, err
}

func sinceOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("since %q is no time of RFC 3339: %w", text, study.ErrInvalid)
	}
	return t, nil
}
