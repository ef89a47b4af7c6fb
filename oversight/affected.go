package oversight

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"varde/oversight/table"
	"varde/study"
)

// Exams knows what became of the exams that a model was asked about. The ledger
// does.
type Exams interface {
	// AffectedCounts counts them by [study.ExamStates].
	AffectedCounts(ctx context.Context, m study.ModelRef) (map[string]int, error)
	Affected(ctx context.Context, m study.ModelRef, f study.AffectedFilter) ([]study.AffectedExam, error)
	// RecallOf tells how far it has come that a model's results are taken back.
	RecallOf(ctx context.Context, m study.ModelRef) (study.Recall, error)
	// ResultPairs gives what two models said of the same exams, the latest first.
	ResultPairs(ctx context.Context, a, b study.ModelRef) ([]study.ResultPair, error)
}

// An affectedJSON is what became of the exams of one model.
type affectedJSON struct {
	Model  string         `json:"model"`
	SHA256 string         `json:"model_sha256"`
	State  string         `json:"state" doc:"of the model"`
	Counts map[string]int `json:"counts" doc:"exams by what became of them; of all, whatever this list shows"`
	Exams  []examJSON     `json:"exams"`
	After  string         `json:"after,omitempty" doc:"ask again with it for the exams that follow"`
}

type examJSON struct {
	Study     study.UID    `json:"study_uid"`
	Revision  int          `json:"revision"`
	State     string       `json:"state" enum:"read,delivered,scored,running,waiting,stopped"`
	Accession string       `json:"accession"`
	Modality  string       `json:"modality"`
	AI        string       `json:"ai_state,omitempty" doc:"what the model said"`
	At        *time.Time   `json:"scored_at"`
	Opened    bool         `json:"opened"`
	ReadAt    *time.Time   `json:"read_at"`
	ReadBy    string       `json:"read_by,omitempty"`
	Objects   []objectJSON `json:"objects" doc:"what was written of it, and who has it: what a recall is about"`
}

type objectJSON struct {
	Instance    study.UID  `json:"sop_instance_uid"`
	Class       study.UID  `json:"sop_class_uid"`
	Kind        string     `json:"kind"`
	Revision    int        `json:"revision"`
	Destination string     `json:"destination,omitempty" doc:"empty where it was to go nowhere"`
	Status      string     `json:"status,omitempty" enum:"waiting,sent,delivered,failed,dropped,withheld,held"`
	At          *time.Time `json:"delivered_at"`
}

type affectedIn struct {
	Model string `path:"model" doc:"id@version" maxLength:"200"`
	State string `query:"state" enum:"read,delivered,scored,running,waiting,stopped"`
	After string `query:"after" maxLength:"64" doc:"a study: those that follow it"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}
type affectedOut struct{ Body affectedJSON }

func (p *pages) apiAffected(ctx context.Context, in *affectedIn) (*affectedOut, error) {
	k, err := p.find(ctx, in.Model)
	if err != nil {
		return nil, err
	}
	ref := k.Card.Ref()
	out := &affectedOut{affectedJSON{Model: ref.String(), SHA256: ref.SHA256.String(), State: string(k.State), Exams: []examJSON{}}}
	if out.Body.Counts, err = p.Exams.AffectedCounts(ctx, ref); err != nil {
		return nil, err
	}
	exams, err := p.Exams.Affected(ctx, ref, study.AffectedFilter{State: in.State, After: study.UID(in.After), Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	for _, e := range exams {
		out.Body.Exams = append(out.Body.Exams, examOf(e))
	}
	if len(exams) == in.Limit {
		out.Body.After = string(exams[len(exams)-1].Study)
	}
	return out, nil
}

func examOf(e study.AffectedExam) examJSON {
	j := examJSON{Study: e.Study, Revision: e.Rev, State: e.State, Accession: e.Accession, Modality: string(e.Modality), AI: string(e.AI),
		At: moment(e.At), Opened: e.Opened, ReadAt: moment(e.ReadAt), ReadBy: e.ReadBy, Objects: []objectJSON{}}
	for _, o := range e.Objects {
		one := objectJSON{Instance: o.UID, Class: o.Class, Kind: o.Kind, Revision: o.Rev}
		for _, d := range o.Deliveries {
			to := one
			to.Destination, to.Status, to.At = d.Destination, d.Status, moment(d.At)
			j.Objects = append(j.Objects, to)
		}
		if len(o.Deliveries) == 0 {
			j.Objects = append(j.Objects, one)
		}
	}
	return j
}

// affectedCSV is the whole list as a file.
func (p *pages) affectedCSV(w http.ResponseWriter, r *http.Request) {
	k, err := p.find(r.Context(), r.PathValue("model"))
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="affected.csv"`)
	w.Header().Set("Cache-Control", "no-store")
	if err := WriteAffected(r.Context(), w, p.Exams, k.Card.Ref()); err != nil {
		panic(http.ErrAbortHandler) // a list that breaks off must not look whole
	}
}

// WriteAffected writes all exams that a live model was asked about as CSV: a line
// for each object and each destination, or one where nothing was written. What a
// model was asked about in shadow is not among them.
func WriteAffected(ctx context.Context, w io.Writer, exams Exams, ref study.ModelRef) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"study_uid", "accession", "modality", "state", "ai_state", "scored_at", "opened", "read_at", "read_by",
		"sop_instance_uid", "kind", "destination", "delivery", "delivered_at", "model", "model_sha256"}) // out keeps the error
	err := EachAffected(ctx, exams, ref, "", func(e study.AffectedExam) error {
		j := examOf(e)
		head := []string{string(j.Study), table.Cell(j.Accession), j.Modality, j.State, j.AI, stamp(e.At), fmt.Sprint(j.Opened), stamp(e.ReadAt), table.Cell(j.ReadBy)}
		tail := []string{ref.String(), ref.SHA256.String()}
		if len(j.Objects) == 0 {
			j.Objects = []objectJSON{{}}
		}
		for _, o := range j.Objects {
			at := ""
			if o.At != nil {
				at = stamp(*o.At)
			}
			line := append(append(append([]string{}, head...), string(o.Instance), o.Kind, table.Cell(o.Destination), o.Status, at), tail...)
			if err := out.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// EachAffected calls f with every exam in a state, or in any where state is empty.
func EachAffected(ctx context.Context, exams Exams, ref study.ModelRef, state string, f func(study.AffectedExam) error) error {
	const page = 500
	for after := study.UID(""); ; {
		some, err := exams.Affected(ctx, ref, study.AffectedFilter{State: state, After: after, Limit: page})
		if err != nil {
			return err
		}
		for _, e := range some {
			if err := f(e); err != nil {
				return err
			}
		}
		if len(some) < page {
			return nil
		}
		after = some[page-1].Study
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// WriteAffectedJSON writes the exams in a state, or all where it is empty, as JSON,
// an object a line, as the API gives them.
func WriteAffectedJSON(ctx context.Context, w io.Writer, exams Exams, ref study.ModelRef, state string) error {
	out := json.NewEncoder(w)
	return EachAffected(ctx, exams, ref, state, func(e study.AffectedExam) error { return out.Encode(examOf(e)) })
}
