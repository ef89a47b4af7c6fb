package report

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"varde/report/identity"
	"varde/report/slides"
	"varde/study"
)

// Files is what the exports are made from: a study with its results in force, and
// its objects.
type Files interface {
	Case(ctx context.Context, uid study.UID) (study.Case, error)
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
}

// Exports gives results on slides as files, for QuPath and for research: GeoJSON
// and CSV. A result of a model in shadow is given to nobody, and is not found.
type Exports struct {
	Files  Files
	Slides *Slides
	Lang   string // en, nb, da
	Device Device
	// Allowed says whether a model may speak; nil lets all of them.
	Allowed func(study.ModelRef) error
	// Fail answers a request with an error.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// The forms of a file, by the end of its name.
const (
	FormGeoJSON = "geojson"
	FormCSV     = "csv"
)

var formTypes = map[string]string{FormGeoJSON: "application/geo+json", FormCSV: "text/csv; charset=utf-8"}

// An Export is one slide of one result, ready to be written.
type Export struct {
	work  slides.Work
	slide slides.Slide
	form  string
}

// Open finds a result by its study, model (ID@VERSION) and slide (the Series
// Instance UID), in the form that is asked for. An empty slide stands for the
// worst, or the only one. Errors are of the kinds [study.ErrNotFound],
// [study.ErrInvalid], and [study.ErrWithheld] for a model that was stopped.
func (e *Exports) Open(ctx context.Context, uid study.UID, model string, series study.UID, form string) (Export, error) {
	if formTypes[form] == "" {
		return Export{}, fmt.Errorf("form %q is neither %s nor %s: %w", form, FormGeoJSON, FormCSV, study.ErrInvalid)
	}
	c, err := e.Files.Case(ctx, uid)
	if err != nil {
		return Export{}, err
	}
	for _, r := range c.Results {
		if r.Shadow || r.Model.String() != model {
			continue
		}
		if e.Allowed != nil {
			if err := e.Allowed(r.Model); err != nil {
				return Export{}, err
			}
		}
		return e.open(ctx, c.Study, r, series, form)
	}
	return Export{}, fmt.Errorf("study %s has no result of %s: %w", uid, model, study.ErrNotFound)
}

func (e *Exports) open(ctx context.Context, s study.Study, r study.Result, series study.UID, form string) (Export, error) {
	instances, err := e.Files.Instances(ctx, s.UID)
	if err != nil {
		return Export{}, err
	}
	all, err := e.Slides.Of(ctx, instances, r)
	if err != nil {
		return Export{}, err
	}
	if series == "" {
		series = r.Slide
	}
	for _, one := range all {
		if series == "" && len(all) == 1 || one.Series() == series {
			return Export{slide: one, form: form, work: slides.Work{Result: r, Lang: e.Lang,
				Identity: identity.Identity{Study: s, Device: e.Device.Filled(), At: r.At}}}, nil
		}
	}
	return Export{}, fmt.Errorf("result of %s on study %s: no slide %s: %w", r.Model, s.UID, series, study.ErrNotFound)
}

// Name is a name for the file, which holds no patient.
func (x Export) Name() string {
	return fmt.Sprintf("%s-%s.%s", x.work.Result.Model, x.slide.Series(), x.form)
}

// Write writes the file.
func (x Export) Write(w io.Writer) error {
	if x.form == FormCSV {
		return x.work.WriteCSV(w, x.slide)
	}
	return x.work.WriteGeoJSON(w, x.slide)
}

// ServeHTTP answers GET …/{study}/results/{model}/slides/{file}, where the file is
// the slide's Series Instance UID with the form behind it. It is compressed for a
// client that takes gzip.
func (e *Exports) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, err := e.asked(r)
	if err != nil {
		e.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", formTypes[x.form])
	h.Set("Content-Disposition", `attachment; filename="`+x.Name()+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Last-Modified", x.work.Result.At.UTC().Format(http.TimeFormat))
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		_ = x.Write(w) // whoever does not take it to the end is gone
		return
	}
	h.Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	if x.Write(z) == nil {
		_ = z.Close()
	}
}

// asked reads the path of a request.
func (e *Exports) asked(r *http.Request) (Export, error) {
	uid, err := study.ParseUID(r.PathValue("study"))
	if err != nil {
		return Export{}, err
	}
	file := r.PathValue("file")
	dot := strings.LastIndexByte(file, '.')
	if dot < 0 {
		return Export{}, fmt.Errorf("file %q has no form; ask for SERIES.%s or SERIES.%s: %w", file, FormGeoJSON, FormCSV, study.ErrInvalid)
	}
	series, err := study.ParseUID(file[:dot])
	if err != nil {
		return Export{}, err
	}
	return e.Open(r.Context(), uid, r.PathValue("model"), series, file[dot+1:])
}
