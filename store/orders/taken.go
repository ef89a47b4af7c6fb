package orders

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// TakeOrders keeps what a referrer's system says of examinations, all of it or
// nothing, and applies it to the studies that are here: priority, deadline, the
// place in the reading order, and the lane of jobs that no worker has begun.
// Since it is the referrer's word, it may set a study back as well as forward; a
// study that a reader has opened keeps its place. Of several orders for one study
// the most urgent and the nearest deadline count. What comes before the images is
// applied when they arrive.
//
// An order that is older than what the same sender said last of it changes
// nothing, and neither does the same one again. One whose patient is not the
// study's is kept, not applied, and flagged.
func (l *Book) TakeOrders(ctx context.Context, orders []study.Order) (study.Heard, error) {
	var h study.Heard
	err := l.change(ctx, func(t *tx) error {
		h = study.Heard{}
		touched := map[study.UID]bool{}
		for _, o := range orders {
			if o.Study == "" && o.Accession == "" && o.Placer == "" && o.Filler == "" {
				return fmt.Errorf("an order without a number: %w", study.ErrInvalid)
			}
			if err := t.keepOrder(cleanOrder(o), touched, &h); err != nil {
				return err
			}
		}
		return t.applyAll(touched, &h)
	})
	if err != nil {
		return study.Heard{}, fmt.Errorf("take %d orders: %w", len(orders), err)
	}
	return h, nil
}

func (t *tx) applyAll(touched map[study.UID]bool, h *study.Heard) error {
	for uid := range touched {
		changed, held, err := t.applyOrders(uid)
		if err != nil {
			return err
		}
		h.Held += held
		if changed {
			h.Studies = append(h.Studies, uid)
		}
	}
	slices.Sort(h.Studies)
	return nil
}

func cleanOrder(o study.Order) study.Order {
	for _, s := range []*string{&o.Told.Sender, &o.Told.ID, &o.Accession, &o.Placer, &o.Filler, &o.Pathway, (*string)(&o.Priority)} {
		*s = sqldb.Clean(*s)
	}
	o.Codes = slices.Clone(o.Codes)
	for i, c := range o.Codes {
		o.Codes[i] = study.Code{Value: sqldb.Clean(c.Value), Scheme: sqldb.Clean(c.Scheme), Meaning: sqldb.Clean(c.Meaning)}
	}
	o.Patient = study.NewPatient(cleanPerson(o.Patient.Reveal()))
	return o
}

// A kept order is one row.
type keptOrder struct {
	study.Order
	id int64
}

const orderColumns = `sender, message, told_at, canceled, study_uid, accession, placer, filler,
	patient_id, issuer, patient_name, birth, sex, identifiers, priority, pathway, referred_at, deadline, codes`

func scanOrder(rows *sql.Rows) (o keptOrder, err error) {
	var p study.Person
	var told, referred, deadline int64
	var ids, codes string
	if err := rows.Scan(&o.id, &o.Told.Sender, &o.Told.ID, &told, &o.Canceled, &o.Study, &o.Accession, &o.Placer, &o.Filler,
		&p.ID, &p.Issuer, &p.Name, &p.Birth, &p.Sex, &ids, &o.Priority, &o.Pathway, &referred, &deadline, &codes); err != nil {
		return o, err
	}
	o.Patient = study.NewPatient(p)
	o.Told.At, o.ReferredAt, o.Deadline = sqldb.At(told), sqldb.At(referred), sqldb.At(deadline)
	return o, errors.Join(sqldb.Unpack(ids, &o.Identifiers), sqldb.Unpack(codes, &o.Codes))
}

// keepOrder writes an order over what the same sender said of it before, and
// notes the studies that it speaks of.
func (t *tx) keepOrder(o study.Order, touched map[study.UID]bool, h *study.Heard) error {
	was, err := t.sameOrder(o)
	known := err == nil
	switch {
	case known && o.Told.At.Before(was.Told.At):
		h.Old = true
		return nil
	case err != nil && !errors.Is(err, study.ErrNotFound):
		return err
	}
	if known { // what this message leaves out the sender has said before
		fill := func(to *string, from string) {
			if *to == "" {
				*to = from
			}
		}
		fill((*string)(&o.Study), string(was.Study))
		fill(&o.Accession, was.Accession)
		fill(&o.Placer, was.Placer)
		fill(&o.Filler, was.Filler)
		if o.ReferredAt.IsZero() {
			o.ReferredAt = was.ReferredAt
		}
		if len(o.Codes) == 0 {
			o.Codes = was.Codes
		}
		if err := t.speaksOf(was.Study, was.Accession, touched); err != nil {
			return err
		}
		if _, err := t.Exec(`DELETE FROM placed_order WHERE id = $1`, was.id); err != nil {
			return err
		}
	}
	ids, err := sqldb.Pack(o.Identifiers)
	if err != nil {
		return err
	}
	codes, err := sqldb.Pack(o.Codes)
	if err != nil {
		return err
	}
	p := o.Patient.Reveal()
	columns, row := `heard_at, `+orderColumns, []any{sqldb.MS(t.Now), o.Told.Sender, o.Told.ID, sqldb.MS(o.Told.At), sqldb.Bit(o.Canceled),
		o.Study, o.Accession, o.Placer, o.Filler, p.ID, p.Issuer, p.Name, p.Birth, p.Sex, ids, o.Priority, o.Pathway,
		sqldb.MS(o.ReferredAt), sqldb.MS(o.Deadline), codes}
	if known { // else the engine chooses
		columns, row = columns+`, id`, append(row, was.id)
	}
	if _, err := t.Exec(`INSERT INTO placed_order (`+columns+`) VALUES `+sqldb.Values(len(row)), row...); err != nil {
		return err
	}
	return t.speaksOf(o.Study, o.Accession, touched)
}

// sameOrder finds what the sender said of an order before: by its filler's number,
// else its placer's, else by the study or accession that it is for. An order for
// another study is another order.
func (t *tx) sameOrder(o study.Order) (keptOrder, error) {
	byPlacer := `placer = $3`
	if o.Filler != "" {
		byPlacer += ` AND filler = ''`
	}
	for _, by := range []struct{ where, value string }{
		{`filler = $3`, o.Filler},
		{byPlacer, o.Placer},
		{`study_uid = $3 AND filler || placer = ''`, string(o.Study)}, // so written, no index on one of them is used
		{`accession = $3 AND filler || placer = ''`, o.Accession},
	} {
		if by.value == "" {
			continue
		}
		all, err := sqldb.List(t, scanOrder, `SELECT id, `+orderColumns+` FROM placed_order WHERE sender = $1
			AND (study_uid = '' OR $2 = '' OR study_uid = $2) AND `+by.where+` ORDER BY id DESC LIMIT 1`,
			o.Told.Sender, o.Study, by.value)
		if err != nil {
			return keptOrder{}, err
		}
		if len(all) == 1 {
			return all[0], nil
		}
	}
	return keptOrder{}, study.ErrNotFound
}

// speaksOf notes the studies that are known by a UID or an accession number.
func (t *tx) speaksOf(uid study.UID, accession string, touched map[study.UID]bool) error {
	found, err := sqldb.List(t, sqldb.Word, `SELECT uid FROM study WHERE uid = $1 OR $2 <> '' AND accession = $2`, uid, accession)
	for _, u := range found {
		touched[study.UID(u)] = true
	}
	return err
}

// ordersOf gives the orders of a study: those that name it by its UID or, where
// none does, by its accession number.
func ordersOf(a sqldb.Asker, s study.Study) (orders []keptOrder, byUID bool, err error) {
	orders, err = sqldb.List(a, scanOrder, `SELECT id, `+orderColumns+` FROM placed_order WHERE study_uid = $1 ORDER BY id`, s.UID)
	if err != nil || len(orders) > 0 || s.Accession == "" {
		return orders, true, err
	}
	orders, err = sqldb.List(a, scanOrder, `SELECT id, `+orderColumns+` FROM placed_order WHERE accession = $1 ORDER BY id`, s.Accession)
	return orders, false, err
}

// applyOrders gives a study what its orders say. held is how many of them were
// not applied.
func (t *tx) applyOrders(uid study.UID) (changed bool, held int, err error) {
	s, err := row.FindStudy(t, uid)
	if err != nil {
		return false, 0, err
	}
	orders, byUID, err := ordersOf(t, s)
	if err != nil {
		return false, 0, err
	}
	var says ordered
	var told []study.Message
	for _, o := range orders {
		if o.Canceled {
			continue
		}
		evidence, err := contradicts(t, s.Patient.Reveal(), person{o.Patient.Reveal(), o.Identifiers}, byUID)
		if err != nil {
			return false, 0, err
		}
		stays, err := t.holdOrder(s, o, evidence)
		if err != nil {
			return false, 0, err
		}
		if stays {
			held++
			continue
		}
		told = append(told, o.Told)
		says.hear(o.Order, t.Rules.Timer(o.Order, s.ReceivedAt))
	}
	if len(told)+held > 0 { // what was ordered waits to be read, though it holds no images yet
		if _, err := t.Exec(`UPDATE study SET waiting = CASE WHEN note = $2 AND read_at = 0 AND status = $3 THEN 1 ELSE waiting END WHERE uid = $1`,
			uid, study.ReasonNoImages, study.Settled); err != nil {
			return false, held, err
		}
	}
	if len(told) == 0 {
		return false, held, nil
	}
	if says.priority == "" {
		says.priority = s.Priority
	}
	if says.same(s) {
		return false, held, nil
	}
	return true, held, t.order(s, says, told)
}

// ordered is what all orders of a study say together: the most urgent priority,
// the nearest deadline with its clock, and every remark.
type ordered struct {
	priority study.Priority
	deadline time.Time
	clock    study.Clock
	remarks  []study.Remark
}

// hear adds one order. A pathway, told or known by a diagnosis, comes before
// routine; a deadline that is told outright and a pathway's own both count, and the
// nearer one is the study's.
func (w *ordered) hear(o study.Order, timed study.Timed) {
	p := o.Priority
	if (o.Pathway != "" || !timed.Clock.Zero()) && (p == "" || p == study.PriorityRoutine) {
		p = study.PriorityPathway
	}
	if p != "" && (w.priority == "" || p.Lane() < w.priority.Lane()) {
		w.priority = p
	}
	near := func(at time.Time) bool { return !at.IsZero() && (w.deadline.IsZero() || at.Before(w.deadline)) }
	if near(timed.Clock.Due) {
		w.deadline, w.clock = timed.Clock.Due, timed.Clock
	}
	if near(o.Deadline) {
		w.deadline, w.clock = o.Deadline, study.Clock{}
	}
	for _, r := range timed.Remarks {
		if !slices.ContainsFunc(w.remarks, func(k study.Remark) bool { return k.Kind == r.Kind }) {
			w.remarks = append(w.remarks, r)
		}
	}
}

// same reports whether a study has all of it.
func (w *ordered) same(s study.Study) bool {
	return w.priority == s.Priority && w.deadline.Equal(s.Place.Deadline) && sameClock(w.clock, s.Place.Clock) && slices.Equal(w.remarks, s.Remarks)
}

func sameClock(a, b study.Clock) bool {
	since, due := a.Since.Equal(b.Since), a.Due.Equal(b.Due)
	a.Since, a.Due, b.Since, b.Due = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return since && due && a == b
}

// heldFor is that a study was not given the order, for these facts.
func (o keptOrder) heldFor(s study.Study, facts []string) held {
	return held{kind: study.HoldOrder, subject: fmt.Sprint(o.id), told: o.Told, facts: facts,
		known: s.Patient.Reveal(), came: o.Patient.Reveal()}
}

// holdOrder reports whether an order is not applied to a study: something speaks
// against it, and no person has released it.
func (t *tx) holdOrder(s study.Study, o keptOrder, facts []string) (bool, error) {
	h := o.heldFor(s, facts)
	if facts == nil {
		return false, t.acquit(s.UID, h.kind, h.subject)
	}
	switch v, err := verdict(t, s.UID, h); {
	case err != nil, v != "":
		return v != study.HoldReleased, err
	}
	return true, t.hold(s.UID, h)
}

// order changes what the referrer decides of a study.
func (t *tx) order(s study.Study, says ordered, told []study.Message) error {
	detail := []string{}
	if says.priority != s.Priority {
		detail = append(detail, fmt.Sprintf("priority %s to %s", wordOr(string(s.Priority), "none"), says.priority))
	}
	if !says.deadline.Equal(s.Place.Deadline) {
		detail = append(detail, fmt.Sprintf("deadline %s to %s", wordOf(s.Place.Deadline), wordOf(says.deadline)))
	}
	if says.clock.Pathway != s.Place.Clock.Pathway {
		detail = append(detail, fmt.Sprintf("pathway %s to %s", wordOr(s.Place.Clock.Pathway, "none"), wordOr(says.clock.Pathway, "none")))
	}
	detail = append(detail, citation(told[len(told)-1]))
	s.Priority = says.priority
	p, err := t.placeByOrder(s, says)
	if err != nil {
		return err
	}
	s.Place = p
	remarks := ""
	if len(says.remarks) > 0 {
		if remarks, err = sqldb.Pack(says.remarks); err != nil {
			return err
		}
	}
	if _, err := t.Exec(`UPDATE study SET priority = $2, remarks = $3 WHERE uid = $1`, s.UID, s.Priority, remarks); err != nil {
		return err
	}
	if err := t.PutPlace(s.UID, p); err != nil {
		return err
	}
	if err := t.relane(s); err != nil {
		return err
	}
	t.Shown = true
	return t.Audit("hl7", "order", row.Entity(s.UID), strings.Join(detail, "; "))
}

func wordOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func wordOf(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.UTC().Format(time.RFC3339)
}

// placeByOrder places a study by the referrer's word. Inside its class a study
// keeps the head start that it has; in another class it gets that class's, and at
// least as much as if it had been ordered so before any result: what comes first,
// order or result, makes no difference, and the AI lowers nothing.
func (t *tx) placeByOrder(s study.Study, says ordered) (study.Place, error) {
	old := s.Place
	if s.Opened {
		old.Deadline, old.Clock = says.deadline, says.clock
		return old, nil
	}
	results, err := t.HeardResults(s.UID, s.Rev)
	if err != nil {
		return old, err
	}
	facts := t.FactsOf(s, results)
	facts.Deadline, facts.Clock, facts.Old = says.deadline, says.clock, nil
	before := facts
	before.Results, before.NoAI = nil, false
	least := t.Rules.Place(before)
	facts.Old = &least
	p := course.NoLater(t.Rules.Place(facts), least)
	if p.Class == old.Class && old.Key.Before(p.Key) {
		facts.Old = &old
		p = t.Rules.Place(facts)
		p.Key = old.Key
	}
	return p, nil
}

// Orders gives what is known of a study's orders, with those that were not
// applied because their patient is not the study's.
func (l *Book) Orders(ctx context.Context, uid study.UID) (out []study.Order, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		s, err := row.FindStudy(a, uid)
		if err != nil {
			return err
		}
		orders, byUID, err := ordersOf(a, s)
		if err != nil {
			return err
		}
		for _, o := range orders {
			evidence, err := contradicts(a, s.Patient.Reveal(), person{o.Patient.Reveal(), o.Identifiers}, byUID)
			if err != nil {
				return err
			}
			if evidence != nil {
				v, err := verdict(a, uid, o.heldFor(s, evidence))
				if err != nil {
					return err
				}
				o.Held = v != study.HoldReleased
			}
			out = append(out, o.Order)
		}
		return nil
	})
	return out, err
}
