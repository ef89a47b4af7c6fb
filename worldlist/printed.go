package worldlist

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"varde/internal/webui"
	"varde/internal/words"
	"varde/study"
	"varde/worldlist/desk"
)

// A printed is what the template of the printable report sees: what the structured
// report says, on paper.
type printed struct {
	UID       study.UID
	Patient   string
	PatientID string
	Born      string
	Sex       string
	Exam      string
	Date      string
	Accession string
	At        string // now: when it is printed
	Covered   bool   // the visitor has to answer first, or never sees it
	Partly    bool   // images are still coming in
	Waiting   bool   // no model has answered, and one may yet
	stallWords
	Note    string // why none was asked
	Results []printedResult
	PDF     string // address of the same as a file; empty where there is none
}

// A printedResult is one model's part.
type printedResult struct {
	words.Told
	Name  string // of the model
	At    string
	Facts []desk.Line // what ran
}

// report shows a study's results as a report that can be printed, or with
// ?format=pdf gives it as a file. It has what the visitor may see on the study's
// page, and no more. The audit notes who had it.
func (p *pages) report(w http.ResponseWriter, r *http.Request) {
	d, err := p.printedFor(r)
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	if len(d.Results) > 0 {
		if err := p.Veil.Note(r.Context(), webui.VisitOf(r.Context()).Who, "report fetched", d.UID); err != nil {
			p.site.Fail(w, r, err)
			return
		}
	}
	if r.URL.Query().Get("format") == "pdf" {
		p.printPDF(w, r, d)
		return
	}
	l := webui.VisitOf(r.Context()).Lang
	p.site.Show(w, r, webui.View{Template: "report", Title: strings.Join([]string{l.T("printed.title"), d.Patient}, " – "), Data: d})
}

// printedFor puts together what the visitor may see.
func (p *pages) printedFor(r *http.Request) (printed, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return printed{}, err
	}
	c, err := p.Veil.OnPage(r.Context(), uid)
	if err != nil {
		return printed{}, err
	}
	instances, err := p.Instances.Instances(r.Context(), uid)
	if err != nil {
		return printed{}, err
	}
	l, now, st := webui.VisitOf(r.Context()).Lang, p.site.Now(), c.Study
	person := st.Patient.Reveal()
	d := printed{
		UID: uid, Patient: nameWords(l, person.Name), PatientID: person.ID, Born: l.DICOMDate(person.Birth), Sex: person.Sex,
		Exam: st.Description, Date: l.DICOMDate(st.Date), Accession: st.Accession, At: l.Moment(now),
		Covered: c.Blind || c.OwnFirst, Partly: st.Status == study.Receiving,
	}
	if d.Exam == "" {
		d.Exam = string(st.Modality)
	}
	if d.Covered {
		return d, nil
	}
	// The file has all findings: it is for those who see them on the page.
	file := p.Print != nil && len(c.Results) > 0
	// Paper outlives the page, and is not to say what no longer holds.
	for _, one := range p.Veil.Now(c).Results {
		file = file && !c.Bare(one.Model)
		heatmap := slices.ContainsFunc(c.Reports, func(o study.Report) bool { return o.Kind == "seg" && o.Model == one.Model })
		d.Results = append(d.Results, printedResult{
			Name:  cmp.Or(one.Name, one.Model.ID),
			Told:  words.Tell(l, st, one, words.TellOptions{Instances: instances, Heatmap: heatmap, Bare: c.Bare(one.Model)}),
			At:    l.Moment(one.At.In(now.Location())),
			Facts: facts(l, one),
		})
	}
	d.stallWords, d.Note = stalledOf(l, c), noteWords(l, st.Note)
	d.Waiting = len(d.Results) == 0 && d.Note == ""
	if file {
		d.PDF = "/studies/" + string(uid) + "/report?format=pdf&lang=" + string(l)
	}
	return d, nil
}

// printPDF gives the report as a file, to those whose page offers it.
func (p *pages) printPDF(w http.ResponseWriter, r *http.Request, d printed) {
	if d.PDF == "" {
		err := fmt.Errorf("report of study %s as PDF: there is none for you now: %w", d.UID, study.ErrIncomplete)
		if p.Print == nil {
			err = fmt.Errorf("report of study %s as PDF: this process prints none: %w", d.UID, study.ErrNotFound)
		}
		p.site.Fail(w, r, err)
		return
	}
	b, err := p.Print(r.Context(), d.UID, string(webui.VisitOf(r.Context()).Lang))
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `inline; filename="report-`+string(d.UID)+`.pdf"`)
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b) // whoever does not take it to the end is gone
}
