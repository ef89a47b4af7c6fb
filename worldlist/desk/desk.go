// Package desk is what readers do: who has a study in hand, what they say of it, and
// what its case waits for.
//
//	Desk.Add       the forms and operations of readers
//	Desk.Open      a study is opened by its reader: taken up, and what is shown noted
//	Desk.Next      the first study that nobody has in hand
//	Desk.Board     the claims, as every open list sees them
//	Desk.Turns     whose turn it is in a screening
//	Desk.Waits     what cases of slides wait for
//
// A study is in one person's hands at a time. An answer is given once for each state of
// a study, after the reader's own impression where the protocol asks for it; what comes
// after is an addendum. Nothing is said here of the AI but what the veil lets through.
package desk

import (
	"context"
	"net/http"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// Readings are who has opened and read studies.
type Readings interface {
	// MarkOpened notes that a reader has opened a study: its place moves no
	// more. Doing it again changes nothing.
	MarkOpened(ctx context.Context, uid study.UID, by string) error
	// Readings gives who has read a study and what they said, in that order.
	Readings(ctx context.Context, uid study.UID) ([]study.Reading, error)
}

// Staff knows who reads here.
type Staff interface {
	// KnownReaders gives the names of those who can sign in now with one of the roles,
	// and of those who have read a study since a time, sorted.
	KnownReaders(ctx context.Context, roles []string, since time.Time) ([]string, error)
}

// Instances are the objects of a study.
type Instances interface {
	// Instances gives those that were received.
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
	// Instance gives one of them.
	Instance(ctx context.Context, uid study.UID) (study.Instance, error)
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

// A Desk is where readers work. [Desk.Add] comes before all else.
type Desk struct {
	Veil      *veil.Veil
	Claims    Claims
	Readings  Readings
	Instances Instances
	// Staff knows to whom a study may be handed over; nil: to whoever asked for it, and
	// to nobody else.
	Staff Staff
	// Screenings are how far examinations of screenings are; nil: the site has no
	// program.
	Screenings Screenings
	// Lab is what cases of slides wait for; nil: nobody keeps that.
	Lab Lab
	// Judged tells what readers said of findings; nil: nobody can ask.
	Judged Judged
	// Idle is after how long without a sign of its holder a claim is over; 0 = 20 min.
	Idle time.Duration
	// Tick is how often the ledger is asked for the claims at most; 0 = 5 s.
	Tick time.Duration
	// Build names this build of Varde where it is noted what a reader was shown.
	Build string

	site    *webui.Site
	board   board
	keepers keepers
}

const defaultTick = 5 * time.Second

// A Line is a name and what belongs to it.
type Line struct{ Name, Value string }

// A Choice is an option of a form.
type Choice struct {
	Value, Text string
	Chosen      bool
}

// Add puts what readers do on a site.
func (d *Desk) Add(site *webui.Site) {
	if d.Idle == 0 {
		d.Idle = defaultIdle
	}
	if d.Tick == 0 {
		d.Tick = defaultTick
	}
	d.site, d.board.mu = site, make(chan struct{}, 1)
	site.Handle("POST /studies/{study}/verdict", webui.ReadStudies, http.HandlerFunc(d.verdict))
	site.Handle("POST /studies/{study}/own", webui.ReadStudies, http.HandlerFunc(d.own))
	site.Handle("POST /studies/{study}/addendum", webui.ReadStudies, http.HandlerFunc(d.addendum))
	site.Handle("POST /studies/{study}/skip", webui.ReadStudies, http.HandlerFunc(d.skip))
	site.Handle("POST /studies/{study}/claim", webui.SeeStudies, http.HandlerFunc(d.claim))
	site.Handle("POST /next", webui.ReadStudies, http.HandlerFunc(d.takeNext))
	d.addAPI()
	d.addScreenings()
	d.addLab()
}
