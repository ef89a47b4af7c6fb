package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"varde/internal/studytest/peers"
)

// A sample is a metric with the names of its labels, as a scrape shows it.
var sample = regexp.MustCompile(`(?m)^([a-z0-9_]+)(?:\{([^}]*)\})? `)

// scraped gives the metrics of a scrape with the labels that each has.
func scraped(text string) map[string][]string {
	all := map[string][]string{}
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		for _, l := range regexp.MustCompile(`([a-z0-9_]+)="`).FindAllStringSubmatch(m[2], -1) {
			all[m[1]] = append(all[m[1]], l[1])
		}
		all[m[1]] = append(all[m[1]], "instance", "job") // Prometheus adds them
	}
	return all
}

// queries lists what the dashboard, the alerts and the chart ask of Prometheus.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(deployed(t, "grafana/varde.json"), &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, x := range p.Targets {
			all["panel "+p.Title+": "+x.Expr] = x.Expr
		}
	}
	for _, g := range at[[]any](documents(t, "alerts.yml", deployed(t, "prometheus/alerts.yml"))[0], "groups") {
		for _, r := range at[[]any](g, "rules") {
			all["alert "+at[string](r, "alert")] = at[string](r, "expr")
		}
	}
	h := render(t, func(v map[string]any) { at[map[string]any](v, "autoscaling", "hpa")["enabled"] = true })["HorizontalPodAutoscaler/clinic-worker"]
	all["autoscaler"] = at[string](h, "spec", "metrics", 0, "external", "metric", "name") + `{pool="cpu"}`
	if len(all) < 40 {
		t.Fatalf("only %d queries", len(all))
	}
	return all
}

// TestWhatIsWatchedIsThere runs a service that has received, scored, reported and
// paused, and looks for every metric, with its labels, that the dashboard, the
// alerts and the autoscaler name.
func TestWhatIsWatchedIsThere(t *testing.T) {
	archive, hl7 := peers.Addr(t), peers.Addr(t)
	keeper := newService(t, "--aet", "KEEPER", "--roles", "ingest,web")
	keeper.dicom = archive
	keeper.args = append(keeper.args, "--peers", "VARDE@127.0.0.1:1")
	keeper.start()
	s := newService(t, "--hl7-addr", hl7, "--destinations", "KEEPER=KEEPER@"+archive+"+commit").start()
	ct := smallCT(t, 1, true)
	s.push(ct)
	s.await(ct.Study, "delivered", func(v studyView) bool {
		return v.Status == "reported" && len(v.Reports) > 0 && len(v.Reports[0].Delivered) > 0 && v.Reports[0].Delivered[0].Status != "waiting"
	})
	tell(t, hl7, `MSH|^~\&|RIS|H|VARDE|H|20260301080100||OMI^O23|2|P|2.5.1`, patientOf(t, ct), "ORC|NW|P2|F2",
		"TQ1|1||||||||S", "OBR|1|P2|F2", "IPC|ACC|RP|"+string(ct.Study))
	says(t, s.verb("queue", "pause", "--pool", "cpu", "--reason", "so that something waits"), `paused`)
	mg := smallMG(t, 2, false)
	s.push(mg)
	soon(t, "jobs wait", func() bool {
		return strings.Contains(s.verb("queue", "jobs", "--state", "ready").must(t), string(mg.Study))
	})

	text := s.scrapeAsMonitor()
	metrics := scraped(text)
	name := regexp.MustCompile(`\b(varde_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	for what, query := range queries(t) {
		for _, m := range name.FindAllStringSubmatch(query, -1) {
			labels, ok := metrics[m[1]]
			if !ok {
				t.Errorf("%s: no metric %s", what, m[1])
				continue
			}
			for _, l := range regexp.MustCompile(`([a-z_]+)\s*[=!]`).FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(labels, l[1]) {
					t.Errorf("%s: %s has no label %s", what, m[1], l[1])
				}
			}
		}
	}
	book, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for m := range metrics {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m, "")
		if strings.HasPrefix(m, "varde_") && !strings.Contains(string(book), "`"+base) {
			t.Errorf("docs/operations.md does not explain %s", base)
		}
	}
	for what := range queries(t) {
		if alert, ok := strings.CutPrefix(what, "alert "); ok && !strings.Contains(string(book), alert) {
			t.Errorf("docs/operations.md does not say what to do about %s", alert)
		}
	}
	for _, uid := range []string{string(ct.Study), string(mg.Study)} {
		if strings.Contains(text, uid) {
			t.Error("a metric names a study")
		}
	}
}

// scrapeAsMonitor reads the metrics with a token that may do nothing else.
func (s *service) scrapeAsMonitor() string {
	s.t.Helper()
	token := strings.TrimSpace(s.verb("user", "token", "--role", "monitor").must(s.t))
	a, err := s.askAs("Bearer "+token, http.MethodGet, "/metrics", "", "", nil)
	if err != nil || a.code != http.StatusOK {
		s.t.Fatalf("scrape: %v, %d", err, a.code)
	}
	for path, want := range map[string]int{"/internal/scale": 200, "/internal/scale?pool=no%20pool": 400, "/": 403, "/api/v1/studies": 403, "/operations": 403} {
		if a, err := s.askAs("Bearer "+token, http.MethodGet, path, "", "", nil); err != nil || a.code != want {
			s.t.Errorf("a monitor asks for %s: %v, %d, want %d", path, err, a.code, want)
		}
	}
	return string(a.body)
}
