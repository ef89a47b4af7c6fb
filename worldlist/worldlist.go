// Package worldlist is the reading worklist: the pages on which physicians see which
// study is read next, open it, and say what they think of the AI. What it does lies in
// rooms of its own, and here they become pages:
//
//	order      in which order studies wait, why, and what becomes of their deadlines
//	veil       what of the AI each reader may see, and when: the only way to a study
//	desk       who has a study in hand, and what readers answered
//	viewer     images, and what models drew and scored on them
//	rehearsal  what another order, model or program would do to the department's own days
//	Pages.Add  the list, the study, its patient and its case, on paper and as JSON
//
// pathway and screening hold the clocks and programs of a site, simulation the engine of
// rehearsals, foreign what other makers found, and ups gives the list to other
// workstations.
//
// The AI may raise a study in its class, and never lower or hide it: see [order.Place].
// The folder's name is given; routes, types and pages say worklist.
package worldlist

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"varde/internal/codec"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/foreign"
	"varde/worldlist/order"
	"varde/worldlist/rehearsal"
	"varde/worldlist/veil"
	"varde/worldlist/viewer"
)

// Instances are the objects of a study.
type Instances interface {
	// Instances gives those that were received, sorted by series number,
	// instance number and UID.
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
	// Instance gives one of them.
	Instance(ctx context.Context, uid study.UID) (study.Instance, error)
}

// Counter counts studies, so that a list can say how many there are and how many
// have come since.
type Counter interface {
	Counts(ctx context.Context) (study.Counts, error)
}

// About is what a card tells a reader of its model, in the reader's language as far as
// the card has it, and else in English.
type About struct {
	Regulatory string // "not a medical device", or class and notified body
	Use        string // intended use
	NotFor     []string
	Measures   string // what the number is
	Limits     string // what it cannot do
	Withheld   bool   // the model has been stopped since
}

// Pages are the readers' pages and the JSON API. Fields of which nothing is said of
// what their zero value means are needed.
type Pages struct {
	// Veil has the studies, and says what of the AI each visitor may see of them;
	// whoever else shows something of it asks the same one.
	Veil      *veil.Veil
	Readings  desk.Readings
	Instances Instances
	Frames    viewer.Frames
	Slides    viewer.Slides
	Counter   Counter
	Desk      desk.Claims
	Staff     desk.Staff

	// Screenings are how far examinations of screenings are; nil: the site has no
	// program.
	Screenings desk.Screenings
	// Record tells what other systems told of studies, for the page of a patient; nil:
	// nothing of it is shown there.
	Record Record
	// Lab is what cases of slides wait for; nil: nobody keeps that.
	Lab desk.Lab
	// Judged tells what readers said of findings; nil: nobody can ask.
	Judged desk.Judged
	// Idle is after how long without a sign of its holder a claim is over; 0 = 20 min.
	Idle time.Duration
	// Build names this build of Varde where it is noted what a reader was shown.
	Build string
	// Objects give the small pictures of slides that were made when their study
	// settled; nil: they are made when they are asked for.
	Objects codec.Ranger
	// Heats tell what models have scored of slides; nil: slides are shown without
	// heat maps, and how far a model is stays unsaid.
	Heats viewer.Heats
	// Headers tell how images want to be shown; nil: by the first window that the
	// ledger knows.
	Headers viewer.Headers
	// Others reads what other makers found; nil: nothing of it is shown.
	Others *foreign.Library
	// Segments names the segments of a model that it draws, in their order and in a
	// language; nil, or none: they are numbered.
	Segments func(webui.Lang, study.ModelRef) []string
	// PACS is the address at which the PACS shows a study, as [CheckPACSLink] wants
	// it; empty: no link is shown.
	PACS string
	// Outlook tells what the present pace means for deadlines, and whether models
	// answer; nil: nothing is said of either.
	Outlook *order.Outlook
	// About tells of a model in a language; false when its card is no longer here.
	About func(webui.Lang, study.ModelRef) (About, bool)
	// Print gives a study's report as a PDF, in a language; nil: there are none.
	Print func(ctx context.Context, uid study.UID, lang string) ([]byte, error)
	// Hint is where to send studies, for the empty list: "VARDE at
	// 127.0.0.1:11112".
	Hint string
	// Moves tell open pages of studies that they have become old; nil: they learn it when
	// they are sent or opened anew.
	Moves Moves
	// Tick is how often an open list asks for new studies, and the page of a study
	// whether it is old; 0 = 5 s.
	Tick time.Duration
}

//go:embed templates static
var files embed.FS

// Parts give the templates and scripts of the readers' pages to a site, those of the
// viewers and of the simulation among them.
func Parts() []webui.Part {
	own := webui.Part{
		Templates: folder("templates"),
		Static:    folder("static"),
		Nav:       []webui.Nav{{Path: "/", Label: "nav.worklist", Right: webui.SeeStudies}},
	}
	return []webui.Part{own, viewer.Part(), foreign.Part(), rehearsal.Part()}
}

// Order gives studies in reading order. It is [order.Order], under the name by which
// the plan of the house calls it; where one study stands, and why, is [order.Place].
func Order(entries []order.Entry) []order.Entry { return order.Order(entries) }

// folder is one of the embedded ones, which are known to be there.
func folder(name string) fs.FS {
	f, err := fs.Sub(files, name)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return f
}
