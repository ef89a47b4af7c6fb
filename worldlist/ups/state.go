package ups

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/internal/webui"
	"varde/study"
)

func isNotFound(err error) bool { return errors.Is(err, study.ErrNotFound) }

// change answers PS3.18 §11.7: IN PROGRESS takes the study up, CANCELED puts it
// down, COMPLETED says that it has been read.
func (s *server) change(w http.ResponseWriter, r *http.Request) {
	item, err := s.itemIn(r)
	var set record
	if err == nil {
		set, err = read(w, r)
	}
	m := study.WorkMove{UID: item.UID, By: webui.VisitOf(r.Context()).Who.Name, Idle: s.Idle}
	if err == nil {
		m.State = set.text(stepState)
		m.Transaction, err = transaction(set.text(dicom.TransactionUID))
	}
	if err == nil && m.State == "" {
		err = fmt.Errorf("name the state that it is to be in, (0074,1000): %w", study.ErrInvalid)
	}
	if err == nil && m.State == study.WorkCompleted && item.State == study.WorkInProgress && m.Transaction == item.Transaction {
		if err = finished(item); err == nil {
			m.Recall, err = answerOf(item)
		}
	}
	if err == nil && m.State == study.WorkInProgress {
		err = s.due(r, item)
	}
	if err == nil && m.State == study.WorkCanceled {
		m.Reason = clip(bodyOf(item).first(progressInformation).text(reasonForCancellation), 1024)
	}
	if err == nil {
		_, err = s.Performers.MoveWorkitem(r.Context(), m)
	}
	if m.State == study.WorkCompleted && m.Recall == "" && errors.Is(err, study.ErrIncomplete) {
		err = &refusal{http.StatusConflict, warnInconsistent, "the examination is of a screening program, and its item is completed with an answer: " + howToAnswer}
	}
	var work *study.WorkError
	if errors.As(err, &work) && work.What == study.WorkAlready {
		warn(w, r, map[string]string{study.WorkCanceled: warnCanceled, study.WorkCompleted: warnCompleted}[m.State])
		err = nil
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func transaction(text string) (study.UID, error) {
	if text == "" {
		return "", nil
	}
	return study.ParseUID(text)
}

// finished says what an item lacks that is to be completed: the attributes of code P
// in PS3.4 Table CC.2.5-3.
func finished(w study.Workitem) error {
	did := bodyOf(w).first(performedProcedure)
	var missing []dicom.Tag
	for _, t := range []dicom.Tag{performedStationName, performedStart, performedWorkitem, performedEnd} {
		if len(did[key(t)].Value) == 0 {
			missing = append(missing, t)
		}
	}
	if _, ok := did[key(outputInformation)]; !ok {
		missing = append(missing, outputInformation)
	}
	if len(missing) == 0 {
		return nil
	}
	return &refusal{http.StatusConflict, warnInconsistent,
		"before it is completed the performed procedure (0074,1216) is to have: " + strings.Join(sortedTags(missing), ", ")}
}

// Changeable are the attributes that a performer may change.
func Changeable() []dicom.Tag { return []dicom.Tag{progressInformation, performedProcedure} }

// update answers PS3.18 §11.6: the performer tells how far they are, and what they
// did. The transaction stands in the address.
func (s *server) update(w http.ResponseWriter, r *http.Request) {
	item, err := s.itemIn(r)
	var set record
	if err == nil {
		set, err = read(w, r)
	}
	var id study.UID
	if err == nil {
		id, err = transaction(transactionIn(r))
	}
	optional := false
	if err == nil {
		var body record
		if body, optional, err = merged(item, set); err == nil {
			_, err = s.Performers.MoveWorkitem(r.Context(), study.WorkMove{UID: item.UID, By: webui.VisitOf(r.Context()).Who.Name, Transaction: id, Body: pack(body), Idle: s.Idle})
		}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if optional {
		warn(w, r, warnOptional)
	}
	w.Header().Set("Content-Location", s.base(r)+"/workitems/"+string(item.UID))
	w.WriteHeader(http.StatusOK)
}

// transactionIn finds the transaction of an update: transaction-uid=UID, or the UID
// alone, as older clients write it.
func transactionIn(r *http.Request) string {
	q := r.URL.Query()
	for _, name := range []string{"transaction-uid", "transaction", "TransactionUID"} {
		if v := q.Get(name); v != "" {
			return v
		}
	}
	if bare := r.URL.RawQuery; bare != "" && strings.Trim(bare, "0123456789.") == "" {
		return bare
	}
	return ""
}

// merged puts what a performer tells over what they told before. What only the list
// may say is refused, and what else is not kept is reported as optional.
func merged(w study.Workitem, set record) (body record, optional bool, err error) {
	body = bodyOf(w)
	var refused []dicom.Tag
	for _, a := range attributes {
		if _, ok := set[key(a.Tag)]; ok && a.Tag != dicom.SpecificCharacterSet && !slices.Contains(Changeable(), a.Tag) {
			refused = append(refused, a.Tag)
		}
	}
	if _, ok := set[key(dicom.TransactionUID)]; ok {
		refused = append(refused, dicom.TransactionUID)
	}
	if len(refused) > 0 {
		return nil, false, fmt.Errorf("a performer does not change %s: %w", strings.Join(sortedTags(refused), ", "), study.ErrInvalid)
	}
	for k, a := range set {
		if !slices.ContainsFunc(Changeable(), func(t dicom.Tag) bool { return key(t) == k }) {
			optional = optional || k != key(dicom.SpecificCharacterSet)
			continue
		}
		if a.VR != "SQ" || len(a.Value) > 1 {
			return nil, false, fmt.Errorf("%s is a sequence of one item: %w", k, study.ErrInvalid)
		}
		body[k] = a
	}
	return body, optional, nil
}

// cancel answers PS3.18 §11.8. A study that waits cannot be called off here, and
// whoever has one in hand decides.
func (s *server) cancel(w http.ResponseWriter, r *http.Request) {
	item, err := s.itemIn(r)
	set := record{}
	if err == nil && r.ContentLength != 0 {
		set, err = read(w, r)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	visit := webui.VisitOf(r.Context())
	switch {
	case item.State == study.WorkCompleted:
		err = &refusal{http.StatusConflict, warnDone, "it has been read"}
	case item.State == study.WorkCanceled:
		warn(w, r, warnCanceled)
	case item.State == study.WorkScheduled:
		err = &refusal{http.StatusConflict, warnWillNot, "a study that waits is taken off the list by being read"}
	case item.Transaction != "":
		err = s.Performers.RequestCancel(r.Context(), item, visit.Who.Name, clip(set.text(reasonForCancellation), 1024))
	case visit.Who.May(webui.ReadStudies):
		_, err = s.Desk.MoveClaim(r.Context(), study.ClaimMove{Study: item.Study, Kind: study.ClaimAsk, By: visit.Who.Name, Idle: s.Idle})
	default:
		err = study.ErrIncomplete
	}
	if errors.Is(err, study.ErrIncomplete) {
		err = &refusal{http.StatusConflict, warnNobody, "whoever has it in hand can't be told"}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
