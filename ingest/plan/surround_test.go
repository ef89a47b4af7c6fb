package plan_test

import (
	"cmp"
	"slices"
	"testing"

	"varde/ingest/plan"
	"varde/models/modelcard"
	"varde/study"
)

// TestBlocksKnowThePatchesAroundThem: where maps are put together a block has the
// patches of others that reach into its own, those before one of them to be looked
// at again and the rest by name. Nothing is planned twice.
func TestBlocksKnowThePatchesAroundThem(t *testing.T) {
	tissue := map[study.UID]plan.Tissue{"1.4.1": paint(t, 40, 30, 450, 210)}
	for _, tt := range []struct {
		name    string
		overlap float64
		mpp     float64
		role    string
		around  bool
	}{
		{"a map, overlapping", 32, 0.5, modelcard.RoleMap, true},
		{"a map, by half", 0.5, 0.5, modelcard.RoleMap, true},
		{"a map, between two levels", 32, 1.1, modelcard.RoleMap, true},
		{"a map, side by side", 0, 0.5, modelcard.RoleMap, false},
		{"scores, overlapping", 32, 0.5, modelcard.RoleScalar, false},
	} {
		f := slideFacts(glass("1.4.1"), tissue)
		card := &f.Models[0].Card
		card.Input.Overlap, card.Input.MicronsPerPixel = tt.overlap, tt.mpp
		card.Output = []modelcard.Output{{Name: "out", Role: tt.role, Aggregate: "max"}}
		p := plan.Plan(f).Models[0]
		reaches := func(a, b study.Tile) bool {
			return a.X < b.X+b.W-1 && b.X < a.X+a.W-1 && a.Y < b.Y+b.H-1 && b.Y < a.Y+a.H-1 // places are rounded
		}
		order := func(a, b study.Tile) int { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) }
		home := map[study.Tile]int{}
		for n, b := range p.Blocks {
			for _, tile := range b.Tiles {
				if _, twice := home[tile]; twice && !tile.Context {
					t.Errorf("%s: %+v is planned twice", tt.name, tile)
				}
				if !tile.Context {
					home[tile] = n
				}
			}
		}
		if len(home) != p.Planned || len(p.Blocks) < 4 || len(p.Slides) != 1 || p.Slides[0].Planned != p.Planned || p.Slides[0].State != study.Running {
			t.Fatalf("%s: %d patches in %d blocks, planned are %d, %+v", tt.name, len(home), len(p.Blocks), p.Planned, p.Slides)
		}
		around := false
		for n, b := range p.Blocks {
			var context, beyond []study.Tile
			for tile, of := range home {
				if of == n || !tt.around {
					continue
				}
				touches, before := false, false
				for _, own := range b.Tiles {
					if !own.Context && reaches(tile, own) {
						touches, before = true, before || order(tile, own) < 0
					}
				}
				if before {
					tile.Context = true
					context = append(context, tile)
				} else if touches {
					beyond = append(beyond, tile)
				}
			}
			got := slices.DeleteFunc(slices.Clone(b.Tiles), func(t study.Tile) bool { return !t.Context })
			slices.SortFunc(context, order)
			slices.SortFunc(beyond, order)
			if !slices.Equal(got, context) || !slices.Equal(b.Beyond, beyond) || !slices.IsSortedFunc(b.Tiles, order) {
				t.Fatalf("%s: block %d has %d patches as context and %d beyond, want %d and %d", tt.name, n, len(got), len(b.Beyond), len(context), len(beyond))
			}
			around = around || len(got) > 0
		}
		if around != tt.around {
			t.Errorf("%s: context is %v", tt.name, around)
		}
	}
}

// TestPlanNamesTheSlidesThatAreLeftOut with what is wrong with each.
func TestPlanNamesTheSlidesThatAreLeftOut(t *testing.T) {
	var all []study.Instance
	for _, series := range []study.UID{"1.4.1", "1.4.2", "1.4.3"} {
		all = append(all, glass(series, func(_ int, in *study.Instance) {
			if series == "1.4.3" {
				in.Image.Slide.MicronsPerPixel = [2]float64{}
			}
		})...)
	}
	some := paint(t, 40, 30, 450, 210)
	for _, tt := range []struct {
		first plan.Tissue
		want  []string
	}{
		{some, []string{"running ", "failed tissue", "failed spacing"}},
		{plan.Tissue{Reason: study.Reason{Code: study.ReasonTissue, Detail: "0 %"}}, []string{"failed tissue", "failed tissue", "failed spacing"}},
	} {
		tissue := map[study.UID]plan.Tissue{"1.4.1": tt.first, "1.4.2": {Reason: study.Reason{Code: study.ReasonTissue, Detail: "0 %"}}, "1.4.3": some}
		p := plan.Plan(slideFacts(all, tissue)).Models[0]
		var got []string
		for _, s := range p.Slides {
			got = append(got, string(s.State)+" "+s.Reason.Code)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q, want %q: %+v", got, tt.want, p.Slides)
		}
		if n := len(p.Unscored()); n != 3-min(len(p.Blocks), 1) {
			t.Errorf("%d slides are told to be unscored: %+v", n, p.Unscored())
		}
	}
}

// TestModelOfTwoNetworksIsConcludedWhereNetworksRun.
func TestModelOfTwoNetworksIsConcludedWhereNetworksRun(t *testing.T) {
	f := slideFacts(glass("1.4.1"), map[study.UID]plan.Tissue{"1.4.1": paint(t, 40, 30, 450, 210)})
	if p := plan.Plan(f).Models[0]; p.Concludes != "" {
		t.Errorf("a model of one network is concluded by %q", p.Concludes)
	}
	f.Models[0].Card.MIL = &modelcard.MIL{}
	if p := plan.Plan(f).Models[0]; p.Concludes != study.PoolCPU {
		t.Errorf("concluded by %q", p.Concludes)
	}
}
