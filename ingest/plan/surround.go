package plan

import (
	"cmp"
	"math"
	"slices"

	"varde/study"
)

// What bounds a block whose patches give maps that are put together: its map has
// about mapAcross pixels on a side, nine bytes each, and yet so many patches that
// those around it, which are looked at twice, are no more than they.
const (
	mapAcross   = 3072
	leastAcross = 4
)

// surround gives each block of a slide the patches of others that reach into its
// own, so that it makes its piece of the map by itself. Those that come before
// one of its own, as a slide is read, are looked at again, as context; those that
// come after answer for what they cover and are only named.
func (g patchGrid) surround(blocks []study.Block) {
	reach := [2]int{int(math.Ceil(g.w/g.stepX-1e-9)) - 1, int(math.Ceil(g.h/g.stepY-1e-9)) - 1}
	if reach == [2]int{} {
		return
	}
	type planned struct {
		tile  study.Tile
		block int
	}
	all := map[[2]int]planned{}
	for n, b := range blocks {
		for _, t := range b.Tiles {
			all[g.place(t)] = planned{t, n}
		}
	}
	for n := range blocks {
		b := &blocks[n]
		before, after := map[study.Tile]bool{}, map[study.Tile]bool{}
		for _, t := range b.Tiles {
			at := g.place(t)
			for y := at[1] - reach[1]; y <= at[1]+reach[1]; y++ {
				for x := at[0] - reach[0]; x <= at[0]+reach[0]; x++ {
					p, ok := all[[2]int{x, y}]
					switch {
					case !ok || p.block == n:
					case y < at[1] || y == at[1] && x < at[0]:
						before[p.tile] = true
					default:
						after[p.tile] = true
					}
				}
			}
		}
		for t := range before {
			delete(after, t)
			t.Context = true
			b.Tiles = append(b.Tiles, t)
		}
		for t := range after {
			b.Beyond = append(b.Beyond, t)
		}
		slices.SortFunc(b.Tiles, readingOrder)
		slices.SortFunc(b.Beyond, readingOrder)
	}
}

// place gives the column and row of a patch in the grid.
func (g patchGrid) place(t study.Tile) [2]int {
	return [2]int{int(math.Round(float64(t.X) / g.stepX)), int(math.Round(float64(t.Y) / g.stepY))}
}

func readingOrder(a, b study.Tile) int { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) }
