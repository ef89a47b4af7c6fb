package foreign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/study"
)

// Bounds of reading: objects are strangers'.
const (
	// maxReport bounds the bytes of a report. One of a thousand findings has two
	// megabytes.
	maxReport = 4 << 20
	// maxHead bounds what a segmentation says before its pixels: one of 10,000 frames
	// has fifteen megabytes.
	maxHead = 32 << 20
	// maxAnnotated bounds annotations, which are read whole: a million nuclei as points
	// have eight megabytes.
	maxAnnotated = 24 << 20
	// front is how much of a byproduct is read: how it was made stands among its first
	// elements.
	front = 64 << 10
	// maxDocuments bounds the documents of one study that are read.
	maxDocuments = 60
	// maxKept bounds what the documents that are kept weigh, bytes. An item of a report
	// weighs some eight times what it has in the object, a frame of a segmentation twice.
	maxKept     = 96 << 20
	reportTimes = 8
	maskTimes   = 2
	// maxCount bounds how many are kept.
	maxCount = 2000
	// atOnce bounds how many are read at the same time, and so the memory that the
	// reading takes.
	atOnce = 3
	// patience is how long a page waits for documents that were never read before.
	patience = 4 * time.Second
)

// A Library reads documents of others and keeps those that were looked at last. The
// zero value with Objects reads reports; segments need Index as well.
type Library struct {
	Objects codec.Ranger
	// Index gives where the frames of an instance lie.
	Index func(context.Context, study.UID) (study.Frames, error)

	once  sync.Once
	slots chan struct{}
	mu    sync.Mutex // held for a look, never for a read
	kept  []kept     // the latest first
	bytes int64
	pages drafts // outlines
}

// A kept document is one under the content of its object.
type kept struct {
	sha   study.Hash
	doc   Document
	bytes int64
}

func (l *Library) find(sha study.Hash) (Document, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.kept, func(k kept) bool { return k.sha == sha })
	if i < 0 {
		return Document{}, false
	}
	k := l.kept[i]
	copy(l.kept[1:i+1], l.kept[:i])
	l.kept[0] = k
	return k.doc, true
}

func (l *Library) keep(sha study.Hash, d Document, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.kept, func(k kept) bool { return k.sha == sha }) {
		return
	}
	l.kept = slices.Insert(l.kept, 0, kept{sha, d, bytes})
	for l.bytes += bytes; len(l.kept) > 1 && (l.bytes > maxKept || len(l.kept) > maxCount); {
		last := len(l.kept) - 1
		l.bytes -= l.kept[last].bytes
		l.kept = slices.Delete(l.kept, last, last+1)
	}
}

// Documents reads what others wrote among the instances that a study was received with,
// the latest first. What has nothing to show is left out. One that can't be read comes
// with the reason; a page is not kept from opening by it. more tells how many were
// not read, for there are too many.
func (l *Library) Documents(ctx context.Context, instances []study.Instance) (all []Document, more int) {
	var those []study.Instance
	for _, in := range instances {
		if _, ok := Candidate(in); ok {
			those = append(those, in)
		}
	}
	if len(those) == 0 || l == nil || l.Objects == nil {
		return nil, 0
	}
	if more = len(those) - maxDocuments; more > 0 {
		slices.SortStableFunc(those, func(a, b study.Instance) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
		those = those[:maxDocuments]
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	got := make([]Document, len(those))
	var group sync.WaitGroup
	for i, in := range those {
		group.Go(func() { got[i] = l.document(ctx, in) })
	}
	group.Wait()
	for _, d := range got {
		if !d.empty() {
			all = append(all, d)
		}
	}
	order(all)
	return all, max(0, more)
}

// document gives one, read or kept.
func (l *Library) document(ctx context.Context, in study.Instance) Document {
	if d, ok := l.find(in.SHA256); ok {
		d.In = in
		return d
	}
	l.once.Do(func() { l.slots = make(chan struct{}, atOnce) })
	kind, _ := Candidate(in)
	d := Document{In: in, Kind: kind, By: "unknown"}
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		d.Err = fmt.Errorf("read object %s: %w", in.UID, errSlow)
		return d
	}
	defer func() { <-l.slots }()
	if d, ok := l.find(in.SHA256); ok { // somebody else has read it meanwhile
		d.In = in
		return d
	}
	n, err := l.open(ctx, &d)
	if err != nil {
		d = Document{In: in, Kind: kind, By: "unknown", Err: err}
	}
	if err == nil || errors.Is(err, study.ErrInvalid) {
		times := int64(reportTimes)
		if kind == Segmentation || kind == Annotations {
			times = maskTimes
		}
		l.keep(in.SHA256, d, times*n+1024)
	}
	return d
}

var (
	errSlow  = fmt.Errorf("reading took too long; load the page again: %w", study.ErrBusy)
	errLarge = fmt.Errorf("the object is too large to be shown here: %w", study.ErrUnsupported)
)

// open reads one out of the object store.
func (l *Library) open(ctx context.Context, d *Document) (n int64, err error) {
	head, err := l.head(ctx, d.In, d.Kind)
	if err == nil {
		n, d.Sender, err = head.End, strings.TrimSpace(head.Meta.Text(dicom.SourceApplicationEntityTitle)), d.read(head.Data)
	}
	switch {
	case err == nil:
		return n, nil
	case ctx.Err() != nil:
		return 0, fmt.Errorf("read object %s: %w", d.In.UID, errSlow)
	}
	return 0, fmt.Errorf("read object %s: %w", d.In.UID, err)
}

// head reads an object up to its pixels.
func (l *Library) head(ctx context.Context, in study.Instance, kind Kind) (*dicom.Header, error) {
	most, end := int64(maxReport), int64(-1)
	if kind == Segmentation {
		most = maxHead
		if l.Index != nil && in.TransferSyntax != dicom.Deflated {
			index, err := l.Index(ctx, in.UID)
			if err != nil && !errors.Is(err, study.ErrNotFound) {
				return nil, err
			}
			if len(index.Spans) > 0 {
				end = index.Spans[0].Off
			}
		}
	}
	value := int64(512 << 10)
	if kind == Annotations {
		most, value = maxAnnotated, maxAnnotated
	}
	if kind == "" {
		end = min(in.Bytes, front)
	}
	if size := in.Bytes; end < 0 && size > most || end > most {
		return nil, errLarge
	}
	body, err := l.Objects.Range(ctx, in.Key, 0, end)
	if err != nil {
		return nil, err
	}
	h, err := dicom.Scan(io.LimitReader(body, most), dicom.ScanOptions{Limits: dicom.Limits{Kept: most, Elements: 1_500_000, Inflated: 2 * most, Value: value}})
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	return h, nil
}

// Byproducts gives those among the instances of a study that show what others found:
// machines, or what may have been made by one, and people. What the scanner itself
// wrote is none; of what can't be read it can't be told who made it. Paper that was
// scanned is people's where it came as a document; as a picture it is mostly the
// referral, which a reader needs.
func (l *Library) Byproducts(ctx context.Context, instances []study.Instance, machines, people bool) []study.UID {
	if !machines && !people {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	those := make([]bool, len(instances))
	var group sync.WaitGroup
	for i, in := range instances {
		if byproducts[in.Class] && !scanners(in, instances) {
			group.Go(func() {
				if d := l.document(ctx, in); d.Machine() {
					those[i] = machines || people
				} else {
					those[i] = people && papers[in.Class]
				}
			})
		}
	}
	group.Wait()
	var all []study.UID
	for i, in := range instances {
		if those[i] {
			all = append(all, in.UID)
		}
	}
	return all
}

// scanners reports whether the equipment that took images of the study wrote an object.
func scanners(in study.Instance, instances []study.Instance) bool {
	if in.Image == nil || in.Image.Manufacturer == "" {
		return false
	}
	return slices.ContainsFunc(instances, func(o study.Instance) bool {
		return o.Image != nil && !MayTell(o) && o.Image.Manufacturer == in.Image.Manufacturer && o.Image.ManufacturerID == in.Image.ManufacturerID
	})
}
