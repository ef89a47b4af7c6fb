package viewer

import (
	"cmp"
	"net/http"
	"slices"

	"varde/internal/webui"
	"varde/study"
)

// maxPriors bounds the earlier exams that are offered beside a study.
const maxPriors = 20

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
	id := own.Patient.Reveal().ID
	var all []study.Study
	if id != "" {
		if all, err = v.Veil.Studies(r.Context(), study.CaseFilter{PatientID: id, Limit: 100}); err != nil {
			v.site.Fail(w, r, err)
			return
		}
	}
	all = slices.DeleteFunc(all, func(o study.Study) bool { return !isPrior(own, o) })
	slices.SortStableFunc(all, func(a, b study.Study) int { return cmp.Compare(b.Date, a.Date) })
	l := webui.VisitOf(r.Context()).Lang
	for _, o := range all[:min(len(all), maxPriors)] {
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

// isPrior reports whether another exam is an earlier one of the same patient: the
// same ID, given by the same issuer, and no other date of birth.
func isPrior(s, o study.Study) bool {
	a, b := s.Patient.Reveal(), o.Patient.Reveal()
	differ := func(x, y string) bool { return x != "" && y != "" && x != y }
	if o.UID == s.UID || a.ID == "" || a.ID != b.ID || differ(a.Issuer, b.Issuer) || differ(a.Birth, b.Birth) || o.Status == study.Refused {
		return false
	}
	if s.Date == "" || o.Date == "" || s.Date == o.Date {
		return !o.ReceivedAt.After(s.ReceivedAt)
	}
	return o.Date < s.Date
}
