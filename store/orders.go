package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
func (l *Ledger) TakeOrders(ctx context.Context, orders []study.Order) (study.Heard, error) {
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
		*s = clean(*s)
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
	patient_id, issuer, patient_name, birth, sex, identifiers, priority, pathway, referred_at, deadline`

func scanOrder(rows *sql.Rows) (o keptOrder, err error) {
	var p study.Person
	var told, referred, deadline int64
	var ids string
	if err := rows.Scan(&o.id, &o.Told.Sender, &o.Told.ID, &told, &o.Canceled, &o.Study, &o.Accession, &o.Placer, &o.Filler,
		&p.ID, &p.Issuer, &p.Name, &p.Birth, &p.Sex, &ids, &o.Priority, &o.Pathway, &referred, &deadline); err != nil {
		return o, err
	}
	o.Patient = study.NewPatient(p)
	o.Told.At, o.ReferredAt, o.Deadline = at(told), at(referred), at(deadline)
	return o, unpack(ids, &o.Identifiers)
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
		if err := t.speaksOf(was.Study, was.Accession, touched); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM placed_order WHERE id = $1`, was.id); err != nil {
			return err
		}
	}
	ids, err := pack(o.Identifiers)
	if err != nil {
		return err
	}
	p := o.Patient.Reveal()
	columns, row := `heard_at, `+orderColumns, []any{ms(t.now), o.Told.Sender, o.Told.ID, ms(o.Told.At), bit(o.Canceled),
		o.Study, o.Accession, o.Placer, o.Filler, p.ID, p.Issuer, p.Name, p.Birth, p.Sex, ids, o.Priority, o.Pathway,
		ms(o.ReferredAt), ms(o.Deadline)}
	if known { // else the engine chooses
		columns, row = columns+`, id`, append(row, was.id)
	}
	if _, err := t.exec(`INSERT INTO placed_order (`+columns+`) VALUES `+values(len(row)), row...); err != nil {
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
		all, err := list(t, scanOrder, `SELECT id, `+orderColumns+` FROM placed_order WHERE sender = $1
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
	found, err := list(t, word, `SELECT uid FROM study WHERE uid = $1 OR $2 <> '' AND accession = $2`, uid, accession)
	for _, u := range found {
		touched[study.UID(u)] = true
	}
	return err
}

// ordersOf gives the orders of a study: those that name it by its UID or, where
// none does, by its accession number.
func ordersOf(a asker, s study.Study) (orders []keptOrder, byUID bool, err error) {
	orders, err = list(a, scanOrder, `SELECT id, `+orderColumns+` FROM placed_order WHERE study_uid = $1 ORDER BY id`, s.UID)
	if err != nil || len(orders) > 0 || s.Accession == "" {
		return orders, true, err
	}
	orders, err = list(a, scanOrder, `SELECT id, `+orderColumns+` FROM placed_order WHERE accession = $1 ORDER BY id`, s.Accession)
	return orders, false, err
}

// applyOrders gives a study what its orders say. held is how many of them were
// not applied.
func (t *tx) applyOrders(uid study.UID) (changed bool, held int, err error) {
	s, err := findStudy(t, uid)
	if err != nil {
		return false, 0, err
	}
	orders, byUID, err := ordersOf(t, s)
	if err != nil {
		return false, 0, err
	}
	priority, deadline := study.Priority(""), time.Time{}
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
		if p := priorityOf(o.Order); p != "" && (priority == "" || p.Lane() < priority.Lane()) {
			priority = p
		}
		if !o.Deadline.IsZero() && (deadline.IsZero() || o.Deadline.Before(deadline)) {
			deadline = o.Deadline
		}
	}
	if len(told) == 0 {
		return false, held, nil
	}
	if priority == "" {
		priority = s.Priority
	}
	if priority == s.Priority && deadline.Equal(s.Place.Deadline) {
		return false, held, nil
	}
	return true, held, t.order(s, priority, deadline, told)
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

// priorityOf is an order's priority: a pathway comes before routine.
func priorityOf(o study.Order) study.Priority {
	if o.Pathway != "" && (o.Priority == "" || o.Priority == study.PriorityRoutine) {
		return study.PriorityPathway
	}
	return o.Priority
}

// order changes what the referrer decides of a study.
func (t *tx) order(s study.Study, priority study.Priority, deadline time.Time, told []study.Message) error {
	detail := []string{}
	if priority != s.Priority {
		detail = append(detail, fmt.Sprintf("priority %s to %s", wordOr(string(s.Priority), "none"), priority))
	}
	if !deadline.Equal(s.Place.Deadline) {
		detail = append(detail, fmt.Sprintf("deadline %s to %s", wordOf(s.Place.Deadline), wordOf(deadline)))
	}
	detail = append(detail, citation(told[len(told)-1]))
	s.Priority = priority
	p, err := t.placeByOrder(s, deadline)
	if err != nil {
		return err
	}
	s.Place = p
	why, err := pack(p.Why)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE study SET priority = $2, class = $3, place_key = $4, why = $5, deadline = $6, rule = $7 WHERE uid = $1`,
		s.UID, s.Priority, p.Class, ms(p.Key), why, ms(p.Deadline), p.Rule); err != nil {
		return err
	}
	if err := t.relane(s); err != nil {
		return err
	}
	t.shown = true
	return t.audit("hl7", "order", entity(s.UID), strings.Join(detail, "; "))
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
// keeps the head start that it has; in another class it gets that class's.
func (t *tx) placeByOrder(s study.Study, deadline time.Time) (study.Place, error) {
	old := s.Place
	if s.Opened {
		old.Deadline = deadline
		return old, nil
	}
	results, err := list(t, scanResult, `SELECT body FROM result WHERE study_uid = $1 AND rev = $2 AND shadow = 0
		ORDER BY model_id, model_version, model_sha256`, s.UID, s.Rev)
	if err != nil {
		return old, err
	}
	facts := study.PlaceFacts{ArrivedAt: s.ReceivedAt, Now: t.now, Priority: s.Priority, Deadline: deadline, Results: results}
	p := t.ledger.place(facts)
	if p.Class == old.Class && old.Key.Before(p.Key) {
		facts.Old = &old
		p = t.ledger.place(facts)
		p.Key = old.Key
	}
	return p, nil
}

// relane moves the jobs of a study that no worker has begun, and what is to follow
// from them, to the lane of its priority. One that lies on the conveyor already
// goes back to the line, and is laid on anew in its new lane: its next attempt
// fences the note that is left in the old one.
func (t *tx) relane(s study.Study) error {
	lane := s.Priority.Lane()
	if _, err := t.exec(`UPDATE job SET state = 'ready' WHERE study_uid = $1 AND rev = $2 AND state = 'enqueued' AND worker = '' AND lane <> $3 AND lane <> $4`,
		s.UID, s.Rev, lane, study.Backfill); err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE job SET lane = $3, due_at = $4 WHERE study_uid = $1 AND rev = $2 AND state = 'ready' AND lane <> $5`,
		s.UID, s.Rev, lane, ms(due(s, lane)), study.Backfill); err != nil {
		return err
	}
	t.moved = true
	_, err := t.exec(`UPDATE revision SET lane = $3 WHERE study_uid = $1 AND rev = $2 AND lane <> $4`, s.UID, s.Rev, lane, study.Backfill)
	return err
}

// laneOf is the lane of a plan: what an order said while it was being made counts.
func (t *tx) laneOf(s study.Study, p study.Plan) (study.Lane, error) {
	if p.Lane == study.Backfill || p.Lane == s.Priority.Lane() {
		return p.Lane, nil
	}
	orders, _, err := ordersOf(t, s)
	if err != nil || len(orders) == 0 {
		return p.Lane, err
	}
	return s.Priority.Lane(), nil
}

// Orders gives what is known of a study's orders, with those that were not
// applied because their patient is not the study's.
func (l *Ledger) Orders(ctx context.Context, uid study.UID) (out []study.Order, err error) {
	err = l.view(ctx, func(a asker) error {
		s, err := findStudy(a, uid)
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

// reportHash covers what a report says, so that a sender whose numbers begin anew
// loses none.
func reportHash(r study.ReportIn) (study.Hash, error) {
	text, err := pack([]any{r.Study, r.Accession, r.Placer, r.Filler, r.Status, r.Text, r.Codes})
	return sha256.Sum256([]byte(text)), err
}
