// Package upload is the page on which DICOM files are handed in by a browser.
//
//	Pages.Add         GET and POST /upload, for those who may send studies
//	pages.take        each file of the form is one object of ingest, or a slide file
//	pages.postSlide   POST /api/v1/slides: a slide file, with whose it is
//
// It stands beside the DICOMweb service, on the floor of ingest, for it is one
// more door of the same receiver. Files stream through: none is held in memory.
// What a file is called may name a patient: it is shown to who sent it, and goes
// into no log.
package upload

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"

	"varde/ingest"
	"varde/internal/webui"
	"varde/study"
)

// A Receiver keeps one object; [ingest.Receiver] is the one that there is.
type Receiver interface {
	Receive(ctx context.Context, src ingest.Source, o ingest.Object) (ingest.Kept, error)
}

// maxFiles bounds one form, for its answer is held in memory.
const maxFiles = 20_000

// Pages is the upload page. Receiver and Log are needed.
type Pages struct {
	Receiver Receiver
	// Slides keeps the slide files that are no DICOM. nil takes none.
	Slides SlideKeeper
	// Ended is told the studies of each form when it is over. nil is told
	// nothing.
	Ended func(studies ...study.UID)
	Log   *slog.Logger
}

//go:embed templates static
var files embed.FS

// Part gives the template, the script and the place in the navigation to a site.
func Part() webui.Part {
	return webui.Part{Templates: folder("templates"), Static: folder("static"),
		Nav: []webui.Nav{{Path: "/upload", Label: "nav.upload", Right: webui.SendStudies}}}
}

// folder is one of the embedded ones, which are known to be there.
func folder(name string) fs.FS {
	f, err := fs.Sub(files, name)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return f
}

type pages struct {
	Pages
	site *webui.Site
}

// Add adds the page to a site.
func (p Pages) Add(site *webui.Site) {
	on := &pages{p, site}
	site.Page("GET /upload", webui.SendStudies, on.show)
	site.Page("POST /upload", webui.SendStudies, on.take)
	on.api(site)
}

// view is what the template sees.
type view struct {
	Sent    bool
	Files   []line
	Kept    int // of Files
	Lead    string
	Broken  bool // the form ended early
	Studies []study.UID
	Fields  []field // whose the slide files are; none where no slide files are taken
}

// A line is what became of one file.
type line struct {
	Name, Outcome string
	Study         study.UID
	Bad           bool
	Detail        string // of a refusal; it names no patient
}

func (p *pages) show(r *http.Request) (webui.View, error) {
	return p.view(r, view{}, http.StatusOK), nil
}

func (p *pages) view(r *http.Request, v view, code int) webui.View {
	if p.Slides != nil {
		v.Fields = fields()
	}
	return webui.View{Template: "upload", Title: webui.VisitOf(r.Context()).Lang.T("nav.upload"), Data: v, Status: code}
}

// take keeps the files of a form.
func (p *pages) take(r *http.Request) (webui.View, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return webui.View{}, fmt.Errorf("read the form: %w: %w", study.ErrInvalid, err)
	}
	l := webui.VisitOf(r.Context()).Lang
	v, about := view{Sent: true}, map[string]string{}
	for len(v.Files) < maxFiles {
		part, err := form.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			v.Broken = true
			break
		}
		name := path.Base(strings.ReplaceAll(part.FileName(), `\`, "/"))
		if known, err := readField(about, part); err != nil {
			return webui.View{}, err
		} else if known || part.FormName() != "files" || part.FileName() == "" {
			continue
		}
		kept, err := p.takeFile(r, about, name, part)
		v.Files = append(v.Files, p.line(l, name, kept, err))
		if err == nil {
			v.Kept++
			if !slices.Contains(v.Studies, kept.Study) {
				v.Studies = append(v.Studies, kept.Study)
			}
		}
		if errors.Is(err, ingest.ErrBroken) {
			v.Broken = true
			break
		}
	}
	if p.Ended != nil && len(v.Studies) > 0 {
		p.Ended(v.Studies...)
	}
	p.Log.InfoContext(r.Context(), "files uploaded", "by", webui.VisitOf(r.Context()).Who.Name, "stored", v.Kept, "refused", len(v.Files)-v.Kept)
	v.Lead = l.T("upload.result", v.Kept, len(v.Files))
	code := http.StatusOK
	if v.Kept == 0 {
		code = http.StatusUnprocessableEntity
	}
	return p.view(r, v, code), nil
}

// reasons is the one place where our errors become words for who sent a file.
var reasons = []struct {
	err  error
	word string
}{
	{study.ErrBusy, "busy"},
	{ingest.ErrMismatch, "invalid"},
	{study.ErrRefused, "refused"},
	{study.ErrUnsupported, "unsupported"},
	{study.ErrInvalid, "invalid"},
}

// line says what became of a file.
func (p *pages) line(l webui.Lang, name string, kept ingest.Kept, err error) line {
	if err == nil {
		return line{Name: name, Study: kept.Study, Outcome: l.T("upload.as_" + string(kept.Outcome)), Bad: kept.Outcome == study.Conflicted}
	}
	out := line{Name: name, Outcome: l.T("upload.as_failed"), Bad: true}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			out.Outcome, out.Detail = l.T("upload.as_"+r.word), err.Error()
			break
		}
	}
	return out
}
