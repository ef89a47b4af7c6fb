package demo

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/house"
	"varde/cmd/varde/settings"
	"varde/internal/webui"
	"varde/internal/webui/webuitest"
)

// TestPagesShowWhatTheDemoFound runs the whole house on the demo's studies and
// looks at its pages in Chromium, in both themes and all three languages. With
// VARDE_SHOTS=FOLDER it leaves pictures there.
func TestPagesShowWhatTheDemoFound(t *testing.T) {
	b := webuitest.Open(t, 1440, 900, "en")
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	h := housetest.Start(t, s)
	rows := demoRows(t.Context(), t, h)

	b.Go("http://" + h.Web.Addr().String() + h.Site.Invite(webui.Identity{Name: "K. Hansen", Role: webui.Reader}, time.Minute))
	b.Until(`location.search === "" && document.readyState === "complete" && document.querySelectorAll("#rows tr").length >= 6`)
	b.Promises()
	b.Shot("demo-worklist")
	list := webuitest.Eval[string](b, `document.querySelector("main").innerText`)
	for _, want := range []string{"Flagged", "Not flagged", "SYNTHETIC chest CT with nodules", "SYNTHETIC H&E slide with a cellular region"} {
		if !strings.Contains(list, want) {
			t.Errorf("the worklist lacks %q:\n%s", want, list)
		}
	}
	for i, name := range []string{"ct", "ct-clear", "mg", "mg-clear", "sm", "sm-clear"} {
		b.Go("http://" + h.Web.Addr().String() + "/studies/" + rows[i].UID)
		b.Until(`document.querySelector("#stage")?.dataset.shown !== undefined`)
		b.Promises()
		if webuitest.Eval[bool](b, `!!document.querySelector("form#answer")`) { // the reader's own look comes first
			b.Click("form#answer input[value=none]")
			b.Click("form#answer button.main")
			b.Until(`location.search === "?locked=1" && document.querySelector("#stage")?.dataset.shown !== undefined`)
			b.Promises()
		}
		b.Shot("demo-" + name)
		page := webuitest.Eval[string](b, `document.querySelector("main").innerText`)
		for _, want := range []string{rows[i].result.Model.Version, rows[i].SHA256[:12], "medical device"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page of %s does not show %q:\n%s", rows[i].Study, want, page)
			}
		}
	}
}

// demoRows pushes the demo's studies through a house.
func demoRows(ctx context.Context, t *testing.T, h *house.House) []demoRow {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	exams, err := morning()
	if err != nil {
		t.Fatal(err)
	}
	exams = exams[:6] // those that came without an order
	d := &Demo{Settings: h.Settings, Out: io.Discard, began: time.Now()}
	if err := d.send(limited, h, drawnOf(exams)); err != nil {
		t.Fatal(err)
	}
	rows, err := d.await(limited, h, exams)
	if err != nil {
		t.Fatal(err)
	}
	if !d.judge(rows) || len(rows) != 6 {
		t.Fatalf("%d rows: %+v", len(rows), d.steps)
	}
	return rows
}
