package oversight

import (
	"slices"
	"testing"

	"varde/internal/webui"
	"varde/models/modelcard"
)

func TestClaimsAreToldWithIntervalCasesAndSource(t *testing.T) {
	card := modelcard.Card{
		Claims: []modelcard.Claim{
			{Metric: "sensitivity", Value: 0.91, Low: 0.87, High: 0.94, Cases: 1412, Population: "adults in two hospitals", Source: "Somebody et al.", Year: 2025},
			{Metric: "error", Value: 1.5, Unit: "mm", Population: "phantoms", Source: "the maker"},
		},
		Text: map[string]modelcard.Text{"da": {Claims: []modelcard.ClaimText{{Metric: "sensitivitet", Population: "voksne på to hospitaler"}, {}}}},
	}
	for l, want := range map[webui.Lang][]string{
		webui.English: {"sensitivity: 0.91 (95 % interval 0.87–0.94; 1,412 cases). Measured in: adults in two hospitals. Source: Somebody et al. (2025).", "error: 1.5 mm. Measured in: phantoms. Source: the maker."},
		webui.Danish:  {"sensitivitet: 0,91 (95 %-interval 0,87–0,94; 1.412 tilfælde). Målt hos: voksne på to hospitaler. Kilde: Somebody et al. (2025).", "error: 1,5 mm. Målt hos: phantoms. Kilde: the maker."},
	} {
		if got := claimWords(l, card.In(string(l)).Claims); !slices.Equal(got, want) {
			t.Errorf("%s: %q", l, got)
		}
	}
}
