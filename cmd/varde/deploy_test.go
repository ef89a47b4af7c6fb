package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// deployed reads a file of the folder deploy.
func deployed(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// documents reads every YAML document of a text.
func documents(t *testing.T, what string, text []byte) (all []map[string]any) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var v map[string]any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, text)
		}
		if len(v) > 0 {
			all = append(all, v)
		}
	}
}

// at follows keys and positions into a document.
func at[T any](v any, path ...any) (got T) {
	for _, step := range path {
		switch k := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return got
			}
			v = l[k]
		}
	}
	got, _ = v.(T)
	return got
}

// pinned is an image by a version of its own, or by its content.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+(:[A-Za-z0-9._-]*[0-9][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$`)

// environment lists the names of the environment that settings have.
func environment(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, line := range strings.Split(run(t, "config", "show").must(t), "\n") {
		if key, _, ok := strings.Cut(line, " "); ok && key != "" {
			known["VARDE_"+strings.ToUpper(key)] = true
		}
	}
	code, err := os.ReadFile(filepath.Join("settings", "settings.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`env:"(VARDE_[A-Z0-9_]+)"`).FindAllSubmatch(code, -1) {
		known[string(m[1])] = true
	}
	if len(known) < 20 {
		t.Fatalf("only %d settings are known", len(known))
	}
	return known
}

var environmentName = regexp.MustCompile(`\bVARDE_[A-Z0-9_]+\b`)

func TestComposeFileNamesWhatThereIs(t *testing.T) {
	text := deployed(t, "docker-compose.yml")
	file, known := documents(t, "docker-compose.yml", text)[0], environment(t)
	for _, name := range environmentName.FindAllString(string(text), -1) {
		if !known[name] {
			t.Errorf("no setting is called %s", name)
		}
	}
	services := at[map[string]any](file, "services")
	for _, want := range []string{"api", "worker", "worker-gpu", "redis", "postgres", "minio"} {
		if services[want] == nil {
			t.Errorf("no service %s", want)
		}
	}
	for name, s := range services {
		if image := at[string](s, "image"); !pinned.MatchString(image) {
			t.Errorf("%s: image %q is not pinned", name, image)
		}
		for volume := range slices.Values(at[[]any](s, "volumes")) {
			from, _, _ := strings.Cut(fmt.Sprint(volume), ":")
			if at[map[string]any](file, "volumes", from) == nil {
				t.Errorf("%s: no volume %s", name, from)
			}
		}
		for other := range at[map[string]any](s, "depends_on") {
			if services[other] == nil {
				t.Errorf("%s depends on %s, which there is not", name, other)
			}
		}
		verb := at[string](s, "command", 0)
		switch {
		case strings.HasPrefix(name, "worker") && verb != "worker", name == "api" && verb != "serve":
			t.Errorf("%s runs %q", name, verb)
		case strings.HasPrefix(name, "worker") || name == "api":
			if ro := at[bool](s, "read_only"); !ro {
				t.Errorf("%s: its file system can be written to", name)
			}
		}
	}
	if !slices.Equal(at[[]any](services, "worker-gpu", "profiles"), []any{"gpu"}) {
		t.Error("a GPU worker is started without being asked for")
	}
}

func TestImagesBringWhatTheProgramOpens(t *testing.T) {
	cpu, err := os.ReadFile(filepath.Join("..", "..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"Dockerfile": string(cpu), "Dockerfile.gpu": string(deployed(t, "Dockerfile.gpu"))} {
		for _, want := range []string{"libstdc++6", "libturbojpeg", "libopenjp2-7", "libcharls2", "libopenslide0", "ca-certificates", "\nUSER varde\n", "--uid 10001",
			"\nHEALTHCHECK ", `"doctor", "--live"`, "\nVOLUME /data\n", `ENTRYPOINT ["varde"]`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		known := environment(t)
		for _, env := range regexp.MustCompile(`(?m)^ENV .*$`).FindAllString(text, -1) {
			for _, v := range environmentName.FindAllString(env, -1) {
				if !known[v] {
					t.Errorf("%s: no setting is called %s", name, v)
				}
			}
		}
		for _, m := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "${") && (!strings.Contains(m[1], ":") || strings.HasSuffix(m[1], ":latest")) {
				t.Errorf("%s: image %q is not pinned", name, m[1])
			}
		}
	}
}

// render evaluates the chart as Helm does, as far as its templates go: Helm's own
// functions that they use are here, with Helm's meaning.
func render(t *testing.T, change func(values map[string]any)) map[string]map[string]any {
	t.Helper()
	const chart = "helm/varde/"
	about, values := documents(t, "Chart.yaml", deployed(t, chart+"Chart.yaml"))[0], documents(t, "values.yaml", deployed(t, chart+"values.yaml"))[0]
	if change != nil {
		change(values)
	}
	data := map[string]any{"Values": values, "Release": map[string]any{"Name": "clinic", "Service": "Helm"},
		"Chart": map[string]any{"AppVersion": about["appVersion"], "Name": about["name"]}}
	root := template.New("chart").Option("missingkey=error")
	root.Funcs(functions(root))
	files, err := filepath.Glob(filepath.Join("..", "..", "deploy", "helm", "varde", "templates", "*"))
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := root.New(filepath.Base(f)).Parse(string(b)); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]map[string]any{}
	for _, f := range files {
		var out bytes.Buffer
		if err := root.ExecuteTemplate(&out, filepath.Base(f), data); err != nil {
			t.Fatal(err)
		}
		for _, d := range documents(t, filepath.Base(f), out.Bytes()) {
			all[at[string](d, "kind")+"/"+at[string](d, "metadata", "name")] = d
		}
	}
	return all
}

func functions(root *template.Template) template.FuncMap {
	toYAML := func(v any) (string, error) {
		b, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(b), "\n"), err
	}
	return template.FuncMap{
		"include": func(name string, v any) (string, error) {
			var b strings.Builder
			err := root.ExecuteTemplate(&b, name, v)
			return b.String(), err
		},
		"toYaml": toYAML,
		"toJson": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"nindent": func(n int, s string) string {
			return "\n" + strings.Repeat(" ", n) + strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
		},
		"quote": func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
		"default": func(d, v any) any {
			if v == nil || v == "" {
				return d
			}
			return v
		},
		"trunc":      func(n int, s string) string { return s[:min(n, len(s))] },
		"trimSuffix": func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
		"add":        func(a, b int) int { return a + b },
		"int":        func(v any) (n int, err error) { _, err = fmt.Sscan(fmt.Sprint(v), &n); return n, err },
		"has":        func(v any, list []any) bool { return slices.Contains(list, v) },
		"upper":      strings.ToUpper,
		"toString":   func(v any) string { return fmt.Sprint(v) },
		"sha256sum":  func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) },
		"fail":       func(why string) (string, error) { return "", errors.New(why) },
	}
}

func TestChartRendersSoundPods(t *testing.T) {
	known := environment(t)
	objects := render(t, func(v map[string]any) {
		at[map[string]any](v, "gpu")["enabled"] = true
		at[map[string]any](v, "autoscaling", "keda")["enabled"] = true
		at[map[string]any](v, "settings")["destinations"] = "PACS=ORTHANC@pacs:4242"
	})
	for _, want := range []string{"ConfigMap/clinic-settings", "PersistentVolumeClaim/clinic-data", "Deployment/clinic-api", "Deployment/clinic-worker",
		"Deployment/clinic-gpu", "Service/clinic-dicom", "Service/clinic-api", "ScaledObject/clinic-worker", "TriggerAuthentication/clinic-monitor"} {
		if objects[want] == nil {
			t.Errorf("the chart lacks %s; it has %v", want, slices.Sorted(maps.Keys(objects)))
		}
	}
	for key := range at[map[string]any](objects["ConfigMap/clinic-settings"], "data") {
		if !known[key] {
			t.Errorf("no setting is called %s", key)
		}
	}
	if got := at[string](objects["ConfigMap/clinic-settings"], "data", "VARDE_DRAIN"); got != "60s" {
		t.Errorf("drain %q", got)
	}
	for name, d := range objects {
		if at[string](d, "kind") != "Deployment" {
			continue
		}
		checkPod(t, name, d, known)
	}
	trigger := at[map[string]any](objects["ScaledObject/clinic-worker"], "spec", "triggers", 0, "metadata")
	if trigger["url"] != "http://clinic-api:8080/internal/scale?pool=cpu" || trigger["valueLocation"] != "backlog_seconds" || trigger["targetValue"] != "60" {
		t.Errorf("the trigger is %v", trigger)
	}
	if r := at[any](objects["Deployment/clinic-worker"], "spec", "replicas"); r != nil {
		t.Errorf("who scales is overruled by %v replicas", r)
	}
}

// checkPod holds a deployment's pods to what a hospital may ask of them.
func checkPod(t *testing.T, name string, d map[string]any, known map[string]bool) {
	t.Helper()
	pod := at[map[string]any](d, "spec", "template", "spec")
	if grace := at[int](pod, "terminationGracePeriodSeconds"); grace != 90 {
		t.Errorf("%s: %d s of grace for 60 s of drain", name, grace)
	}
	if !at[bool](pod, "securityContext", "runAsNonRoot") || at[int](pod, "securityContext", "runAsUser") != 10001 || at[bool](pod, "automountServiceAccountToken") {
		t.Errorf("%s: %v", name, pod["securityContext"])
	}
	for k, want := range at[map[string]any](d, "spec", "selector", "matchLabels") {
		if got := at[string](d, "spec", "template", "metadata", "labels", k); got != want {
			t.Errorf("%s: label %s is %q and %q is selected", name, k, got, want)
		}
	}
	c := at[map[string]any](pod, "containers", 0)
	if !pinned.MatchString(at[string](c, "image")) {
		t.Errorf("%s: image %v is not pinned", name, c["image"])
	}
	if s := at[map[string]any](c, "securityContext"); !at[bool](s, "readOnlyRootFilesystem") || s["allowPrivilegeEscalation"] != false ||
		at[string](s, "capabilities", "drop", 0) != "ALL" {
		t.Errorf("%s: %v", name, s)
	}
	for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		// While a process waits for what it stands on it is alive, and gets no work.
		path := map[bool]string{true: "/healthz?started", false: "/healthz"}[probe == "readinessProbe"]
		if at[string](c, probe, "httpGet", "path") != path || at[string](c, probe, "httpGet", "port") != at[string](c, "ports", 0, "name") {
			t.Errorf("%s: %s is %v", name, probe, c[probe])
		}
	}
	secrets := 0
	for _, e := range at[[]any](c, "env") {
		if !known[at[string](e, "name")] {
			t.Errorf("%s: no setting is called %v", name, at[string](e, "name"))
		}
		if at[string](e, "valueFrom", "secretKeyRef", "name") == "varde-services" {
			secrets++
		}
	}
	if verb := at[string](c, "args", 0); secrets != 4 || verb != "serve" && verb != "worker" {
		t.Errorf("%s: %d secrets, runs %q", name, secrets, verb)
	}
	for i, v := range at[[]any](c, "volumeMounts") {
		if at[string](pod, "volumes", i, "name") != at[string](v, "name") || len(at[map[string]any](pod, "volumes", i)) != 2 {
			t.Errorf("%s: mounts %v", name, v)
		}
	}
	if len(at[map[string]any](c, "resources", "requests")) == 0 {
		t.Errorf("%s: asks for no resources", name)
	}
}

func TestChartScalesByOneMeansAndOnlyIfAsked(t *testing.T) {
	objects := render(t, nil)
	for name := range objects {
		if strings.HasPrefix(name, "ScaledObject") || strings.HasPrefix(name, "HorizontalPodAutoscaler") || name == "Deployment/clinic-gpu" {
			t.Errorf("%s is there unasked", name)
		}
	}
	if at[int](objects["Deployment/clinic-worker"], "spec", "replicas") != 2 {
		t.Error("no two workers")
	}
	objects = render(t, func(v map[string]any) {
		at[map[string]any](v, "autoscaling", "hpa")["enabled"] = true
		at[map[string]any](v, "data")["existingClaim"] = "shared"
	})
	h := objects["HorizontalPodAutoscaler/clinic-worker"]
	if at[string](h, "spec", "metrics", 0, "external", "metric", "name") != "varde_backlog_seconds" {
		t.Errorf("scales by %v", h)
	}
	if at[string](objects["Deployment/clinic-api"], "spec", "template", "spec", "volumes", 0, "persistentVolumeClaim", "claimName") != "shared" || objects["PersistentVolumeClaim/clinic-data"] != nil {
		t.Error("the claim that there is is not used")
	}
}
