package modelcard_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
	"varde/models/modelcard"
	"varde/models/modelcard/cardtest"
	"varde/study"
)

func TestEveryFaultOfACardIsNamedAtOnce(t *testing.T) {
	text := strings.NewReplacer(
		`id = "plain"`, `id = "../plain"`, `network = "plain.onnx"`, `network = "/etc/plain.onnx"`,
		`limits = "everything"`, ``, `kind = "patches"`, `kind = "tiles"`, `std = [0.25, 0.25, 0.25]`, `std = [0.25]`,
		`aggregate = "top"`, `aggregate = "best"`, `flagged = 0.5`, `flagged = nan`,
	).Replace(cardtest.Card(cardtest.Plain(t, 1), "1.0")) + "[lens]\nfocus = 1\n"
	_, err := modelcard.Parse([]byte(text))
	if !errors.Is(err, study.ErrInvalid) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"id is", "network is", "use.limits", "input.kind", "input.std", "aggregate is", "threshold is NaN", "lens.focus: no such key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in:\n%v", want, err)
		}
	}
}

func TestFaultyCardsAreRefused(t *testing.T) {
	good := cardtest.Card(cardtest.Plain(t, 1), "1.0")
	if _, err := modelcard.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ old, new, want string }{
		"not TOML":                       {`id = "plain"`, `id = `, ""},
		"a folder as version":            {`version = "1.0"`, `version = "1/0"`, "version is"},
		"no hash":                        {`sha256 = "`, `#`, "sha256"},
		"a short hash":                   {`sha256 = "`, `sha256 = "ab`, "64 hexadecimal digits"},
		"no vendor":                      {`vendor = "Tests"`, ``, "vendor"},
		"no modality":                    {`modality = ["SM"]`, ``, "use.modality"},
		"a bad class":                    {`modality = ["SM"]`, `modality = ["SM"]` + "\nsop_classes = [\"1.2.x\"]", "sop_classes"},
		"patches without a size":         {"width = 64\nheight = 64", ``, "width and height"},
		"patches without a scale":        {`microns_per_pixel = 0.5`, ``, "microns_per_pixel"},
		"bytes that are normalized":      {`type = "float32"`, `type = "uint8"`, "no scale"},
		"a spread of zero":               {`std = [0.25, 0.25, 0.25]`, `std = [0.25, 0.0, 0.25]`, "above 0"},
		"a layout of a volume":           {`layout = "NCHW"`, `layout = "NCDHW"`, "input.layout"},
		"a tremendous batch":             {`width = 64`, "batch = 1000\nwidth = 64", "input.batch"},
		"a share above one":              {`width = 64`, "min_tissue = 1.5\nwidth = 64", "min_tissue"},
		"patches that hardly move on":    {`width = 64`, "overlap = 0.9\nwidth = 64", "input.overlap"},
		"an overlap of the whole patch":  {`width = 64`, "overlap = 64\nwidth = 64", "input.overlap"},
		"an overlap below none":          {`width = 64`, "overlap = -0.1\nwidth = 64", "input.overlap"},
		"an unknown stain":               {`width = 64`, "stain = \"vahadane\"\nwidth = 64", "input.stain"},
		"an unknown role":                {`role = "scalar"`, `role = "vector"`, "role"},
		"half a code":                    {`role = "scalar"`, "role = \"scalar\"\nmeasure = { value = \"1\", scheme = \"99X\" }", "value, scheme and meaning"},
		"a measure without a unit":       {`role = "scalar"`, "role = \"scalar\"\nmeasure = { value = \"1\", scheme = \"99X\", meaning = \"x\" }", "measure and unit"},
		"a sum as a probability":         {`aggregate = "top"`, `aggregate = "sum"`, "sum is no probability"},
		"a weight that is not there":     {`aggregate = "top"`, "aggregate = \"mean\"\nweight = \"q\"", "weight"},
		"a flag by nothing":              {`by = "p"`, `by = "q"`, "flag.by"},
		"a flag by findings without any": {`by = "p"`, `by = "findings"`, "nothing of finding"},
		"bands upside down":              {`flagged = 0.5`, "flagged = 0.5\nuncertain = 0.6", "below flagged"},
		"a find of nothing":              {`[flag]`, "[find]\nthreshold = 1.0\nwhat = { value = \"1\", scheme = \"99X\", meaning = \"x\" }\n[flag]", "either map or scalar"},
		"a find without a meaning":       {`[flag]`, "[find]\nscalar = \"p\"\n[flag]", "find.what"},
		"a find in a map that is none":   {`[flag]`, "[find]\nmap = \"p\"\nwhat = { value = \"1\", scheme = \"99X\", meaning = \"x\" }\n[flag]", "no map output"},
		"a cluster without a size":       {`[flag]`, "[find]\nmap = \"p\"\nmin_cluster = 3\nwhat = { value = \"1\", scheme = \"99X\", meaning = \"x\" }\n[flag]", "cluster_mm"},
	} {
		text := strings.Replace(good, tt.old, tt.new, 1)
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := modelcard.Parse([]byte(text)); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNetworksThatDoNotFitTheirCardAreRefused(t *testing.T) {
	type drawn func(g *graph.Graph) (in string)
	nchw := func(typ graph.Type, n, c, h graph.Dim) drawn {
		return func(g *graph.Graph) string { return g.Input("in", typ, n, c, h, graph.Free("w")) }
	}
	free, three := graph.Free("n"), graph.Fixed(3)
	mean := func(name string) func(*graph.Graph, string) {
		return func(g *graph.Graph, x string) {
			g.Named(name, "ReduceMean", graph.Attrs{"axes": []int64{1, 2, 3}, "keepdims": 0}, x)
			g.Output(name, graph.Float, graph.Free("n"))
		}
	}
	for name, tt := range map[string]struct {
		in   drawn
		out  func(*graph.Graph, string)
		want string
	}{
		"another name":   {func(g *graph.Graph) string { return g.Input("x", graph.Float, free, three, free, free) }, mean("p"), `no input "in"`},
		"another type":   {nchw(graph.Double, free, three, graph.Free("h")), mean("p"), "is not float32"},
		"one color":      {nchw(graph.Float, free, graph.Fixed(1), graph.Free("h")), mean("p"), "has C = 1, and the card gives 3"},
		"another size":   {nchw(graph.Float, free, three, graph.Fixed(65)), mean("p"), "has H = 65, and the card gives 64"},
		"a fixed batch":  {nchw(graph.Float, graph.Fixed(4), three, graph.Free("h")), mean("p"), "takes 4 tiles a run"},
		"another rank":   {func(g *graph.Graph) string { return g.Input("in", graph.Float, free, three, free, free, free) }, mean("p"), "has 5 dimensions"},
		"no such output": {nchw(graph.Float, free, three, graph.Free("h")), mean("q"), `no output "p"; it has q`},
		"a second input": {func(g *graph.Graph) string {
			g.Input("more", graph.Float)
			return nchw(graph.Float, free, three, free)(g)
		}, mean("p"), "has 2 inputs"},
		"a map as number": {nchw(graph.Float, free, three, graph.Free("h")), func(g *graph.Graph, x string) {
			g.Named("p", "Relu", nil, x)
			g.Output("p", graph.Float, free, three, free, free)
		}, "no number a tile"},
		"numbers of a kind": {nchw(graph.Float, free, three, graph.Free("h")), func(g *graph.Graph, x string) {
			g.Named("p", "Cast", graph.Attrs{"to": int(graph.Int64)}, x)
			g.Output("p", graph.Int64, free)
		}, "no tensor of 32-bit floats"},
	} {
		g := graph.New("unfit")
		tt.out(g, tt.in(g))
		network, err := g.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c, err := modelcard.Parse([]byte(cardtest.Card(network, "1.0")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := modelcard.Check(c, network); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNetworksThatDrawAreHeldAgainstTheirCard: classes of voxels, seen at once or in
// windows of a fixed size.
func TestNetworksThatDrawAreHeldAgainstTheirCard(t *testing.T) {
	const card = `
[[output]]
name = "classes"
role = "segments"
[[segment]]
name = "lesion"
output = "classes"
index = %d
what = { value = "4147007", scheme = "SCT", meaning = "Mass" }
lesions = true
%s
[flag]
by = "findings"
flagged = 1
`
	const windows = "[sliding]\nplanes = 32\nrows = 48\ncolumns = 64\noverlap = 0.5"
	d, h, w := graph.Free("d"), graph.Free("h"), graph.Free("w")
	for name, tt := range map[string]struct {
		sizes [3]graph.Dim
		index int
		more  string
		axes  []int64 // that are taken away
		want  string
	}{
		"as it is":         {[3]graph.Dim{d, h, w}, 1, "", nil, ""},
		"in windows":       {[3]graph.Dim{graph.Fixed(32), graph.Fixed(48), graph.Fixed(64)}, 1, windows, nil, ""},
		"in free windows":  {[3]graph.Dim{d, h, w}, 1, windows, nil, ""},
		"other windows":    {[3]graph.Dim{graph.Fixed(32), graph.Fixed(48), graph.Fixed(96)}, 1, windows, nil, "has W = 96, and the card gives 64"},
		"a fixed size":     {[3]graph.Dim{graph.Fixed(32), graph.Fixed(48), graph.Fixed(64)}, 1, "", nil, "has a fixed D"},
		"no such class":    {[3]graph.Dim{d, h, w}, 2, "", nil, "has no class 2"},
		"a number a class": {[3]graph.Dim{d, h, w}, 1, "", []int64{2, 3, 4}, "draws no segments"},
	} {
		g := graph.New("drawn")
		in := g.Input("x", graph.Float, graph.Fixed(1), graph.Fixed(1), tt.sizes[0], tt.sizes[1], tt.sizes[2])
		x := g.Node("Concat", graph.Attrs{"axis": 1}, in, in)
		dims := []graph.Dim{graph.Fixed(1), graph.Fixed(2), tt.sizes[0], tt.sizes[1], tt.sizes[2]}
		if tt.axes != nil {
			g.Named("classes", "ReduceMax", graph.Attrs{"axes": tt.axes, "keepdims": 0}, x)
			dims = dims[:2]
		} else {
			g.Named("classes", "Relu", nil, x)
		}
		g.Output("classes", graph.Float, dims...)
		network, err := g.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c, err := modelcard.Parse([]byte(strings.Replace(head("volume"), study.Hash{1}.String(), fmt.Sprintf("%x", sha256.Sum256(network)), 1) + fmt.Sprintf(card, tt.index, tt.more)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		switch _, err := modelcard.Check(c, network); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (!errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNetworkOfTheFutureIsRefused(t *testing.T) {
	c, err := modelcard.Parse([]byte(cardtest.Card(cardtest.Plain(t, 1), "1.0")))
	if err != nil {
		t.Fatal(err)
	}
	future := append(cardtest.Plain(t, 1), 0x42, 2, 0x10, 99) // opset_import {version: 99}
	c.SHA256 = sha256.Sum256(future)
	if _, err := modelcard.Check(c, future); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "operator set 99") {
		t.Errorf("%v", err)
	}
}
