// Package worldlist is the reading worklist: the order in which studies wait to
// be read, why each stands where it stands, and the pages on which a physician
// reads them and says what they think of the AI.
//
//	Place          where one study stands, by its facts alone
//	Order          a list of studies in reading order
//	Pages.Add      the worklist, the study page, their images, and the JSON API
//	Veil           what of the AI each reader may see, and when
//	Desk, Answers  who has a study in hand, and what readers answered
//
// The AI may raise a study in its class, and never lower or hide it: see [Place].
// The folder's name is given; routes, types and pages say worklist.
package worldlist

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"varde/internal/codec"
	"varde/internal/slide"
	"varde/internal/webui"
	"varde/study"
)

// Cases are the studies with all that is known of them.
type Cases interface {
	// Worklist gives a window of the reading order, with results but without
	// reports, and the cursor behind its last row, which is zero when nothing
	// follows.
	Worklist(ctx context.Context, f study.WorklistFilter) ([]study.Case, study.Cursor, error)
	// Cases gives studies, latest first.
	Cases(ctx context.Context, f study.CaseFilter) ([]study.Case, error)
	// Case gives one study, or an error of kind [study.ErrNotFound].
	Case(ctx context.Context, uid study.UID) (study.Case, error)
}

// Readings are what readers do.
type Readings interface {
	// MarkOpened notes that a reader has opened a study: its place moves no
	// more. Doing it again changes nothing.
	MarkOpened(ctx context.Context, uid study.UID, by string) error
	// Readings gives who has read a study and what they said, in that order.
	Readings(ctx context.Context, uid study.UID) ([]study.Reading, error)
}

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

// Counter counts studies, so that a list can say how many there are and how many
// have come since.
type Counter interface {
	Counts(ctx context.Context) (study.Counts, error)
}

// Judged is what readers said of findings, and what they passed over, for those who
// watch the models and the list.
type Judged interface {
	// Judgments gives verdicts on single findings of a model since a time, oldest
	// first, those behind step after.
	Judgments(ctx context.Context, m study.ModelRef, since time.Time, after int64, limit int) ([]study.ReadingStep, error)
	// Skips counts how often each reader has passed a study over.
	Skips(ctx context.Context, since time.Time) (map[string]int, error)
}

// About is what a card tells a reader of its model, in the card's language.
type About struct {
	Regulatory string // "not a medical device", or class and notified body
	Use        string // intended use
	NotFor     []string
	Measures   string // what the number is
	Limits     string // what it cannot do
	Withheld   bool   // the model has been stopped since
}

// Pages are the readers' pages and the JSON API. All fields are needed but the
// last five.
type Pages struct {
	Cases     Cases
	Readings  Readings
	Instances Instances
	Frames    Frames
	Slides    Slides
	Counter   Counter
	Desk      Desk
	// Veil says what of the AI each visitor may see; whoever else shows something
	// of it asks the same one.
	Veil *Veil

	// Screenings are how far examinations of screenings are; nil: the site has no
	// program.
	Screenings Screenings
	// Record tells what other systems told of studies, for the page of a patient; nil:
	// nothing of it is shown there.
	Record Record
	// Lab is what cases of slides wait for; nil: nobody keeps that.
	Lab Lab
	// Judged tells what readers said of findings; nil: nobody can ask.
	Judged Judged
	// Idle is after how long without a sign of its holder a claim is over; 0 = 20 min.
	Idle time.Duration
	// Build names this build of Varde where it is noted what a reader was shown.
	Build string
	// Objects give the small pictures of slides that were made when their study
	// settled; nil: they are made when they are asked for.
	Objects codec.Ranger
	// Heats tell what models have scored of slides; nil: slides are shown without
	// heat maps, and how far a model is stays unsaid.
	Heats Heats
	// Headers tell how images want to be shown; nil: by the first window that the
	// ledger knows.
	Headers Headers
	// Segments tells what the segments of a model are that it draws, in their order;
	// nil, or none: they are numbered.
	Segments func(study.ModelRef) []study.Code
	// PACS is the address at which the PACS shows a study, as [CheckPACSLink] wants
	// it; empty: no link is shown.
	PACS string
	// Outlook tells what the present pace means for deadlines, and whether models
	// answer; nil: nothing is said of either.
	Outlook *Outlook
	// About tells of a model; false when its card is no longer here.
	About func(study.ModelRef) (About, bool)
	// Print gives a study's report as a PDF, in a language; nil: there are none.
	Print func(ctx context.Context, uid study.UID, lang string) ([]byte, error)
	// Hint is where to send studies, for the empty list: "VARDE at
	// 127.0.0.1:11112".
	Hint string
	// Tick is how often an open list asks for new studies; 0 = 5 s.
	Tick time.Duration
}

//go:embed templates static
var files embed.FS

// Part gives the templates and scripts of the readers' pages to a site.
func Part() webui.Part {
	return webui.Part{
		Templates: folder("templates"),
		Static:    folder("static"),
		Nav: []webui.Nav{{Path: "/", Label: "nav.worklist", Right: webui.SeeStudies},
			{Path: "/simulation", Label: "simulation.title", Right: webui.StopModels}},
	}
}

// folder is one of the embedded ones, which are known to be there.
func folder(name string) fs.FS {
	f, err := fs.Sub(files, name)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return f
}
