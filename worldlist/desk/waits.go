package desk

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// Lab is what cases of slides wait for, and which slides readers have opened.
type Lab interface {
	// OpenWait keeps that a case waits for something, and gives it with its number.
	OpenWait(ctx context.Context, w study.CaseWait) (study.CaseWait, error)
	// EndWait ends a wait of a study's case by hand, with a reason.
	EndWait(ctx context.Context, uid study.UID, n int64, by, why string) error
	// CaseWaits tells of studies what their cases wait for and have waited for.
	CaseWaits(ctx context.Context, studies []study.Study) ([][]study.CaseWait, error)
	// ViewSlide notes that a reader has opened a slide.
	ViewSlide(ctx context.Context, uid, slide study.UID, by string) error
	// ViewedSlides gives the slides of a study that a reader has opened.
	ViewedSlides(ctx context.Context, uid study.UID, by string) ([]study.UID, error)
}

// A Bench is what the page of a study says of its case.
type Bench struct {
	Waits   []waitLine // open ones
	Over    []Line
	May     bool // the visitor may have it wait
	Keeps   bool // which slides the visitor opens is kept
	Kinds   []Choice
	Reasons []Choice
	Slides  []Choice
}

// A waitLine is one thing that a case waits for.
type waitLine struct {
	N           int64
	Word, About string
}

// Waits tells of studies what their cases wait for; nothing where nobody keeps that.
func (d *Desk) Waits(ctx context.Context, studies ...study.Study) ([][]study.CaseWait, error) {
	if d.Lab == nil || !slices.ContainsFunc(studies, func(s study.Study) bool { return s.Modality == study.SM }) {
		return make([][]study.CaseWait, len(studies)), nil
	}
	return d.Lab.CaseWaits(ctx, studies)
}

// Viewed gives the slides of a study that the visitor has opened; none where nobody
// keeps that.
func (d *Desk) Viewed(ctx context.Context, uid study.UID) ([]study.UID, error) {
	if d.Lab == nil {
		return nil, nil
	}
	return d.Lab.ViewedSlides(ctx, uid, webui.VisitOf(ctx).Who.Name)
}

func waiting(all []study.CaseWait) bool { return slices.ContainsFunc(all, study.CaseWait.Open) }

// WaitWord says for what.
func WaitWord(l webui.Lang, w study.CaseWait) string {
	word := l.T("case.wait_" + w.Kind)
	switch {
	case w.Kind == study.WaitRescan:
		word += ", " + l.T("case.reason_"+w.Reason)
		if w.Container != "" {
			word += " (" + w.Container + ")"
		}
	case w.Kind == study.WaitStain:
		word += ": " + w.Text
	}
	return word
}

// WaitWords are what a row says of all that is open.
func WaitWords(l webui.Lang, all []study.CaseWait) string {
	var words []string
	for _, w := range all {
		if w.Open() {
			words = append(words, l.T("case.waits", WaitWord(l, w), w.By))
		}
	}
	return strings.Join(words, " · ")
}

// Bench says on the page of slides what their case waits for; nil for a study of none,
// and where nobody keeps that. slides are those that can be chosen, each with its UID
// and its name.
func (d *Desk) Bench(ctx context.Context, st study.Study, slides []Choice) (*Bench, error) {
	if d.Lab == nil || st.Modality != study.SM {
		return nil, nil
	}
	all, err := d.Waits(ctx, st)
	if err != nil {
		return nil, err
	}
	v, now := webui.VisitOf(ctx), d.site.Now()
	l := v.Lang
	b := &Bench{Slides: slides, Keeps: v.Who.May(webui.ReadStudies), May: v.Who.May(webui.ReadStudies) && st.Status != study.Read && st.Status != study.Refused}
	for _, w := range all[0] {
		if !w.Open() {
			why := w.EndedWhy
			if why == "" {
				why = l.T("case.came")
			}
			b.Over = append(b.Over, Line{WaitWord(l, w), l.T("step.by", why, w.EndedBy, l.Moment(w.EndedAt.In(now.Location())))})
			continue
		}
		about := l.T("step.by", l.T("case.asked"), w.By, l.Moment(w.At.In(now.Location())))
		if w.Text != "" && w.Kind != study.WaitStain {
			about += " – " + w.Text
		}
		b.Waits = append(b.Waits, waitLine{w.N, WaitWord(l, w), about})
	}
	for _, r := range study.RescanReasons {
		b.Reasons = append(b.Reasons, Choice{Value: r, Text: l.T("case.reason_" + r)})
	}
	return b, nil
}

// wait has a case wait, by a form.
func (d *Desk) wait(w http.ResponseWriter, r *http.Request) {
	d.waitForm(w, r, func(uid study.UID) error {
		kind := r.PostFormValue("kind")
		reason, slide := "", ""
		if kind == study.WaitRescan {
			reason, slide = r.PostFormValue("reason"), r.PostFormValue("slide")
		}
		_, err := d.Lab.OpenWait(r.Context(), study.CaseWait{Study: uid, Kind: kind, Reason: reason, Slide: study.UID(slide),
			Text: lines(r.PostFormValue("text")), By: webui.VisitOf(r.Context()).Who.Name})
		return err
	})
}

// waitNoMore ends a wait, by a form.
func (d *Desk) waitNoMore(w http.ResponseWriter, r *http.Request) {
	d.waitForm(w, r, func(uid study.UID) error {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil {
			return fmt.Errorf("wait %q of study %s: %w", r.PathValue("n"), uid, study.ErrNotFound)
		}
		return d.Lab.EndWait(r.Context(), uid, n, webui.VisitOf(r.Context()).Who.Name, lines(r.PostFormValue("why")))
	})
}

func (d *Desk) waitForm(w http.ResponseWriter, r *http.Request, do func(study.UID) error) {
	uid, err := webui.PathUID(r, "study")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err == nil {
		err = do(uid)
	}
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/studies/"+string(uid)+"?look=1#case", http.StatusSeeOther)
}

// viewed notes that the visitor has opened a slide.
func (d *Desk) viewed(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err == nil {
		var slide study.UID
		if slide, err = webui.PathUID(r, "series"); err == nil {
			err = d.Lab.ViewSlide(r.Context(), uid, slide, webui.VisitOf(r.Context()).Who.Name)
		}
	}
	if err != nil {
		d.site.Fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// A waitJSON is one thing that a case waits for, or has waited for.
type waitJSON struct {
	N        int64      `json:"n"`
	StudyUID study.UID  `json:"study_uid"`
	Kind     string     `json:"kind" enum:"rescan,stain,slides"`
	Reason   string     `json:"reason,omitempty" doc:"of a rescan: focus, tissue, artifact, staining, coverslip, label, other"`
	Slide    study.UID  `json:"slide_series_uid,omitempty"`
	Label    string     `json:"container_id,omitempty"`
	Text     string     `json:"text,omitempty" doc:"which stain, or a remark"`
	By       string     `json:"by"`
	At       time.Time  `json:"at"`
	EndedAt  *time.Time `json:"ended_at" doc:"null while the case waits"`
	EndedBy  string     `json:"ended_by,omitempty"`
	EndedWhy string     `json:"ended_why,omitempty" doc:"empty where the slide came"`
}

// A caseJSON is what the case of a study waits for, and how far the visitor is with
// its slides.
type caseJSON struct {
	StudyUID study.UID   `json:"study_uid"`
	Waiting  bool        `json:"waiting" doc:"it can't be read while it waits"`
	Waits    []waitJSON  `json:"waits" doc:"of all studies of the case, oldest first"`
	Slides   int         `json:"slides" doc:"of this study"`
	Viewed   []study.UID `json:"viewed" doc:"series UIDs of those that you have opened"`
}

type caseOut struct{ Body caseJSON }

type waitIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	Body struct {
		Kind   string    `json:"kind" enum:"rescan,stain,slides"`
		Reason string    `json:"reason,omitempty" enum:"focus,tissue,artifact,staining,coverslip,label,other" doc:"of a rescan"`
		Slide  study.UID `json:"slide_series_uid,omitempty" doc:"of a rescan" maxLength:"64" pattern:"^[0-9.]*$"`
		Text   string    `json:"text,omitempty" doc:"which stain, or a remark" maxLength:"2000"`
	}
}

type waitEndIn struct {
	UID  string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
	N    int64  `path:"n"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"2000"`
	}
}

func (d *Desk) addLab() {
	if d.Lab == nil {
		return
	}
	d.site.Handle("POST /studies/{study}/waits", webui.ReadStudies, http.HandlerFunc(d.wait))
	d.site.Handle("POST /studies/{study}/waits/{n}/end", webui.ReadStudies, http.HandlerFunc(d.waitNoMore))
	d.site.Handle("POST /studies/{study}/slides/{series}/viewed", webui.ReadStudies, http.HandlerFunc(d.viewed))
	const one = "/api/v1/studies/{study_uid}/"
	webui.Operate(d.site, webui.Operation{ID: "get-case", Method: http.MethodGet, Path: one + "case",
		Summary: "What the case of a study waits for, and which of its slides you have opened", Right: webui.SeeStudies}, d.apiCase)
	webui.Operate(d.site, webui.Operation{ID: "have-case-wait", Method: http.MethodPost, Path: one + "waits",
		Summary: "Have a case wait for a new scan, another stain or slides to come", Right: webui.ReadStudies}, d.apiWait)
	webui.Operate(d.site, webui.Operation{ID: "end-case-wait", Method: http.MethodPost, Path: one + "waits/{n}/end",
		Summary: "End a wait by hand, with a reason", Right: webui.ReadStudies}, d.apiWaitEnd)
}

func (d *Desk) apiCase(ctx context.Context, in *studyIn) (*caseOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err != nil {
		return nil, err
	}
	s, err := d.Veil.Study(ctx, uid)
	if err != nil {
		return nil, err
	}
	all, err := d.Waits(ctx, s)
	if err != nil {
		return nil, err
	}
	out := &caseOut{caseJSON{StudyUID: uid, Waiting: waiting(all[0]), Waits: []waitJSON{}, Viewed: []study.UID{}}}
	for _, w := range all[0] {
		out.Body.Waits = append(out.Body.Waits, waitJSON{w.N, w.Study, w.Kind, w.Reason, w.Slide, w.Container, w.Text, w.By, w.At.UTC(),
			webui.Moment(w.EndedAt), w.EndedBy, w.EndedWhy})
	}
	instances, err := d.Instances.Instances(ctx, uid)
	if err != nil {
		return nil, err
	}
	out.Body.Slides = slidesIn(instances)
	seen, err := d.Viewed(ctx, uid)
	out.Body.Viewed = append(out.Body.Viewed, seen...)
	return out, err
}

// slidesIn counts the slides of a study.
func slidesIn(instances []study.Instance) (n int) {
	known := map[study.UID]bool{}
	for _, in := range instances {
		if in.Image == nil || known[in.Series] {
			continue
		}
		if known[in.Series] = true; in.Image.Slide != nil {
			n++
		}
	}
	return n
}

func (d *Desk) apiWait(ctx context.Context, in *waitIn) (*caseOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err == nil {
		_, err = d.Lab.OpenWait(ctx, study.CaseWait{Study: uid, Kind: in.Body.Kind, Reason: in.Body.Reason, Slide: in.Body.Slide,
			Text: lines(in.Body.Text), By: webui.VisitOf(ctx).Who.Name})
	}
	if err != nil {
		return nil, err
	}
	return d.apiCase(ctx, &studyIn{UID: in.UID})
}

func (d *Desk) apiWaitEnd(ctx context.Context, in *waitEndIn) (*caseOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err == nil {
		err = d.Lab.EndWait(ctx, uid, in.N, webui.VisitOf(ctx).Who.Name, lines(in.Body.Reason))
	}
	if err != nil {
		return nil, err
	}
	return d.apiCase(ctx, &studyIn{UID: in.UID})
}
