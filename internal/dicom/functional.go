package dicom

import "slices"

// functionalGroups are those of an enhanced object, PS3.3 §C.7.6.16: what
// all frames share, and what the first frame says of itself. Both are empty for
// an ordinary object.
type functionalGroups struct {
	shared, first *Dataset
	frames        *Dataset // that holds the per-frame sequence
}

func groupsOf(d *Dataset) functionalGroups {
	return functionalGroups{d.Item(SharedFunctionalGroupsSequence), d.Item(PerFrameFunctionalGroupsSequence), d}
}

// with finds the data set that holds t: the object itself, the functional group
// that all frames share, or that of the first frame; nil when none does.
func (g functionalGroups) with(d *Dataset, group, t Tag) *Dataset {
	for _, x := range []*Dataset{d, g.shared.Item(group), g.first.Item(group)} {
		if e, ok := x.Find(t); ok && e.Length > 0 {
			return x
		}
	}
	return nil
}

// floats gives exactly n values of t, or nil.
func (g functionalGroups) floats(d *Dataset, group, t Tag, n int) []float64 {
	x := g.with(d, group, t)
	if x == nil {
		return nil
	}
	if v := x.Floats(t); len(v) == n {
		return v
	}
	return nil
}

// differ reports whether t is not the same in every frame that has it.
func (g functionalGroups) differ(group, t Tag) bool {
	var first []float64
	for f := range g.frames.Each(PerFrameFunctionalGroupsSequence) {
		v := f.Item(group).Floats(t)
		switch {
		case v == nil:
		case first == nil:
			first = v
		case !slices.Equal(first, v):
			return true
		}
	}
	return false
}
