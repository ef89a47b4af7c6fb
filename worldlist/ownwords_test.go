package worldlist_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"varde/internal/webui"
	"varde/models"
	"varde/models/modelcard"
	"varde/study"
	"varde/worldlist"
)

// TestStudyPageSpeaksOfAModelInTheReadersLanguage has a finding that only its model has
// a code for. Page, paper and what is kept of what the reader was shown say the same.
func TestStudyPageSpeaksOfAModelInTheReadersLanguage(t *testing.T) {
	card, err := modelcard.Parse(models.Reference()[1].CardTOML)
	if err != nil {
		t.Fatal(err)
	}
	w := newWard()
	r := &w.cases[chestCT].Results[0]
	r.Findings = slices.Clone(r.Findings)
	r.Findings[0].What = study.Code{Value: "ODD", Scheme: "99X", Meaning: "Odd spot"}
	r.Terms = []study.Term{{Lang: "da", Code: study.Code{Value: "ODD", Scheme: "99X", Meaning: "sær plet"}}}
	site := siteOf(t, w, w, func(p *worldlist.Pages) {
		p.About = func(l webui.Lang, _ study.ModelRef) (worldlist.About, bool) {
			c := card.In(string(l))
			return worldlist.About{Regulatory: c.Regulatory, Use: c.Use.Text, NotFor: c.Use.NotFor, Measures: c.Use.Measures, Limits: c.Use.Limits}, true
		}
	})
	server := serveSite(t, site)
	for lang, word := range map[webui.Lang]string{webui.Danish: "Sær plet", webui.Bokmal: "Odd spot", webui.English: "Odd spot"} {
		c := card.In(string(lang))
		_, body := ask(t, http.MethodGet, server+"/studies/"+string(chestCT), webui.Reader, string(lang), nil)
		for _, want := range append([]string{word, c.Regulatory, c.Use.Text, c.Use.Measures, c.Use.Limits}, c.Use.NotFor...) {
			if !strings.Contains(body, want) {
				t.Errorf("the page in %s does not say %q", lang, want)
			}
		}
		if _, paper := ask(t, http.MethodGet, server+"/studies/"+string(chestCT)+"/report", webui.Reader, string(lang), nil); !strings.Contains(strings.ToLower(paper), strings.ToLower(word)) {
			t.Errorf("the printed report in %s does not say %q", lang, word)
		}
	}
	if card.In("da").Use.Text == card.Use.Text || card.In("nb").Use.Text == card.In("da").Use.Text {
		t.Error("the card speaks one language")
	}
	shown := 0
	for _, s := range w.steps {
		if s.Step != study.StepShown {
			continue
		}
		for _, one := range s.Shown.Results {
			shown++
			regulatory := card.In(s.Shown.Lang).Regulatory
			word := map[string]string{"da": "Sær plet"}[s.Shown.Lang]
			if word == "" {
				word = "Odd spot"
			}
			if all := strings.Join(one.Lines, "\n"); !strings.Contains(all, word) || !strings.Contains(all, regulatory) {
				t.Errorf("in %s was shown, as it is kept: %q", s.Shown.Lang, one.Lines)
			}
		}
	}
	if shown == 0 {
		t.Error("nothing is kept of what was shown")
	}
}
