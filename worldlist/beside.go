package worldlist

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
	Stacks []stack   `json:"stacks"`
}

type priorsJSON struct {
	Priors []priorJSON `json:"priors"`
}

// priors lists the earlier exams of a study's patient that have images, the latest
// first.
func (p *pages) priors(w http.ResponseWriter, r *http.Request) {
	uid, err := uidIn(r, "study")
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	c, err := p.Cases.Case(r.Context(), uid)
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	out := priorsJSON{Priors: []priorJSON{}}
	id := c.Study.Patient.Reveal().ID
	var all []study.Case
	if id != "" {
		if all, err = p.Cases.Cases(r.Context(), study.CaseFilter{PatientID: id, Limit: 100}); err != nil {
			p.site.Fail(w, r, err)
			return
		}
	}
	all = slices.DeleteFunc(all, func(o study.Case) bool { return !isPrior(c.Study, o.Study) })
	slices.SortStableFunc(all, func(a, b study.Case) int { return cmp.Compare(b.Study.Date, a.Study.Date) })
	l := webui.VisitOf(r.Context()).Lang
	for _, o := range all[:min(len(all), maxPriors)] {
		instances, err := p.Instances.Instances(r.Context(), o.Study.UID)
		if err != nil {
			p.site.Fail(w, r, err)
			return
		}
		one := priorJSON{Study: o.Study.UID, Date: dateWords(l, o.Study.Date), Text: cmp.Or(o.Study.Description, string(o.Study.Modality))}
		for _, s := range seriesOf(l, instances) {
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

// placeholders are what the template of a link to the PACS may name.
var placeholders = [...]string{"{study_uid}", "{accession}", "{patient_id}"}

// CheckPACSLink reports what is wrong with the template of a link to the PACS: an
// address of http or https in which {study_uid}, {accession} and {patient_id} stand
// for what they say. Empty is sound: no link is shown.
func CheckPACSLink(template string) error {
	if template == "" {
		return nil
	}
	bare := template
	for _, p := range placeholders {
		bare = strings.ReplaceAll(bare, p, "1")
	}
	u, err := url.Parse(bare)
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(template, "https://"), "http://"), "/")
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.ContainsAny(bare, "{}\"'<> ") || strings.Contains(host, "{") {
		return fmt.Errorf("link to the PACS %q: write an address of http or https; {study_uid}, {accession} and {patient_id} may stand behind the host: %w", template, study.ErrInvalid)
	}
	return nil
}

// pacsLink is the address at which the PACS shows a study; empty where none is set,
// or where the study lacks what the address needs.
func pacsLink(template string, s study.Study) string {
	if template == "" || CheckPACSLink(template) != nil {
		return ""
	}
	for i, value := range []string{string(s.UID), s.Accession, s.Patient.Reveal().ID} {
		if value == "" && strings.Contains(template, placeholders[i]) {
			return ""
		}
		// What is right in a query is right in a path as well, but for the space.
		template = strings.ReplaceAll(template, placeholders[i], strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
	}
	return template
}
