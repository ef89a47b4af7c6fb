package veil

import (
	"context"
	"slices"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
)

// Arrivals find the studies of a list by when they came. Of the filter, status, cursor,
// limit and direction are not looked at: the list is one of studies still to be read.
type Arrivals interface {
	Standings
	// FirstArrival gives the class and the time of the first study, by class and then by
	// arrival, that stands in a class from a time on or in a later class; false where
	// there is none.
	FirstArrival(ctx context.Context, f study.WorklistFilter, class int, from time.Time) (int, time.Time, bool, error)
	// Arrived gives those that stand in a class and arrived from a time on and before
	// another, by class, arrival and UID, in no order; those that the list's reader has
	// read in a screening may be among them.
	Arrived(ctx context.Context, f study.WorklistFilter, class int, from, to time.Time) ([]study.Cursor, error)
}

// Standings tell of studies on a list what decides whether they are hidden, and of those
// that are shown the rest.
type Standings interface {
	// Standings gives a window of the reading order as [Cases] do.
	Standings(ctx context.Context, f study.WorklistFilter) ([]study.Standing, study.Cursor, error)
	// StandingsOf gives those of the named that still stand in a class of the list, in no
	// order.
	StandingsOf(ctx context.Context, f study.WorklistFilter, class int, named []study.UID) ([]study.Standing, error)
	// Listed gives those of the named that still stand on the list, with results or
	// without and without reports, in no order.
	Listed(ctx context.Context, f study.WorklistFilter, named []study.UID, withResults bool) ([]study.Case, error)
}

// A merge is a window of a list on which some studies stand at their
// [order.ShuffledKey] and the others where the ledger has them: two lists, each read as
// far as the window goes. A study is of the one or of the other, and which it is shows
// only once its standing is known; so each list leaves out what belongs to the other.
type merge struct {
	v      *Veil
	who    webui.Identity
	f      study.WorklistFilter
	after  study.Cursor
	status study.Status // that rows must show; empty: any
	chunk  int
	rules  func(m study.ModelRef, pathway string) study.Rules
	rows   []placed
	known  map[study.UID]bool // those in rows

	// The ledger's order.
	plain    study.Cursor // nothing of it is missing up to here
	plainEnd bool
	// The order of this reader's own.
	drawn   []study.Cursor // where studies of the days that were looked into would stand if they were hidden: sorted, those not read yet
	horizon study.Cursor   // where the first day begins that was not looked into
	endless bool           // no such day is left
	days    int            // that are looked into at once
}

// A placed is a row in its place on the list, not yet read in full.
type placed struct {
	at    study.Cursor
	sight Sight // of a hidden one
}

// merged gives at most limit rows behind the cursor, and the cursor of the last one, which
// is zero where there are no more. A study of which it was learned meanwhile that it is
// hidden does not stand where it was found: then all is looked at again.
func (v *Veil) merged(ctx context.Context, who webui.Identity, f study.WorklistFilter, limit int) (rows []Seen, next study.Cursor, err error) {
	for range 3 {
		m := &merge{v: v, who: who, f: f, after: f.After, status: f.Status, chunk: limit + limit/4 + 1, plain: f.After, days: 1, known: map[study.UID]bool{}, rules: v.remembered()}
		m.f.Status, m.f.Limit = "", m.chunk
		m.begin()
		if next, err = m.find(ctx, limit); err != nil {
			return nil, next, err
		}
		var same bool
		if rows, same, err = m.read(ctx); err != nil || same {
			return rows, next, err
		}
	}
	return rows, next, nil
}

// find looks for the rows of the window: all that stand behind the cursor, or limit of
// them and none that is still to be read can stand between them.
func (m *merge) find(ctx context.Context, limit int) (next study.Cursor, err error) {
	for {
		sure := slices.DeleteFunc(slices.Clone(m.rows), func(p placed) bool { return !m.sure(p.at) })
		drawnEnd := m.endless && len(m.drawn) == 0
		if whole := m.plainEnd && drawnEnd; whole || len(sure) > limit {
			slices.SortFunc(sure, func(a, b placed) int { return byCursor(a.at, b.at) })
			if m.rows = sure; whole && len(sure) <= limit {
				return study.Cursor{}, nil
			}
			m.rows = sure[:limit]
			return m.rows[limit-1].at, nil
		}
		if !m.plainEnd && (drawnEnd || byCursor(m.plain, m.front()) <= 0) {
			err = m.readPlain(ctx)
		} else {
			err = m.readDrawn(ctx)
		}
		if err != nil {
			return next, err
		}
	}
}

// read reads the rows that were found in full, and covers them. Of a hidden one nothing
// of the AI is asked for. The others are looked at again as they are now; same is false
// where one of them is hidden by now, and it is left out.
func (m *merge) read(ctx context.Context) (rows []Seen, same bool, err error) {
	var hidden, open []study.UID
	place := make(map[study.UID]placed, len(m.rows))
	for _, p := range m.rows {
		place[p.at.UID] = p
		if p.sight.Blind {
			hidden = append(hidden, p.at.UID)
		} else {
			open = append(open, p.at.UID)
		}
	}
	same = true
	if len(hidden) > 0 {
		cases, err := m.v.Arrivals.Listed(ctx, m.f, hidden, false)
		if err != nil {
			return nil, false, err
		}
		for _, c := range cases {
			rows = append(rows, m.v.shuffle(m.who, Seen{Case: place[c.Study.UID].sight.Cover(c), Sight: place[c.Study.UID].sight}))
		}
	}
	if len(open) > 0 {
		cases, err := m.v.Arrivals.Listed(ctx, m.f, open, true)
		if err != nil {
			return nil, false, err
		}
		seen, err := m.v.cover(ctx, m.who, cases)
		if err != nil {
			return nil, false, err
		}
		for _, s := range seen {
			if same = same && !s.Blind; !s.Blind {
				rows = append(rows, s)
			}
		}
	}
	slices.SortFunc(rows, func(a, b Seen) int { return byCursor(place[a.Study.UID].at, place[b.Study.UID].at) })
	return rows, same, nil
}

// begin looks for the first day of which a study may stand behind the cursor. It may be
// the day before, for where the clocks go forward a day is shorter than what studies are
// shuffled over.
func (m *merge) begin() {
	if m.after.Zero() {
		return
	}
	first, _ := m.dayOf(m.after.Key)
	before, _ := m.dayOf(first.Add(-time.Second))
	if before.Add(24 * time.Hour).After(m.after.Key) {
		first = before
	}
	m.horizon = study.Cursor{Class: m.after.Class, Key: first}
}

// dayOf gives when the day of a time begins, and the next one.
func (m *merge) dayOf(at time.Time) (from, to time.Time) {
	y, month, d := at.In(m.v.zone()).Date()
	return time.Date(y, month, d, 0, 0, 0, 0, m.v.zone()), time.Date(y, month, d+1, 0, 0, 0, 0, m.v.zone())
}

// front is up to where, itself not included, nothing of the reader's own order is
// missing.
func (m *merge) front() study.Cursor {
	if len(m.drawn) > 0 && (m.endless || byCursor(m.drawn[0], m.horizon) < 0) {
		return m.drawn[0]
	}
	return m.horizon
}

// sure reports whether nothing that is still to be read can stand before a row.
func (m *merge) sure(c study.Cursor) bool {
	plain := m.plainEnd || byCursor(c, m.plain) <= 0
	own := m.endless && len(m.drawn) == 0 || byCursor(c, m.front()) < 0
	return plain && own
}

// readPlain reads on in the ledger's order.
func (m *merge) readPlain(ctx context.Context) error {
	m.f.After = m.plain
	all, next, err := m.v.Arrivals.Standings(ctx, m.f)
	if err != nil {
		return err
	}
	m.plain, m.plainEnd = next, next.Zero()
	return m.keep(ctx, all, false)
}

// readDrawn reads on in the reader's own order: studies of the days that were looked
// into, or the next day on which one came.
func (m *merge) readDrawn(ctx context.Context) error {
	n := 0
	for n < len(m.drawn) && n < m.chunk && (m.endless || byCursor(m.drawn[n], m.horizon) < 0) && m.drawn[n].Class == m.drawn[0].Class {
		n++
	}
	if n == 0 {
		return m.nextDays(ctx)
	}
	named := make([]study.UID, n)
	for i, d := range m.drawn[:n] {
		named[i] = d.UID
	}
	all, err := m.v.Arrivals.StandingsOf(ctx, m.f, m.drawn[0].Class, named)
	if err != nil {
		return err
	}
	m.drawn = m.drawn[n:]
	return m.keep(ctx, all, true)
}

// maxDays is how many days are looked into at once where few studies come.
const maxDays = 32

// nextDays draws the places of all that came on the next day that has any, in the class,
// and on days after it where that is little.
func (m *merge) nextDays(ctx context.Context) error {
	class, first, found, err := m.v.Arrivals.FirstArrival(ctx, m.f, m.horizon.Class, m.horizon.Key)
	if err != nil || !found {
		m.endless = true
		return err
	}
	from, to := m.dayOf(first)
	for range m.days - 1 {
		_, to = m.dayOf(to)
	}
	all, err := m.v.Arrivals.Arrived(ctx, m.f, class, from, to)
	if err != nil {
		return err
	}
	for _, came := range all {
		at := study.Cursor{Class: class, Key: order.ShuffledKey(m.who.Name, came.UID, came.Key.In(m.v.zone())), UID: came.UID}
		if m.after.Zero() || byCursor(at, m.after) > 0 {
			m.drawn = append(m.drawn, at)
		}
	}
	slices.SortFunc(m.drawn, byCursor)
	m.horizon = study.Cursor{Class: class, Key: to}
	if len(all) < m.chunk {
		m.days = min(maxDays, 2*m.days)
	}
	return nil
}

// keep places what was read and keeps what stands in this order.
func (m *merge) keep(ctx context.Context, all []study.Standing, hidden bool) error {
	if len(all) == 0 {
		return nil
	}
	named := make([]study.UID, len(all))
	for i, o := range all {
		named[i] = o.Study
	}
	locked, err := m.v.Answers.Locked(ctx, m.who.Name, named)
	if err != nil {
		return err
	}
	for _, o := range all {
		c := study.Case{Study: study.Study{UID: o.Study, Rev: o.Rev, Status: o.Status, ReceivedAt: o.ReceivedAt}}
		p := placed{at: o.Cursor(), sight: SightOf(m.who, c, o.Models, func(r study.ModelRef) study.Rules { return m.rules(r, o.Pathway) }, slices.Contains(locked, o.Study))}
		if p.sight.Blind {
			p.at.Key, o.Status = order.ShuffledKey(m.who.Name, o.Study, o.ReceivedAt.In(m.v.zone())), covered(o.Status)
		}
		twice := m.known[o.Study] // it was answered meanwhile
		if p.sight.Blind == hidden && !twice && (m.status == "" || o.Status == m.status) && (m.after.Zero() || byCursor(p.at, m.after) > 0) {
			m.rows, m.known[o.Study] = append(m.rows, p), true
		}
	}
	return nil
}
