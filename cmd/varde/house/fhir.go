package house

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"varde/cmd/varde/settings"
	"varde/internal/webui"
	"varde/internal/words"
	"varde/report"
	"varde/report/fhir"
	"varde/report/fhir/rest"
	"varde/store"
	"varde/study"
)

// FHIRBase is where FHIR lives, each version below it.
const FHIRBase = "/fhir/"

// addFHIR mounts the reading of results as FHIR resources.
func (h *House) addFHIR() {
	lang, _ := words.ParseLang(h.Lang)
	for _, v := range fhir.Versions {
		base := FHIRBase + string(v)
		s := &rest.Server{Version: v, Base: base, Cases: openCases{h.Ledger, h}, Past: h.Ledger, Lang: lang, Organization: h.Organization,
			Device: report.Device{Version: settings.Version}, Installation: h.Installation, Models: h.fhirModels, Allowed: h.Registry.Allowed, Mask: h.hides, DICOMweb: DICOMwebBase, Log: h.log}
		h.Site.Handle(base+"/", webui.SeeStudies, s)
	}
	h.Site.Handle(FHIRBase, webui.SeeStudies, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Site.Fail(w, r, fmt.Errorf("there is no such version of FHIR here; there are %v, as in %s%s/metadata: %w", fhir.Versions, FHIRBase, fhir.Versions[0], study.ErrNotFound))
	}))
	h.Site.Faults(FHIRBase, func(w http.ResponseWriter, r *http.Request, code int, detail string) {
		version := fhir.Versions[0]
		for _, v := range fhir.Versions {
			if strings.HasPrefix(r.URL.Path, FHIRBase+string(v)+"/") {
				version = v
			}
		}
		rest.Fault(w, version, code, detail)
	})
}

// openCases are the studies with those objects that whoever asks may know of.
type openCases struct {
	*store.Ledger
	h *House
}

// Instances gives those of a study, as DICOMweb does.
func (o openCases) Instances(ctx context.Context, uid study.UID) ([]study.Instance, error) {
	instances, err := o.Ledger.Instances(ctx, uid)
	if err != nil {
		return nil, err
	}
	seen, all, err := o.h.mask(ctx, uid)
	if err != nil || all {
		return instances, err
	}
	return slices.DeleteFunc(instances, func(in study.Instance) bool { return !seen[in.UID] }), nil
}

// hides reports whether what the AI said of a study is to be kept from whoever asks:
// from readers whose own answer comes first.
func (h *House) hides(ctx context.Context, uid study.UID) (bool, error) {
	if r := h.rules(); !r.Blind && !r.NoDetail {
		return false, nil
	}
	return h.veil.Hidden(ctx, uid)
}

// fhirModels lists the models that were ever let run.
func (h *House) fhirModels(ctx context.Context) ([]rest.Model, error) {
	changes, err := h.Ledger.Models(ctx)
	if err != nil {
		return nil, err
	}
	var all []rest.Model
	for _, c := range changes {
		if c.State == study.ModelDraft {
			continue
		}
		m := rest.Model{Ref: c.Model, Name: c.Model.ID}
		if card, err := h.Registry.Card(c.Model); err == nil { // one that is withdrawn may be away
			lang, _ := words.ParseLang(h.Lang)
			m.Name, m.Regulatory = card.Name, card.In(string(lang)).Regulatory
		}
		all = append(all, m)
	}
	return all, nil
}
