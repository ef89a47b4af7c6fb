package report

import (
	"bytes"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// TestWithdrawnResultIsRejectedInArchives: the note names every object that was
// written of the result, no message, and no image of the scanner. A result that
// holds has none.
func TestWithdrawnResultIsRejectedInArchives(t *testing.T) {
	uid := study.DerivedUID("rejected")
	r := study.Result{Study: uid, Rev: 1, Name: "Nodules", Model: study.ModelRef{ID: "nodule", Version: "1", SHA256: study.Hash{1}}, At: time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)}
	k := work{study: study.Study{UID: uid}, result: r, lang: "nb", device: Device{}.Filled(), location: time.UTC, purpose: study.PurposeWithdrawn, spoken: true,
		instances: []study.Instance{{UID: "2.25.1", Series: "2.25.2", Study: uid, Class: dicom.CTImage}}}
	for _, kind := range []string{KindSR, KindHeatmap, "gsps-2", KindMessage, KindReject} {
		o, series := names(Device{}, r, kind, "", "", "")
		k.before = append(k.before, study.Report{Kind: kind, Study: uid, UID: o, Series: series, Class: ClassOf(basic(kind)), Media: study.MediaOf(basic(kind))})
	}
	all, err := makeReject(t.Context(), nil, k)
	if err != nil || len(all) != 1 || all[0].class != dicom.KeyObjectSelection {
		t.Fatalf("%d notes, %v", len(all), err)
	}
	h, err := dicom.Scan(bytes.NewReader(all[0].bytes), dicom.ScanOptions{Size: int64(len(all[0].bytes))})
	if err != nil {
		t.Fatal(err)
	}
	root, err := tree.Read(h.Data)
	if err != nil || root.Name.Value != "113037" {
		t.Fatal(root.Name, err)
	}
	named := map[study.UID]bool{}
	root.Walk(func(i tree.Item) {
		if i.Image.Instance != "" {
			named[i.Image.Instance] = true
		}
	})
	for i, want := range []bool{true, true, true, false, false} {
		if named[k.before[i].UID] != want {
			t.Errorf("%s is rejected: %v", k.before[i].Kind, !want)
		}
	}
	if len(named) != 3 || named["2.25.1"] {
		t.Errorf("it names %v", named)
	}
	k.purpose = study.PurposeResult
	if all, err := makeReject(t.Context(), nil, k); len(all) != 0 || err != nil {
		t.Errorf("a result that holds is rejected: %v", err)
	}
	k.purpose, k.before = study.PurposeWithdrawn, nil
	if all, err := makeReject(t.Context(), nil, k); len(all) != 0 || err != nil {
		t.Errorf("nothing is rejected: %v", err)
	}
}
