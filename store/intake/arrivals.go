package intake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"varde/store/orders"
	"varde/store/row"
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
// stays in use until [Intake.Decide]. A new object of a study
// that was settled reopens it: its open jobs are canceled, and its results and
// reports stand until the next revision has its own.
func (l *Intake) Receive(ctx context.Context, a study.Arrival) (study.Receipt, error) {
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
	followed, err := orders.Follow(t.Tx, &a.Study, i.Study)
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
		followed = orders.Followed{} // it was said when the study began
	}
	if s.UID == "" || s.Accession == "" && a.Study.Accession != "" {
		if err := orders.ArrivedUnder(t.Tx, i.Study, followed); err != nil {
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
	if _, err := t.Exec(`INSERT INTO instance (`+row.InstanceColumns+`, own) VALUES `+sqldb.Values(15),
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
	return row.FindStudy(t, i.Study)
}

// grow takes a new instance into its study, which it makes if there is none. A prior
// does not come to the worklist.
func (t *tx) grow(s, in study.Study, i study.Instance, prior bool) (reopened bool, err error) {
	if s.UID == "" {
		return false, t.begin(in, i, prior)
	}
	placed := merge(&s, in, i)
	if placed {
		s.Place = t.NewPlace(s, nil)
	}
	waiting := `waiting`
	if s.Status != study.Receiving && s.Status != study.Refused {
		if err := t.Reopen(&s); err != nil {
			return false, err
		}
		reopened = true
		if !prior {
			waiting = `1`
		}
	}
	s.Instances++
	s.LastInstanceAt = i.ReceivedAt
	return reopened, t.UpdateStudy(s, waiting)
}

// begin makes the row of a study whose first instance has come.
func (t *tx) begin(s study.Study, i study.Instance, prior bool) error {
	s.Status, s.Rev, s.Instances = study.Receiving, 0, 1
	s.ReceivedAt, s.LastInstanceAt = i.ReceivedAt, i.ReceivedAt
	if s.Modality == "" {
		s.Modality = i.Modality
	}
	s.Place = t.Rules.Place(study.PlaceFacts{ArrivedAt: s.ReceivedAt, Now: t.Now, Priority: s.Priority, Deadline: s.Place.Deadline,
		NoAI: t.Rules.Muted()})
	why, err := sqldb.Pack(s.Place.Why)
	if err != nil {
		return err
	}
	p := s.Patient.Reveal()
	_, err = t.Exec(`INSERT INTO study (`+row.StudyColumns+`, waiting, read_at, search) VALUES `+sqldb.Values(34),
		s.UID, s.Status, s.Rev, p.ID, p.Issuer, p.Name, p.Birth, p.Sex, s.Accession, s.ID,
		s.Description, s.Date, s.Time, s.Referring, s.Modality, s.Priority, s.Instances, 0, s.Sender,
		sqldb.MS(s.ReceivedAt), sqldb.MS(s.LastInstanceAt), 0, s.Place.Class, sqldb.MS(s.Place.Key), why, sqldb.MS(s.Place.Deadline), s.Place.Rule, 0, "", "", "",
		sqldb.Bit(!prior), 0, row.SearchText(s))
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

// Unsettled gives the studies that are being received, the one that has been
// quiet the longest first.
func (l *Intake) Unsettled(ctx context.Context) ([]study.Study, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanStudy, `SELECT `+row.StudyColumns+` FROM study WHERE status = 'receiving' ORDER BY last_instance_at, uid`)
}

// Study gives one study.
func (l *Intake) Study(ctx context.Context, uid study.UID) (study.Study, error) {
	return row.FindStudy(l.db.Ask(ctx), uid)
}

// Instances gives what was received of a study, our own reports not included,
// by series number, instance number and UID.
func (l *Intake) Instances(ctx context.Context, uid study.UID) ([]study.Instance, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanInstance, `SELECT `+row.InstanceColumns+` FROM instance WHERE study_uid = $1 AND own = 0
		ORDER BY series_number, series_uid, number, sop_uid`, uid)
}

// ObjectsOf gives all objects of a study, or of one of its series when series is
// not empty: what was received and the reports that we wrote, but for those that
// were rejected.
func (l *Intake) ObjectsOf(ctx context.Context, uid, series study.UID) ([]study.Instance, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanInstance, `SELECT `+row.InstanceColumns+` FROM instance WHERE study_uid = $1 AND rejected = 0
		AND ($2 = '' OR series_uid = $2) ORDER BY own, series_number, series_uid, number, sop_uid`, uid, series)
}

// Instance gives one object, received or our own, also one that was rejected.
func (l *Intake) Instance(ctx context.Context, uid study.UID) (study.Instance, error) {
	return row.FindInstance(l.db.Ask(ctx), uid)
}

// Frames gives where an object's frames lie. An object without frames, or whose
// frames can't be addressed, has an empty index.
func (l *Intake) Frames(ctx context.Context, uid study.UID) (f study.Frames, err error) {
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
