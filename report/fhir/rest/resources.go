package rest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"varde/internal/words"
	"varde/report/answer"
	"varde/report/fhir"
	"varde/study"
)

// A found is a resource with what a server knows of it.
type found struct {
	resource fhir.Resource
	at       time.Time // when it changed last; zero where nobody knows
	study    study.Study
}

// versioned writes a resource with its version, which is made from its content: the
// same content is the same version in every process.
func (s *Server) versioned(f found) (b []byte, version string, err error) {
	if b, err = fhir.Write(s.Version, f.resource); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(b)
	version = hex.EncodeToString(sum[:8])
	m := fhir.Meta{VersionID: version}
	if !f.at.IsZero() {
		m.LastUpdated = f.at.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	fhir.SetMeta(f.resource, m)
	b, err = fhir.Write(s.Version, f.resource)
	return b, version, err
}

// byID gives the resources among which one of this ID would be.
func (s *Server) byID(ctx context.Context, k kind, id, host string) ([]found, error) {
	if k.site {
		return s.siteOf(ctx, k, host)
	}
	named, err := fhir.ParseID(id)
	if err != nil {
		return nil, err
	}
	c, err := s.Cases.Case(ctx, named.Study)
	if errors.Is(err, study.ErrNotFound) {
		return nil, fmt.Errorf("%s/%s: %w", k.name, id, study.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return s.resourcesOf(ctx, k, c)
}

// siteOf gives the resources that belong to no study: the models and we ourselves,
// and where our DICOMweb is.
func (s *Server) siteOf(ctx context.Context, k kind, host string) ([]found, error) {
	w := s.work()
	w.Device.Installation = s.Installation.ID
	if k.name == "Endpoint" {
		if s.DICOMweb == "" {
			return nil, nil
		}
		w.DICOMweb = host + s.DICOMweb
		return []found{{resource: w.Endpoint()}}, nil
	}
	all := []found{{resource: w.House()}}
	if s.Models == nil {
		return all, nil
	}
	models, err := s.Models(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		w.Result = study.Result{Model: m.Ref, Name: m.Name}
		w.Told.Disclaimer = m.Regulatory
		all = append(all, found{resource: w.Algorithm()})
	}
	return all, nil
}

// work is what all works have.
func (s *Server) work() fhir.Work {
	return fhir.Work{Device: s.Device, Location: s.Location, DICOMweb: s.DICOMweb, Told: words.Told{Lang: cmp.Or(s.Lang, words.English)}}
}

// workOn is work on a study, with the names that what is told of it elsewhere has.
func (s *Server) workOn(st study.Study) fhir.Work {
	w := s.work()
	w.Study, w.Device.Installation = st, s.Installation.Of(st)
	return w
}

// resourcesOf gives the resources of one type that a study has.
func (s *Server) resourcesOf(ctx context.Context, k kind, c study.Case) ([]found, error) {
	instances, err := s.Cases.Instances(ctx, c.Study.UID)
	if err != nil {
		return nil, err
	}
	if k.name == "ImagingStudy" {
		w := s.workOn(c.Study)
		w.Instances = instances
		return []found{{w.Imaging(), cmp.Or(c.Study.LastInstanceAt, c.Study.ReceivedAt), c.Study}}, nil
	}
	works, err := s.works(ctx, c, instances)
	if err != nil {
		return nil, err
	}
	var all []found
	for _, w := range works {
		for _, r := range w.Resources() {
			if fhir.TypeOf(r) == k.name {
				all = append(all, found{r, w.Changed(), c.Study})
			}
		}
	}
	return all, nil
}

// works gives what the resources of a study's results are made from: none of a
// model in shadow, and none that is hidden from whoever asks. Where the AI has answered
// anew since a reader did, there is one more of that reader's answer.
func (s *Server) works(ctx context.Context, c study.Case, instances []study.Instance) ([]fhir.Work, error) {
	if s.Mask != nil {
		if hidden, err := s.Mask(ctx, c.Study.UID); err != nil || hidden {
			return nil, err
		}
	}
	p, err := s.pastOf(ctx, c)
	if err != nil {
		return nil, err
	}
	var all []fhir.Work
	for _, r := range c.Results {
		if r.Shadow {
			continue
		}
		w := s.workOn(c.Study)
		w.Instances, w.Result = instances, r
		for i, old := range p.results[r.Rev-1] {
			if old.Model == r.Model && !old.Shadow {
				w.Replaces, w.Old = true, &p.results[r.Rev-1][i]
			}
		}
		works := []fhir.Work{w}
		before := p.signed(r, s.Organization)
		if a, ok := answer.InForce(p.readings, p.steps, r); ok {
			a.Organization = s.Organization
			works[0].Answer, works[0].Earlier = &a, before
		} else if before != nil {
			w.Result, w.Answer, w.Final, w.Alone, w.Replaces, w.Old = before.Result, &before.Answer, true, true, false, nil
			works = append(works, w)
		}
		for _, w := range works {
			if err := s.standing(&w, c.Reports); err != nil {
				return nil, err
			}
			w.Told = words.Tell(w.Told.Lang, c.Study, w.Result, words.TellOptions{Instances: instances, Replaces: w.Replaces})
			all = append(all, w)
		}
	}
	return all, nil
}

// A past is what was said of a study before, and by whom it was read.
type past struct {
	readings []study.Reading
	steps    []study.ReadingStep
	results  map[int][]study.Result // by revision: the one before this, and those that were read
}

// pastOf reads the past of a study, of which there is none without results.
func (s *Server) pastOf(ctx context.Context, c study.Case) (p past, err error) {
	if s.Past == nil || !slices.ContainsFunc(c.Results, func(r study.Result) bool { return !r.Shadow }) {
		return p, nil
	}
	if p.readings, err = s.Past.Readings(ctx, c.Study.UID); err != nil {
		return p, err
	}
	if p.steps, err = s.Past.Steps(ctx, c.Study.UID); err != nil {
		return p, err
	}
	p.results = map[int][]study.Result{}
	for _, r := range c.Results {
		revs := []int{r.Rev - 1}
		for _, one := range p.readings {
			revs = append(revs, one.Rev)
		}
		for _, rev := range revs {
			if _, known := p.results[rev]; known || rev < 1 || rev >= r.Rev {
				continue
			}
			if p.results[rev], err = s.Past.ResultsOf(ctx, c.Study.UID, rev); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// signed gives the latest earlier result of the model to which a reader has answered,
// with that answer, or nil.
func (p past) signed(r study.Result, organization string) *fhir.Signed {
	for rev := r.Rev - 1; rev > 0; rev-- {
		for _, old := range p.results[rev] {
			if old.Model != r.Model || old.Shadow {
				continue
			}
			if a, ok := answer.InForce(p.readings, p.steps, old); ok {
				a.Organization = organization
				return &fhir.Signed{Result: old, Answer: a}
			}
		}
	}
	return nil
}

// standing finds out whether a result holds, and what was written of it.
func (s *Server) standing(w *fhir.Work, reports []study.Report) error {
	if s.Allowed != nil {
		err := s.Allowed(w.Result.Model)
		if err != nil && !errors.Is(err, study.ErrWithheld) {
			return err
		}
		w.Withdrawn = err != nil
	}
	for _, r := range reports {
		if r.Model != w.Result.Model || r.Rev != w.Result.Rev {
			continue
		}
		if r.Purpose == study.PurposeWithdrawn {
			w.Withdrawn = true
			if r.At.After(w.WithdrawnAt) {
				w.WithdrawnAt = r.At
			}
			continue
		}
		if r.Lang == "" || r.Lang == string(w.Told.Lang) {
			w.Objects = append(w.Objects, r)
		}
	}
	return nil
}
