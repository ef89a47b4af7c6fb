package ups

import (
	"net/http"

	"varde/internal/dicom"
	"varde/internal/webui"
	"varde/study"
)

// The answer of a screening, as a performer tells it. The standard's own attributes say
// that a step was done and what came of it, and have no word for whether somebody is
// recalled; content items of the performed processing parameters say what the two
// agree on, PS3.3 §C.30.3.
var (
	screeningAnswer = study.Code{Value: "screening-answer", Scheme: "99VARDE", Meaning: "Answer of a screening"}
	answerCodes     = [...]struct {
		answer string
		code   study.Code
	}{
		{study.AnswerRecall, study.Code{Value: "recall", Scheme: "99VARDE", Meaning: "Recall"}},
		{study.AnswerNoRecall, study.Code{Value: "no-recall", Scheme: "99VARDE", Meaning: "No recall"}},
	}
)

// howToAnswer tells what an item of a screening lacks.
const howToAnswer = "put a CODE item into Performed Processing Parameters Sequence (0074,1212) of the performed procedure (0074,1216), " +
	"concept (screening-answer, 99VARDE), value (recall, 99VARDE) or (no-recall, 99VARDE), and complete it again"

// answerOf reads a performer's answer in a screening; empty where none is told.
func answerOf(w study.Workitem) (answer string, err error) {
	bad := &refusal{http.StatusConflict, warnInconsistent, "the answer of the screening can't be read: " + howToAnswer}
	for _, v := range bodyOf(w).first(performedProcedure)[key(performedParameters)].Value {
		item, ok := v.(record)
		if !ok || !same(item.first(dicom.ConceptNameCodeSequence), screeningAnswer) {
			continue
		}
		said := ""
		for _, c := range answerCodes {
			if same(item.first(dicom.ConceptCodeSequence), c.code) {
				said = c.answer
			}
		}
		if said == "" || answer != "" && answer != said {
			return "", bad
		}
		answer = said
	}
	return answer, nil
}

func same(r record, c study.Code) bool {
	return r.text(dicom.CodeValue) == c.Value && r.text(dicom.CodingSchemeDesignator) == c.Scheme
}

// due refuses an item of a screening to whoever has read it already, and to one reader
// what a meeting is to decide.
func (s *server) due(r *http.Request, w study.Workitem) error {
	if s.Veil.Screenings == nil {
		return nil
	}
	st, err := s.Veil.Study(r.Context(), w.Study)
	if err != nil {
		return err
	}
	all, err := s.Veil.Screenings.Screenings(r.Context(), []study.Study{st})
	if err != nil || len(all) == 0 || all[0].Zero() || all[0].Decided() {
		return err
	}
	who := webui.VisitOf(r.Context()).Who.Name
	switch {
	case all[0].ReadBy(who):
		return &refusal{http.StatusConflict, warnInconsistent, "you have read it, and nobody reads twice: it awaits another reader"}
	case !all[0].Due(who):
		return &refusal{http.StatusConflict, warnInconsistent, "the readers disagree, and a meeting decides: its decision is entered on the page of the examination"}
	}
	return nil
}
