package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"varde/store/sqldb"
	"varde/study"
)

// An arrival is a [study.Arrival] made ready for the tables, outside of any
// transaction.
type arrival struct {
	study.Arrival
	image  string // JSON
	frames []byte // nil when there are none
}

// Receive records one object whose bytes are already kept under its key. The
// records of callers that come together are made durable by one fsync; a caller
// whose record fails takes no other along.
//
// The same bytes under a known SOP Instance UID are a duplicate and change
// nothing, and so is any copy of a report of ours that comes back. Other bytes,
// another Study Instance UID, or another patient than the study's, are a
// conflict: it is kept with its key, the study is flagged, and what was there
// stays in use until [Ledger.Decide]. A new object of a study
// that was settled reopens it: its open jobs are canceled, and its results and
// reports stand until the next revision has its own.
func (l *Ledger) Receive(ctx context.Context, a study.Arrival) (study.Receipt, error) {
	in, err := newArrival(a)
	if err != nil {
		return study.Receipt{}, fmt.Errorf("receive instance %s: %w", a.Instance.UID, err)
	}
	var r study.Receipt
	err = l.change(ctx, func(t *tx) error {
		var err error
		r, err = t.receive(in)
		return err
	})
	if err != nil {
		return study.Receipt{}, fmt.Errorf("receive instance %s: %w", a.Instance.UID, err)
	}
	return r, nil
}

func newArrival(a study.Arrival) (arrival, error) {
	i := &a.Instance
	if i.UID == "" || i.Study == "" || i.Series == "" || i.Key == "" || a.Study.UID != i.Study {
		return arrival{}, fmt.Errorf("study %q, series %q, key %q: an instance needs all three: %w", i.Study, i.Series, i.Key, study.ErrInvalid)
	}
	p := a.Study.Patient.Reveal()
	for _, s := range []*string{&p.ID, &p.Issuer, &p.Name, &p.Birth, &p.Sex, &a.Study.Accession, &a.Study.ID,
		&a.Study.Description, &a.Study.Date, &a.Study.Time, &a.Study.Referring, &a.Study.Sender, &i.SeriesText,
		(*string)(&a.Study.Modality), (*string)(&a.Study.Priority), (*string)(&i.Modality)} {
		*s = sqldb.Clean(*s)
	}
	a.Study.Patient = study.NewPatient(p)
	in := arrival{Arrival: a}
	var err error
	if i.Image != nil {
		if in.image, err = sqldb.Pack(i.Image); err != nil {
			return in, err
		}
	}
	if a.Frames.Len() > 0 {
		in.frames, err = a.Frames.MarshalBinary()
	}
	return in, err
}

func (t *tx) receive(a arrival) (study.Receipt, error) {
	i := a.Instance
	if i.ReceivedAt.IsZero() {
		i.ReceivedAt = t.Now
	}
	// The study's row comes first: it makes all that touch one study take turns.
	s, err := t.arrivedIn(a.Study, i)
	if err != nil {
		return study.Receipt{}, err
	}
	prior, renewed, err := t.arrivesAsPrior(&s, a)
	if err != nil {
		return study.Receipt{}, err
	}
	known, err := sqldb.One(t, scanKnown, `SELECT study_uid, sha256, own FROM instance WHERE sop_uid = $1`, i.UID)
	if err == nil {
		r, err := t.again(a, i, known)
		r.Reopened = renewed
		return r, err
	}
	if !errors.Is(err, study.ErrNotFound) {
		return study.Receipt{}, err
	}
	by, held, err := t.follow(&a.Study, i.Study)
	if err != nil {
		return study.Receipt{}, err
	}
	if apart, err := t.ofAnother(s, a, i); apart || err != nil {
		return study.Receipt{Outcome: study.Conflicted}, err
	}
	reopened, err := t.grow(s, a.Study, i, prior)
	if err != nil {
		return study.Receipt{}, err
	}
	if s.UID == "" {
		if err := t.ofAnothersOrder(a, i); err != nil {
			return study.Receipt{}, err
		}
	}
	if s.UID != "" {
		by = nil // it was said when the study began
	}
	if s.UID == "" || s.Accession == "" && a.Study.Accession != "" {
		if err := t.arrivedUnder(i.Study, by, held); err != nil {
			return study.Receipt{}, err
		}
	}
	if err := t.slideCame(s.UID == "", i); err != nil {
		return study.Receipt{}, err
	}
	t.Shown = true
	return study.Receipt{Outcome: study.Stored, Reopened: reopened || renewed}, t.takeIn(a, i)
}

// takeIn makes the row of an object that is new.
func (t *tx) takeIn(a arrival, i study.Instance) error {
	if _, err := t.Exec(`INSERT INTO instance (`+instanceColumns+`, own) VALUES `+sqldb.Values(15),
		i.UID, i.Study, i.Series, i.Class, i.TransferSyntax, i.Modality, i.Number, i.SeriesNumber, i.SeriesText,
		i.Key, i.Bytes, i.SHA256[:], sqldb.MS(i.ReceivedAt), a.image, 0); err != nil {
		return err
	}
	return t.takeFrames(a, i)
}

// takeFrames keeps where the frames of an object lie.
func (t *tx) takeFrames(a arrival, i study.Instance) error {
	if a.frames == nil {
		return nil
	}
	_, err := t.Exec(`INSERT INTO frame_index (sop_uid, frames) VALUES ($1, $2)`, i.UID, a.frames)
	return err
}

// A knownInstance is what an arrival is compared with.
type knownInstance struct {
	study study.UID
	hash  study.Hash
	own   bool
}

func scanKnown(rows *sql.Rows) (k knownInstance, err error) {
	var sum []byte
	err = rows.Scan(&k.study, &sum, &k.own)
	k.hash = sqldb.Hash(sum)
	return k, err
}

// again decides what an object is whose UID is known.
func (t *tx) again(a arrival, i study.Instance, known knownInstance) (study.Receipt, error) {
	if known.own || known.study == i.Study && known.hash == i.SHA256 {
		return study.Receipt{Outcome: study.Duplicate}, nil
	}
	n, err := t.Exec(`INSERT INTO conflict (sop_uid, study_uid, sha256, object_key, bytes, received_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (sop_uid, study_uid, sha256) DO NOTHING`,
		i.UID, i.Study, i.SHA256[:], i.Key, i.Bytes, sqldb.MS(i.ReceivedAt))
	if err != nil || n == 0 {
		return study.Receipt{Outcome: study.Conflicted}, err
	}
	if i.Study != known.study {
		return study.Receipt{Outcome: study.Conflicted}, t.dispute(study.ConflictStudy, known.study, a, i,
			[]study.Difference{{Attribute: "StudyInstanceUID", Known: string(known.study), Came: string(i.Study)}})
	}
	return study.Receipt{Outcome: study.Conflicted}, t.dispute(study.ConflictContent, known.study, a, i,
		[]study.Difference{{Attribute: "SHA256", Known: known.hash.String(), Came: i.SHA256.String()}})
}

// arrivedIn locks the study's row and reads it. The zero study means that there
// is none yet.
func (t *tx) arrivedIn(in study.Study, i study.Instance) (study.Study, error) {
	n, err := t.Exec(`UPDATE study SET rev = rev WHERE uid = $1`, i.Study)
	if err != nil || n == 0 {
		return study.Study{}, err
	}
	return findStudy(t, i.Study)
}

// grow takes a new instance into its study, which it makes if there is none. A prior
// does not come to the worklist.
func (t *tx) grow(s, in study.Study, i study.Instance, prior bool) (reopened bool, err error) {
	if s.UID == "" {
		return false, t.begin(in, i, prior)
	}
	placed := merge(&s, in, i)
	if placed {
		s.Place = t.replace(s, nil)
	}
	waiting := `waiting`
	if s.Status != study.Receiving && s.Status != study.Refused {
		if err := t.reopen(&s); err != nil {
			return false, err
		}
		reopened = true
		if !prior {
			waiting = `1`
		}
	}
	s.Instances++
	s.LastInstanceAt = i.ReceivedAt
	return reopened, t.updateStudy(s, waiting)
}

// begin makes the row of a study whose first instance has come.
func (t *tx) begin(s study.Study, i study.Instance, prior bool) error {
	s.Status, s.Rev, s.Instances = study.Receiving, 0, 1
	s.ReceivedAt, s.LastInstanceAt = i.ReceivedAt, i.ReceivedAt
	if s.Modality == "" {
		s.Modality = i.Modality
	}
	s.Place = t.ledger.place(study.PlaceFacts{ArrivedAt: s.ReceivedAt, Now: t.Now, Priority: s.Priority, Deadline: s.Place.Deadline,
		NoAI: t.ledger.mute.Load()})
	why, err := sqldb.Pack(s.Place.Why)
	if err != nil {
		return err
	}
	p := s.Patient.Reveal()
	_, err = t.Exec(`INSERT INTO study (`+studyColumns+`, waiting, read_at, search) VALUES `+sqldb.Values(34),
		s.UID, s.Status, s.Rev, p.ID, p.Issuer, p.Name, p.Birth, p.Sex, s.Accession, s.ID,
		s.Description, s.Date, s.Time, s.Referring, s.Modality, s.Priority, s.Instances, 0, s.Sender,
		sqldb.MS(s.ReceivedAt), sqldb.MS(s.LastInstanceAt), 0, s.Place.Class, sqldb.MS(s.Place.Key), why, sqldb.MS(s.Place.Deadline), s.Place.Rule, 0, "", "", "",
		sqldb.Bit(!prior), 0, searchText(s))
	return err
}

// updateStudy writes what an arrival may change.
func (t *tx) updateStudy(s study.Study, waiting string) error {
	why, err := sqldb.Pack(s.Place.Why)
	if err != nil {
		return err
	}
	p := s.Patient.Reveal()
	read := `read_at`
	if waiting == `1` {
		read = `0` // there is something new to read
	}
	_, err = t.Exec(`UPDATE study SET status = $2, patient_id = $3, issuer = $4, patient_name = $5, birth = $6, sex = $7,
		accession = $8, study_id = $9, description = $10, study_date = $11, study_time = $12, referring = $13, modality = $14,
		priority = $15, instances = $16, conflicts = $17, last_instance_at = $18, class = $19, place_key = $20, why = $21,
		deadline = $22, rule = $23, search = $24, note = $25, waiting = `+waiting+`, read_at = `+read+` WHERE uid = $1`,
		s.UID, s.Status, p.ID, p.Issuer, p.Name, p.Birth, p.Sex, s.Accession, s.ID, s.Description, s.Date, s.Time,
		s.Referring, s.Modality, s.Priority, s.Instances, s.Conflicts, sqldb.MS(s.LastInstanceAt), s.Place.Class, sqldb.MS(s.Place.Key),
		why, sqldb.MS(s.Place.Deadline), s.Place.Rule, searchText(s), s.Note)
	return err
}

// noImages are the modalities of objects that go along with images. A study is
// not called by one of them once there is an image.
var noImages = []study.Modality{"", "SR", "PR", "KO", "DOC", "OT", "SEG", "REG", "AU"}

// merge fills what is blank in s from what another of its instances says; what
// the first one said stands. It tells whether the study must be placed anew.
func merge(s *study.Study, in study.Study, i study.Instance) (placed bool) {
	p, q := s.Patient.Reveal(), in.Patient.Reveal()
	fill := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	fill(&p.ID, q.ID)
	fill(&p.Issuer, q.Issuer)
	fill(&p.Name, q.Name)
	fill(&p.Birth, q.Birth)
	fill(&p.Sex, q.Sex)
	s.Patient = study.NewPatient(p)
	fill(&s.Accession, in.Accession)
	fill(&s.ID, in.ID)
	fill(&s.Description, in.Description)
	fill(&s.Date, in.Date)
	fill(&s.Time, in.Time)
	fill(&s.Referring, in.Referring)
	placed = s.Priority == "" && in.Priority != ""
	fill((*string)(&s.Priority), string(in.Priority))
	if i.Image != nil && i.Modality != "" && slices.Contains(noImages, s.Modality) {
		s.Modality = i.Modality
	}
	return placed
}

// reopen takes a settled study back to receiving. What was still to do on its
// old revision is canceled: whoever works on it finds the fence closed.
func (t *tx) reopen(s *study.Study) error {
	was := s.Status
	to, err := s.Status.To(study.Receiving)
	if err != nil {
		return err
	}
	s.Status, s.Note = to, ""
	if err := t.cancelJobs(s.UID); err != nil {
		return err
	}
	return t.audit("ingest", "reopened", entity(s.UID), "was "+string(was))
}

// cancelJobs ends what is open of a study.
func (t *tx) cancelJobs(uid study.UID) error {
	t.Moved = true
	_, err := t.Exec(`UPDATE job SET state = 'canceled', worker = '' WHERE study_uid = $1 AND state IN ('ready', 'enqueued')
		AND task NOT IN ('withdraw', 'verify')`, uid) // what is called back or answered stays so, whatever comes
	return err
}

// searchText is what a page's search box looks in.
func searchText(s study.Study) string {
	p := s.Patient.Reveal()
	return strings.ToLower(strings.Join([]string{p.Name, p.ID, s.Accession}, "\n"))
}

// entity names a study in the audit.
func entity(uid study.UID) string { return "study " + string(uid) }

// Unsettled gives the studies that are being received, the one that has been
// quiet the longest first.
func (l *Ledger) Unsettled(ctx context.Context) ([]study.Study, error) {
	return sqldb.List(l.db.Ask(ctx), scanStudy, `SELECT `+studyColumns+` FROM study WHERE status = 'receiving' ORDER BY last_instance_at, uid`)
}

// Study gives one study.
func (l *Ledger) Study(ctx context.Context, uid study.UID) (study.Study, error) {
	return findStudy(l.db.Ask(ctx), uid)
}

// Instances gives what was received of a study, our own reports not included,
// by series number, instance number and UID.
func (l *Ledger) Instances(ctx context.Context, uid study.UID) ([]study.Instance, error) {
	return sqldb.List(l.db.Ask(ctx), scanInstance, `SELECT `+instanceColumns+` FROM instance WHERE study_uid = $1 AND own = 0
		ORDER BY series_number, series_uid, number, sop_uid`, uid)
}

// ObjectsOf gives all objects of a study, or of one of its series when series is
// not empty: what was received and the reports that we wrote, but for those that
// were rejected.
func (l *Ledger) ObjectsOf(ctx context.Context, uid, series study.UID) ([]study.Instance, error) {
	return sqldb.List(l.db.Ask(ctx), scanInstance, `SELECT `+instanceColumns+` FROM instance WHERE study_uid = $1 AND rejected = 0
		AND ($2 = '' OR series_uid = $2) ORDER BY own, series_number, series_uid, number, sop_uid`, uid, series)
}

// Instance gives one object, received or our own, also one that was rejected.
func (l *Ledger) Instance(ctx context.Context, uid study.UID) (study.Instance, error) {
	i, err := sqldb.One(l.db.Ask(ctx), scanInstance, `SELECT `+instanceColumns+` FROM instance WHERE sop_uid = $1`, uid)
	if err != nil {
		return i, fmt.Errorf("instance %s: %w", uid, err)
	}
	return i, nil
}

// Frames gives where an object's frames lie. An object without frames, or whose
// frames can't be addressed, has an empty index.
func (l *Ledger) Frames(ctx context.Context, uid study.UID) (f study.Frames, err error) {
	packed, err := sqldb.One(l.db.Ask(ctx), func(rows *sql.Rows) (b []byte, err error) { return b, rows.Scan(&b) },
		`SELECT f.frames FROM instance i LEFT JOIN frame_index f ON f.sop_uid = i.sop_uid WHERE i.sop_uid = $1`, uid)
	if err != nil {
		return f, fmt.Errorf("frames of instance %s: %w", uid, err)
	}
	if len(packed) == 0 {
		return f, nil
	}
	return f, f.UnmarshalBinary(packed)
}
