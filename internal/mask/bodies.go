package mask

import (
	"cmp"
	"slices"
)

// Bodies parts runs into bodies that are connected by sides, edges or corners, in
// the order of their first run. The runs may come from several blocks, in any
// order, so long as none is told twice.
func Bodies(runs []int32) [][]int32 {
	all := make([][4]int32, 0, len(runs)/4)
	for i := 0; i+3 < len(runs); i += 4 {
		all = append(all, [4]int32(runs[i:i+4]))
	}
	slices.SortFunc(all, func(a, b [4]int32) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
	})
	rows := map[[2]int32][2]int{} // plane and row: which runs
	for i := 0; i < len(all); {
		k := i
		for k < len(all) && all[k][0] == all[i][0] && all[k][1] == all[i][1] {
			k++
		}
		rows[[2]int32{all[i][0], all[i][1]}] = [2]int{i, k}
		i = k
	}
	set := NewSets(len(all))
	for at, mine := range rows { // the sets are the same in any order
		for _, d := range [][2]int32{{0, -1}, {-1, -1}, {-1, 0}, {-1, 1}} {
			near, ok := rows[[2]int32{at[0] + d[0], at[1] + d[1]}]
			if !ok {
				continue
			}
			for i, j := mine[0], near[0]; i < mine[1] && j < near[1]; {
				if all[i][2] <= all[j][3]+1 && all[j][2] <= all[i][3]+1 {
					set.Unite(i, j)
				}
				if all[i][3] < all[j][3] {
					i++
				} else {
					j++
				}
			}
		}
	}
	var out [][]int32
	for _, members := range set.Groups() {
		body := make([]int32, 0, 4*len(members))
		for _, i := range members {
			body = append(body, all[i][:]...)
		}
		out = append(out, body)
	}
	return out
}

// Sets are disjoint sets of numbers; the root of a set is its smallest.
type Sets []int

// NewSets gives n sets of one number each.
func NewSets(n int) Sets {
	s := make(Sets, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func (s Sets) root(i int) int {
	for s[i] != i {
		s[i] = s[s[i]]
		i = s[i]
	}
	return i
}

// Unite makes one set of the sets of a and b.
func (s Sets) Unite(a, b int) {
	a, b = s.root(a), s.root(b)
	s[max(a, b)] = min(a, b)
}

// Groups gives the sets, ordered by their smallest member, their members in
// order.
func (s Sets) Groups() [][]int {
	at := map[int]int{}
	var out [][]int
	for i := range s {
		r := s.root(i)
		n, ok := at[r]
		if !ok {
			n = len(out)
			at[r] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], i)
	}
	return out
}
