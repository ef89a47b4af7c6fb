package regions

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
