package intake

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

const disputeColumns = `id, kind, study_uid, sop_uid, sha256, object_key, bytes, sender, received_at, evidence, state, decided_by, reason, decided_at`

func scanConflict(rows *sql.Rows) (c study.Conflict, err error) {
	var sum []byte
	var when, decided int64
	var evidence string
	if err = rows.Scan(&c.ID, &c.Kind, &c.Study, &c.Instance, &sum, &c.Key, &c.Bytes, &c.Sender, &when, &evidence,
		&c.State, &c.By, &c.Reason, &decided); err != nil {
		return c, err
	}
	c.SHA256, c.At, c.Decided = sqldb.Hash(sum), sqldb.At(when), sqldb.At(decided)
	return c, sqldb.Unpack(evidence, &c.Evidence)
}

// A setAside is an arrival as a dispute keeps it: a patient is written out, which
// no other row does in JSON.
type setAside struct {
	Person                                                    study.Person
	Accession, ID, Description, Date, Time, Referring, Sender string
	Modality                                                  study.Modality
	Priority                                                  study.Priority
	Instance                                                  study.Instance
	Image                                                     string
	Frames                                                    []byte
}

func packArrival(a arrival, i study.Instance) (string, error) {
	s := a.Study
	i.Image = nil
	return sqldb.Pack(setAside{Person: s.Patient.Reveal(), Accession: s.Accession, ID: s.ID, Description: s.Description, Date: s.Date,
		Time: s.Time, Referring: s.Referring, Sender: s.Sender, Modality: s.Modality, Priority: s.Priority,
		Instance: i, Image: a.image, Frames: a.frames})
}

// arrival gives back what packArrival took.
func (k setAside) arrival() (arrival, error) {
	i := k.Instance
	if k.Image != "" {
		i.Image = &study.Image{}
		if err := sqldb.Unpack(k.Image, i.Image); err != nil {
			return arrival{}, err
		}
	}
	a := study.Arrival{Instance: i, Study: study.Study{UID: i.Study, Patient: study.NewPatient(k.Person), Accession: k.Accession,
		ID: k.ID, Description: k.Description, Date: k.Date, Time: k.Time, Referring: k.Referring, Sender: k.Sender,
		Modality: k.Modality, Priority: k.Priority}}
	return arrival{Arrival: a, image: k.Image, frames: k.Frames}, nil
}

// disputeID names a dispute by what it is about, so that the same object held
// twice is held once.
func disputeID(kind string, i study.Instance) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join([]string{kind, string(i.UID), string(i.Study), i.SHA256.String()}, "\x00"))))[:32]
}

// dispute holds an object for an operator, flags the study and tells the audit;
// which attributes differ, never their values.
func (t *tx) dispute(kind string, flagged study.UID, a arrival, i study.Instance, evidence []study.Difference) error {
	told, err := sqldb.Pack(evidence)
	if err != nil {
		return err
	}
	kept := ""
	if kind != study.ConflictAccession {
		if kept, err = packArrival(a, i); err != nil {
			return err
		}
	}
	n, err := t.Exec(`INSERT INTO dispute (`+disputeColumns+`, arrival) VALUES `+sqldb.Values(15)+` ON CONFLICT (id) DO NOTHING`,
		disputeID(kind, i), kind, i.Study, i.UID, i.SHA256[:], i.Key, i.Bytes, a.Study.Sender, sqldb.MS(i.ReceivedAt), told,
		study.ConflictOpen, "", "", 0, kept)
	if err != nil || n == 0 {
		return err
	}
	t.Shown = true
	if _, err := t.Exec(`UPDATE study SET conflicts = conflicts + 1 WHERE uid = $1`, flagged); err != nil {
		return err
	}
	return t.Audit("ingest", "conflict", row.Entity(flagged), fmt.Sprintf("%s: instance %s, SHA-256 %s; differs in %v", kind, i.UID, i.SHA256, evidence))
}

// otherPerson lists what an object says of its patient against what its study
// says. Another number of the same register is another person, and so is another
// date of birth. A name is one only where the number does not vouch for it, and
// when it has no word in common with the other: names are written in many ways.
func otherPerson(p, q study.Person) (all []study.Difference) {
	differs := func(attribute, a, b string) {
		all = append(all, study.Difference{Attribute: attribute, Known: a, Came: b})
	}
	sameID := p.ID != "" && p.ID == q.ID
	switch {
	case p.ID != "" && q.ID != "" && p.ID != q.ID:
		differs("PatientID", p.ID, q.ID)
	case p.Issuer != "" && q.Issuer != "" && p.Issuer != q.Issuer:
		differs("IssuerOfPatientID", p.Issuer, q.Issuer)
	}
	sameBirth := p.Birth != "" && p.Birth == q.Birth
	if p.Birth != "" && q.Birth != "" && !sameBirth {
		differs("PatientBirthDate", p.Birth, q.Birth)
	}
	if !(sameID && sameBirth) && !shareWord(p.Name, q.Name) {
		differs("PatientName", p.Name, q.Name)
	}
	return all
}

// shareWord reports whether two names may be one: they share a word, or one of
// them has none.
func shareWord(a, b string) bool {
	words := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	}
	x, y := words(a), words(b)
	return len(x) == 0 || len(y) == 0 || slices.ContainsFunc(x, func(w string) bool { return slices.Contains(y, w) })
}

// ofAnother holds an object whose patient is not its study's. It reports whether
// it did.
func (t *tx) ofAnother(s study.Study, a arrival, i study.Instance) (bool, error) {
	if s.UID == "" {
		return false, nil
	}
	evidence := otherPerson(s.Patient.Reveal(), a.Study.Patient.Reveal())
	if len(evidence) == 0 {
		return false, nil
	}
	return true, t.dispute(study.ConflictPatient, s.UID, a, i, evidence)
}

// ofAnothersOrder flags a new study that came under the accession number of a
// study of another patient. Both are in use: numbers are given out anew, and by
// more than one house.
func (t *tx) ofAnothersOrder(a arrival, i study.Instance) error {
	p := a.Study.Patient.Reveal()
	if a.Study.Accession == "" || p.ID == "" {
		return nil
	}
	other, err := sqldb.One(t, row.ScanStudy, `SELECT `+row.StudyColumns+` FROM study WHERE accession = $1 AND uid <> $2 AND patient_id <> '' AND patient_id <> $3
		ORDER BY received_at DESC, uid LIMIT 1`, a.Study.Accession, i.Study, p.ID)
	if errors.Is(err, study.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	evidence := otherPerson(other.Patient.Reveal(), p)
	if len(evidence) == 0 {
		return nil
	}
	evidence = append(evidence, study.Difference{Attribute: "StudyInstanceUID", Known: string(other.UID), Came: string(i.Study)})
	return t.dispute(study.ConflictAccession, i.Study, a, i, evidence)
}

// Conflicts gives the objects that contradict what is known, the newest first:
// those of one state, or of all when state is empty.
func (l *Intake) Conflicts(ctx context.Context, state string, limit int) ([]study.Conflict, error) {
	return sqldb.List(l.db.Ask(ctx), scanConflict, `SELECT `+disputeColumns+` FROM dispute WHERE $1 = '' OR state = $1
		ORDER BY received_at DESC, id LIMIT $2`, state, limit)
}

// Decide ends a conflict. An object that is accepted is in use from then on: one
// of another patient joins its study, whose own identity stands; other content
// takes the place of the first, which is kept. Its study is received anew. An
// object that is discarded stays kept and is never used. A conflict that is
// decided already, or that cannot be accepted, is [study.ErrInvalid].
func (l *Intake) Decide(ctx context.Context, id string, accept bool, by, reason string) (study.Conflict, error) {
	var c study.Conflict
	err := l.change(ctx, func(t *tx) (err error) {
		c, err = t.decide(id, accept, by, reason)
		return err
	})
	if err != nil {
		return study.Conflict{}, fmt.Errorf("decide conflict %s: %w", id, err)
	}
	return c, nil
}

func (t *tx) decide(id string, accept bool, by, reason string) (study.Conflict, error) {
	if err := row.Signed(by, reason); err != nil {
		return study.Conflict{}, err
	}
	state := study.ConflictDiscarded
	if accept {
		state = study.ConflictAccepted
	}
	n, err := t.Exec(`UPDATE dispute SET state = $2, decided_by = $3, reason = $4, decided_at = $5 WHERE id = $1 AND state = $6`,
		id, state, sqldb.Clean(by), sqldb.Clean(reason), sqldb.MS(t.Now), study.ConflictOpen)
	if err != nil {
		return study.Conflict{}, err
	}
	c, err := sqldb.One(t, scanConflict, `SELECT `+disputeColumns+` FROM dispute WHERE id = $1`, id)
	if err != nil {
		return c, err
	}
	if n == 0 {
		return c, fmt.Errorf("it was %s by %s: %w", c.State, c.By, study.ErrInvalid)
	}
	if accept {
		if err := t.accept(c); err != nil {
			return c, err
		}
	}
	flagged, err := t.flaggedBy(c)
	if err != nil {
		return c, err
	}
	if _, err := t.Exec(`UPDATE study SET conflicts = conflicts - 1 WHERE uid = $1 AND conflicts > 0`, flagged); err != nil {
		return c, err
	}
	t.Shown = true
	return c, t.Audit(sqldb.Clean(by), "conflict "+state, row.Entity(flagged), fmt.Sprintf("%s: instance %s, SHA-256 %s; %s", c.Kind, c.Instance, c.SHA256, sqldb.Clean(reason)))
}

// flaggedBy is the study that bears the flag of a conflict: of a UID that came in
// another study, the one that has it.
func (t *tx) flaggedBy(c study.Conflict) (study.UID, error) {
	if c.Kind != study.ConflictStudy {
		return c.Study, nil
	}
	return sqldb.One(t, func(rows *sql.Rows) (uid study.UID, err error) { return uid, rows.Scan(&uid) },
		`SELECT study_uid FROM instance WHERE sop_uid = $1`, c.Instance)
}

// accept takes a held object into use.
func (t *tx) accept(c study.Conflict) error {
	switch c.Kind {
	case study.ConflictAccession:
		return nil
	case study.ConflictStudy:
		return fmt.Errorf("a UID cannot be in two studies; discard it, and have the sender make a new UID: %w", study.ErrInvalid)
	}
	text, err := sqldb.One(t, func(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }, `SELECT arrival FROM dispute WHERE id = $1`, c.ID)
	if err != nil {
		return err
	}
	var kept setAside
	if err := sqldb.Unpack(text, &kept); err != nil {
		return err
	}
	a, err := kept.arrival()
	if err != nil {
		return err
	}
	s, err := t.arrivedIn(a.Study, a.Instance)
	if err != nil {
		return err
	}
	a.Study.Patient = s.Patient // the study's identity stands
	a.Instance.ReceivedAt = t.Now
	if c.Kind == study.ConflictContent {
		return t.exchange(s, a)
	}
	if _, err := sqldb.One(t, scanKnown, `SELECT study_uid, sha256, own FROM instance WHERE sop_uid = $1`, c.Instance); err == nil {
		return fmt.Errorf("another object of that UID has come since; discard it: %w", study.ErrInvalid)
	} else if !errors.Is(err, study.ErrNotFound) {
		return err
	}
	if _, err := t.grow(s, a.Study, a.Instance, false); err != nil {
		return err
	}
	return t.takeIn(a, a.Instance)
}

// exchange puts other content in the place of what is in use, and has the study
// received anew. What was in use is told in the audit with its hash; its bytes
// stay where they are.
func (t *tx) exchange(s study.Study, a arrival) error {
	i := a.Instance
	was, err := sqldb.One(t, row.ScanInstance, `SELECT `+row.InstanceColumns+` FROM instance WHERE sop_uid = $1 AND own = 0`, i.UID)
	if err != nil {
		return err
	}
	if err := t.Audit("ingest", "exchanged", row.Entity(s.UID), fmt.Sprintf("instance %s was %s, SHA-256 %s", i.UID, was.Key, was.SHA256)); err != nil {
		return err
	}
	if _, err := t.Exec(`UPDATE instance SET object_key = $2, bytes = $3, sha256 = $4, transfer_syntax = $5, image = $6, received_at = $7,
		number = $8 WHERE sop_uid = $1`, i.UID, i.Key, i.Bytes, i.SHA256[:], i.TransferSyntax, a.image, sqldb.MS(i.ReceivedAt), i.Number); err != nil {
		return err
	}
	if _, err := t.Exec(`DELETE FROM frame_index WHERE sop_uid = $1`, i.UID); err != nil {
		return err
	}
	if err := t.takeFrames(a, i); err != nil {
		return err
	}
	waiting := `waiting`
	if s.Status != study.Receiving && s.Status != study.Refused {
		if err := t.Reopen(&s); err != nil {
			return err
		}
		waiting = `1`
	}
	s.LastInstanceAt = i.ReceivedAt
	return t.UpdateStudy(s, waiting)
}
