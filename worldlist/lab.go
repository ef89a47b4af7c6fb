package worldlist

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

// whyCase is the reason of a study whose slides were waited for: it stands where its
// case stands.
const whyCase = "case"

// A bench is what the page of a study says of its case.
type bench struct {
	Waits   []waitLine // open ones
	Over    []factLine
	May     bool // the visitor may have it wait
	Keeps   bool // which slides the visitor opens is kept
	Kinds   []choice
	Reasons []choice
	Slides  []choice
}

// A waitLine is one thing that a case waits for.
type waitLine struct {
	N           int64
	Word, About string
}

// waitsOf tells of cases what they wait for; nil where nobody keeps that.
func (p *pages) waitsOf(ctx context.Context, cases ...study.Case) ([][]study.CaseWait, error) {
	if p.Lab == nil || !slices.ContainsFunc(cases, func(c study.Case) bool { return c.Study.Modality == study.SM }) {
		return make([][]study.CaseWait, len(cases)), nil
	}
	studies := make([]study.Study, len(cases))
	for i, c := range cases {
		studies[i] = c.Study
	}
	return p.Lab.CaseWaits(ctx, studies)
}

func waiting(all []study.CaseWait) bool { return slices.ContainsFunc(all, study.CaseWait.Open) }

// waitWord says for what.
func waitWord(l webui.Lang, w study.CaseWait) string {
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

// waitWords are what a row says of all that is open.
func waitWords(l webui.Lang, all []study.CaseWait) string {
	var words []string
	for _, w := range all {
		if w.Open() {
			words = append(words, l.T("case.waits", waitWord(l, w), w.By))
		}
	}
	return strings.Join(words, " · ")
}

// addCase says on the page of slides what the case waits for.
func (p *pages) addCase(ctx context.Context, c study.Case, s *sheet) error {
	if p.Lab == nil || c.Study.Modality != study.SM {
		return nil
	}
	all, err := p.waitsOf(ctx, c)
	if err != nil {
		return err
	}
	v, now := webui.VisitOf(ctx), p.site.Now()
	l := v.Lang
	b := &bench{Keeps: v.Who.May(webui.ReadStudies), May: v.Who.May(webui.ReadStudies) && c.Study.Status != study.Read && c.Study.Status != study.Refused}
	for _, w := range all[0] {
		if !w.Open() {
			why := w.EndedWhy
			if why == "" {
				why = l.T("case.came")
			}
			b.Over = append(b.Over, factLine{waitWord(l, w), l.T("step.by", why, w.EndedBy, l.Moment(w.EndedAt.In(now.Location())))})
			continue
		}
		about := l.T("step.by", l.T("case.asked"), w.By, l.Moment(w.At.In(now.Location())))
		if w.Text != "" && w.Kind != study.WaitStain {
			about += " – " + w.Text
		}
		b.Waits = append(b.Waits, waitLine{w.N, waitWord(l, w), about})
	}
	for _, r := range study.RescanReasons {
		b.Reasons = append(b.Reasons, choice{Value: r, Text: l.T("case.reason_" + r)})
	}
	for _, e := range s.Series {
		if e.Slide {
			b.Slides = append(b.Slides, choice{Value: string(e.UID), Text: fmt.Sprintf("%d · %s", len(b.Slides)+1, e.name())})
		}
	}
	seen, err := p.Lab.ViewedSlides(ctx, c.Study.UID, v.Who.Name)
	if err != nil {
		return err
	}
	for i := range s.Slides {
		s.Slides[i].Viewed = slices.Contains(seen, s.Slides[i].Series)
	}
	s.Case, s.Waiting = b, len(b.Waits) > 0
	return nil
}

// wait has a case wait, by a form.
func (p *pages) wait(w http.ResponseWriter, r *http.Request) {
	p.waitForm(w, r, func(uid study.UID) error {
		kind := r.PostFormValue("kind")
		reason, slide := "", ""
		if kind == study.WaitRescan {
			reason, slide = r.PostFormValue("reason"), r.PostFormValue("slide")
		}
		_, err := p.Lab.OpenWait(r.Context(), study.CaseWait{Study: uid, Kind: kind, Reason: reason, Slide: study.UID(slide),
			Text: lines(r.PostFormValue("text")), By: webui.VisitOf(r.Context()).Who.Name})
		return err
	})
}

// waitNoMore ends a wait, by a form.
func (p *pages) waitNoMore(w http.ResponseWriter, r *http.Request) {
	p.waitForm(w, r, func(uid study.UID) error {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil {
			return fmt.Errorf("wait %q of study %s: %w", r.PathValue("n"), uid, study.ErrNotFound)
		}
		return p.Lab.EndWait(r.Context(), uid, n, webui.VisitOf(r.Context()).Who.Name, lines(r.PostFormValue("why")))
	})
}

func (p *pages) waitForm(w http.ResponseWriter, r *http.Request, do func(study.UID) error) {
	uid, err := uidIn(r, "study")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err == nil {
		err = do(uid)
	}
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/studies/"+string(uid)+"?look=1#case", http.StatusSeeOther)
}

// viewed notes that the visitor has opened a slide.
func (p *pages) viewed(w http.ResponseWriter, r *http.Request) {
	uid, err := uidIn(r, "study")
	if err == nil {
		var slide study.UID
		if slide, err = uidIn(r, "series"); err == nil {
			err = p.Lab.ViewSlide(r.Context(), uid, slide, webui.VisitOf(r.Context()).Who.Name)
		}
	}
	if err != nil {
		p.site.Fail(w, r, err)
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

func (p *pages) addLab() {
	if p.Lab == nil {
		return
	}
	p.site.Handle("POST /studies/{study}/waits", webui.ReadStudies, http.HandlerFunc(p.wait))
	p.site.Handle("POST /studies/{study}/waits/{n}/end", webui.ReadStudies, http.HandlerFunc(p.waitNoMore))
	p.site.Handle("POST /studies/{study}/slides/{series}/viewed", webui.ReadStudies, http.HandlerFunc(p.viewed))
	const one = "/api/v1/studies/{study_uid}/"
	webui.Operate(p.site, webui.Operation{ID: "get-case", Method: http.MethodGet, Path: one + "case",
		Summary: "What the case of a study waits for, and which of its slides you have opened", Right: webui.SeeStudies}, p.apiCase)
	webui.Operate(p.site, webui.Operation{ID: "have-case-wait", Method: http.MethodPost, Path: one + "waits",
		Summary: "Have a case wait for a new scan, another stain or slides to come", Right: webui.ReadStudies}, p.apiWait)
	webui.Operate(p.site, webui.Operation{ID: "end-case-wait", Method: http.MethodPost, Path: one + "waits/{n}/end",
		Summary: "End a wait by hand, with a reason", Right: webui.ReadStudies}, p.apiWaitEnd)
}

func (p *pages) apiCase(ctx context.Context, in *studyIn) (*caseOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err != nil {
		return nil, err
	}
	c, err := p.Cases.Case(ctx, uid)
	if err != nil {
		return nil, err
	}
	all, err := p.waitsOf(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &caseOut{caseJSON{StudyUID: uid, Waiting: waiting(all[0]), Waits: []waitJSON{}, Viewed: []study.UID{}}}
	for _, w := range all[0] {
		out.Body.Waits = append(out.Body.Waits, waitJSON{w.N, w.Study, w.Kind, w.Reason, w.Slide, w.Container, w.Text, w.By, w.At.UTC(),
			moment(w.EndedAt), w.EndedBy, w.EndedWhy})
	}
	instances, err := p.Instances.Instances(ctx, uid)
	if err != nil {
		return nil, err
	}
	for _, s := range seriesOf(webui.VisitOf(ctx).Lang, instances) {
		if s.Slide {
			out.Body.Slides++
		}
	}
	seen, err := p.Lab.ViewedSlides(ctx, uid, webui.VisitOf(ctx).Who.Name)
	out.Body.Viewed = append(out.Body.Viewed, seen...)
	return out, err
}

func (p *pages) apiWait(ctx context.Context, in *waitIn) (*caseOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err == nil {
		_, err = p.Lab.OpenWait(ctx, study.CaseWait{Study: uid, Kind: in.Body.Kind, Reason: in.Body.Reason, Slide: in.Body.Slide,
			Text: lines(in.Body.Text), By: webui.VisitOf(ctx).Who.Name})
	}
	if err != nil {
		return nil, err
	}
	return p.apiCase(ctx, &studyIn{UID: in.UID})
}

func (p *pages) apiWaitEnd(ctx context.Context, in *waitEndIn) (*caseOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err == nil {
		err = p.Lab.EndWait(ctx, uid, in.N, webui.VisitOf(ctx).Who.Name, lines(in.Body.Reason))
	}
	if err != nil {
		return nil, err
	}
	return p.apiCase(ctx, &studyIn{UID: in.UID})
}
