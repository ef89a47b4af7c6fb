// Package quality tells what each model said of a department's exams and what readers
// made of it: the first figures, which are no study of diagnostic accuracy.
//
//	FirstFigures   what a model said, flag rates by week, scanner, sex and age, what
//	               readers answered, and how its numbers held (pure)
//	Waits          how long exams waited, and who waited longer (pure)
//	Exact, Limits  the interval of a share, and what chance lets it do (pure)
//	Pages.Add      /quality, and the same as a file
//
// What was there is what readers say, never a confirmed diagnosis. A share of a few
// cases is not told, and a model in shadow is never counted with its time in use.
package quality

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"varde/internal/webui"
	"varde/models"
	"varde/study"
)

// A Watcher knows exams as those who watch models need them.
type Watcher interface {
	// Watched gives the exams that came in a time, oldest first.
	Watched(ctx context.Context, s study.WatchedSpan) ([]study.Watched, error)
}

// Models knows the models' names and states.
type Models interface {
	Cards(ctx context.Context) ([]models.Entry, error)
}

// Pages are the page of the first figures. Watcher and Models are needed.
type Pages struct {
	Watcher Watcher
	Models  Models
	// Class is the word for a class of the worklist; nil: its number is told.
	Class func(int) string
	// Sees reports whether whoever a request belongs to may be told what the AI says
	// of a study, and notes it where that is noted; nil: all may.
	Sees func(ctx context.Context, uid study.UID) (bool, error)
}

// pages are the handlers of one site.
type pages struct {
	Pages
	site *webui.Site
}

// Add puts the page and its file on a site that was made with [Part].
func (p Pages) Add(site *webui.Site) {
	h := &pages{p, site}
	site.Page("GET /quality", webui.StopModels, h.quality)
	site.Handle("GET /quality.csv", webui.StopModels, http.HandlerFunc(h.qualityCSV))
}

//go:embed templates static
var files embed.FS

// Part gives the template of the page to a site. It stands on the styles of
// oversight's pages.
func Part() webui.Part { return webui.Part{Templates: folder("templates"), Static: folder("static")} }

// folder is one of the embedded ones, which are known to be there.
func folder(name string) fs.FS {
	f, err := fs.Sub(files, name)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return f
}
