package modelcard_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"varde/models/modelcard"
	"varde/study"
)

// TestCardsOfTheGuideAreTaken puts whole cards together from the pieces in
// docs/model-card.md: what the guide shows must be true.
func TestCardsOfTheGuideAreTaken(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "model-card.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	piece := func(heading string) string {
		_, after, ok := strings.Cut(text, "\n"+heading+"\n")
		if !ok {
			t.Fatalf("the guide has no %q", heading)
		}
		_, after, _ = strings.Cut(after, "```toml\n")
		p, _, _ := strings.Cut(after, "```")
		p = strings.Replace(p, `sha256 = "…"`, `sha256 = "`+study.Hash{1}.String()+`"`, 1)
		return strings.ReplaceAll(p, "…", "X1")
	}
	whole := piece("## A whole card")
	if _, err := modelcard.Parse([]byte(whole)); err != nil {
		t.Errorf("a whole card: %v", err)
	}
	spoken := strings.Replace(whole, `"27925004", scheme = "SCT"`, `"ODD", scheme = "99X"`, 1) + piece("## In the language of its reader")
	if c, err := modelcard.Parse([]byte(spoken)); err != nil || c.In("da").Use.NotFor[1] != "børn" || len(c.Terms()) != 1 {
		t.Errorf("a card in two languages: %v", err)
	}
	head, _, _ := strings.Cut(strings.Replace(whole, `"CT"`, `"SM"`, 1), "[input]")
	input := strings.Replace(piece("## Slides"), "[input]", "[input]\nname = \"tiles\"\ntype = \"float32\"\nlayout = \"NCHW\"", 1)
	maps := piece("### Maps (segmentation)")
	mil := strings.Replace(piece("### A second network that judges the slide (multiple-instance learning)"), study.Hash{1}.String(), study.Hash{2}.String(), 1)
	for name, c := range map[string]string{
		"a map":            maps + "\n[flag]\nby = \"tumor\"\nflagged = 1.0\n" + piece("### Heat"),
		"boxes":            piece("### Boxes and points (detection)"),
		"a second network": mil,
	} {
		if _, err := modelcard.Parse([]byte(head + input + c)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, word := range []string{modelcard.RoleBoxes, modelcard.RolePoints, modelcard.RoleScores, modelcard.RoleClasses, modelcard.RoleFeatures, modelcard.FlagHotspot} {
		if !regexp.MustCompile(`\b` + word + `\b`).MatchString(text) {
			t.Errorf("the guide says nothing of %s", word)
		}
	}
}
