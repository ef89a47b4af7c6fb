package report_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"varde/internal/dicom/tree"
	"varde/report"
	"varde/study"
)

// copyOf copies a tree, so that one can be broken and the other not.
func copyOf(i tree.Item) tree.Item {
	i.Points, i.Items, i.Segments = slices.Clone(i.Points), slices.Clone(i.Items), slices.Clone(i.Segments)
	for k := range i.Items {
		i.Items[k] = copyOf(i.Items[k])
	}
	return i
}

// nth finds the n-th item below a root in the order of the tree, and what holds it.
func nth(root *tree.Item, n *int) (parent *tree.Item, at int) {
	for k := range root.Items {
		if *n--; *n < 0 {
			return root, k
		}
		if p, at := nth(&root.Items[k], n); p != nil {
			return p, at
		}
	}
	return nil, 0
}

// breaks are the ways in which one item of a report can be wrong. Each reports whether it
// did something.
var breaks = map[string]func(p *tree.Item, k int) bool{
	"missing": func(p *tree.Item, k int) bool { p.Items = slices.Delete(p.Items, k, k+1); return true },
	"twice":   func(p *tree.Item, k int) bool { p.Items = slices.Insert(p.Items, k, copyOf(p.Items[k])); return true },
	"of another type": func(p *tree.Item, k int) bool {
		i := &p.Items[k]
		switch i.Type {
		case tree.TypeText, tree.TypePName, tree.TypeUIDRef:
			*i = tree.Code(i.Relation, i.Name, study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"})
		case tree.TypeContainer:
			*i = tree.Text(i.Relation, i.Name, "text")
		default:
			*i = tree.UIDRef(i.Relation, or(i.Name, study.Code{Value: "112040", Scheme: "DCM", Meaning: "x"}), "2.25.1")
		}
		return true
	},
	"in another relation": func(p *tree.Item, k int) bool {
		r := tree.HasProperties
		if p.Items[k].Relation == r {
			r = tree.Contains
		}
		p.Items[k].Relation = r
		return true
	},
	"of another concept": func(p *tree.Item, k int) bool {
		p.Items[k].Name = study.Code{Value: "121060", Scheme: "DCM", Meaning: "History"}
		return true
	},
	"without a value": func(p *tree.Item, k int) bool {
		i := &p.Items[k]
		switch i.Type {
		case tree.TypeText, tree.TypePName, tree.TypeUIDRef:
			i.Text = ""
		case tree.TypeCode:
			i.Code = study.Code{}
		case tree.TypeNum:
			i.Unit = study.Code{}
		case tree.TypeSCoord, tree.TypeSCoord3D:
			i.Points = nil
		case tree.TypeImage:
			i.Image = tree.Reference{}
		case tree.TypeContainer:
			i.Items = nil
		default:
			return false
		}
		return true
	},
}

func or(a, b study.Code) study.Code {
	if a.Zero() {
		return b
	}
	return a
}

// optional are the concepts that a template leaves to whoever writes it, U in PS3.16, with
// what may be done to them.
var optional = map[string][]string{
	"121058": {"twice"}, "121046": {"missing"}, // procedures; the country of a language
	"121013": {"missing"}, "121014": {"missing"}, "121015": {"missing"}, "121016": {"missing"}, // of the device, TID 1004
	"111028": {"missing"}, "126200": {"missing"}, "126010": {"missing"}, "125007": {"missing"}, // what there is of containers
	"363698007": {"missing"}, "272741003": {"missing"}, "111010": {"missing"}, // site, side, center
	"111002": {"missing", "twice", "of another concept"}, "121112": {"missing", "twice"}, // parameters; sources
	"121106": {"missing", "twice", "of another concept"}, // a comment of several: one must stay
	"111030": {"missing", "twice"},                       // a plane of several, TID 1411
}

// mayBe reports whether an item may be so below another.
func mayBe(i tree.Item, below study.Code, how string) bool {
	switch {
	case slices.Contains(optional[i.Name.Value], how):
		return true
	case i.Type == tree.TypeImage && below.Value == "126200":
		return how == "missing" // an image of several
	case below.Value == "125007" && (i.Type == tree.TypeNum || i.Type == tree.TypeCode && i.Name.Value != "121071"):
		return how == "missing" || how == "twice" || how == "of another concept" // what the card names
	}
	return false
}

// TestNoBrokenReportPasses breaks one item after the other of reports of every kind, in
// every way, and has the check hold each, but where the template leaves an item to whoever
// writes it: those are listed here, with why.
func TestNoBrokenReportPasses(t *testing.T) {
	for _, kind := range []string{"CT flagged, volumes", "CT drawn", "CT drawn, flat", "MG flagged", "SM flagged", "case flagged", "CT labels and lesions", "MG failed", "CT partial, flagged"} {
		s := kinds[kind]
		d := report.Build(s.study, s.instances, s.result, report.Options{Location: time.UTC, Objects: s.beside, Segments: s.drawn})
		if err := report.Check(encode(t, d)); err != nil {
			t.Fatal(kind, err)
		}
		total := 0
		d.Root.Walk(func(tree.Item) { total++ })
		done := map[string]bool{}
		for name, do := range breaks {
			for n := range total - 1 {
				broken := d
				broken.Root = copyOf(d.Root)
				left := n
				p, k := nth(&broken.Root, &left)
				what := fmt.Sprintf("%s %s of %s, %s", p.Items[k].Type, or(p.Items[k].Name, study.Code{Meaning: "without a name"}).Meaning, p.Name.Meaning, name)
				was := p.Items[k]
				if done[what] && p.Items[k].Type != tree.TypeContainer || !do(p, k) { // one of each is enough
					continue
				}
				done[what] = true
				b, err := broken.Encode()
				if err != nil {
					continue // it is not even written
				}
				if report.Check(b) == nil && !mayBe(was, p.Name, name) {
					t.Errorf("%s: %s passes", kind, what)
				}
			}
		}
	}
}
