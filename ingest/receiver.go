package ingest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// A Receiver takes objects in. It is met by every door: as a [dimse.Handler], and
// by the STOW-RS service. It may be used by many goroutines at once, and holds
// about 1 MiB for an object, whatever its size. The fields without a default must
// be set.
type Receiver struct {
	Archive  Archive
	Keeper   Housekeeper
	Register Register
	Traffic  *Traffic // shared with the Settler
	Log      *slog.Logger
	// MinFree is how many bytes must stay free in the archive: below it, senders
	// are refused before the disk is full. 0 stands for 1 GiB.
	MinFree int64
	// Charset is the character set of objects that name none, a defined term of
	// PS3.3 §C.12.1.1.2.
	Charset string
	// Now gives the time; nil stands for time.Now.
	Now func() time.Time

	heads sync.Pool // of *[]byte, headBytes long
}

var _ dimse.Handler = (*Receiver)(nil)

// An Object is what a sender hands over.
type Object struct {
	// Data is a Part 10 file or, when TransferSyntax is set, a bare data set in
	// that syntax. It ends with io.EOF only when it is whole.
	Data           io.Reader
	TransferSyntax study.UID
	Size           int64 // bytes of Data; 0 when unknown

	// What the sender said of the object; empty when it did not say. Class and
	// Instance must be given with a bare data set.
	Study, Class, Instance study.UID

	// Elsewhere says where the frames lie of an object that stands for a level of
	// a slide file. nil for every object that holds its own.
	Elsewhere *Elsewhere
}

// Kept is what became of an object. The UIDs are set as far as they were read,
// also beside an error.
type Kept struct {
	study.Receipt
	Study, Series, Instance, Class study.UID
}

// Store takes one C-STORE.
func (r *Receiver) Store(ctx context.Context, req dimse.StoreRequest) dimse.Status {
	src := Source{Kind: "dimse", AE: req.Calling, Remote: req.Remote}
	if req.Originator != "" && req.Originator == req.Called { // we asked for it
		src.Kind = "move"
	}
	_, err := r.Receive(ctx, src, Object{Data: req.Data, TransferSyntax: req.TransferSyntax, Class: req.Class, Instance: req.Instance})
	return StatusOf(err)
}

// Fetched takes the objects that an archive sends by C-GET because we asked.
func (r *Receiver) Fetched() dimse.Handler { return fetched{r} }

type fetched struct{ *Receiver }

// Store takes one object.
func (f fetched) Store(ctx context.Context, r dimse.StoreRequest) dimse.Status {
	src := Source{Kind: "get", AE: r.Calling, Remote: r.Remote}
	_, err := f.Receive(ctx, src, Object{Data: r.Data, TransferSyntax: r.TransferSyntax, Class: r.Class, Instance: r.Instance})
	return StatusOf(err)
}

// Receive reads one object to its end, once, and keeps it: a Part 10 file as it
// came, a bare data set behind a Part 10 header of ours that depends on the
// data set's UIDs and syntax alone. It returns without an error only when the
// bytes and the record are durable. After an error nothing of the object is in
// use; see [StatusOf] for the answer that the sender is owed.
func (r *Receiver) Receive(ctx context.Context, src Source, o Object) (Kept, error) {
	kept, err := r.receive(ctx, src, o)
	if err != nil {
		r.Log.WarnContext(ctx, "instance refused", "study", kept.Study, "instance", kept.Instance,
			"ae", src.Name(), "remote", src.Remote, "status", StatusOf(err).String(), "err", err)
		return kept, err
	}
	r.Log.DebugContext(ctx, "instance stored", "study", kept.Study, "series", kept.Series, "instance", kept.Instance,
		"ae", src.Name(), "outcome", kept.Outcome)
	return kept, nil
}

func (r *Receiver) receive(ctx context.Context, src Source, o Object) (Kept, error) {
	if err := r.room(ctx, o.Size); err != nil {
		return Kept{Study: o.Study, Class: o.Class, Instance: o.Instance}, err
	}
	buf := r.head()
	defer r.heads.Put(buf)
	turn := r.Traffic.turns.begin()
	defer turn.end()
	in := &incoming{object: o, turn: turn, charset: r.Charset, room: func() error { return r.room(ctx, 0) }}
	if o.TransferSyntax != "" {
		in.prefix = dicom.Prefix(o.Class, o.Instance, o.TransferSyntax, "")
	}
	if err := in.begin(*buf); err != nil {
		return in.ids, err
	}
	defer in.close()
	defer r.Traffic.begin(in.ids.Study, src.Name())()
	arrival := study.Arrival{}
	key, hash, err := r.keep(ctx, in)
	if err == nil {
		arrival, err = in.arrival()
	}
	if err != nil {
		return in.ids, err
	}
	o.Elsewhere.put(&arrival)
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	at := now().UTC()
	arrival.Fetched = src.Kind == "get" || src.Kind == "move" || r.Traffic.moves(src.AE, in.ids.Study)
	arrival.Study.Sender, arrival.Study.ReceivedAt, arrival.Study.LastInstanceAt = src.Name(), at, at
	arrival.Instance.Key, arrival.Instance.SHA256, arrival.Instance.ReceivedAt = key, hash, at
	receipt, err := r.Register.Receive(ctx, arrival)
	if err != nil {
		return in.ids, fmt.Errorf("record instance %s: %w", in.ids.Instance, err)
	}
	if receipt.Outcome == study.Conflicted {
		r.Log.WarnContext(ctx, "instance conflicts", "study", in.ids.Study, "instance", in.ids.Instance, "ae", src.Name(), "key", key)
	}
	in.ids.Receipt = receipt
	return in.ids, nil
}

// defaultMinFree leaves room for the ledger, for results, and for what is on its
// way when the mark is passed.
const defaultMinFree = 1 << 30

// room refuses when n more bytes would fill the archive past its mark.
func (r *Receiver) room(ctx context.Context, n int64) error {
	least := r.MinFree
	if least == 0 {
		least = defaultMinFree
	}
	free, ok := r.Keeper.Free(ctx)
	if ok && free-n < least {
		return fmt.Errorf("%d bytes are free and %d must stay free; make room or lower min_free: %w", free, least, study.ErrBusy)
	}
	return nil
}

func (r *Receiver) head() *[]byte {
	if b, ok := r.heads.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, headBytes)
	return &b
}

// keep brings the object to the archive and says where it lies and with which
// hash. A key that holds the same bytes already, or the same data set behind
// another header, is the object's place; other bytes are kept apart.
func (r *Receiver) keep(ctx context.Context, in *incoming) (string, study.Hash, error) {
	key := fmt.Sprintf("dicom/%s/%s/%s.dcm", in.ids.Study, in.ids.Series, in.ids.Instance)
	if !in.whole {
		// A long object can't be read twice, so a taken key must be known before
		// its bytes are spent on it.
		_, err := r.Archive.Stat(ctx, key)
		if err == nil {
			return r.taken(ctx, key, in)
		}
		if !errors.Is(err, study.ErrNotFound) {
			return "", study.Hash{}, fmt.Errorf("look for instance %s: %w", in.ids.Instance, err)
		}
	}
	sum, err := r.Archive.PutOnce(ctx, key, in.reader(), in.size())
	if err == nil {
		return key, sum, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", study.Hash{}, fmt.Errorf("keep instance %s: %w", in.ids.Instance, err)
	}
	var holds interface{ Held() study.Hash }
	switch {
	case errors.As(err, &holds) && holds.Held() == sum:
		return key, sum, nil
	case in.whole:
		return r.taken(ctx, key, in)
	}
	return "", study.Hash{}, fmt.Errorf("keep instance %s: it is being received from elsewhere: %w", in.ids.Instance, study.ErrBusy)
}

// taken receives an object whose key is taken. The data sets are compared while
// the new one is read, so that a repeat costs no write.
func (r *Receiver) taken(ctx context.Context, key string, in *incoming) (string, study.Hash, error) {
	fail := func(err error) (string, study.Hash, error) {
		return "", study.Hash{}, fmt.Errorf("compare instance %s: %w", in.ids.Instance, err)
	}
	old, err := r.Archive.Range(ctx, key, 0, -1)
	if err != nil {
		return fail(err)
	}
	defer old.Close()
	c := newComparison(old, in.reader())
	same, err := c.run()
	switch {
	case err != nil:
		return fail(err)
	case same:
		return key, c.held(), nil
	}
	return r.conflict(ctx, key, in, c)
}

// conflict keeps other bytes under a known UID apart. Its key holds its hash,
// which is known only when all is read: so it is put aside first.
func (r *Receiver) conflict(ctx context.Context, key string, in *incoming, c *comparison) (string, study.Hash, error) {
	fail := func(err error) (string, study.Hash, error) {
		return "", study.Hash{}, fmt.Errorf("keep conflicting instance %s: %w", in.ids.Instance, err)
	}
	again, err := r.Archive.Range(ctx, key, c.oldMeta, c.equal)
	if err != nil {
		return fail(err)
	}
	defer again.Close()
	aside := fmt.Sprintf("conflict/%s/incoming-%s.dcm", in.ids.Instance, rand.Text())
	sum, err := r.Archive.PutOnce(ctx, aside, io.MultiReader(bytes.NewReader(c.newMeta), again, bytes.NewReader(c.differs), c.rest), -1)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := r.Keeper.Delete(context.WithoutCancel(ctx), aside); err != nil {
			r.Log.WarnContext(ctx, "conflicting instance left aside", "key", aside, "err", err)
		}
	}()
	body, err := r.Archive.Range(ctx, aside, 0, -1)
	if err != nil {
		return fail(err)
	}
	defer body.Close()
	final := fmt.Sprintf("conflict/%s/%s.dcm", in.ids.Instance, sum)
	if _, err := r.Archive.PutOnce(ctx, final, body, -1); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	return final, sum, nil
}
