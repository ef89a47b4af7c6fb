package store

import (
	"context"
	"testing"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

// TestPlacesOfTheFirstRuleAreCountedOnOnce restores rows as a manifest of before
// rule 2 has them: urgent was class 2 then and is 3 now, and nothing is counted twice.
func TestPlacesOfTheFirstRuleAreCountedOnOnce(t *testing.T) {
	l := openTest(t)
	ctx := context.Background()
	_, err := l.Receive(ctx, study.Arrival{
		Study:    study.Study{UID: "1.2", Modality: study.CT},
		Instance: study.Instance{UID: "1.2.1", Series: "1.2.3", Study: "1.2", Key: "k", ReceivedAt: time.Now()},
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, tt := range []struct {
		rule  string
		class int
		want  int
		now   string
	}{{firstRule, 0, 0, "virtual-arrival/1.1"}, {firstRule, 2, 3, "virtual-arrival/1.1"}, {"virtual-arrival/1.1", 3, 3, "virtual-arrival/1.1"}, {"virtual-arrival/2", 2, 2, "virtual-arrival/2"}} {
		uid := study.UID("1.9." + string(rune('1'+n)))
		if err := l.change(ctx, func(t *tx) error {
			names, err := t.columns("study")
			if err != nil {
				return err
			}
			row := map[string]any{}
			for _, c := range names {
				if c == "clock" || c == "remarks" {
					continue // there were none
				}
				text, err := sqldb.One(t, sqldb.Word, `SELECT CAST(`+c+` AS TEXT) FROM study WHERE uid = '1.2'`)
				if err != nil {
					return err
				}
				row[c] = text
			}
			row["uid"], row["rule"], row["class"] = string(uid), tt.rule, tt.class
			return t.restoreRows("study", []map[string]any{row})
		}); err != nil {
			t.Fatal(err)
		}
		s, err := l.Study(ctx, uid)
		if err != nil {
			t.Fatal(err)
		}
		if s.Place.Class != tt.want || s.Place.Rule != tt.now {
			t.Errorf("class %d by %s is class %d by %s", tt.class, tt.rule, s.Place.Class, s.Place.Rule)
		}
	}
}
