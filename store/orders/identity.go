package orders

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"varde/store/course"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// maxMerges bounds how often one record may have been merged into another.
const maxMerges = 8

// A told person is whom a message speaks of.
type person struct {
	study.Person
	identifiers []study.Identifier
}

// family is the family name alone, in letters that compare.
func family(name string) string {
	name, _, _ = strings.Cut(name, "=")
	name, _, _ = strings.Cut(name, "^")
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// differing lists which of three facts two records know and give otherwise. One
// of them may be a correction; two are taken for two people.
func differing(a, b study.Person) (facts []string) {
	for _, f := range [...]struct{ name, a, b string }{
		{"family name", family(a.Name), family(b.Name)}, {"birth date", a.Birth, b.Birth}, {"sex", a.Sex, b.Sex},
	} {
		if f.a != "" && f.b != "" && f.a != f.b {
			facts = append(facts, f.name)
		}
	}
	return facts
}

// tooMany is how many facts may not differ between two records of one person.
const tooMany = 2

// sameRecord reports whether an identifier names the record of a study. Who
// issued it must agree where both sides say.
func sameRecord(p study.Person, id study.Identifier) bool {
	return p.ID == id.ID && (p.Issuer == "" || id.Authority == "" || p.Issuer == id.Authority || p.Issuer == id.AuthorityUID)
}

// contradicts says what speaks against a message's patient being the study's, or
// nothing. byUID says that the message names the study by its own UID: then a
// number from another register is no contradiction when name and birth date are
// the same.
func contradicts(a sqldb.Asker, p study.Person, told person, byUID bool) ([]string, error) {
	facts := differing(p, told.Person)
	if p.ID != "" && len(told.identifiers) > 0 {
		same, err := anyRecord(a, p, told.identifiers)
		if err != nil {
			return nil, err
		}
		alike := p.Birth != "" && p.Birth == told.Birth && family(p.Name) != "" && family(p.Name) == family(told.Name)
		if !same && !(byUID && alike) {
			return append([]string{"patient ID"}, facts...), nil
		}
	}
	if len(facts) < tooMany {
		return nil, nil
	}
	return facts, nil
}

func anyRecord(a sqldb.Asker, p study.Person, ids []study.Identifier) (bool, error) {
	for _, id := range ids {
		if sameRecord(p, id) {
			return true, nil
		}
		now, err := survivor(a, study.Person{ID: id.ID, Issuer: id.Authority})
		if err != nil {
			return false, err
		}
		if sameRecord(p, study.Identifier{ID: now.ID, Authority: now.Issuer}) {
			return true, nil
		}
	}
	return false, nil
}

// A merged record and the one that it became. One that became itself was updated:
// its number stands for the facts that were told last.
type merged struct {
	old, now study.Person
	told     study.Message
}

func scanMerged(rows *sql.Rows) (m merged, err error) {
	var told int64
	err = rows.Scan(&m.old.ID, &m.old.Issuer, &m.old.Name, &m.now.ID, &m.now.Issuer, &m.now.Name, &m.now.Birth, &m.now.Sex,
		&m.told.Sender, &m.told.ID, &told)
	m.told.At = sqldb.At(told)
	return m, err
}

const mergedColumns = `old_id, old_issuer, old_name, new_id, new_issuer, new_name, birth, sex, sender, message, told_at`

// mergeOf finds into what a record was merged. A number that several registers
// have merged away, of a study that does not say whose number it bears, is
// ambiguous, and none of them is meant.
func mergeOf(a sqldb.Asker, p study.Person) (merged, error) {
	if p.ID == "" {
		return merged{}, study.ErrNotFound
	}
	all, err := sqldb.List(a, scanMerged, `SELECT `+mergedColumns+` FROM patient_merge
		WHERE old_id = $1 AND ($2 = '' OR old_issuer = '' OR old_issuer = $2)`, p.ID, p.Issuer)
	if err != nil {
		return merged{}, err
	}
	if len(all) != 1 {
		return merged{}, study.ErrNotFound
	}
	return all[0], nil
}

// survivor follows a record through all merges.
func survivor(a sqldb.Asker, p study.Person) (study.Person, error) {
	for range maxMerges {
		m, err := mergeOf(a, p)
		if errors.Is(err, study.ErrNotFound) {
			return p, nil
		}
		if err != nil {
			return p, err
		}
		if p = m.become(p); m.itself() {
			break
		}
	}
	return p, nil
}

// itself reports whether the record was only updated.
func (m merged) itself() bool { return m.old.ID == m.now.ID && m.old.Issuer == m.now.Issuer }

// subject names the message that told of it.
func (m merged) subject() string { return m.told.Sender + " " + m.told.ID }

// heldFor is that a study was not given the merge or the update, for these facts.
func (m merged) heldFor(s study.Study, facts []string) held {
	kind := study.HoldMerge
	if m.itself() {
		kind = study.HoldUpdate
	}
	return held{kind: kind, subject: m.subject(), told: m.told, facts: facts, known: s.Patient.Reveal(), came: m.now}
}

// become gives the person that the merge made of p.
func (m merged) become(p study.Person) study.Person {
	if m.itself() {
		return refresh(p, m.now)
	}
	p.ID = m.now.ID
	if m.now.Issuer != "" {
		p.Issuer = m.now.Issuer
	}
	return refresh(p, m.now)
}

// refresh gives p with the facts that are newly told.
func refresh(p, now study.Person) study.Person {
	for _, f := range [...]struct {
		to   *string
		from string
	}{{&p.Name, now.Name}, {&p.Birth, now.Birth}, {&p.Sex, now.Sex}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	return p
}

// against says what speaks against a study's patient being the record that was
// merged away. That the record's own name was told and is the study's settles it,
// whatever else differs: an unconscious patient is taken in under a made-up name.
func (m merged) against(p study.Person) []string {
	if name := family(m.old.Name); name != "" && family(p.Name) != "" {
		if n := family(p.Name); n == name || n == family(m.now.Name) {
			return nil
		}
		return []string{"family name"}
	}
	if facts := differing(p, m.now); len(facts) >= tooMany {
		return facts
	}
	return nil
}

// citation names a message in the audit.
func citation(m study.Message) string {
	return fmt.Sprintf("message %s of %s", brief(m.ID), brief(m.Sender))
}

// brief cuts a stranger's name for itself.
func brief(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// Followed is what is known of an arriving study's patient: the merge by which it
// has it, and what contradicts that.
type Followed struct {
	by   *merged
	held []string
}

// Follow gives an arriving study the patient that its record was merged into, as
// the register told of it last. What it found is for [ArrivedUnder], once the study
// has its row.
func Follow(t *course.Tx, in *study.Study, uid study.UID) (Followed, error) {
	return (&tx{t}).follow(in, uid)
}

// ArrivedUnder records by what merge a new study has its patient, and applies what
// its orders have said already.
func ArrivedUnder(t *course.Tx, uid study.UID, f Followed) error {
	return (&tx{t}).arrivedUnder(uid, f)
}

// follow gives an arriving study the patient that its record was merged into, as
// the register told of it last. A record whose facts contradict the merge stays what it is; held says what
// contradicts, to be kept once the study has its row.
func (t *tx) follow(in *study.Study, uid study.UID) (f Followed, err error) {
	for range maxMerges {
		p := in.Patient.Reveal()
		m, err := mergeOf(t, p)
		if errors.Is(err, study.ErrNotFound) {
			return f, nil
		}
		if err != nil {
			return Followed{}, err
		}
		if held := m.against(p); held != nil {
			if released, err := t.mergeReleased(uid, m); !released {
				return Followed{by: &m, held: held}, err
			}
		}
		now := m.become(p)
		in.Patient = study.NewPatient(now)
		if now != p {
			f.by = &m
		}
		if m.itself() {
			break
		}
	}
	return f, nil
}

// arrivedUnder records by what merge a new study has its patient, and applies
// what is known of it already.
func (t *tx) arrivedUnder(uid study.UID, f Followed) error {
	by, facts := f.by, f.held
	switch {
	case by == nil:
	case facts != nil:
		s, err := row.FindStudy(t, uid)
		if err != nil {
			return err
		}
		if err := t.hold(uid, by.heldFor(s, facts)); err != nil {
			return err
		}
	default:
		action := "patient merged"
		if by.itself() {
			action = "patient updated"
		}
		if err := t.Audit("hl7", action, row.Entity(uid), citation(by.told)+", before the images came"); err != nil {
			return err
		}
	}
	_, _, err := t.applyOrders(uid)
	return err
}
