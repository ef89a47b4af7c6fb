package oversight

import (
	"fmt"
	"math"
	"net/http"
	"slices"

	"varde/internal/webui"
	"varde/study"
)

// A modelView is the page of one model.
type modelView struct {
	Model    model
	May      bool
	Saved    string // the key of what was done; empty otherwise
	Proposal *proposalLine
	Recall   bool // it is withdrawn: what was delivered is called back
	Recalled *recallView
	Counts   []tallyLine
	Exams    []examLine
	More     bool
	Compared []comparedLine
	History  []changeLine
}

// A proposalLine is what waits for a second person.
type proposalLine struct {
	Who, What, Reason, Expires string
	Mine                       bool // who looks proposed it
}

// A tallyLine is how many exams are in one state.
type tallyLine struct {
	State, Word, Count string
	Some               bool
}

// An examLine is one exam that a model was asked about.
type examLine struct {
	Study, Accession, Word, AI, At, Read, Where string
}

// A comparedLine is a comparison with another model.
type comparedLine struct {
	With, StateWord                    string
	N, LeftOut                         string
	Agree, Kappa, First, Second, Other string
	Difference                         string
	Discordant                         []discordantLine
}

type discordantLine struct{ Study, This, Other string }

// A changeLine is one change in a model's history.
type changeLine struct{ At, State, Who, Reason, Share string }

// mostExams is how many exams the page lists; the file has them all.
const mostExams = 100

func (p *pages) onePage(r *http.Request) (webui.View, error) {
	ctx, visit := r.Context(), webui.VisitOf(r.Context())
	k, err := p.find(ctx, r.PathValue("model"))
	if err != nil {
		return webui.View{}, err
	}
	l, ref := visit.Lang, k.Card.Ref()
	v := modelView{Model: p.modelOf(l, k), May: visit.Who.May(webui.StopModels), Recall: k.State == study.ModelWithdrawn}
	switch r.URL.Query().Get("saved") {
	case "1":
		v.Saved = "models.saved"
	case "asked":
		v.Saved = "models.saved.asked"
	}
	changes, err := p.History.ModelHistory(ctx, ref)
	if err != nil {
		return webui.View{}, err
	}
	for _, c := range slices.Backward(changes) {
		v.History = append(v.History, changeLine{l.Moment(c.At.In(p.site.Zone())), l.T("modelstate." + string(c.State)), whoWords(l, c), whyWords(l, c),
			shareWords(l, c.State, c.Share, c.Beside)})
	}
	if !v.May {
		return webui.View{Template: "model", Title: k.Card.Name, Data: v}, nil
	}
	if k.proposed != nil {
		c := k.proposed.Change
		v.Proposal = &proposalLine{c.By, l.T("models.asked.what", l.T("modelstate."+string(c.State)), percent(l, c.Share)), c.Reason,
			l.Moment(k.proposed.Expires.In(p.site.Zone())), study.SamePerson(c.By, visit.Who.Name)}
		if c.Beside {
			v.Proposal.What += " · " + l.T("models.beside")
		}
	}
	if err := p.examLines(r, k, &v); err != nil {
		return webui.View{}, err
	}
	if v.Recalled, err = p.recallView(ctx, l, k); err != nil {
		return webui.View{}, err
	}
	partners, err := p.compare(ctx, k, "")
	if err != nil {
		return webui.View{}, err
	}
	for _, c := range partners {
		v.Compared = append(v.Compared, comparedOf(l, c))
	}
	return webui.View{Template: "model", Title: k.Card.Name, Data: v}, nil
}

// examLines adds what became of the model's exams.
func (p *pages) examLines(r *http.Request, k known, v *modelView) error {
	ctx, l := r.Context(), webui.VisitOf(r.Context()).Lang
	counts, err := p.Exams.AffectedCounts(ctx, k.Card.Ref())
	if err != nil {
		return err
	}
	for _, s := range study.ExamStates {
		v.Counts = append(v.Counts, tallyLine{s, l.T("exam." + s), l.Number(counts[s]), counts[s] > 0})
	}
	exams, err := p.Exams.Affected(ctx, k.Card.Ref(), study.AffectedFilter{Limit: mostExams + 1})
	if err != nil {
		return err
	}
	if v.More = len(exams) > mostExams; v.More {
		exams = exams[:mostExams]
	}
	for _, e := range exams {
		line := examLine{Study: string(e.Study), Accession: e.Accession, Word: l.T("exam." + e.State)}
		if e.AI != "" {
			line.AI = l.T("ai." + string(e.AI))
		}
		if !e.At.IsZero() {
			line.At = l.Moment(e.At.In(p.site.Zone()))
		}
		if !e.ReadAt.IsZero() {
			line.Read = l.Moment(e.ReadAt.In(p.site.Zone())) + " " + e.ReadBy
		}
		for _, o := range e.Objects {
			for _, d := range o.Deliveries {
				if line.Where != "" {
					line.Where += ", "
				}
				line.Where += d.Destination + ": " + l.T("delivery."+d.Status)
			}
		}
		v.Exams = append(v.Exams, line)
	}
	return nil
}

// comparedOf puts a comparison into words.
func comparedOf(l webui.Lang, c partner) comparedLine {
	line := comparedLine{With: c.Card.Ref().String(), StateWord: l.T("modelstate." + string(c.State)), N: l.Number(c.N), LeftOut: l.Number(c.LeftOut),
		First: l.Number(c.First), Second: l.Number(c.Second), Other: l.Number(c.Unsure), Kappa: "–", Difference: "–", Agree: "–"}
	if c.N > 0 {
		line.Agree = l.T("compare.share", l.Number(c.Agree), hundred(l, float64(c.Agree)/float64(c.N)), hundred(l, c.Low), hundred(l, c.High))
	}
	if !math.IsNaN(c.Kappa) {
		line.Kappa = l.Decimal(math.Round(c.Kappa*100) / 100)
	}
	if c.Scored > 0 {
		points := func(v float64) string { return l.Decimal(math.Round(v*1000) / 1000) }
		line.Difference = l.T("compare.difference", points(c.Mean), points(c.SD), points(c.Most), l.Number(c.Scored))
	}
	for _, d := range c.Discordant[:min(len(c.Discordant), 10)] {
		line.Discordant = append(line.Discordant, discordantLine{string(d.Study), l.T("ai." + string(d.AI[0])), l.T("ai." + string(d.AI[1]))})
	}
	return line
}

// hundred writes a fraction as percent, with one digit.
func hundred(l webui.Lang, f float64) string {
	return fmt.Sprintf("%s %%", l.Decimal(math.Round(f*1000)/10))
}
