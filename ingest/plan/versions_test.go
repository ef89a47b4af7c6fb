package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"varde/ingest/plan"
	"varde/models/modelcard"
	"varde/study"
)

// version is the nodule model in another version.
func version(v string) modelcard.Card {
	c := noduleCard()
	c.Version = v
	return c
}

// asked gives the versions that a plan of one study asks, shadow ones in brackets.
func asked(uid study.UID, all ...plan.Asked) (out []string) {
	in := chest(30, 1)
	f := facts(noduleCard(), in)
	f.Study.UID, f.Models = uid, all
	for _, m := range plan.Plan(f).Models {
		v := m.Model.Version
		if m.Shadow {
			v = "(" + v + ")"
		}
		out = append(out, v)
	}
	return out
}

func TestOneVersionOfAModelSpeaksToAReader(t *testing.T) {
	old, fresh := plan.Asked{Card: version("1.9")}, plan.Asked{Card: version("1.10"), Share: 1000}
	silent := plan.Asked{Card: version("2.0"), Shadow: true}
	counts := map[string]int{}
	const n = 1000
	for i := range n {
		uid := study.DerivedUID("canary", fmt.Sprint(i))
		got := asked(uid, old, fresh)
		if len(got) != 1 {
			t.Fatalf("study %s: %v speak", uid, got)
		}
		counts[got[0]]++
		if again := asked(uid, fresh, old); !slices.Equal(again, got) {
			t.Fatalf("study %s: %v and then %v", uid, got, again)
		}
		// A share that grows keeps the exams that it had.
		more := fresh
		more.Share = 5000
		if got[0] == "1.10" && asked(uid, old, more)[0] != "1.10" {
			t.Fatalf("study %s changed its version back", uid)
		}
		if with := asked(uid, old, fresh, silent); !slices.Contains(with, "(2.0)") || len(with) != 2 {
			t.Fatalf("study %s: %v with a shadow beside", uid, with)
		}
	}
	if counts["1.10"] < n/20 || counts["1.10"] > n*3/20 || counts["1.9"]+counts["1.10"] != n {
		t.Errorf("of %d studies: %v", n, counts)
	}
}

func TestVersionsSpeakTogetherOnlyWhereSaid(t *testing.T) {
	old, fresh := plan.Asked{Card: version("1.9")}, plan.Asked{Card: version("1.10")}
	if got := asked("1.2.3", old, fresh); !slices.Equal(got, []string{"1.10"}) {
		t.Errorf("the newest takes all: %v", got)
	}
	fresh.Beside = true
	if got := asked("1.2.3", old, fresh); len(got) != 2 {
		t.Errorf("beside each other: %v", got)
	}
	alone := plan.Asked{Card: version("1.9"), Share: 1}
	if got := asked("1.2.3", alone); len(got) != 0 {
		t.Errorf("outside the only share: %v", got)
	}
	alone.Shadow = true
	if got := asked("1.2.3", alone); len(got) != 0 {
		t.Errorf("outside a shadow's share: %v", got)
	}
}
