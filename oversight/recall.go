package oversight

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"varde/internal/webui"
	"varde/study"
)

// A recallJSON is how far a recall has come.
type recallJSON struct {
	Model        string         `json:"model"`
	SHA256       string         `json:"model_sha256"`
	State        string         `json:"state" doc:"of the model"`
	Exams        int            `json:"exams" doc:"that are called back"`
	Open         int            `json:"open" doc:"of these: whose notes are still to be written"`
	Failed       int            `json:"failed" doc:"of these: whose notes could not be written"`
	Done         bool           `json:"done" doc:"every destination has taken what takes back what it has"`
	Destinations []recallAtJSON `json:"destinations"`
}

type recallAtJSON struct {
	Destination string `json:"destination"`
	Exams       int    `json:"exams" doc:"of which it has something, or may have"`
	Untold      int    `json:"untold" doc:"of these: for which nothing is written yet that takes it back"`
	Notes       int    `json:"notes" doc:"rejection notes and messages for it"`
	Delivered   int    `json:"delivered" doc:"of these: that it has taken"`
	GivenUp     int    `json:"given_up"`
}

func recallOf(state study.ModelState, r study.Recall) recallJSON {
	j := recallJSON{Model: r.Model.String(), SHA256: r.Model.SHA256.String(), State: string(state), Exams: r.Exams, Open: r.Open, Failed: r.Failed,
		Done: r.Done(), Destinations: []recallAtJSON{}}
	for _, d := range r.Destinations {
		j.Destinations = append(j.Destinations, recallAtJSON{d.Destination, d.Exams, d.Untold, d.Notes, d.Delivered, d.Failed})
	}
	return j
}

// WriteRecallJSON writes how far a recall has come, as the API gives it.
func WriteRecallJSON(w io.Writer, state study.ModelState, r study.Recall) error {
	return json.NewEncoder(w).Encode(recallOf(state, r))
}

// addRecall puts what is told of recalls on a site.
func (p *pages) addRecall() {
	webui.Operate(p.site, webui.Operation{ID: "get-recall", Method: http.MethodGet, Path: "/api/v1/models/{model}/recall",
		Summary: "How far it has come that results of a stopped model are taken back", Right: webui.StopModels}, p.apiRecall)
}

type recallIn struct {
	Model string `path:"model" doc:"id@version" maxLength:"200"`
}
type recallOut struct{ Body recallJSON }

func (p *pages) apiRecall(ctx context.Context, in *recallIn) (*recallOut, error) {
	k, err := p.find(ctx, in.Model)
	if err != nil {
		return nil, err
	}
	r, err := p.Exams.RecallOf(ctx, k.Card.Ref())
	if err != nil {
		return nil, err
	}
	return &recallOut{recallOf(k.State, r)}, nil
}

// A recallView is a recall on the page of its model.
type recallView struct {
	Says string
	Bad  bool
	At   []recallLine
}

type recallLine struct {
	Destination                              string
	Exams, Untold, Notes, Delivered, GivenUp int
}

// recallView tells of a model that was stopped how far it has come that its results
// are taken back; nil where none has left the house, or the model runs.
func (p *pages) recallView(ctx context.Context, l webui.Lang, k known) (*recallView, error) {
	if k.State != study.ModelWithdrawn && k.State != study.ModelSuspended {
		return nil, nil
	}
	r, err := p.Exams.RecallOf(ctx, k.Card.Ref())
	if err != nil || len(r.Destinations) == 0 || k.State == study.ModelSuspended && r.Exams == 0 {
		return nil, err
	}
	v := &recallView{Says: l.T("recall.under_way", r.Exams)}
	switch {
	case r.Done():
		v.Says = l.T("recall.done")
	case r.Failed > 0:
		v.Says, v.Bad = l.T("recall.failed", r.Failed), true
	}
	for _, d := range r.Destinations {
		v.At = append(v.At, recallLine{d.Destination, d.Exams, d.Untold, d.Notes, d.Delivered, d.Failed})
		if d.Failed > 0 && !v.Bad {
			v.Says, v.Bad = l.T("recall.given_up"), true
		}
	}
	return v, nil
}
