package report

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/internal/dicom"
	"varde/report/carry"
	"varde/report/fhir"
	"varde/report/identity"
	"varde/report/masks"
	"varde/report/slides"
	"varde/study"
)

// The kinds of what is written. A second object of a kind has a number behind it:
// gsps-2.
const (
	KindSR          = "sr"   // TID 1500
	KindHeatmap     = "seg"  // of one slide
	KindAnnotations = "ann"  // of one slide
	KindRings       = "gsps" // over the images of one modality and rescaling
	KindKeys        = "kos"
)

// A maker makes one kind of object or message of a result.
type maker struct {
	kind string
	// always has it written, and kept in the house, though no destination wants it.
	always bool
	// spoken has it written once for each language that is wanted, not only in the
	// site's.
	spoken bool
	// checked has it read back and held against its template before it leaves.
	checked bool
	// withdraws says that it can tell also of a result that does not hold any more;
	// then purpose of the work says so, and before lists what was told of it.
	withdraws bool
	// verifies says that it tells of a result as its reader left it.
	verifies bool
	// readdresses says that it is written anew when the patient's facts were corrected:
	// a document, a message, or a picture that people look at by itself. Masks, maps and
	// presentation states stay as they are, for an archive puts the facts of a study
	// right in all of its objects, and others name these.
	readdresses bool
	// silent says that it has nothing to tell of a result that holds.
	silent bool
	// make makes the objects of this kind: none where there is nothing to make.
	// Errors of the kinds Unsupported, NotFound and Invalid say that no try will
	// mend it; then what was made is kept, and the rest goes its way without. The
	// same work gives the same bytes.
	make func(ctx context.Context, w *Writer, k work) ([]made, error)
}

// makers lists everything that can be written, in the order in which it is: each
// finds in its work what was made before it. A new kind is a line here and a file
// make_KIND.go with its maker.
func makers() []maker {
	return []maker{
		{kind: KindHeatmap, always: true, make: makeHeatmaps},
		{kind: KindAnnotations, always: true, make: makeAnnotations},
		{kind: KindMask, make: makeMasks},
		{kind: KindRings, spoken: true, make: makeRings},
		{kind: KindKeys, spoken: true, make: makeKeys},
		{kind: KindSR, always: true, spoken: true, checked: true, readdresses: true, make: makeSR},
		{kind: KindMammography, spoken: true, checked: true, readdresses: true, make: makeMammography},
		{kind: KindChest, spoken: true, checked: true, readdresses: true, make: makeChest},
		{kind: KindVerified, spoken: true, checked: true, verifies: true, silent: true, make: makeVerified},
		{kind: KindFinalMessage, spoken: true, verifies: true, silent: true, make: makeFinalMessage},
		{kind: KindFinalFHIRR4, spoken: true, verifies: true, silent: true, make: makeFinalFHIR(KindFinalFHIRR4, fhir.R4)},
		{kind: KindFinalFHIRR5, spoken: true, verifies: true, silent: true, make: makeFinalFHIR(KindFinalFHIRR5, fhir.R5)},
		{kind: KindReject, spoken: true, withdraws: true, silent: true, make: makeReject},
		{kind: KindCapture, spoken: true, readdresses: true, make: makeCaptures},
		{kind: KindPrint, spoken: true, readdresses: true, make: makePrint},
		{kind: KindMap, make: makeMaps},
		{kind: KindMessage, spoken: true, withdraws: true, readdresses: true, make: makeORU},
		{kind: KindFHIRR4, spoken: true, withdraws: true, readdresses: true, make: makeFHIR(KindFHIRR4, fhir.R4)},
		{kind: KindFHIRR5, spoken: true, withdraws: true, readdresses: true, make: makeFHIR(KindFHIRR5, fhir.R5)},
	}
}

// makerOf finds the maker of a kind.
func makerOf(kind string) (maker, bool) {
	for _, m := range makers() {
		if m.kind == kind {
			return m, true
		}
	}
	return maker{}, false
}

// A work is what the objects and messages of one result are made from.
type work struct {
	study     study.Study
	instances []study.Instance // the study's, in order
	result    study.Result
	lang      string // en, nb, da
	device    Device // filled
	location  *time.Location
	purpose   study.Purpose
	// before is what was written of the result of the latest earlier revision, for
	// what names its predecessor; of a result that is withdrawn, what was written
	// of itself.
	before []study.Report
	// beside is what this writing has made so far, in this language or in none, and
	// segments are the findings in the masks among it.
	beside   []study.Report
	segments Segments
	// slides gives the study's slides with the result's heat maps; it reads them
	// once for all makers. It gives none where the writer has none.
	slides func() ([]slides.Slide, error)

	spoken bool // the names of the objects tell the language
	// number of the object of its kind, and whom it is for: of what takes something
	// back, which is for those who have that. readdressed says that it does so because
	// the patient's facts were corrected.
	number      int
	to          []string
	readdressed bool
}

// identity is what the objects have in common, with the dates of the result.
func (k work) identity() identity.Identity {
	return identity.Identity{Study: k.study, Device: k.device, At: k.result.At.In(or(k.location, time.Local))}
}

// name gives the n-th object of a kind, from 0, its UID and that of its series. A
// slide is named by its series; it is empty for what is of no single slide.
func (k work) name(kind string, n int, slide study.UID) (object, series study.UID) {
	lang := ""
	if k.spoken {
		lang = k.lang
	}
	return names(k.device, k.result, numbered(kind, n), slide, lang, k.purpose)
}

// made names an object as its kind wants it.
func (k work) made(kind string, n int, slide study.UID, class study.UID, b []byte) made {
	o := made{kind: numbered(kind, n), slide: slide, class: class, bytes: b}
	o.uid, o.series = k.name(kind, n, slide)
	return o
}

// predecessor is the report of a kind that this one replaces: the latest of the same
// slide, and of the same language where there is one. It is nil without any.
func (k work) predecessor(kind string, slide study.UID) *study.Report {
	var found *study.Report
	for i, r := range k.before {
		if basic(r.Kind) != kind || r.Slide != slide || found != nil && found.Lang == k.lang && r.Lang != k.lang {
			continue
		}
		if found == nil || r.Lang == k.lang && found.Lang != k.lang || later(r, *found) {
			found = &k.before[i]
		}
	}
	return found
}

// later reports whether a report was written after another of its kind and revision: for
// the patient as corrected, and of those the one with the higher number.
func later(a, b study.Report) bool {
	corrected := func(r study.Report) int { return map[bool]int{true: 1}[r.Purpose == study.PurposePatient] }
	return cmp.Or(corrected(a)-corrected(b), order(a.Kind)-order(b.Kind)) > 0
}

// A made is one object or message.
type made struct {
	kind        string    // with its number
	slide       study.UID // series of the slide that it is of; empty for most
	class       study.UID // empty of what is no DICOM object
	uid, series study.UID
	bytes       []byte
	segments    map[study.UID]masks.Place // of findings, by tracking UID
}

// makeAll makes, checks and keeps everything that is wanted of a result.
func (w *Writer) makeAll(ctx context.Context, k work) ([]study.Report, error) {
	if k.purpose == study.PurposeWithdrawn && w.Told != nil {
		return w.withdrawAll(ctx, k)
	}
	var all []study.Report
	k.segments = Segments{}
	asked := k
	for _, m := range w.makersFor(ctx, k) {
		k.purpose, k.number = asked.purpose, asked.number
		if k.purpose == study.PurposePatient && m.verifies { // it is the reader's still, and no more the AI's than before
			k.purpose, k.number = study.PurposeVerified, k.number+1
		}
		for _, lang := range w.langs(m) {
			k.lang, k.spoken = lang, m.spoken
			k.beside = slices.Clone(all)
			k.beside = slices.DeleteFunc(k.beside, func(r study.Report) bool { return r.Lang != "" && r.Lang != lang || r.Held != "" })
			kept, err := w.makeKind(ctx, m, k)
			if err != nil {
				return nil, err
			}
			all = append(all, kept...)
		}
	}
	rejected, err := w.reject(ctx, asked, all)
	if err != nil {
		return nil, err
	}
	all = append(all, rejected...)
	// The structured report goes out first: it is what a reader waits for.
	slices.SortStableFunc(all, func(a, b study.Report) int {
		return map[bool]int{true: 0, false: 1}[a.Kind == KindSR] - map[bool]int{true: 0, false: 1}[b.Kind == KindSR]
	})
	return all, nil
}

// makersFor gives what is made for the purpose of a work, in the order of its making.
// Where a reader has answered, what says so is made anew with the rest when the
// patient's facts were corrected, and behind it: it stands last wherever both go. Of an
// earlier state of the study the reader's answer alone still stands.
func (w *Writer) makersFor(ctx context.Context, k work) []maker {
	all := makers()
	switch k.purpose {
	case study.PurposeWithdrawn:
		return slices.DeleteFunc(all, func(m maker) bool { return !m.withdraws })
	case study.PurposeVerified:
		return slices.DeleteFunc(all, func(m maker) bool { return !m.verifies })
	case study.PurposePatient:
		_, err := w.reading(ctx, k)
		earlier := k.study.Rev > k.result.Rev
		all = slices.DeleteFunc(all, func(m maker) bool { return !(m.readdresses && !earlier) && !(m.verifies && err == nil) })
		slices.SortStableFunc(all, func(a, b maker) int {
			return map[bool]int{true: 1, false: 0}[a.verifies] - map[bool]int{true: 1, false: 0}[b.verifies]
		})
		return all
	}
	return slices.DeleteFunc(all, func(m maker) bool { return m.silent })
}

// makeKind makes one kind in one language. The structured report in the site's
// language must be; without any other the rest goes its way.
func (w *Writer) makeKind(ctx context.Context, m maker, k work) ([]study.Report, error) {
	must := m.kind == KindSR && k.lang == speech(w.Lang)
	objects, err := m.make(ctx, w, k)
	if err != nil {
		if must || !hopeless(err) {
			return nil, fmt.Errorf("make %s: %w", m.kind, err)
		}
		logger(w.Log).WarnContext(ctx, "object not written", "study", k.result.Study, "model", k.result.Model.String(), "kind", m.kind, "err", err)
	}
	var kept []study.Report
	for _, o := range objects {
		held := ""
		if m.checked {
			if err := Check(o.bytes); err != nil && must {
				return nil, err // the job fails, and says why: nothing of it is sent
			} else if err != nil {
				held = err.Error()
				logger(w.Log).ErrorContext(ctx, "report held: it fails its check, and is not sent",
					"study", k.result.Study, "model", k.result.Model.String(), "kind", o.kind, "lang", k.lang, "instance", o.uid, "err", err)
			}
		}
		r, err := w.keep(ctx, k, o)
		if err != nil {
			return nil, err
		}
		if o.segments != nil {
			k.segments[r.UID] = o.segments
		}
		r.Held, r.To = held, k.to
		back := k.purpose == study.PurposeWithdrawn || k.purpose == study.PurposeCorrected
		if !back || w.Told == nil { // what takes something back is for those who have that
			r.To = w.to(r)
		}
		kept = append(kept, r)
	}
	return kept, nil
}

// keep puts an object away. The bytes go before the record: a record without bytes
// would be an object that can never be fetched or sent, while bytes without a
// record are written again.
func (w *Writer) keep(ctx context.Context, k work, o made) (study.Report, error) {
	r := study.Report{Kind: o.kind, Slide: o.slide, Purpose: k.purpose, Media: study.MediaOf(basic(o.kind)), Study: k.result.Study, Class: o.class,
		UID: o.uid, Series: o.series, Rev: k.result.Rev, Model: k.result.Model, Bytes: int64(len(o.bytes)), SHA256: sha256.Sum256(o.bytes), At: time.Now().UTC()}
	if k.spoken {
		r.Lang = k.lang
	}
	r.Key = Key(k.result, r)
	if r.IsObject() {
		h, err := dicom.Scan(bytes.NewReader(o.bytes), dicom.ScanOptions{Size: int64(len(o.bytes))})
		if err != nil {
			return r, fmt.Errorf("read back %s: %w", o.kind, err)
		}
		r.Modality = study.Modality(h.Data.Text(dicom.Modality))
	}
	if err := w.Objects.Put(ctx, r.Key, bytes.NewReader(o.bytes), r.Bytes); err != nil {
		return r, fmt.Errorf("keep %s %s: %w", o.kind, r.UID, err)
	}
	return r, nil
}

// names gives an object and its series their UIDs, made from what it is about and from
// the installation that writes it: writing it again makes the same object, and nobody
// else makes it. What it replaces or takes back is named by what is recorded, and never
// by this. A heatmap has a series to itself, for
// the slides of a case have no common frame of reference.
func names(d Device, r study.Result, kind string, slide study.UID, lang string, p study.Purpose) (object, series study.UID) {
	id := []string{string(r.Study), fmt.Sprint(r.Rev), r.Model.ID, r.Model.Version, r.Model.SHA256.String(), r.Ran.Card.String()}
	for _, word := range []string{string(slide), lang, string(p)} {
		if word != "" {
			id = append(id, word)
		}
	}
	return d.Derive(append(slices.Clone(id), kind)...), d.Derive(append(id, kind+" series")...)
}

// Key is where a report of a result lies: beside the parts of the result. Two
// versions of a model may have one network and differ in their cards, so that the
// hash alone would not keep them apart.
func Key(result study.Result, r study.Report) string {
	name := r.Kind
	if name == KindSR {
		name = "report"
	}
	for _, word := range []string{string(r.Slide), r.Lang, string(r.Purpose)} {
		if word != "" {
			name += "-" + word
		}
	}
	return fmt.Sprintf("results/%s/rev-%d/%s/%s/%s%s", result.Study, result.Rev, result.Model, result.Model.SHA256.Short(), name, carry.Extension(r.Media))
}

// basic gives the kind without the number of a second object of it.
func basic(kind string) string {
	i := strings.LastIndexByte(kind, '-')
	if i < 0 || i == len(kind)-1 || strings.Trim(kind[i+1:], "0123456789") != "" {
		return kind
	}
	return kind[:i]
}

// order is the number of an object of its kind, from 0.
func order(kind string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(kind[len(basic(kind)):], "-"))
	if err != nil {
		return 0
	}
	return n - 1
}

// numbered names the n-th object of a kind, from 0.
func numbered(kind string, n int) string {
	if n == 0 {
		return kind
	}
	return fmt.Sprintf("%s-%d", kind, n+1)
}
