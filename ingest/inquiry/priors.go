package inquiry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

const (
	// priorsEvery is how often studies without a search are looked for.
	priorsEvery = 2 * time.Second
	// priorSearches is how many studies' priors are fetched at once.
	priorSearches = 2
	// priorTries is how often an archive is asked for a study's priors.
	priorTries = 5
	// priorsFor is for how old a study's arrival priors are still looked for, after
	// the service was down.
	priorsFor = 24 * time.Hour
	// mostPatientStudies is how many studies of one patient are considered.
	mostPatientStudies = 1000
)

// A History is what the ledger knows of searches for priors.
type History interface {
	// PriorsDue gives studies whose priors are to be looked for.
	PriorsDue(ctx context.Context, since time.Time, limit int) ([]study.Study, error)
	// PriorTries tells how often they were, for a study.
	PriorTries(ctx context.Context, of study.UID) (int, error)
	// PriorsSearched records a search; the next one is due at next, the zero time
	// ends it.
	PriorsSearched(ctx context.Context, of study.UID, found int, cause string, next time.Time) error
}

// Wanted is what the ledger knows of priors.
type Wanted interface {
	// WantPriors records what is asked for, before it is, and gives what has yet to
	// come.
	WantPriors(ctx context.Context, found []study.Prior) ([]study.Prior, error)
	// PriorCame records how a prior came, or why it did not.
	PriorCame(ctx context.Context, uid study.UID, how, cause string) error
}

// A PriorRule says which earlier studies of a patient are fetched.
type PriorRule struct {
	Most         int // the latest ones
	Months       int // not older than these, before the study; 0 for any age
	SameModality bool
	SameBodyPart bool // where both studies tell theirs
}

// A Historian fetches the priors of studies from an archive. What it fetches is
// recorded as a prior before it is asked for. The fields must be set.
type Historian struct {
	Archive *Inquirer // who is asked, and how
	History History
	Wanted  Wanted
	Rule    PriorRule
	Log     *slog.Logger
}

// Run looks for priors until ctx ends.
func (h *Historian) Run(ctx context.Context) error {
	tick := time.NewTicker(priorsEvery)
	defer tick.Stop()
	for {
		if err := h.round(ctx); err != nil && ctx.Err() == nil {
			h.Log.WarnContext(ctx, "searches for priors not read", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (h *Historian) round(ctx context.Context) error {
	due, err := h.History.PriorsDue(ctx, time.Now().Add(-priorsFor), 16)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(priorSearches)
	for _, st := range due {
		g.Go(func() error { return h.search(ctx, st) })
	}
	return g.Wait()
}

// search finds and fetches the priors of one study. It returns only errors of the
// ledger.
func (h *Historian) search(ctx context.Context, st study.Study) error {
	limited, cancel := context.WithTimeout(ctx, inquiryLimit)
	defer cancel()
	found, cause := h.find(limited, st)
	if cause == nil {
		wanted, err := h.Wanted.WantPriors(ctx, found)
		if err != nil {
			return err
		}
		for _, p := range wanted {
			how, failed := h.fetch(limited, p.Study)
			if ctx.Err() != nil {
				return nil // we stop; it is wanted still
			}
			text := ""
			if failed != nil {
				text, cause = failed.Error(), failed
			}
			if err := h.Wanted.PriorCame(ctx, p.Study, how, text); err != nil {
				return err
			}
			h.Log.InfoContext(ctx, "prior asked for", "study", st.UID, "prior", p.Study, "ae", h.Archive.AET, "how", how, "err", failed)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return h.searched(ctx, st, len(found), cause)
}

// searched records a search, and when to make it again after a failure.
func (h *Historian) searched(ctx context.Context, st study.Study, found int, cause error) error {
	if cause == nil {
		return h.History.PriorsSearched(ctx, st.UID, found, "", time.Time{})
	}
	tries, err := h.History.PriorTries(ctx, st.UID)
	if err != nil {
		return err
	}
	next := time.Now().Add(min(10*time.Second<<(2*tries), 15*time.Minute))
	if tries+1 >= priorTries {
		next = time.Time{}
	}
	h.Log.WarnContext(ctx, "priors not fetched", "study", st.UID, "ae", h.Archive.AET, "tries", tries+1, "next", next, "err", cause)
	return h.History.PriorsSearched(ctx, st.UID, found, cause.Error(), next)
}

// An Earlier is a study that an archive lists for a patient.
type Earlier struct {
	Study      study.UID
	Patient    study.Patient
	Date       string // YYYYMMDD
	Modalities []string
	BodyParts  []string // of its series, where the archive tells
	Objects    int      // -1 where the archive does not say
}

// find asks the archive for a patient's studies and chooses the priors.
func (h *Historian) find(ctx context.Context, st study.Study) ([]study.Prior, error) {
	id := st.Patient.Reveal().ID
	if id == "" || strings.ContainsAny(id, `*?\`) { // these would match other patients
		return nil, nil
	}
	a, err := h.Archive.Dial(ctx, dimse.Plain(findClass))
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Abort() }() // which does nothing after a release
	all, err := askPatient(ctx, a, id)
	if err != nil {
		return nil, err
	}
	instances, err := h.Archive.Ledger.Instances(ctx, st.UID)
	if err != nil {
		return nil, err
	}
	// Only those that may be chosen are asked about further: many archives tell at
	// study level neither modalities nor parts of the body.
	var closer []Earlier
	rough := PriorRule{Most: 4 * h.Rule.Most, Months: h.Rule.Months}
	for _, p := range ChoosePriors(st, instances, all, rough) {
		e := all[slices.IndexFunc(all, func(e Earlier) bool { return e.Study == p.Study })]
		if h.Rule.SameBodyPart || len(e.Modalities) == 0 {
			if err := e.askSeries(ctx, a); err != nil {
				return nil, err
			}
		}
		closer = append(closer, e)
	}
	_ = a.Release() // the answers are here
	priors := ChoosePriors(st, instances, closer, h.Rule)
	for i := range priors {
		priors[i].AE = h.Archive.AET
	}
	return priors, nil
}

// askPatient lists the studies of a patient ID.
func askPatient(ctx context.Context, a *dimse.Association, id string) (all []Earlier, err error) {
	q := dicom.NewItem().Set(dicom.QueryRetrieveLevel, "STUDY").Set(dicom.SpecificCharacterSet, "ISO_IR 192").Set(dicom.PatientID, id).
		Set(dicom.IssuerOfPatientID).Set(dicom.PatientName).Set(dicom.PatientBirthDate).Set(dicom.PatientSex).
		Set(dicom.StudyInstanceUID).Set(dicom.StudyDate).Set(dicom.ModalitiesInStudy).Set(dicom.NumberOfStudyRelatedInstances)
	err = find(ctx, a, q, func(d *dicom.Dataset) error {
		uid, err := study.ParseUID(d.Text(dicom.StudyInstanceUID))
		if err != nil {
			return nil // nothing that can be asked for
		}
		if len(all) >= mostPatientStudies {
			return fmt.Errorf("more than %d studies of one patient: %w", mostPatientStudies, study.ErrInvalid)
		}
		all = append(all, Earlier{Study: uid, Date: d.Text(dicom.StudyDate), Modalities: d.Texts(dicom.ModalitiesInStudy),
			Objects: number(d, dicom.NumberOfStudyRelatedInstances), Patient: study.NewPatient(study.Person{
				ID: d.Text(dicom.PatientID), Issuer: d.Text(dicom.IssuerOfPatientID), Name: d.Text(dicom.PatientName),
				Birth: d.Text(dicom.PatientBirthDate), Sex: d.Text(dicom.PatientSex)})})
		return nil
	})
	return all, err
}

// askSeries asks for the modalities and the parts of the body of a study's series.
func (e *Earlier) askSeries(ctx context.Context, a *dimse.Association) error {
	add := func(to *[]string, word string) {
		if word != "" && !slices.Contains(*to, word) && len(*to) < mostSeries {
			*to = append(*to, word)
		}
	}
	err := find(ctx, a, query("SERIES", e.Study).Set(dicom.SeriesInstanceUID).Set(dicom.Modality).Set(dicom.BodyPartExamined), func(d *dicom.Dataset) error {
		add(&e.Modalities, d.Text(dicom.Modality))
		add(&e.BodyParts, strings.ToUpper(d.Text(dicom.BodyPartExamined)))
		return nil
	})
	slices.Sort(e.Modalities)
	slices.Sort(e.BodyParts)
	return err
}

// ChoosePriors says which of the studies that an archive lists are priors of a study
// under a rule, the latest first, and on what evidence. It decides by its arguments
// alone. Whoever does not agree in patient ID, and in birth date or family name, or
// contradicts in birth date, sex or issuer, is another patient.
func ChoosePriors(of study.Study, instances []study.Instance, listed []Earlier, rule PriorRule) []study.Prior {
	var parts, modalities []string
	for _, in := range instances {
		if in.Modality != "" {
			modalities = append(modalities, string(in.Modality))
		}
		if in.Image != nil && in.Image.BodyPart != "" {
			parts = append(parts, strings.ToUpper(in.Image.BodyPart))
		}
	}
	oldest := ""
	if on, err := time.Parse("20060102", of.Date); err == nil && rule.Months > 0 {
		oldest = on.AddDate(0, -rule.Months, 0).Format("20060102")
	}
	shared := func(a, b []string) bool {
		return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
	}
	var out []study.Prior
	for _, e := range listed {
		matched, same := samePerson(of.Patient.Reveal(), e.Patient.Reveal())
		switch {
		case e.Study == of.UID, !same, e.Date == "", of.Date != "" && e.Date > of.Date, e.Date < oldest:
			continue
		case rule.SameModality && !shared(e.Modalities, modalities):
			continue
		case rule.SameBodyPart && len(e.BodyParts) > 0 && len(parts) > 0 && !shared(e.BodyParts, parts):
			continue
		}
		if shared(e.Modalities, modalities) {
			matched = append(matched, "ModalitiesInStudy")
		}
		if shared(e.BodyParts, parts) {
			matched = append(matched, "BodyPartExamined")
		}
		out = append(out, study.Prior{Study: e.Study, Of: of.UID, Objects: e.Objects,
			Evidence: study.PriorEvidence{Date: e.Date, Modalities: e.Modalities, BodyParts: e.BodyParts, Matched: matched}})
	}
	slices.SortFunc(out, func(a, b study.Prior) int {
		return cmp.Or(cmp.Compare(b.Evidence.Date, a.Evidence.Date), cmp.Compare(a.Study, b.Study))
	})
	return out[:min(len(out), rule.Most)]
}

// samePerson holds two records of a patient against each other and says in what they
// agree.
func samePerson(a, b study.Person) (matched []string, same bool) {
	if a.ID != b.ID || a.ID == "" {
		return nil, false
	}
	matched = []string{"PatientID"}
	for _, f := range []struct{ keyword, a, b string }{
		{"IssuerOfPatientID", a.Issuer, b.Issuer}, {"PatientBirthDate", a.Birth, b.Birth}, {"PatientSex", a.Sex, b.Sex},
	} {
		switch {
		case f.a == "" || f.b == "":
		case f.a != f.b:
			return nil, false
		default:
			matched = append(matched, f.keyword)
		}
	}
	family := func(name string) string {
		name, _, _ = strings.Cut(name, "^")
		return strings.TrimSpace(name)
	}
	if f := family(a.Name); f != "" && strings.EqualFold(f, family(b.Name)) {
		matched = append(matched, "PatientName")
	}
	return matched, slices.Contains(matched, "PatientBirthDate") || slices.Contains(matched, "PatientName")
}

// fetch brings a whole study here.
func (h *Historian) fetch(ctx context.Context, uid study.UID) (how string, err error) {
	a, err := h.Archive.Dial(ctx, dimse.Plain(findClass))
	if err != nil {
		return "", err
	}
	series, _, err := askSeries(ctx, a, uid)
	var listed []remote
	for _, s := range series {
		if err == nil {
			listed, err = askImages(ctx, a, uid, s.uid, nil, listed)
		}
	}
	if err != nil {
		return "", errors.Join(err, a.Abort())
	}
	_ = a.Release() // the answers are here
	if len(listed) == 0 || len(listed) > mostFetched {
		return "", fmt.Errorf("prior %s has %d objects, not 1 to %d: %w", uid, len(listed), mostFetched, study.ErrRefused)
	}
	e := study.Expectation{ID: study.DerivedUID("inquiry", h.Archive.AET, string(uid)), Study: uid, Source: "find", Over: true}
	for _, o := range listed {
		e.Objects = append(e.Objects, o.instance)
	}
	if err := h.Archive.Ledger.Expect(ctx, []study.Expectation{e}); err != nil {
		return "", err
	}
	here, err := h.Archive.holding(ctx, uid)
	if err != nil {
		return "", err
	}
	lacking := here.lacks(listed)
	if len(lacking) == 0 {
		return "get", nil // it came before a stop
	}
	if how, err = h.Archive.fetch(ctx, uid, here, lacking); err != nil {
		return how, err
	}
	if here, err = h.Archive.holding(ctx, uid); err == nil {
		if n := len(here.lacks(listed)); n > 0 {
			err = fmt.Errorf("%d of %d objects of prior %s did not come: %w", n, len(listed), uid, study.ErrIncomplete)
		}
	}
	return how, err
}
