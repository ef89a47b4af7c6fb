package house

import (
	"context"
	"fmt"
	"net/http"

	"varde/cmd/varde/settings"
	"varde/internal/webui"
	"varde/models"
	"varde/models/modelcard"
	"varde/report"
	"varde/report/masks"
	"varde/report/slides"
	"varde/store"
	"varde/study"
)

// SlideFiles is what heatmaps, annotations and files for research are made from.
func SlideFiles(l *store.Ledger, objects report.Opener, registry *models.Registry) *report.Slides {
	return &report.Slides{Rows: l, Objects: objects, Index: l, Layer: func(ref study.ModelRef) (slides.Layer, error) {
		c, err := registry.Card(ref)
		if err != nil {
			return slides.Layer{}, err
		}
		return layer(c)
	}, About: func(ref study.ModelRef) (report.About, error) {
		c, err := registry.Card(ref)
		if err != nil {
			return report.About{}, err
		}
		return about(c)
	}}
}

// about says of a card what reports depend on besides results.
func about(c modelcard.Card) (report.About, error) {
	form, err := masks.ParseForm(c.Masks)
	if err != nil {
		return report.About{}, err
	}
	a := report.About{Form: form}
	for _, s := range c.Segment {
		a.Segments = append(a.Segments, masks.Segment{Name: s.Name, What: s.What, Site: s.Site, Lesions: s.Lesions})
		if s.Lesions && a.Looks.Zero() {
			a.Looks = s.What
		}
	}
	if c.Find != nil && !c.Find.What.Zero() {
		a.Looks = c.Find.What
	}
	return a, nil
}

// layer says what a model's heat is, out of its card.
func layer(c modelcard.Card) (slides.Layer, error) {
	column, ok := c.Heat()
	if !ok {
		return slides.Layer{}, fmt.Errorf("%s gives no number of a patch: %w", c.Ref(), study.ErrNotFound)
	}
	l := slides.Layer{Index: column.Index, Name: column.Name, Probability: column.Probability, Low: column.Low, High: column.High}
	for _, o := range c.Output {
		if o.Name == column.Name {
			l.What, l.Unit = o.Measure, o.Unit
		}
	}
	if f := c.Find; f != nil && (f.Scalar == column.Name || f.Map == column.Name || f.Objects == column.Name) {
		l.What, l.Threshold = f.What, f.Threshold
	}
	return l, nil
}

// print gives what models found in a study on paper.
func (h *House) print(ctx context.Context, uid study.UID, lang string) ([]byte, error) {
	p := report.Prints{Files: h.Ledger, Slides: SlideFiles(h.Ledger, h.Objects, h.Registry), Lang: h.Lang, Allowed: h.Registry.Allowed}
	return p.Print(ctx, uid, lang)
}

// addExports mounts the files of results on slides.
func (h *House) addExports() {
	h.Site.Handle("GET /api/v1/studies/{study}/results/{model}/slides/{file}", webui.SeeStudies, h.veiled(&report.Exports{
		Files: h.Ledger, Slides: SlideFiles(h.Ledger, h.Objects, h.Registry), Lang: h.Lang, Device: report.Device{Version: settings.Version},
		Allowed: h.Registry.Allowed,
		Fail:    func(w http.ResponseWriter, r *http.Request, err error) { h.Site.Fail(w, r, err) }}))
}
