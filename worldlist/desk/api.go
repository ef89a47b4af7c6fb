package desk

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

type studyIn struct {
	UID string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
}

type claimIn struct {
	UID  string     `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body *claimBody // may be left out
}

type claimBody struct {
	Reason string `json:"reason,omitempty" doc:"needed to take or to free what somebody else has in hand" maxLength:"2000"`
	To     string `json:"to,omitempty" doc:"of a handover: the name of a reader whom the service knows; without it, who asked" maxLength:"200"`
}

type claimOut struct{ Body claimJSON }

type skipIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Reason string `json:"reason" doc:"it is kept, and counted; the place stays" minLength:"1" maxLength:"2000"`
	}
}

type ownIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Revision   int    `json:"revision,omitempty" minimum:"0" doc:"of the study that was looked at; 409 when images came since"`
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
		Verdict  string   `json:"verdict" enum:"agree,changes,disagree,none"`
		Revision int      `json:"revision,omitempty" minimum:"0" doc:"of the study that was looked at; 409 when images came since"`
		Recall   string   `json:"recall,omitempty" enum:"recall,no_recall" doc:"needed in a screening, and there alone"`
		Wrong    []string `json:"wrong,omitempty" doc:"not_there, missed, place, quality, text, incident"`
		Text     string   `json:"text,omitempty" maxLength:"2000"`
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

func (d *Desk) addAPI() {
	op := func(id, method, path, summary string, right webui.Right) webui.Operation {
		return webui.Operation{ID: id, Method: method, Path: path, Summary: summary, Right: right}
	}
	const row, one = "/api/v1/worklist/{study_uid}/", "/api/v1/studies/{study_uid}/"
	webui.Operate(d.site, op("claim-study", http.MethodPost, row+"claim", "Take a study up to read it; 409 when somebody else has it in hand", webui.ReadStudies), d.apiMove(study.ClaimTake))
	webui.Operate(d.site, op("release-study", http.MethodPost, row+"release", "Put a study down, or free somebody else's with a reason", webui.SeeStudies), d.apiMove(study.ClaimRelease))
	webui.Operate(d.site, op("ask-for-study", http.MethodPost, row+"ask", "Ask whoever has a study in hand for it", webui.ReadStudies), d.apiMove(study.ClaimAsk))
	webui.Operate(d.site, op("hand-over-study", http.MethodPost, row+"handover", "Give a study that you have in hand to another reader; 400 with the names that are known when there is none of that name", webui.ReadStudies), d.apiMove(study.ClaimGive))
	webui.Operate(d.site, op("skip-study", http.MethodPost, row+"skip", "Pass a study over, with a reason", webui.ReadStudies), d.apiSkip)
	webui.Operate(d.site, op("lock-impression", http.MethodPost, one+"own", "Lock your own impression, after which the AI is shown", webui.ReadStudies), d.apiOwn)
	webui.Operate(d.site, op("mark-missed", http.MethodPost, one+"missed", "Mark on an image what the AI did not find", webui.ReadStudies), d.apiMissed)
	webui.Operate(d.site, op("judge-finding", http.MethodPost, one+"findings/{tracking}/verdict", "Say what you think of one finding", webui.ReadStudies), d.apiFinding)
	webui.Operate(d.site, op("answer-study", http.MethodPost, one+"answer", "Give your final answer: the study is read", webui.ReadStudies), d.apiAnswer)
	webui.Operate(d.site, op("add-to-answer", http.MethodPost, one+"addendum", "Add to your answer", webui.ReadStudies), d.apiAddendum)
	webui.Operate(d.site, op("get-reading", http.MethodGet, one+"readings", "What readers did with a study, step by step; before your own answer, your own steps", webui.SeeStudies), d.apiSteps)
	if d.Judged != nil {
		webui.Operate(d.site, op("list-judgments", http.MethodGet, "/api/v1/judgments", "Readers' verdicts on single findings of a model", webui.StopModels), d.apiJudgments)
		webui.Operate(d.site, op("count-skips", http.MethodGet, "/api/v1/skips", "How often each reader has passed a study over", webui.StopModels), d.apiSkips)
	}
}

// apiMove is an operation that does one thing with a claim.
func (d *Desk) apiMove(kind string) func(context.Context, *claimIn) (*claimOut, error) {
	return func(ctx context.Context, in *claimIn) (*claimOut, error) {
		uid, err := study.ParseUID(in.UID)
		if err == nil {
			err = d.mayMove(ctx, kind)
		}
		if err != nil {
			return nil, err
		}
		var said claimBody
		if in.Body != nil {
			said = *in.Body
		}
		c, err := d.move(ctx, uid, kind, said.Reason, said.To)
		if err != nil {
			return nil, err
		}
		return &claimOut{claimJSON{uid, c.By, webui.Moment(c.Since), webui.Moment(c.Seen), c.Asked}}, nil
	}
}

func (d *Desk) apiSkip(ctx context.Context, in *skipIn) (*stepsOut, error) {
	return d.stepped(ctx, in.UID, func(uid study.UID) error { return d.skipped(ctx, uid, in.Body.Reason) })
}

// stepped does something with a study and answers with its steps.
func (d *Desk) stepped(ctx context.Context, text string, do func(study.UID) error) (*stepsOut, error) {
	uid, err := study.ParseUID(text)
	if err == nil {
		err = do(uid)
	}
	if err != nil {
		return nil, err
	}
	c, err := d.Veil.Case(ctx, uid)
	if err != nil {
		return nil, err
	}
	steps, err := d.Veil.Steps(ctx, uid, c.Sight)
	if err != nil {
		return nil, err
	}
	out := &stepsOut{Body: make([]stepJSON, 0, len(steps))}
	for _, s := range steps {
		out.Body = append(out.Body, stepJSONOf(s))
	}
	return out, nil
}

func (d *Desk) apiSteps(ctx context.Context, in *studyIn) (*stepsOut, error) {
	return d.stepped(ctx, in.UID, func(study.UID) error { return nil })
}

func (d *Desk) apiOwn(ctx context.Context, in *ownIn) (*stepsOut, error) {
	return d.stepped(ctx, in.UID, func(uid study.UID) error {
		return d.locks(ctx, uid, in.Body.Revision, in.Body.Impression, in.Body.Remark)
	})
}

func (d *Desk) apiMissed(ctx context.Context, in *missedIn) (*stepsOut, error) {
	return d.stepped(ctx, in.UID, func(uid study.UID) error {
		b := in.Body
		return d.misses(ctx, study.ReadingStep{Study: uid, Text: lines(b.Text), Wrong: []string{"missed"},
			Mark: &study.Region{Instance: b.Instance, Frame: b.Frame, Points: []float64{b.X, b.Y}}})
	})
}

func (d *Desk) apiFinding(ctx context.Context, in *findingIn) (*stepsOut, error) {
	return d.stepped(ctx, in.UID, func(uid study.UID) error {
		return d.judges(ctx, study.ReadingStep{Study: uid, Tracking: study.UID(in.Tracking), Verdict: in.Body.Verdict, Wrong: in.Body.Wrong, Text: lines(in.Body.Text)})
	})
}

func (d *Desk) apiAnswer(ctx context.Context, in *answerIn) (*stepsOut, error) {
	return d.stepped(ctx, in.UID, func(uid study.UID) error {
		return d.concludes(ctx, study.ReadingStep{Study: uid, Rev: in.Body.Revision, Verdict: in.Body.Verdict, Wrong: in.Body.Wrong, Recall: in.Body.Recall, Text: lines(in.Body.Text)}, nil)
	})
}

func (d *Desk) apiAddendum(ctx context.Context, in *addendumIn) (*stepsOut, error) {
	return d.stepped(ctx, in.UID, func(uid study.UID) error { return d.adds(ctx, uid, in.Body.Text) })
}

func (d *Desk) apiJudgments(ctx context.Context, in *judgmentsIn) (*stepsOut, error) {
	since, err := sinceOf(in.Since)
	if err != nil {
		return nil, err
	}
	id, version, ok := strings.Cut(in.Model, "@")
	if !ok {
		return nil, fmt.Errorf("model %q: write ID@VERSION: %w", in.Model, study.ErrInvalid)
	}
	steps, err := d.Judged.Judgments(ctx, study.ModelRef{ID: id, Version: version}, since, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &stepsOut{Body: make([]stepJSON, 0, len(steps))}
	for _, s := range steps {
		out.Body = append(out.Body, stepJSONOf(s))
	}
	return out, nil
}

func (d *Desk) apiSkips(ctx context.Context, in *skipsIn) (*skipsOut, error) {
	since, err := sinceOf(in.Since)
	if err != nil {
		return nil, err
	}
	n, err := d.Judged.Skips(ctx, since)
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
