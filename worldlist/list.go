package worldlist

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/order"
	"varde/worldlist/veil"
)

// pageRows is how many rows a page of the list has: more than a screen, and few
// enough that a browser lays them out in one go.
const pageRows = 100

// A row is one study on the list, in the reader's words.
type row struct {
	UID         study.UID
	Class       string // the class's word in code
	ClassWord   string
	Due         string
	Step        string // of the pathway that the deadline comes from
	Remarks     string // what orders say of the patient
	Rule        string // that placed it
	Overdue     bool
	Patient     string
	PatientID   string
	Accession   string
	Modality    study.Modality
	Exam        string
	AI          study.AIState
	AIWord      string
	AINote      string
	Why         []string // why it stands here, a phrase each
	Received    string
	ReceivedISO string
	Held        string // who has it in hand
	Waits       string // for what its case waits, and who says so
	Screen      string // whose turn it is in a screening
}

// Short is why a study stands where it stands, on one line.
func (r row) Short() string { return strings.Join(r.Why, " · ") }

// worklist is what the list's template sees.
type worklist struct {
	Rows       []row
	Filter     study.WorklistFilter
	Modalities []desk.Choice
	Statuses   []desk.Choice
	Lists      []desk.Choice // of screenings; none where the site has no program
	Count      string
	Total      int // of studies known, read ones included
	Rule       string
	Deadlines  []string // what the present pace means for them, a phrase each
	AIDown     bool     // models are in use, and nobody answers for them
	NotFirst   bool
	First      string // addresses
	More       string // empty when nothing follows
	End        string
	EmptyTitle string
	EmptyText  string
	MayRead    bool
	Shuffled   bool // some rows stand where their reader can learn nothing of the AI
}

// filterOf reads the filter out of the address, where it lives so that it can be
// kept as a bookmark.
func filterOf(q url.Values) (study.WorklistFilter, error) {
	after, err := study.ParseCursor(q.Get("after"))
	if list := q.Get("list"); err == nil && !slices.Contains([]string{"", study.ListSecond, study.ListConsensus, study.ListDiscordance}, list) {
		err = fmt.Errorf("list %q is none of second, consensus, discordance: %w", list, study.ErrInvalid)
	}
	return study.WorklistFilter{
		Status:   study.Status(q.Get("status")),
		List:     q.Get("list"),
		Modality: study.Modality(q.Get("modality")),
		Text:     strings.TrimSpace(q.Get("q")),
		After:    after,
		Last:     q.Get("last") == "1",
		Limit:    pageRows,
	}, err
}

func address(f study.WorklistFilter, more ...string) string {
	q := url.Values{}
	for _, p := range [][2]string{{"q", f.Text}, {"modality", string(f.Modality)}, {"status", string(f.Status)}, {"list", f.List}} {
		if p[1] != "" {
			q.Set(p[0], p[1])
		}
	}
	if len(more) == 2 {
		q.Set(more[0], more[1])
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

// list shows the worklist.
func (p *pages) list(r *http.Request) (webui.View, error) {
	l := webui.VisitOf(r.Context()).Lang
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return webui.View{}, err
	}
	f.Reader = p.desk.Reader(r.Context())
	cases, next, err := p.Veil.InOrder(r.Context(), f)
	if err != nil {
		return webui.View{}, err
	}
	total, unread, err := p.counter.counts(r.Context())
	if err != nil {
		return webui.View{}, err
	}
	v := worklist{
		Filter: f, Modalities: modalities(l, f.Modality), Statuses: statuses(l, f.Status), Lists: p.desk.Lists(l, f.List),
		Total: total, Rule: order.Rule, NotFirst: !f.After.Zero() || f.Last,
		First: address(f), End: address(f, "last", "1"),
	}
	if !next.Zero() && !f.Last {
		v.More = address(f, "after", next.String())
	}
	if v.Deadlines, v.AIDown, err = p.foresee(r.Context(), l); err != nil {
		return webui.View{}, err
	}
	held, err := p.desk.Board(r.Context())
	if err != nil {
		return webui.View{}, err
	}
	now, who := p.site.Now(), webui.VisitOf(r.Context()).Who
	v.MayRead = who.May(webui.ReadStudies)
	studies := veil.StudiesOf(cases)
	turns, err := p.desk.Turns(r.Context(), studies...)
	if err != nil {
		return webui.View{}, err
	}
	waits, err := p.desk.Waits(r.Context(), studies...)
	if err != nil {
		return webui.View{}, err
	}
	for i, c := range cases {
		one := rowOf(l, c, now)
		one.Screen, one.Waits = desk.TurnWord(l, turns[i]), desk.WaitWords(l, waits[i])
		one.Held = desk.ClaimWords(l, desk.ClaimOf(held, c.Study.UID), who.Name, now)
		v.Rows = append(v.Rows, one)
		v.Shuffled = v.Shuffled || c.Blind
	}
	plain := f.Text == "" && f.Modality == "" && f.Status == "" && f.List == ""
	switch {
	case plain:
		v.Count = l.T("list.count", unread)
	case v.More == "" && !v.NotFirst:
		v.Count = l.T("list.found", len(cases))
	}
	switch {
	case total == 0:
		v.EmptyTitle, v.EmptyText = l.T("list.empty"), l.T("list.empty.how", p.Hint)
	case plain:
		v.EmptyTitle, v.EmptyText = l.T("list.done"), l.T("list.done.how")
	default:
		v.EmptyTitle, v.EmptyText = l.T("list.none"), l.T("list.none.how")
	}
	return webui.View{Template: "worklist", Title: l.T("nav.worklist"), Data: v}, nil
}

func modalities(l webui.Lang, chosen study.Modality) []desk.Choice {
	all := []desk.Choice{{Value: "", Text: l.T("list.all"), Chosen: chosen == ""}}
	for _, m := range []study.Modality{study.CT, study.MG, study.SM, "CR", "DX", "MR", "US", "PT", "NM"} {
		all = append(all, desk.Choice{Value: string(m), Text: string(m), Chosen: m == chosen})
	}
	return all
}

func statuses(l webui.Lang, chosen study.Status) []desk.Choice {
	all := []desk.Choice{{Value: "", Text: l.T("list.unread"), Chosen: chosen == ""}}
	for _, s := range []study.Status{study.Receiving, study.Settled, study.Scoring, study.Scored, study.Reported, study.Read, study.Refused} {
		all = append(all, desk.Choice{Value: string(s), Text: l.T("status." + string(s)), Chosen: s == chosen})
	}
	return all
}

func rowOf(l webui.Lang, c veil.Seen, now time.Time) row {
	s := c.Study
	person := s.Patient.Reveal()
	due, overdue := order.Due(l, s.Place.Deadline, now)
	word := order.ClassWord(s.Place.Class)
	ai, beside := c.Word(l)
	at := s.ReceivedAt.In(now.Location())
	return row{
		UID: s.UID, Class: word, ClassWord: l.T("class." + word), Due: due, Overdue: overdue,
		Patient: nameWords(l, person.Name), PatientID: person.ID, Accession: s.Accession,
		Modality: s.Modality, Exam: s.Description,
		AI: c.Mark(), AIWord: ai, AINote: beside,
		Why:      order.Why(l, s.Place, now),
		Received: l.Short(at, now), ReceivedISO: s.ReceivedAt.UTC().Format(time.RFC3339),
		Step: order.Step(l, s.Place.Clock), Remarks: order.Remarks(l, s), Rule: s.Place.Rule,
	}
}

// counter asks for the counts at most every other second, however many lists are
// open.
type counter struct {
	ask func(context.Context) (study.Counts, error)
	now func() time.Time

	mu            chan struct{} // one slot: held while the ledger is asked
	at            time.Time     // guarded by mu
	total, unread int           // guarded by mu
}

const countEvery = 2 * time.Second

// counts gives how many studies there are, and how many are still to be read.
func (c *counter) counts(ctx context.Context) (total, unread int, err error) {
	select {
	case c.mu <- struct{}{}:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	defer func() { <-c.mu }()
	if !c.at.IsZero() && c.now().Sub(c.at) < countEvery {
		return c.total, c.unread, nil
	}
	n, err := c.ask(ctx)
	if err != nil {
		return 0, 0, err
	}
	c.total, c.unread, c.at = 0, 0, c.now()
	for s, k := range n.Studies {
		c.total += k
		if s != study.Read && s != study.Refused {
			c.unread += k
		}
	}
	return c.total, c.unread, nil
}
