package viewer

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/foreign"
)

// A priorJSON is an earlier exam of the same patient, as the viewer shows it: its
// images, and nothing of what AI said of them.
type priorJSON struct {
	Study  study.UID `json:"study"`
	Date   string    `json:"date"`
	Text   string    `json:"text"`
	Stacks []Stack   `json:"stacks"`
}

type priorsJSON struct {
	Priors []priorJSON `json:"priors"`
}

// priors lists the earlier exams of a study's patient that have images, the latest
// first.
func (v *Viewer) priors(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	own, err := v.Veil.Study(r.Context(), uid)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	out := priorsJSON{Priors: []priorJSON{}}
	all, err := v.Veil.Priors(r.Context(), own)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	l := webui.VisitOf(r.Context()).Lang
	for _, o := range all {
		instances, err := v.Instances.Instances(r.Context(), o.UID)
		if err == nil {
			instances, err = v.shown(r.Context(), o.UID, instances)
		}
		if err != nil {
			v.site.Fail(w, r, err)
			return
		}
		one := priorJSON{Study: o.UID, Date: l.DICOMDate(o.Date), Text: cmp.Or(o.Description, string(o.Modality))}
		for _, s := range SeriesOf(l, instances) {
			if !s.Slide {
				k := stackOf(s)
				k.FirstMark = startOf(k, nil, 0)
				one.Stacks = append(one.Stacks, k)
			}
		}
		if len(one.Stacks) > 0 {
			out.Priors = append(out.Priors, one)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	sendJSON(w, r, out)
}

// shown leaves out those instances of a study that may show what others found and the
// visitor must not see yet.
func (v *Viewer) shown(ctx context.Context, uid study.UID, instances []study.Instance) ([]study.Instance, error) {
	if v.Others == nil || !slices.ContainsFunc(instances, foreign.MayTell) {
		return instances, nil
	}
	seen, err := v.Veil.Case(ctx, uid)
	if err != nil {
		return nil, err
	}
	return v.Others.Visible(ctx, seen.AsPrior(), instances), nil
}
