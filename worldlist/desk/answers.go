package desk

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// own locks the reader's own impression, after which the AI is shown.
func (d *Desk) own(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if d.stale(w, r, uid, lines(r.PostFormValue("remark"))) {
		return
	}
	if err := d.locks(r.Context(), uid, revOf(r), r.PostFormValue("impression"), r.PostFormValue("remark")); err != nil {
		d.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, backTo(uid, r.PostFormValue("slide"))+"?locked=1#answer", http.StatusSeeOther)
}

// backTo is the page of a study, or of the slide that the form was on.
func backTo(uid study.UID, slide string) string {
	if series, err := study.ParseUID(slide); err == nil {
		return "/studies/" + string(uid) + "/slides/" + string(series)
	}
	return "/studies/" + string(uid)
}

// revOf is the revision of the study that a form was made of; 0 where it says none.
func revOf(r *http.Request) int {
	rev, _ := strconv.Atoi(r.PostFormValue("rev")) // what is no number says none
	return rev
}

// locks keeps the visitor's own impression of a study, of the given revision unless
// that is 0.
func (d *Desk) locks(ctx context.Context, uid study.UID, rev int, impression, remark string) error {
	if err := d.mine(ctx, uid); err != nil {
		return err
	}
	return d.Veil.Answers.Answer(ctx, study.ReadingStep{Study: uid, Rev: rev, By: webui.VisitOf(ctx).Who.Name, Step: study.StepOwn,
		Verdict: impression, Text: lines(remark)})
}

func lines(s string) string { return strings.ReplaceAll(study.Said(s), "\r\n", "\n") }

// verdicts are what a reader may say of the AI; none, where there was nothing to
// agree with.
var verdicts = append(study.Verdicts[:], "none")

const maxReason = study.MaxReadingText

// verdict takes the reader's answer: the verdict on the AI, on each of its
// findings, and what was missed. The study is read.
func (d *Desk) verdict(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 256<<10)
	said, reason := r.PostFormValue("verdict"), lines(r.PostFormValue("reason"))
	if !slices.Contains(verdicts, said) || len([]rune(reason)) > maxReason {
		d.site.Fail(w, r, fmt.Errorf("verdict on study %s: %w", uid, study.ErrInvalid))
		return
	}
	if d.stale(w, r, uid, reason) {
		return
	}
	final := study.ReadingStep{Study: uid, Rev: revOf(r), Verdict: said, Text: reason, Wrong: r.PostForm["wrong"], Recall: r.PostFormValue("recall")}
	if err := d.concludes(r.Context(), final, r.PostForm); err != nil {
		d.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/studies/"+string(uid)+"?saved=1", http.StatusSeeOther)
}

// concludes keeps the visitor's final answer together with the verdicts on findings
// that a form holds: for finding T the fields finding.T, wrong.T and text.T.
func (d *Desk) concludes(ctx context.Context, final study.ReadingStep, form url.Values) error {
	c, err := d.Veil.Case(ctx, final.Study)
	if err != nil {
		return err
	}
	if c.OwnFirst {
		return fmt.Errorf("answer on study %s: your own impression comes first: %w", final.Study, study.ErrIncomplete)
	}
	if err := d.mine(ctx, final.Study); err != nil {
		return err
	}
	if final.Verdict != "none" && !slices.ContainsFunc(c.Results, func(r study.Result) bool { return r.AI.Judged() }) {
		return fmt.Errorf("answer on study %s: no model said anything of it to %s with; the verdict is none: %w", final.Study, final.Verdict, study.ErrInvalid)
	}
	var steps []study.ReadingStep
	for _, r := range c.Results {
		for _, f := range r.Findings {
			verdict := form.Get("finding." + string(f.Tracking))
			if verdict == "" {
				continue
			}
			steps = append(steps, study.ReadingStep{Step: study.StepFinding, Model: r.Model, Tracking: f.Tracking, Verdict: verdict,
				Wrong: form["wrong."+string(f.Tracking)], Text: lines(form.Get("text." + string(f.Tracking)))})
		}
	}
	final.Step = study.StepFinal
	steps = append(steps, final)
	for i := range steps {
		steps[i].Study, steps[i].Rev, steps[i].By = final.Study, final.Rev, webui.VisitOf(ctx).Who.Name
	}
	return d.answer(ctx, steps...)
}

// judges keeps the visitor's verdict on one finding.
func (d *Desk) judges(ctx context.Context, step study.ReadingStep) error {
	c, err := d.Veil.Case(ctx, step.Study)
	if err != nil {
		return err
	}
	if c.OwnFirst {
		return fmt.Errorf("verdict on a finding of study %s: your own impression comes first: %w", step.Study, study.ErrIncomplete)
	}
	found := false
	for _, r := range c.Results {
		if slices.ContainsFunc(r.Findings, func(f study.Finding) bool { return f.Tracking == step.Tracking }) {
			step.Model, found = r.Model, true
		}
	}
	if !found {
		return fmt.Errorf("finding %s of study %s: %w", step.Tracking, step.Study, study.ErrNotFound)
	}
	if err := d.mine(ctx, step.Study); err != nil {
		return err
	}
	step.Step, step.By = study.StepFinding, webui.VisitOf(ctx).Who.Name
	return d.Veil.Answers.Answer(ctx, step)
}

// misses keeps where on an image the visitor sees something that the AI did not
// find.
func (d *Desk) misses(ctx context.Context, step study.ReadingStep) error {
	in, err := d.Instances.Instance(ctx, step.Mark.Instance)
	if err == nil && (in.Study != step.Study || in.Image == nil) {
		err = fmt.Errorf("image %s of study %s: %w", step.Mark.Instance, step.Study, study.ErrNotFound)
	}
	if err != nil {
		return err
	}
	frames := max(1, in.Image.Frames)
	columns, rows := float64(in.Image.Columns), float64(in.Image.Rows)
	if s := in.Image.Slide; s != nil {
		frames, columns, rows, step.Mark.Total = 1, float64(s.TotalColumns), float64(s.TotalRows), true
	}
	x, y := step.Mark.Points[0], step.Mark.Points[1]
	if step.Mark.Frame < 1 || step.Mark.Frame > frames || !(x >= 0 && x <= columns && y >= 0 && y <= rows) {
		return fmt.Errorf("%g, %g on frame %d: image %s has %d frames of %g × %g: %w", x, y, step.Mark.Frame, in.UID, frames, columns, rows, study.ErrInvalid)
	}
	if err := d.mine(ctx, step.Study); err != nil {
		return err
	}
	step.Mark.Class, step.Mark.Frames, step.Mark.Shape = in.Class, frames, study.Point
	step.Step, step.By = study.StepMissed, webui.VisitOf(ctx).Who.Name
	return d.Veil.Answers.Answer(ctx, step)
}

// adds keeps what the visitor adds after their answer.
func (d *Desk) adds(ctx context.Context, uid study.UID, text string) error {
	steps, err := d.Veil.Answers.Steps(ctx, uid)
	if err != nil {
		return err
	}
	who := webui.VisitOf(ctx).Who.Name
	if !slices.ContainsFunc(steps, func(s study.ReadingStep) bool { return s.By == who && s.Step == study.StepFinal }) {
		return fmt.Errorf("addendum to study %s by %s, who has not answered: %w", uid, who, study.ErrIncomplete)
	}
	return d.Veil.Answers.Answer(ctx, study.ReadingStep{Study: uid, By: who, Step: study.StepAddendum, Text: lines(text)})
}

// addendum takes one from a form.
func (d *Desk) addendum(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := d.adds(r.Context(), uid, r.PostFormValue("text")); err != nil {
		d.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/studies/"+string(uid)+"?saved=1", http.StatusSeeOther)
}

// shows records what the visitor is shown of the AI, once for each content: the
// words, the model, the result, the language and the protocol. said are the words of
// each of the results, in their order.
func (d *Desk) shows(ctx context.Context, c veil.Seen, said [][]string, steps []study.ReadingStep) error {
	v := webui.VisitOf(ctx)
	if len(said) == 0 || len(said) != len(c.Results) {
		return nil
	}
	shown := study.Shown{Lang: string(v.Lang), Build: d.Build}
	for i, words := range said {
		r := c.Results[i]
		if !r.AI.Judged() && r.AI != study.Failed && r.AI != study.OutOfScope {
			continue
		}
		rules := d.Veil.Rules(c.Study, r.Model)
		shown.Rules = shown.Rules.And(rules)
		one := study.ShownResult{Model: r.Model.String(), SHA256: r.Model.SHA256, Result: resultHash(r), AI: r.AI, Protocol: protocolOf(rules), Lines: words}
		for _, f := range r.Findings {
			one.Findings = append(one.Findings, f.Tracking)
		}
		shown.Results = append(shown.Results, one)
	}
	same := func(s study.ReadingStep) bool {
		return s.Step == study.StepShown && s.By == v.Who.Name && s.Rev == c.Study.Rev && sameShown(*s.Shown, shown)
	}
	if len(shown.Results) == 0 || slices.ContainsFunc(steps, same) {
		return nil
	}
	return d.Veil.Answers.Answer(ctx, study.ReadingStep{Study: c.Study.UID, By: v.Who.Name, Step: study.StepShown, Shown: &shown})
}

// protocolOf is the protocol whose rules these are.
func protocolOf(r study.Rules) string {
	switch {
	case r.Blind && r.NoDetail:
		return string(study.Independent) + " " + string(study.TriageOnly)
	case r.Blind:
		return string(study.Independent)
	case r.NoDetail:
		return string(study.TriageOnly)
	case r.OwnFirst:
		return string(study.SecondLook)
	}
	return string(study.Concurrent)
}

func sameShown(a, b study.Shown) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}

// resultHash names a result by its content.
func resultHash(r study.Result) study.Hash {
	b, err := json.Marshal(r)
	if err != nil {
		return study.Hash{} // a number that is none: the ledger holds no such result
	}
	return sha256.Sum256(b)
}
