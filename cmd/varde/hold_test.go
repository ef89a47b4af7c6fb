package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"varde/internal/studytest/peers"
)

// TestHeldOrderIsReleasedByAPerson sends an order that names another patient, sees
// it held, and applies it by the verb.
func TestHeldOrderIsReleasedByAPerson(t *testing.T) {
	addr := peers.Addr(t)
	s := newService(t, "--hl7-addr", addr).start()
	d := smallMG(t, 2, false)
	s.push(d)
	s.reported(d.Study, len(d.Objects))
	tell(t, addr, `MSH|^~\&|RIS|H|VARDE|H|20260301080100||OMI^O23|2|P|2.5.1`, "PID|1||ELSE||Hansen^Ola||19700101|M", "ORC|NW|P2|F2",
		"TQ1|1||||||||S", "OBR|1|P2|F2", "IPC|ACC|RP|"+string(d.Study))
	class := func() any {
		var rows []map[string]any
		s.json("/api/v1/worklist", &rows)
		return rows[0]["class"]
	}
	if c := class(); c != 4.0 {
		t.Fatalf("class %v, by another patient's order", c)
	}
	listed := s.verb("hold", "list").must(t)
	if !strings.Contains(listed, "order") || !strings.Contains(listed, "differs in PatientID") || strings.Contains(listed, "Hansen") || strings.Contains(listed, "ELSE") {
		t.Errorf("listed %q", listed)
	}
	var line struct{ ID string }
	if err := json.Unmarshal([]byte(s.verb("hold", "list", "--json", "--study", string(d.Study)).must(t)), &line); err != nil {
		t.Fatal(err)
	}
	if e := s.verb("hold", "release", line.ID); e.code != 2 {
		t.Errorf("without a reason: %d", e.code)
	}
	says(t, s.verb("hold", "release", line.ID, "--reason", "the ward has confirmed it"), `is released`)
	if e := s.verb("hold", "discard", line.ID, "--reason", "again"); e.code != 1 {
		t.Errorf("decided twice: %d", e.code)
	}
	if c := class(); c != 0.0 {
		t.Errorf("class %v after the release", c)
	}
	says(t, s.verb("hold", "list", "--all"), `released.*the ward has confirmed it`)
	says(t, s.verb("audit", "show"), `order released`)
	var told struct {
		Orders []struct {
			Priority string
			Held     bool
		}
	}
	s.json("/api/v1/studies/"+string(d.Study)+"/told", &told)
	if len(told.Orders) != 1 || told.Orders[0].Held || told.Orders[0].Priority != "stat" {
		t.Errorf("told of it: %+v", told)
	}
}
