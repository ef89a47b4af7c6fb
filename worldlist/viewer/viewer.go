// Package viewer is the server's part of the viewers: it tells their scripts what there
// is to show, and sends frames, tiles of slides, and what models drew and scored.
//
//	SeriesOf, ViewOf   what the script is told: stacks of frames, slides, marks on them
//	Viewer.Tray        the slides of a study, with what each model says of each
//	Viewer.Add         frames, tiles, heat maps, outlines, earlier exams
//	Decoder            frames and headers out of stored objects
//
// A frame is sent as values, and a picture of it comes first: quick.go. A slide is read
// tile by tile, as its scanner stored it: slides.go. What a model drew or scored is sent
// to those who may see it, as the veil says; labels of slides to nobody.
package viewer

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"varde/internal/codec"
	"varde/internal/slide"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/foreign"
	"varde/worldlist/veil"
)

// Instances are the objects of a study.
type Instances interface {
	// Instances gives those that were received, sorted by series number,
	// instance number and UID.
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
	// Instance gives one of them.
	Instance(ctx context.Context, uid study.UID) (study.Instance, error)
}

// Frames decodes single frames. [Decoder] does.
type Frames interface {
	// Frame gives frame n, counted from 0, as its sender stored it.
	Frame(ctx context.Context, in study.Instance, n int) (codec.Frame, error)
}

// Slides reads slides. [slide.Reader] does.
type Slides interface {
	// Tiles opens one resolution of a slide for single tiles.
	Tiles(levels []slide.Level, s slide.Step) (*slide.Tiles, error)
	// Overview gives a whole slide at about mpp µm per pixel.
	Overview(ctx context.Context, levels []slide.Level, mpp float64) (rgb []byte, w, h int, at [2]float64, err error)
}

// A Viewer sends images and what lies on them. [Viewer.Add] comes before all else.
type Viewer struct {
	Veil      *veil.Veil
	Instances Instances
	Frames    Frames
	Slides    Slides
	// Touch hears that the visitor of a request looks at images of a study.
	Touch func(r *http.Request, uid study.UID)
	// Objects give the small pictures of slides that were made when their study
	// settled; nil: they are made when they are asked for.
	Objects codec.Ranger
	// Heats tell what models have scored of slides; nil: slides are shown without
	// heat maps, and how far a model is stays unsaid.
	Heats Heats
	// Headers tell how images want to be shown; nil: by the first window that the
	// ledger knows.
	Headers Headers
	// Segments names the segments of a model that it draws, in their order and in a
	// language; nil, or none: they are numbered.
	Segments func(webui.Lang, study.ModelRef) []string

	// Others tells which objects of other makers the visitor may not see; nil: none is
	// kept back.
	Others *foreign.Room

	site    *webui.Site
	shelf   shelf
	memo    memo
	headers drawer
	drawn   portfolio
	atlas   atlas
}

//go:embed static
var files embed.FS

// Part gives the viewers' scripts to a site.
func Part() webui.Part {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return webui.Part{Static: static}
}

// Add puts images on a site that was made with [Part].
func (v *Viewer) Add(site *webui.Site) {
	v.site = site
	const frame, slide = "GET /studies/{study}/frames/{instance}/{frame}", "GET /studies/{study}/slides/{series}"
	site.Handle(frame, webui.SeeStudies, http.HandlerFunc(v.frame))
	site.Handle(frame+"/quick", webui.SeeStudies, http.HandlerFunc(v.quick))
	site.Handle(frame+"/tables/{table}", webui.SeeStudies, http.HandlerFunc(v.table))
	site.Handle(frame+"/masks", webui.SeeStudies, http.HandlerFunc(v.pieces))
	site.Handle("GET /studies/{study}/masks", webui.SeeStudies, http.HandlerFunc(v.layers))
	site.Handle("GET /studies/{study}/priors", webui.SeeStudies, http.HandlerFunc(v.priors))
	site.Handle("GET /studies/{study}/slides", webui.SeeStudies, http.HandlerFunc(v.slidesJSON))
	site.Handle(slide+"/thumb", webui.SeeStudies, http.HandlerFunc(v.thumb))
	site.Handle(slide+"/mask", webui.SeeStudies, http.HandlerFunc(v.mask))
	site.Handle(slide+"/tiles/{level}/{column}/{row}", webui.SeeStudies, http.HandlerFunc(v.tile))
	site.Handle(slide+"/heat", webui.SeeStudies, http.HandlerFunc(v.heat))
}
