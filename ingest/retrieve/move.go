package retrieve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"varde/ingest/slidefile"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// errTooMany is a selection that is too wide to be meant.
var errTooMany = errors.New("more objects than one retrieval may bring")

// selected gives what an identifier of a retrieval names, PS3.4 §C.4.2.1.4: unique
// keys, of the lowest level a list.
func (p *Provider) selected(ctx context.Context, d *dicom.Dataset) ([]study.Instance, dimse.Status) {
	at, ok := levelOf(d)
	if !ok || len(d.Texts(uniqueKeys[at])) == 0 {
		return nil, dimse.IdentifierMismatch
	}
	q := study.Query{Limit: pageSize}
	for l, field := range map[level]*[]study.UID{studies: &q.Studies, series: &q.Series, images: &q.Instances} {
		for _, text := range d.Texts(uniqueKeys[l]) {
			if l > at || text == "" && l < at {
				continue
			}
			u, err := study.ParseUID(text)
			if err != nil || len(*field) >= mostUIDs {
				return nil, dimse.IdentifierMismatch
			}
			*field = append(*field, u)
		}
	}
	var out []study.Instance
	for ; ; q.Offset += pageSize {
		found, err := p.Finder.FindInstances(ctx, q)
		if err == nil && len(out)+len(found) > mostObjects {
			err = errTooMany
		}
		if err != nil {
			p.Log.WarnContext(ctx, "retrieval failed", "err", err)
			return nil, dimse.CannotCount
		}
		for _, m := range found {
			out = append(out, m.Instance)
		}
		if len(found) < pageSize {
			return out, dimse.Success
		}
	}
}

// A sender sends one object to where it shall go. An error that wraps
// study.ErrRefused costs that object alone.
type sender interface {
	Store(ctx context.Context, class, instance, ts study.UID, data io.Reader) (dimse.Status, error)
}

// get answers a C-GET: the objects go over the association that asked.
func (p *Provider) get(ctx context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	all, status := p.selected(ctx, x.Data)
	if status != dimse.Success {
		return dimse.Answer{Status: status}, nil
	}
	r := p.retrieval(x, all)
	return r.run(ctx, x, func(err error) error { return err })
}

// move answers a C-MOVE: the objects go over an association that we open.
func (p *Provider) move(ctx context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	all, status := p.selected(ctx, x.Data)
	if status != dimse.Success {
		return dimse.Answer{Status: status}, nil
	}
	r := p.retrieval(x, all)
	a, err := p.Dial(ctx, x.Destination, contextsFor(all)...)
	switch {
	case errors.Is(err, study.ErrNotFound):
		return dimse.Answer{Status: dimse.DestinationUnknown}, nil
	case err != nil:
		p.Log.WarnContext(ctx, "destination not reached", "ae", x.Calling, "destination", x.Destination, "err", err)
		r.lose()
		return r.answer(), nil
	}
	a.OnBehalf(x.Calling, x.MessageID)
	defer func() { _ = a.Abort() }() // which does nothing after a release
	answer, err := r.run(ctx, a, func(err error) error {
		p.Log.WarnContext(ctx, "destination lost", "ae", x.Calling, "destination", x.Destination, "err", err)
		r.lose()
		return nil
	})
	_ = a.Release() // what became of each object is known
	return answer, err
}

// contextsFor proposes every class in the syntaxes that its objects are held in.
func contextsFor(all []study.Instance) (out []dimse.Context) {
	const most = 128
	seen := map[[2]study.UID]bool{}
	for _, i := range all {
		if k := [2]study.UID{i.Class, i.TransferSyntax}; !seen[k] && len(out) < most {
			seen[k] = true
			out = append(out, dimse.Context{Class: i.Class, Syntaxes: []study.UID{i.TransferSyntax}})
		}
	}
	if len(out) == 0 { // an association must be for something
		out = append(out, dimse.Verification())
	}
	return out
}

// A retrieval is one C-MOVE or C-GET under way.
type retrieval struct {
	p      *Provider
	x      *dimse.Exchange
	left   []study.Instance
	counts dimse.Suboperations
	failed []any     // UIDs
	told   time.Time // when the peer was told how far we are; at first at once
}

func (p *Provider) retrieval(x *dimse.Exchange, all []study.Instance) *retrieval {
	return &retrieval{p: p, x: x, left: all, counts: dimse.Suboperations{Remaining: len(all)}}
}

// progressEvery is how often the peer is told how far we are.
const progressEvery = 500 * time.Millisecond

// run sends what is left. lost decides what the end of to's association means.
func (r *retrieval) run(ctx context.Context, to sender, lost func(error) error) (dimse.Answer, error) {
	for len(r.left) > 0 {
		if canceled, err := r.x.Canceled(); err != nil {
			return dimse.Answer{}, err
		} else if canceled {
			answer := r.answer()
			answer.Status = dimse.Canceled
			return answer, nil
		}
		if err := r.one(ctx, to); err != nil {
			if err := lost(err); err != nil {
				return dimse.Answer{}, err
			}
			break
		}
		if time.Since(r.told) > progressEvery {
			r.told = time.Now()
			if err := r.x.Progress(r.counts); err != nil {
				return dimse.Answer{}, err
			}
		}
	}
	return r.answer(), nil
}

// one sends the next object and counts it. An error means that to is lost, and the
// object is still left.
func (r *retrieval) one(ctx context.Context, to sender) error {
	i := r.left[0]
	status, err := r.send(ctx, to, i)
	switch {
	case errors.Is(err, errHeld), errors.Is(err, study.ErrRefused):
		r.p.Log.WarnContext(ctx, "object not sent", "instance", i.UID, "ae", r.x.Calling, "destination", r.x.Destination, "err", err)
		r.count(&r.counts.Failed)
		r.failed = append(r.failed, i.UID)
	case err != nil:
		return err
	case status == dimse.Success:
		r.count(&r.counts.Completed)
	case status.Warning():
		r.count(&r.counts.Warning)
	default:
		r.count(&r.counts.Failed)
		r.failed = append(r.failed, i.UID)
	}
	r.left = r.left[1:]
	return nil
}

func (r *retrieval) count(of *int) {
	*of++
	r.counts.Remaining--
}

// errHeld is an object of ours that can't be read.
var errHeld = errors.New("object can't be read")

// send sends one object as it lies in the archive, or as it is put together.
func (r *retrieval) send(ctx context.Context, to sender, i study.Instance) (dimse.Status, error) {
	if r.p.Frames == nil && i.PixelKey() != i.Key {
		return 0, fmt.Errorf("its pixels lie in a slide file: %w", errHeld)
	}
	body, _, err := slidefile.Objects{Archive: r.p.Objects, Frames: r.p.Frames}.Open(ctx, i)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errHeld, err)
	}
	defer body.Close()
	ts, data, err := dicom.DataSet(body)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errHeld, err)
	}
	return to.Store(ctx, i.Class, i.UID, ts, data)
}

// lose counts all that is left as failed.
func (r *retrieval) lose() {
	for _, i := range r.left {
		r.count(&r.counts.Failed)
		r.failed = append(r.failed, i.UID)
	}
	r.left = nil
}

// answer is the last response, PS3.4 tables C.4-2 and C.4-3.
func (r *retrieval) answer() dimse.Answer {
	counts := r.counts
	a := dimse.Answer{Status: dimse.Success, Counts: &counts}
	switch {
	case counts.Failed > 0 && counts.Completed+counts.Warning == 0:
		a.Status = dimse.CannotPerform
	case counts.Failed+counts.Warning > 0:
		a.Status = dimse.SuboperationsIncomplete
	}
	if failed := slices.Clone(r.failed); len(failed) > 0 {
		const most = 900 // of 64 characters each: a UI value in explicit VR holds 65,534 bytes
		a.Data = dicom.NewItem().Set(dicom.FailedSOPInstanceUIDList, failed[:min(len(failed), most)]...)
	}
	r.p.Log.Info("retrieval answered", "ae", r.x.Calling, "destination", r.x.Destination, "status", a.Status.String(),
		"sent", counts.Completed, "failed", counts.Failed, "warnings", counts.Warning, "left", counts.Remaining)
	return a
}
