package veil_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

var (
	nodules = study.ModelRef{ID: "ct-nodule-candidates", Version: "1.0.0"}
	nuclei  = study.ModelRef{ID: "he-nuclear-density", Version: "1.0.0"}
	calc    = study.ModelRef{ID: "mg-microcalcifications", Version: "1.0.0"}
)

func TestProtocolsAddUpAndNeverLoosen(t *testing.T) {
	blind := study.Rules{Blind: true, OwnFirst: true}
	for _, tt := range []struct {
		name string
		all  []study.Protocol
		want study.Rules
	}{
		{"nothing said", nil, study.Rules{}},
		{"a card that says nothing", []study.Protocol{""}, study.Rules{OwnFirst: true}},
		{"concurrent by the card", []study.Protocol{study.Concurrent}, study.Rules{}},
		{"the site is stricter", []study.Protocol{study.Concurrent, study.SecondLook}, study.Rules{OwnFirst: true}},
		{"the site would be laxer", []study.Protocol{study.SecondLook, study.Concurrent}, study.Rules{OwnFirst: true}},
		{"independent wins", []study.Protocol{study.SecondLook, study.Independent}, blind},
		{"triage shows nothing, in any company", []study.Protocol{study.TriageOnly, study.Concurrent}, study.Rules{NoDetail: true}},
		{"triage and blind", []study.Protocol{study.TriageOnly, study.Independent}, study.Rules{Blind: true, OwnFirst: true, NoDetail: true}},
		{"a word that nobody knows is the strictest", []study.Protocol{"sometimes"}, blind},
	} {
		if got := study.RulesOf(tt.all...); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestSitesProtocolsAreRead(t *testing.T) {
	all, err := veil.ParseProtocols([]string{"mg-*=independent", "ct-nodule-candidates@1.*/lung=triage_only"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		model   study.ModelRef
		pathway string
		want    string
	}{
		{calc, "", "independent"}, {calc, "breast", "independent"}, {nodules, "lung", "triage_only"}, {nodules, "", ""}, {nuclei, "lung", ""},
	} {
		got := ""
		for _, p := range all {
			if p.Fits(tt.model, tt.pathway) {
				got += string(p.Protocol)
			}
		}
		if got != tt.want {
			t.Errorf("%s on %q: %q, want %q", tt.model, tt.pathway, got, tt.want)
		}
	}
	for _, bad := range []string{"mg", "mg=", "=independent", "mg=blind", "mg=concurrent", "[=independent", "mg/[=independent"} {
		if _, err := veil.ParseProtocols([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestWhoSeesWhat(t *testing.T) {
	flagged, failed := study.Result{Model: nodules, AI: study.Flagged, Planned: 4, Seen: 4}, study.Result{Model: calc, AI: study.Failed, Planned: 4}
	shadow := study.Result{Model: nuclei, AI: study.Flagged, Planned: 4, Seen: 4, Shadow: true}
	reader := webui.Identity{Name: "anna", Role: webui.Reader}
	for _, tt := range []struct {
		name     string
		who      webui.Identity
		p        study.Protocol
		results  []study.Result
		planned  []study.ModelRef
		answered bool
		read     bool
		want     string // blind, first, bare, others, people, watched
	}{
		{"second look", reader, study.SecondLook, []study.Result{flagged}, nil, false, false, "first others"},
		{"second look, answered", reader, study.SecondLook, []study.Result{flagged}, nil, true, false, ""},
		{"second look, read by another", reader, study.SecondLook, []study.Result{flagged}, nil, false, true, ""},
		{"second look, nothing to see of ours", reader, study.SecondLook, []study.Result{failed}, nil, false, false, "others"},
		{"second look, still at work", reader, study.SecondLook, nil, []study.ModelRef{nodules}, false, false, "first others"},
		{"concurrent", reader, study.Concurrent, []study.Result{flagged}, nil, false, false, ""},
		{"independent", reader, study.Independent, []study.Result{flagged}, nil, false, false, "blind first others people"},
		{"independent, still at work", reader, study.Independent, nil, []study.ModelRef{nodules}, false, false, "blind first others people"},
		{"independent, failed", reader, study.Independent, []study.Result{failed}, nil, false, false, "blind first others people"},
		{"independent, read by another", reader, study.Independent, []study.Result{flagged}, nil, false, true, "blind first others people"},
		{"independent, answered", reader, study.Independent, []study.Result{flagged}, nil, true, false, ""},
		{"independent, no result", reader, study.Independent, nil, nil, false, false, ""},
		{"a shadow's result blinds nobody", reader, study.Independent, []study.Result{shadow}, nil, false, false, ""},
		{"independent, an operator", webui.Identity{Name: "ops", Role: webui.Operator}, study.Independent, []study.Result{flagged}, nil, false, false, "watched"},
		{"triage", reader, study.TriageOnly, []study.Result{flagged}, nil, false, false, "bare"},
		{"triage, answered", reader, study.TriageOnly, []study.Result{flagged}, nil, true, false, "bare"},
		{"triage, quality", webui.Identity{Name: "q", Role: webui.Quality}, study.TriageOnly, []study.Result{flagged}, nil, false, false, ""},
	} {
		c := study.Case{Study: study.Study{Rev: 1, Status: study.Reported}, Results: tt.results}
		if tt.read {
			c.Study.Status = study.Read
		}
		s := veil.SightOf(tt.who, c, tt.planned, func(study.ModelRef) study.Rules { return study.RulesOf(tt.p) }, tt.answered)
		var got []string
		for word, is := range map[string]bool{"blind": s.Blind, "first": s.OwnFirst, "bare": s.Bare(nodules), "watched": s.Watched, "others": s.Others, "people": s.People} {
			if is {
				got = append(got, word)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestThereIsNoOtherWayToAStudy: no room of the reading worklist but this one asks
// anybody for studies with results, or reaches behind the veil for those it holds.
func TestThereIsNoOtherWayToAStudy(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == filepath.Join("..", "veil") {
			return err
		}
		files++
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		for _, at := range waysRound(tree) {
			t.Errorf("%s: a study is to be had without its veil", set.Position(at))
		}
		return nil
	})
	if err != nil || files < 30 {
		t.Fatal(files, err)
	}
	planted, err := parser.ParseFile(token.NewFileSet(), "planted.go", `package p
type cases interface { Case(uid string) (study.Case, error) }
type source struct { worklist func() []study.Case }
var c, err = p.Veil.Cases.Case(ctx, uid)`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(waysRound(planted)); n != 3 {
		t.Errorf("%d of 3 planted ways are seen", n)
	}
}

// waysRound finds what could give a case of a study to who has no veil: methods of
// interfaces and fields that are functions, and the cases that a veil holds.
func waysRound(tree *ast.File) (all []token.Pos) {
	gives := func(f *ast.FuncType) bool {
		found := false
		if f.Results == nil {
			return false
		}
		ast.Inspect(f.Results, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if ok && s.Sel.Name == "Case" {
				x, ok := s.X.(*ast.Ident)
				found = found || ok && x.Name == "study"
			}
			return true
		})
		return found
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.InterfaceType:
			for _, m := range n.Methods.List {
				if f, ok := m.Type.(*ast.FuncType); ok && gives(f) {
					all = append(all, m.Pos())
				}
			}
		case *ast.StructType:
			for _, m := range n.Fields.List {
				if f, ok := m.Type.(*ast.FuncType); ok && gives(f) {
					all = append(all, m.Pos())
				}
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.SelectorExpr); ok && n.Sel.Name == "Cases" && strings.EqualFold(x.Sel.Name, "veil") {
				all = append(all, n.Pos())
			}
		}
		return true
	})
	return all
}
