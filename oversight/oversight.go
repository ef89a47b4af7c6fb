// Package oversight watches models at work. Here are the pages on which a model
// is looked at and stopped, and on which an operator sees what waits and fails.
//
//	Pages.Add      /models with its stop switch, and for each who decided what, how
//	               it agrees with others and what became of its exams;
//	               /operations with what fails and waits, how it is paused, tried again or ended, and with the
//	               conflicts and held messages that wait for a decision; their API
//	Compare        how two models agree on the same exams (pure)
//	Notices        what every page says on top while something is paused
//
// A stop is asked for with a reason, under a name, and takes effect before the
// next batch of tiles: the page only moves the state, and the workers ask for it.
// To let a model speak takes two: one proposes, another confirms.
//
// /quality, with the first figures of each model and how long exams wait, is the room
// quality, and /audit, with what was done, the room audit; table writes their files.
package oversight

import (
	"context"
	"embed"
	"io/fs"

	"varde/internal/webui"
	"varde/models"
	"varde/oversight/audit"
	"varde/oversight/quality"
	"varde/study"
)

// A Switch knows the models and stops them. The registry is one.
type Switch interface {
	Cards(ctx context.Context) ([]models.Entry, error)
	// Change changes what a model may do by one person's word, and records it in
	// the audit trail. A step that is not foreseen is an error of kind
	// [study.ErrInvalid], and one that takes two persons of kind [study.ErrRefused].
	Change(ctx context.Context, c study.ModelChange) error
}

// A History knows who changed what each model may do, when and why.
type History interface {
	// Models gives the latest change of each.
	Models(ctx context.Context) ([]study.ModelChange, error)
	// ModelHistory gives all changes of one, the first one first.
	ModelHistory(ctx context.Context, m study.ModelRef) ([]study.ModelChange, error)
}

// A Counter counts studies, jobs and deliveries.
type Counter interface {
	Counts(ctx context.Context) (study.Counts, error)
}

// Pages are the pages of those who watch. All fields are needed but the last.
type Pages struct {
	Switch  Switch
	Council Council
	History History
	Exams   Exams
	Counter Counter
	// Disputes is what waits for an operator's decision.
	Disputes Disputes
	// Holds is what other systems told and what waits for a decision, and Told
	// all that they told of a study.
	Holds Holds
	Told  Told
	Crew  Crew // who does the jobs
	// Line is the queue of jobs, Valve what stops them, Mender what has them done
	// again, and Post what was sent to archives.
	Line   Line
	Valve  Valve
	Mender Mender
	Post   Post
	// Watcher is what the first figures are counted from, and Trail what was done.
	Watcher quality.Watcher
	Trail   audit.Trail
	// Class is the word for a class of the worklist.
	Class func(int) string
	// Sees reports whether whoever a request belongs to may be told what the AI says
	// of a study, and notes it where that is noted; nil: all may.
	Sees func(ctx context.Context, uid study.UID) (bool, error)
}

//go:embed templates static
var files embed.FS

// Parts give the templates of these pages to a site, those of the first figures and
// of the audit among them.
func Parts() []webui.Part {
	own := webui.Part{
		Templates: folder("templates"),
		Static:    folder("static"),
		Nav: []webui.Nav{
			{Path: "/models", Label: "nav.models", Right: webui.SeeModels},
			{Path: "/quality", Label: "nav.quality", Right: webui.StopModels},
			{Path: "/operations", Label: "nav.operations", Right: webui.SeeOperations},
			{Path: "/audit", Label: "nav.audit", Right: webui.SeeAudit},
		},
	}
	return []webui.Part{own, quality.Part(), audit.Part()}
}

// folder is one of the embedded ones, which are known to be there.
func folder(name string) fs.FS {
	f, err := fs.Sub(files, name)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return f
}
