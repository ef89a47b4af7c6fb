package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/report"
	"varde/study"
)

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
			objects, err := d.OpenObjects(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, objects.Close()) }()
			if model, err = d.onlyModel(ctx, uid, model); err != nil {
				return err
			}
			e := &report.Exports{Files: d.Ledger, Slides: house.SlideFiles(d.Ledger, objects, d.Registry), Lang: d.Lang, Device: report.Device{Version: settings.Version},
				Allowed: d.Registry.Allowed}
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

// onlyModel gives the model that is named, or the only one that has a result.
func (d *desk) onlyModel(ctx context.Context, uid study.UID, model string) (string, error) {
	if model != "" {
		return model, nil
	}
	c, err := d.Ledger.Case(ctx, uid)
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
