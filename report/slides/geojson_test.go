package slides_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"varde/internal/slide"
	"varde/study"
)

// A collection is GeoJSON as another program reads it, RFC 7946.
type collection struct {
	Type  string
	Varde struct {
		Model, Version, Coverage string
		SHA256                   string `json:"model_sha256"`
		Partial                  bool
	}
	Features []struct {
		Type, ID string
		Geometry struct {
			Type        string
			Coordinates json.RawMessage
		}
		Properties struct {
			ObjectType     string
			Name           string
			IsLocked       bool
			Classification struct {
				Name  string
				Color []int
			}
			Measurements map[string]float64
		}
	}
}

func geojson(t testing.TB, s sample) collection {
	t.Helper()
	var b bytes.Buffer
	if err := s.work.WriteGeoJSON(&b, s.slide); err != nil {
		t.Fatal(err)
	}
	var c collection
	if err := json.Unmarshal(b.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestQuPathFindsFindingsAndPatchesAtFullResolution(t *testing.T) {
	s := newSample(t)
	c := geojson(t, s)
	if c.Type != "FeatureCollection" || len(c.Features) != 3+451 {
		t.Fatalf("%s of %d", c.Type, len(c.Features))
	}
	if c.Varde.Model != "tumor-he" || c.Varde.SHA256 != s.work.Result.Model.SHA256.String() || !c.Varde.Partial {
		t.Errorf("%+v", c.Varde)
	}
	for n, want := range []string{"Polygon", "Polygon", "Point"} {
		f := c.Features[n]
		if f.Type != "Feature" || f.Geometry.Type != want || f.Properties.ObjectType != "annotation" || !f.Properties.IsLocked || !uuid.MatchString(f.ID) ||
			f.Properties.Classification.Name == "" || len(f.Properties.Classification.Color) != 3 {
			t.Errorf("finding %d: %+v", n+1, f)
		}
	}
	if got := c.Features[0].Properties.Measurements; got["Area mm2"] != 0.0125 || got["probability"] != 0.9 {
		t.Errorf("%v", got)
	}
	hot, missed := 0, 0
	for _, f := range c.Features[3:] {
		var rings [][][2]float64
		if err := json.Unmarshal(f.Geometry.Coordinates, &rings); err != nil || len(rings) != 1 || len(rings[0]) != 5 || rings[0][0] != rings[0][4] {
			t.Fatalf("%s: %v", f.Geometry.Coordinates, err)
		}
		if f.Properties.ObjectType != "tile" {
			t.Fatalf("%s", f.Properties.ObjectType)
		}
		switch v, ok := f.Properties.Measurements["prob_p"]; {
		case !ok:
			missed++
			if f.Properties.Classification.Name != "Not looked at" {
				t.Errorf("a patch without a number is %q", f.Properties.Classification.Name)
			}
		case v == 1:
			hot++
			if rings[0][0] != [2]float64{224 + hotColumn*224, 448 + hotRow*224} || rings[0][2] != [2]float64{448 + hotColumn*224, 672 + hotRow*224} {
				t.Errorf("the hottest patch is %v", rings[0])
			}
		}
	}
	if hot != 1 || missed != 1 {
		t.Errorf("%d hottest, %d missed", hot, missed)
	}
}

func TestCoarseLevelIsScaledToFullResolution(t *testing.T) {
	s := newSample(t)
	s.slide.Heat = slide.Heat{Series: s.slide.Heat.Series, Level: s.slide.Levels[1].Key(), X0: 1900, Y0: 1400, StepX: 224, StepY: 224,
		Columns: 1, Rows: 1, TileW: 224, TileH: 224, Values: []float32{0.3}}
	g := s.work.Result.Findings[0].Regions[0]
	g.Instance, g.Points = s.slide.Levels[1].Key(), []float64{10, 20, 30, 20, 30, 40}
	s.work.Result.Findings = []study.Finding{{Number: 1, Tracking: "2.25.1", Regions: []study.Region{g}}}
	c := geojson(t, s)
	if len(c.Features) != 2 {
		t.Fatalf("%d features", len(c.Features))
	}
	if got := string(c.Features[0].Geometry.Coordinates); got != "[[[40,80],[120,80],[120,160],[40,80]]]" {
		t.Errorf("finding at %s", got)
	}
	// It reaches over the edge of the slide, and is cut there.
	if got := string(c.Features[1].Geometry.Coordinates); got != "[[[7600,5600],[8000,5600],[8000,6000],[7600,6000],[7600,5600]]]" {
		t.Errorf("patch at %s", got)
	}
	if got := c.Features[1].Properties.Measurements["prob_p"]; got != 0.3 {
		t.Errorf("%v", got)
	}
}

func TestTableHasALineForEachPatch(t *testing.T) {
	s := newSample(t)
	var b bytes.Buffer
	if err := s.work.WriteCSV(&b, s.slide); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != 1+451 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	if got := strings.Join(lines[0], ","); got != "minx,miny,width,height,seen,prob_p,model" {
		t.Errorf("%s", got)
	}
	missed, best := 0, 0.0
	for _, l := range lines[1:] {
		if l[4] == "0" {
			missed++
			if l[5] != "" {
				t.Errorf("a patch that was not seen has %s", l[5])
			}
			continue
		}
		v, err := strconv.ParseFloat(l[5], 64)
		if err != nil || l[6] != "tumor-he@1.2.0+sha256:010203000000" {
			t.Fatalf("%v: %v", l, err)
		}
		if v > best {
			best = v
			if math.Abs(v-1) < 1e-6 && strings.Join(l[:4], ",") != "4032,2464,224,224" {
				t.Errorf("the hottest patch is %v", l)
			}
		}
	}
	if missed != 1 || best != 1 {
		t.Errorf("%d missed, best %g", missed, best)
	}
}

func TestSlideWithoutAMapHasItsFindingsAlone(t *testing.T) {
	s := newSample(t)
	s.slide.Heat = slide.Heat{}
	if c := geojson(t, s); len(c.Features) != 3 {
		t.Errorf("%d features", len(c.Features))
	}
}
