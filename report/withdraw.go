package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"varde/study"
)

// A note is what takes something back from destinations: the kind, the language and
// the objects or messages that it is about.
type note struct {
	kind, lang string
	about      []study.Report
	to         []string
}

// withdrawAll makes what tells every destination that what it has of a result does
// not hold any more: the same kind of message, in the same language, where it has a
// message; and a rejection note that names the objects that it has, and no other.
// k.before is what was told, with the deliveries of each.
func (w *Writer) withdrawAll(ctx context.Context, k work) ([]study.Report, error) {
	var all []study.Report
	number := 0
	for _, n := range w.notes(k.before) {
		m, ok := makerOf(n.kind)
		if !ok || !m.withdraws {
			continue
		}
		k.lang, k.spoken, k.before, k.to, k.number = n.lang, true, n.about, n.to, 0
		if n.kind == KindReject {
			k.number, number = number, number+1
		}
		kept, err := w.makeKind(ctx, m, k)
		if err != nil {
			return nil, err
		}
		all = append(all, kept...)
	}
	return all, nil
}

// notes lists what is to be written of what was told, in an order that is always the
// same: rejection notes first, for pictures are seen by the most.
func (w *Writer) notes(told []study.Report) []note {
	all := w.rejections(told)
	messages := map[[2]string]*note{}
	for _, r := range told {
		if r.IsObject() {
			continue
		}
		key := [2]string{basic(r.Kind), cmp.Or(r.Lang, speech(w.Lang))}
		if messages[key] == nil {
			messages[key] = &note{kind: key[0], lang: key[1]}
		}
		n := messages[key]
		n.about = append(n.about, r)
		for _, d := range r.Deliveries {
			if !slices.Contains(n.to, d.Destination) {
				n.to = append(n.to, d.Destination)
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(messages), func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	for _, key := range keys {
		slices.Sort(messages[key].to)
		all = append(all, *messages[key])
	}
	return all
}

// rejections groups destinations that have the same objects and speak the same
// language: one note is for all of them.
func (w *Writer) rejections(told []study.Report) []note {
	has := map[string][]study.Report{}
	for _, r := range told {
		if !r.IsObject() || basic(r.Kind) == KindReject {
			continue
		}
		for _, d := range r.Deliveries {
			has[d.Destination] = append(has[d.Destination], r)
		}
	}
	var all []note
	at := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		lang := w.langOf(name)
		key := lang
		for _, r := range has[name] {
			key += " " + string(r.UID)
		}
		n, known := at[key]
		if !known {
			n = len(all)
			at[key] = n
			all = append(all, note{kind: KindReject, lang: lang, about: has[name]})
		}
		all[n].to = append(all[n].to, name)
	}
	return all
}

// langOf gives the language of a destination; one that there is no more is spoken to
// in the site's.
func (w *Writer) langOf(destination string) string {
	for _, t := range w.Wants {
		if t.Destination == destination {
			return speech(or(t.Lang, w.Lang))
		}
	}
	return speech(w.Lang)
}

// Rejection notes of one revision are numbered apart: those of what the revision before
// had written, of an earlier answer of a reader, and of each correction of the patient's
// facts.
const (
	rejectsAnswer  = 500
	rejectsPatient = 1000
)

// reject makes the notes that reject what is replaced by what was written now, where the
// site wants that.
func (w *Writer) reject(ctx context.Context, k work, now []study.Report) ([]study.Report, error) {
	if !w.RejectSuperseded || w.Told == nil || len(now) == 0 {
		return nil, nil
	}
	m, ok := makerOf(KindReject)
	if !ok {
		return nil, errors.New("no maker of rejection notes")
	}
	told, first, err := w.superseded(ctx, k, now)
	if err != nil {
		return nil, err
	}
	var all []study.Report
	k.readdressed = k.purpose == study.PurposePatient
	k.purpose, k.spoken = study.PurposeCorrected, true
	for n, note := range w.rejections(told) {
		k.lang, k.before, k.to, k.number = note.lang, note.about, note.to, first+n
		kept, err := w.makeKind(ctx, m, k)
		if err != nil {
			return nil, err
		}
		all = append(all, kept...)
	}
	return all, nil
}

// superseded gives what was told of which the place is taken now, and the number of the
// first note on it. What a reader has answered for only makes way for what that reader,
// or the next one, says, where that goes.
func (w *Writer) superseded(ctx context.Context, k work, now []study.Report) (told []study.Report, first int, err error) {
	rev := k.result.Rev - 1
	if k.purpose == study.PurposePatient {
		rev++
	}
	if k.purpose == study.PurposeResult && len(k.before) == 0 || k.purpose == study.PurposeWithdrawn || rev < 1 {
		return nil, 0, nil
	}
	if told, err = w.Told(ctx, k.result.Study, rev, k.result.Model); err != nil {
		return nil, 0, fmt.Errorf("read what was told before: %w", err)
	}
	switch k.purpose {
	case study.PurposePatient:
		first = rejectsPatient * (k.number + 1)
		told = slices.DeleteFunc(told, func(r study.Report) bool {
			return r.Rev != rev || !slices.ContainsFunc(now, func(n study.Report) bool { return basic(n.Kind) == basic(r.Kind) && n.UID != r.UID })
		})
	case study.PurposeVerified:
		first = rejectsAnswer
		signed, err := w.signed(ctx, k, rev+1)
		if err != nil {
			return nil, 0, err
		}
		told = slices.DeleteFunc(told, func(r study.Report) bool {
			return !slices.ContainsFunc(signed, func(old study.Report) bool { return old.UID == r.UID })
		})
		for i := range told {
			told[i].Deliveries = slices.DeleteFunc(slices.Clone(told[i].Deliveries), func(d study.Delivery) bool {
				return !slices.ContainsFunc(now, func(n study.Report) bool {
					return n.Kind == basic(told[i].Kind) && n.Held == "" && slices.Contains(n.To, d.Destination)
				})
			})
		}
	default: // only of the revision that is replaced now: those before were rejected with it
		told = slices.DeleteFunc(told, func(r study.Report) bool { return r.Rev != k.before[0].Rev || r.Purpose == study.PurposeVerified })
	}
	return told, first, nil
}
