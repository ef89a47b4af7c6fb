package modelcard_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"varde/models/modelcard"
	"varde/study"
)

// guideOf gives one example of the guide.
func guideOf(t *testing.T, heading string) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/model-card.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(b), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("the guide has no %q", heading)
	}
	_, after, _ = strings.Cut(after, "```toml\n")
	piece, _, _ := strings.Cut(after, "```")
	return piece
}

// head is a card of volumes or of images, up to its outputs.
func head(kind string) string {
	input := `kind = "volume"
layout = "NCDHW"
values = "hu"
halo_planes = 95
`
	if kind == "images" {
		input = "kind = \"images\"\nlayout = \"NCHW\"\nvalues = \"unit\"\n"
	}
	return `id = "x"
version = "1"
name = "X"
vendor = "X"
regulatory = "not a medical device"
network = "model.onnx"
sha256 = "` + study.Hash{1}.String() + `"
[use]
text = "x"
measures = "x"
limits = "x"
modality = ["CT"]
[input]
name = "x"
type = "float32"
` + input
}

func TestCardsOfVolumesInTheGuideAreTaken(t *testing.T) {
	outputs := guideOf(t, "## Volumes and images")
	segments := "[[output]]" + strings.Split(outputs, "[[output]]")[3] + "[[segment]]" + strings.Split(outputs, "[[segment]]")[1]
	segments = strings.Replace(segments, `by = "worst_label"`, `by = "findings"
flagged = 1.0`, 1)
	gate := guideOf(t, "### What an image must be like")
	gray := guideOf(t, "### Gray, geometry and side")
	for name, c := range map[string]string{
		"labels":   head("volume") + outputs + gate,
		"windows":  head("volume") + segments + guideOf(t, "### Windows"),
		"geometry": strings.Replace(head("volume"), `"hu"`, `"window"`, 1) + segments + gray,
		"images":   head("images") + outputs + gate + "[pose]\norient = \"left\"\n",
	} {
		if _, err := modelcard.Parse([]byte(c)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryFaultOfTheOutputsIsNamed(t *testing.T) {
	outputs := guideOf(t, "## Volumes and images")
	for _, tt := range []struct{ from, to, want string }{
		{`output = "signs"`, `output = "classes"`, "no output of labels"},
		{`uncertain = 0.3`, `uncertain = 0.7`, "below flagged"},
		{`{ value = 2,`, `{ value = 1,`, "must ascend"},
		{`name = "mass"`, `name = "lesion"`, "something else has it"},
		{`index = 1`, `index = 1` + "\nthreshold = 0.3", "goes with activation sigmoid"},
		{`min_mm = 3.0`, `min_mm = -3.0`, "0 or more"},
		{`aggregate = "max"`, `aggregate = "sum"`, "aggregate is"},
		{`flagged = 0.6`, `flagged = 0.0`, "flagged is missing"},
		{"[flag]", "[sliding]\nplanes = 200\nrows = 96\ncolumns = 96\n[flag]", "halo_planes"},
		{"[flag]", "[pose]\norient = \"left\"\n[flag]", "pose.orient is of images"},
		{"[flag]", "[gate]\noff = [\"max_beauty\"]\n[flag]", "is no bound"},
		{"[flag]", "[display]\ncenter = 1.0\n[flag]", "display goes with"},
		{`name = "classes" `, "keep = true\nname = \"classes\" ", "keep is of probabilities"},
		{`name = "signs" `, "keep = true\nname = \"signs\" ", "keep is of maps and segments"},
	} {
		c := head("volume") + strings.Replace(outputs, tt.from, tt.to, 1)
		_, err := modelcard.Parse([]byte(c))
		if !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s → %s: %v, want %q", tt.from, tt.to, err, tt.want)
		}
	}
}
