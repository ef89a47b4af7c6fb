package ups

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/internal/dicom"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/veil"
)

// Label is the worklist label of every item.
const Label = "READING"

// interpretation is what is asked for, PS3.16 CID 9231.
var interpretation = study.Code{Value: "110005", Scheme: "DCM", Meaning: "Interpretation"}

// unspecified is why an item was discontinued when nobody says more, CID 9300.
var unspecified = study.Code{Value: "110513", Scheme: "DCM", Meaning: "Discontinued for unspecified reason"}

// Priority is the priority of an item by the class of its study, which the referrer,
// the law and the clock decide, and no AI.
func Priority(class int) string {
	switch {
	case class <= order.ClassAtRisk:
		return "HIGH"
	case class == order.ClassPathway:
		return "MEDIUM"
	}
	return "LOW"
}

// A view is what an item looks like to one visitor.
type view struct {
	lang webui.Lang
	who  string
	now  time.Time
	base string
}

func (s *server) viewOf(r *http.Request) view {
	visit := webui.VisitOf(r.Context())
	return view{visit.Lang, visit.Who.Name, s.site.Now(), s.base(r)}
}

// hears reports whether the visitor may know what the performer of an item says of
// it: not before an answer of their own, unless it is they who said it.
func (v view) hears(w study.Workitem, sight veil.Sight) bool {
	return !sight.OwnFirst && !sight.Alone || study.SamePerson(w.By, v.who)
}

// describe gives an item as a data set. seen is its study as the visitor may see it.
func (v view) describe(w study.Workitem, seen veil.Seen, orders []study.Order) record {
	st := seen.Study
	p := st.Patient.Reveal()
	local := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.In(v.now.Location())
	}
	r := record{}
	r.set(dicom.SpecificCharacterSet, "ISO_IR 192")
	r.set(dicom.SOPClassUID, Class)
	r.set(dicom.SOPInstanceUID, w.UID)
	r.name(dicom.PatientName, p.Name)
	r.set(dicom.PatientID, p.ID)
	r.set(dicom.IssuerOfPatientID, p.Issuer)
	r.set(dicom.PatientBirthDate, p.Birth)
	r.set(dicom.PatientSex, p.Sex)
	r.set(dicom.StudyInstanceUID, st.UID)
	r.set(dicom.AdmissionID)
	for _, t := range []dicom.Tag{issuerOfAdmission, scheduledStationName, scheduledStationClass, scheduledStationPlace, processingParameters, replacedStep} {
		r.items(t)
	}
	r.set(admittingDiagnoses)
	r.items(dicom.ReferencedRequestSequence, requests(st, orders)...)
	r.moment(scheduledStart, local(st.ReceivedAt))
	r.moment(modified, local(w.Changed))
	r.moment(expectedCompletion, local(st.Place.Deadline))
	r.items(scheduledWorkitem, code(interpretation))
	r.set(inputReadiness, readiness(w.Ready))
	r.items(inputInformation, v.input(st.UID))
	r.set(stepState, w.State)
	r.set(stepPriority, Priority(st.Place.Class))
	r.set(worklistLabel, Label)
	r.set(stepLabel, clip(v.lang.T("ups.name", cmp.Or(st.Description, string(st.Modality))), 64))
	r.set(commentsOnStep, v.comments(seen, !w.Ended()))
	if !v.hears(w, seen.Sight) {
		w.Body = nil
		if seen.Alone && w.Ended() {
			w.By = "" // who read a screening first is not for the second reader to know
		}
	}
	v.told(r, w, local)
	return r
}

// comments tell why the study stands where it stands, and what the AI says of it to
// whoever may know.
func (v view) comments(seen veil.Seen, waits bool) string {
	var said []string
	if why := order.Why(v.lang, seen.Study.Place, v.now); waits && len(why) > 0 {
		said = append(said, v.lang.T("ups.why", strings.Join(why, " · ")))
	}
	if remarks := order.Remarks(v.lang, seen.Study); remarks != "" {
		said = append(said, remarks)
	}
	if ai := seen.Says(v.lang); ai != "" {
		said = append(said, v.lang.T("ups.ai", ai))
	}
	return clip(strings.Join(said, "\r\n"), maxText)
}

// clip cuts a text to what its representation may hold.
func clip(s string, most int) string {
	all := []rune(strings.ReplaceAll(s, `\`, "/"))
	return string(all[:min(most, len(all))])
}

func readiness(ready bool) string {
	if ready {
		return "READY"
	}
	return "INCOMPLETE"
}

func (v view) input(uid study.UID) record {
	r := record{}
	r.set(typeOfInstances, "DICOM")
	r.set(dicom.StudyInstanceUID, uid)
	from := record{}
	from.set(dicom.RetrieveURL, v.base+"/studies/"+string(uid))
	r.items(wadoRSRetrieval, from)
	r.items(referencedSOPSequence)
	return r
}

// requests tells of each order of the study; of a study without any, its numbers.
func requests(st study.Study, orders []study.Order) (all []record) {
	one := func(accession string) record {
		r := record{}
		r.set(dicom.StudyInstanceUID, st.UID)
		r.set(dicom.AccessionNumber, accession)
		r.set(dicom.RequestedProcedureID)
		r.set(dicom.RequestedProcedureDescription, st.Description)
		r.items(requestedProcedureCodes)
		r.name(dicom.ReferringPhysicianName, st.Referring)
		r.set(dicom.PlacerOrderNumberImagingServiceRequest)
		r.set(dicom.FillerOrderNumberImagingServiceRequest)
		return r
	}
	for _, o := range orders {
		if o.Canceled || o.Held {
			continue
		}
		r := one(cmp.Or(o.Accession, st.Accession))
		r.set(dicom.PlacerOrderNumberImagingServiceRequest, o.Placer)
		r.set(dicom.FillerOrderNumberImagingServiceRequest, o.Filler)
		all = append(all, r)
	}
	if len(all) == 0 {
		all = append(all, one(st.Accession))
	}
	return all
}

// told puts in what became of an item: what its performer told, and what we know.
func (v view) told(r record, w study.Workitem, local func(time.Time) time.Time) {
	said := bodyOf(w)
	r.items(progressInformation)
	r.items(performedProcedure)
	for _, t := range []dicom.Tag{progressInformation, performedProcedure} {
		if a, ok := said[key(t)]; ok {
			r[key(t)] = a
		}
	}
	if w.By != "" && r.first(performedProcedure) == nil {
		did, who := record{}, record{}
		who.items(performerCode)
		who.name(performerName, w.By)
		did.items(actualPerformers, who)
		did.moment(performedStart, local(w.Since))
		if w.State == study.WorkCompleted {
			did.moment(performedEnd, local(w.Changed))
		}
		did.items(performedStationName)
		did.items(performedWorkitem, code(interpretation))
		did.items(outputInformation)
		r.items(performedProcedure, did)
	}
	if w.State != study.WorkCanceled {
		return
	}
	end := record{}
	for k, a := range r.first(progressInformation) {
		end[k] = a
	}
	end.moment(cancellation, local(w.Changed))
	if reason := v.reason(w); reason != "" && end.text(reasonForCancellation) == "" {
		end.set(reasonForCancellation, clip(reason, 1024))
	}
	if end.first(discontinuationReason) == nil {
		end.items(discontinuationReason, code(unspecified))
	}
	r.items(progressInformation, end)
}

// reason tells in words why an item was canceled.
func (v view) reason(w study.Workitem) string {
	switch w.Reason {
	case study.WorkReplaced:
		return v.lang.T("ups.canceled_replaced")
	case study.WorkPutBack:
		return v.lang.T("ups.canceled_put_back")
	case study.WorkGone:
		return v.lang.T("ups.canceled_gone")
	}
	return w.Reason
}

// bodyOf gives what the performer of an item has told; the ledger holds nothing that
// was not read by [parse].
func bodyOf(w study.Workitem) record {
	if len(w.Body) == 0 {
		return record{}
	}
	r, err := parse(w.Body)
	if err != nil {
		return record{}
	}
	return r
}

func pack(r record) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		return nil // texts, numbers and records: there is nothing else in one
	}
	return b
}

// look gives an item as the visitor may see it.
func (s *server) look(ctx context.Context, v view, w study.Workitem) (record, error) {
	seen, err := s.Veil.CaseNow(ctx, w.Study)
	if err != nil {
		return nil, err
	}
	orders, err := s.Orders(ctx, w.Study)
	if err != nil {
		return nil, err
	}
	return v.describe(w, seen, orders), nil
}

// retrieve answers PS3.18 §11.5.
func (s *server) retrieve(w http.ResponseWriter, r *http.Request) {
	if !acceptable(r) {
		s.fail(w, r, errNotAcceptable)
		return
	}
	item, err := s.itemIn(r)
	if err == nil {
		var set record
		if set, err = s.look(r.Context(), s.viewOf(r), item); err == nil {
			w.Header().Set("Content-Location", s.base(r)+"/workitems/"+string(item.UID))
			writeJSON(w, []record{set})
			return
		}
	}
	s.fail(w, r, err)
}

// sortedTags is for answers that name attributes.
func sortedTags(all []dicom.Tag) []string {
	slices.Sort(all)
	words := make([]string, len(all))
	for i, t := range all {
		words[i] = cmp.Or(t.Keyword(), t.String())
	}
	return words
}
