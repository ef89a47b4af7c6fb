package ups

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/veil"
)

// TestItemIsWhatDcmtkMakesOfIt writes a work item as a data set and has dcmtk give it
// in the DICOM JSON model: that is what we give. So our tags, representations and
// values are those of the standard.
func TestItemIsWhatDcmtkMakesOfIt(t *testing.T) {
	tool := peers.Need(t, "dcm2json", "dcmtk")
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 3600))
	seen := veil.Seen{Case: study.Case{Study: study.Study{UID: "1.2.3", Status: study.Settled, Rev: 2, Accession: "A1", Description: "CT thorax", Referring: "Ås^Bjørn",
		Patient:    study.NewPatient(study.Person{ID: "P1", Issuer: "RIS", Name: "Østergård^Åse", Birth: "19500101", Sex: "F"}),
		ReceivedAt: at, Place: study.Place{Class: order.ClassPathway, Deadline: at.Add(48 * time.Hour)}, Note: study.ReasonNoModel}}}
	v := view{lang: webui.Langs[0], now: at.Add(time.Hour), base: "https://varde.example/dicom-web"}
	for _, w := range []study.Workitem{
		{UID: study.WorkitemUID("1.2.3", 2, 0), Study: "1.2.3", State: study.WorkScheduled, Ready: true, Changed: at},
		{UID: study.WorkitemUID("1.2.3", 2, 0), Study: "1.2.3", State: study.WorkCompleted, By: "Dr. Dahl", Since: at, Changed: at.Add(time.Minute)},
		{UID: study.WorkitemUID("1.2.3", 2, 0), Study: "1.2.3", State: study.WorkCanceled, By: "Dr. Dahl", Since: at, Changed: at, Reason: study.WorkPutBack,
			Body: []byte(`{"00741002":{"vr":"SQ","Value":[{"00741004":{"vr":"DS","Value":["40"]},"00741006":{"vr":"ST","Value":["half way"]}}]}}`)},
	} {
		ours := v.describe(w, seen, []study.Order{{Accession: "A1", Placer: "PL1", Filler: "FI1"}, {Accession: "A2", Canceled: true}})
		o := dicom.NewObject(Class, w.UID)
		fill(t, o.Item, ours)
		b, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "item.dcm")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), tool, "-q", file).Output()
		if err != nil {
			t.Fatalf("dcm2json: %v", err)
		}
		theirs := map[string]any{}
		if err := json.Unmarshal(out, &theirs); err != nil {
			t.Fatal(err)
		}
		mine := map[string]any{}
		text, err := json.Marshal(ours)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &mine); err != nil {
			t.Fatal(err)
		}
		numbers(mine)
		numbers(theirs)
		for tag := range theirs {
			if !reflect.DeepEqual(mine[tag], theirs[tag]) {
				t.Errorf("%s: ours %v, dcmtk's %v", tag, mine[tag], theirs[tag])
			}
		}
		if len(mine) != len(theirs) {
			t.Errorf("%d elements, dcmtk has %d", len(mine), len(theirs))
		}
		if _, err := parse(out); err != nil {
			t.Errorf("we do not read what dcmtk writes: %v", err)
		}
	}
}

// fill writes a record into a data set.
func fill(t *testing.T, to *dicom.Item, r record) {
	t.Helper()
	for k, a := range r {
		n, err := strconv.ParseUint(k, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		tag := dicom.Tag(n)
		var items []*dicom.Item
		var values []any
		for _, one := range a.Value {
			switch one := one.(type) {
			case record:
				item := dicom.NewItem()
				fill(t, item, one)
				items = append(items, item)
			case map[string]any:
				values = append(values, fmt.Sprint(one["Alphabetic"]))
			default:
				values = append(values, fmt.Sprint(one))
			}
		}
		if a.VR == "SQ" {
			to.Seq(tag, items...)
		} else {
			to.SetVR(tag, a.VR, values...)
		}
	}
}

// numbers makes numbers of decimal strings, which either side may write as texts.
func numbers(set map[string]any) {
	for _, v := range set {
		a := v.(map[string]any)
		values, _ := a["Value"].([]any)
		for i, one := range values {
			if item, ok := one.(map[string]any); ok && a["vr"] == "SQ" {
				numbers(item)
			}
			if s, ok := one.(string); ok && a["vr"] == "DS" {
				if n, err := strconv.ParseFloat(s, 64); err == nil {
					values[i] = n
				}
			}
		}
	}
}
