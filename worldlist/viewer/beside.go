package viewer

import (
	"cmp"
	"net/http"

	"varde/internal/webui"
	"varde/study"
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
