package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"varde/internal/webui"
	"varde/models"
	"varde/report"
	"varde/report/masks"
	"varde/report/slides"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// slideFiles is what heatmaps, annotations and files for research are made from.
func slideFiles(l *store.Ledger, objects report.Opener, registry *models.Registry) *report.Slides {
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
func about(c models.Card) (report.About, error) {
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
func layer(c models.Card) (slides.Layer, error) {
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
func (h *house) print(ctx context.Context, uid study.UID, lang string) ([]byte, error) {
	p := report.Prints{Files: h.ledger, Slides: slideFiles(h.ledger, h.objects, h.registry), Lang: h.Lang, Allowed: h.registry.Allowed}
	return p.Print(ctx, uid, lang)
}

// addExports mounts the files of results on slides.
func (h *house) addExports() {
	h.site.Handle("GET /api/v1/studies/{study}/results/{model}/slides/{file}", webui.SeeStudies, h.veiled(&report.Exports{
		Files: h.ledger, Slides: slideFiles(h.ledger, h.objects, h.registry), Lang: h.Lang, Device: report.Device{Version: version},
		Allowed: h.registry.Allowed,
		Fail:    func(w http.ResponseWriter, r *http.Request, err error) { h.site.Fail(w, r, err) }}))
}

// exportVerb writes a result on a slide to a file.
func exportVerb() *cobra.Command {
	var model, series, form, to string
	c := deskVerb("export STUDY", "Write a result on a slide as GeoJSON, which QuPath opens, or as CSV", cobra.ExactArgs(1),
		func(ctx context.Context, d *desk, args []string) (err error) {
			uid, err := study.ParseUID(args[0])
			if err != nil {
				return exitError{exitUsage, err}
			}
			if form == "" {
				form = strings.TrimPrefix(filepath.Ext(strings.TrimSuffix(to, ".gz")), ".")
			}
			objects, err := d.openObjects(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, objects.Close()) }()
			if model, err = d.onlyModel(ctx, uid, model); err != nil {
				return err
			}
			e := &report.Exports{Files: d.ledger, Slides: slideFiles(d.ledger, objects, d.registry), Lang: d.Lang, Device: report.Device{Version: version},
				Allowed: d.registry.Allowed}
			x, err := e.Open(ctx, uid, model, study.UID(series), form)
			if err != nil {
				return err
			}
			if to == "" {
				return x.Write(d.out)
			}
			if err := writeExport(x, to); err != nil {
				return err
			}
			d.print(map[string]any{"file": to, "study_uid": uid, "model": model}, "%s written", to)
			return nil
		})
	f := c.Flags()
	f.StringVar(&model, "model", "", "ID@VERSION; not needed where there is one result")
	f.StringVar(&series, "slide", "", "Series Instance UID of the slide; the worst one when left out")
	f.StringVar(&form, "form", "", "geojson or csv; when left out, by the end of --out")
	f.StringVar(&to, "out", "", "file to write, compressed when it ends in .gz; standard output when left out")
	return c
}

// openObjects opens the objects of the folder beside whoever serves it.
func (d *desk) openObjects(ctx context.Context) (objects.Store, error) {
	where := d.Store
	if where == "" {
		where = d.folder("objects")
	}
	return objects.Open(ctx, where, objects.Credentials{AccessKey: d.S3AccessKey, SecretKey: d.S3SecretKey})
}

// onlyModel gives the model that is named, or the only one that has a result.
func (d *desk) onlyModel(ctx context.Context, uid study.UID, model string) (string, error) {
	if model != "" {
		return model, nil
	}
	c, err := d.ledger.Case(ctx, uid)
	if err != nil {
		return "", err
	}
	var all []string
	for _, r := range c.Results {
		if !r.Shadow {
			all = append(all, r.Model.String())
		}
	}
	if len(all) != 1 {
		return "", exitError{exitUsage, fmt.Errorf("study %s has results of %d models (%s): name one with --model", uid, len(all), strings.Join(all, ", "))}
	}
	return all[0], nil
}

// writeExport writes a file whole or not at all.
func writeExport(x report.Export, to string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(to), ".export-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	var w io.Writer = f
	z := gzip.NewWriter(f)
	if strings.HasSuffix(to, ".gz") {
		w = z
	}
	err = x.Write(w)
	if w == z {
		err = errors.Join(err, z.Close())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}
