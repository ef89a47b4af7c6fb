package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/report"
	"varde/study"
)

// A demoRow is one study with what a model said of it.
type demoRow struct {
	Study    string  `json:"study"`
	UID      string  `json:"study_uid"`
	Model    string  `json:"model"`
	SHA256   string  `json:"model_sha256"`
	AI       string  `json:"ai_state"`
	Score    string  `json:"score"` // the number by which the card flags
	Finding  string  `json:"finding"`
	Tiles    string  `json:"tiles"` // scored of planned
	Seconds  float64 `json:"seconds"`
	Report   string  `json:"report_sop_instance_uid"`
	Planted  bool    `json:"planted"`
	Located  bool    `json:"located"` // a finding lies on something planted
	Agrees   bool    `json:"agrees"`
	result   study.Result
	drawn    studytest.Drawn
	retrieve string
}

func count(drawn []studytest.Drawn) (n int) {
	for _, d := range drawn {
		n += len(d.Objects)
	}
	return n
}

// send pushes every study over an association of its own, all at once.
func (d *Demo) send(ctx context.Context, h *house.House, drawn []studytest.Drawn) error {
	began := time.Now()
	var sent, bytes atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range drawn {
		g.Go(func() error {
			caller := dimse.Dialer{Calling: fmt.Sprintf("DEMO-%s-%d", s.Modality, i), Called: h.AET}
			n, err := scu.Send(ctx, caller, h.DICOM.Addr().String(), scu.FromStudy(s), nil)
			sent.Add(int64(n))
			for _, o := range s.Objects {
				bytes.Add(int64(len(o.DataSet)))
			}
			return err
		})
	}
	err := g.Wait()
	d.step("received", err, "%d objects, %d MB over TCP by C-STORE in %.1f s, each durable before its Success",
		sent.Load(), bytes.Load()>>20, time.Since(began).Seconds())
	return err
}

// await follows every study until it is reported, or known to be for no model, and
// shows each as it comes. It gives the rows of those that were scored.
func (d *Demo) await(ctx context.Context, h *house.House, exams []exam) (rows []demoRow, err error) {
	open := map[study.UID]exam{}
	for _, s := range exams {
		open[s.Study] = s
	}
	byStudy := map[study.UID][]demoRow{}
	for len(open) > 0 {
		select {
		case <-ctx.Done():
			err := fmt.Errorf("%d studies were not reported in time: %w", len(open), context.Cause(ctx))
			d.step("reported", err, "")
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
		for uid, s := range open {
			c, err := h.Ledger.Case(ctx, uid)
			if err != nil {
				return nil, err
			}
			if done, err := d.unscored(c, s); err != nil {
				return nil, err
			} else if done {
				delete(open, uid)
				continue
			}
			if c.Study.Status == study.Reported || c.Study.Status == study.Read {
				delete(open, uid)
				byStudy[uid] = rowsOf(c, s.Drawn)
				d.step("reported", nil, "%s: %s", s.Name, byStudy[uid][0].AI)
			}
		}
	}
	for _, s := range exams {
		rows = append(rows, byStudy[s.Study]...)
	}
	return rows, nil
}

// unscored reports whether a study that no model is for has come to its end. One
// that should have been scored is an error then.
func (d *Demo) unscored(c study.Case, s exam) (done bool, err error) {
	over := c.Study.Note != "" || c.Study.Status == study.Refused
	switch {
	case over && !s.Unscored:
		err = fmt.Errorf("%s: no model is for it: %s: %w", s.Name, c.Study.Note, study.ErrRefused)
		d.step("reported", err, "")
	case over || s.Unscored && c.Study.Status == study.Reported:
		if c.AI() != study.OutOfScope && c.AI() != study.Failed {
			err = fmt.Errorf("%s: AI says %s of what it is not for: %w", s.Name, c.AI(), study.ErrInvalid)
		}
		why := c.Study.Note
		for _, r := range c.Results {
			if !r.Reason.Zero() {
				why = r.Reason.String()
			}
		}
		d.step("told", err, "%s: AI gives no answer: %s", s.Name, why)
		done = true
	}
	return done, err
}

// rowsOf gives a row for each model that answered.
func rowsOf(c study.Case, s studytest.Drawn) (rows []demoRow) {
	for _, r := range c.Results {
		if r.AI == study.OutOfScope {
			continue
		}
		row := demoRow{Study: s.Name, UID: string(s.Study), Model: r.Model.String(), SHA256: r.Model.SHA256.String(), AI: string(r.AI),
			Tiles: fmt.Sprintf("%d/%d", r.Seen, r.Planned), Seconds: r.Seconds, Planted: s.Positive, result: r, drawn: s}
		row.Score, row.Finding = scoreWords(r), "none"
		if n := len(r.Findings); n > 0 {
			row.Finding = fmt.Sprintf("%d × %s", n, r.Findings[0].What.Meaning)
		}
		for _, rep := range c.Reports {
			if rep.Kind == report.KindSR && rep.Model == r.Model && rep.Rev == r.Rev {
				row.Report = string(rep.UID)
				row.retrieve = fmt.Sprintf("%s/studies/%s/series/%s/instances/%s", house.DICOMwebBase, rep.Study, rep.Series, rep.UID)
			}
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		rows = []demoRow{{Study: s.Name, UID: string(s.Study), AI: string(c.AI()), Planted: s.Positive, drawn: s}}
	}
	return rows
}

// scoreWords gives the study's number in a few words.
func scoreWords(r study.Result) string {
	if r.Probability != nil {
		return fmt.Sprintf("%.0f %%", 100**r.Probability)
	}
	if len(r.Measurements) > 0 {
		m := r.Measurements[0]
		return fmt.Sprintf("%.4g %s", m.Value, m.Unit.Value)
	}
	return fmt.Sprint(len(r.Findings))
}

// readBack fetches every report by WADO-RS, as another system would.
func (d *Demo) readBack(ctx context.Context, h *house.House, rows []demoRow) error {
	for _, r := range rows {
		body, err := get(ctx, h, r.retrieve, "application/dicom")
		if err == nil {
			err = checkReport(body, r)
		}
		if err != nil {
			err = fmt.Errorf("report of %s by %s: %w", r.Study, r.Model, err)
			d.step("read back", err, "")
			return err
		}
	}
	d.step("read back", nil, "%d structured reports by WADO-RS, each of its own study", len(rows))
	return nil
}

// get asks the house's HTTP door as the administrator.
func get(ctx context.Context, h *house.House, path, accept string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Web.Addr().String()+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+h.Token)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("GET %s: %s: %w", path, resp.Status, study.ErrRefused)
	}
	return resp.Body, nil
}

// checkReport reads a report with our reader and holds it against its study.
func checkReport(body io.ReadCloser, r demoRow) error {
	defer body.Close()
	head, err := dicom.Scan(body, dicom.ScanOptions{})
	if err != nil {
		return err
	}
	s, in, err := head.Describe()
	switch {
	case err != nil:
		return err
	case in.Class != dicom.Comprehensive3DSR || string(s.UID) != r.UID || string(in.UID) != r.Report:
		return fmt.Errorf("a %s of study %s came back: %w", dicom.ClassName(in.Class), s.UID, study.ErrInvalid)
	}
	return nil
}

// judge holds every result against what was planted: a study with something in
// it is flagged and a finding lies on it, one without is not flagged.
func (d *Demo) judge(rows []demoRow) bool {
	all := true
	for i := range rows {
		r := &rows[i]
		r.Located = located(r.result, r.drawn.Marks)
		r.Agrees = (r.AI == string(study.Flagged)) == r.Planted && (!r.Planted || r.Located) &&
			(r.Planted || r.AI == string(study.NotFlagged))
		all = all && r.Agrees
	}
	var err error
	if !all {
		err = fmt.Errorf("a result does not fit what was planted: %w", study.ErrInvalid)
	}
	d.step("agreed", err, "score, place and planted truth agree in %d of %d", len(rows), len(rows))
	return all
}

// located reports whether a finding lies on a mark: in the patient within the
// mark's diameter, else on the mark's image or slide level within its radius.
func located(r study.Result, marks []studytest.Mark) bool {
	for _, f := range r.Findings {
		for _, m := range marks {
			if f.CenterMM != nil && dist(*f.CenterMM, m.PatientMM) <= m.DiameterMM {
				return true
			}
			for _, g := range f.Regions {
				if g.Instance == m.Instance && len(g.Points) >= 2 && near(g, m) {
					return true
				}
			}
		}
	}
	return false
}

func dist(a, b [3]float64) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}

// near holds a region's middle against a mark of the same image. A drawn slide
// has 2,000 pixels a millimeter, a drawn mammogram 10.
func near(g study.Region, m studytest.Mark) bool {
	x, y := g.Points[0], g.Points[1]
	if g.Shape == study.Outline {
		x, y = 0, 0
		n := float64(len(g.Points) / 2)
		for i := 0; i+1 < len(g.Points); i += 2 {
			x, y = x+g.Points[i]/n, y+g.Points[i+1]/n
		}
	}
	perMM := 10.0
	if g.Total {
		perMM = 2000
	}
	return math.Hypot(x-m.X, y-m.Y) <= m.DiameterMM/2*perMM*1.2
}

// report prints the table, or everything as JSON.
func (d *Demo) report(rows []demoRow, places []demoPlace, url string, agree bool) {
	ok := agree
	for _, s := range d.steps {
		ok = ok && s.OK
	}
	if d.AsJSON {
		_ = json.NewEncoder(d.Out).Encode(map[string]any{"ok": ok, "seconds": time.Since(d.began).Seconds(),
			"steps": d.steps, "rows": rows, "order": places, "url": url, "reader_url": d.reader})
		return
	}
	w := tabwriter.NewWriter(d.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSTUDY\tMODEL\tAI\tSCORE\tFINDING\tTILES\tSECONDS\tAGREES\tREPORT'S SOP INSTANCE UID")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t%s\n", r.Study, r.Model, r.AI, r.Score, r.Finding, r.Tiles, r.Seconds,
			map[bool]string{true: "yes", false: "NO"}[r.Agrees], r.Report)
	}
	_ = w.Flush()
	d.printOrder(places)
	fmt.Fprintf(d.Out, "\nDecision support only. The models are reference models, not medical devices.\n")
	if !d.Exit {
		fmt.Fprintf(d.Out, "Open %s\nAs a reader, whose own answer comes before the AI's: %s\nCtrl-C ends.\n", url, d.reader)
	}
}
