package varde_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport is the plan of the house: which of our packages each may import.
// The stages do not know each other: they meet in the ledger and in the queue,
// and cmd introduces them. A sub-package stands on its parent's floor and may
// import what its parent may; the parent may import it. Everyone may import the
// vocabulary, study.
var mayImport = map[string][]string{
	"study": {},

	"internal/dicom":     {},
	"internal/dimse":     {"internal/dicom"},
	"internal/codec":     {},
	"internal/pixel":     {},
	"internal/hl7":       {},
	"internal/evidence":  {"internal/dicom"},                                     // it reads reports and segmentations of other makers
	"internal/slide":     {"internal/dicom", "internal/codec", "internal/pixel"}, // it resamples, and looks for tissue
	"internal/onnx":      {"internal/pixel"},
	"internal/embedded":  {},
	"internal/metrics":   {},
	"internal/words":     {},
	"internal/mask":      {},
	"internal/slip":      {},
	"internal/webui":     {"internal/words"},
	"internal/s3test":    {},
	"internal/studytest": {"internal/dicom"}, // it draws studies as DICOM objects

	"models": {"internal/onnx/graph"}, // it checks networks and draws the reference ones; no session is made there
	"queue":  {},

	"store": {"store/objects", "store/sqldb", "store/audit", "store/course", "store/intake", "store/orders", "store/work",
		"store/outbox", "store/reading", "store/registry"}, // on top of its rooms, which know each other only as these rows say
	"store/objects":    {},
	"store/migrations": {},
	"store/sqldb":      {"store/migrations"},
	"store/row":        {"store/sqldb"},
	"store/audit":      {"store/row", "store/sqldb"},
	"store/course":     {"store/audit", "store/row", "store/sqldb"}, // steps that several rooms take
	"store/orders":     {"store/course", "store/row", "store/sqldb"},
	"store/intake":     {"store/orders", "store/course", "store/row", "store/sqldb"}, // it asks what was said of whom it takes in
	"store/work":       {"store/course", "store/row", "store/sqldb"},
	"store/outbox":     {"store/course", "store/row", "store/sqldb"},
	"store/reading":    {"store/course", "store/row", "store/sqldb"},
	"store/registry":   {"store/course", "store/row", "store/sqldb"},

	"ingest": {"models", "internal/dicom", "internal/dimse", "internal/codec", "internal/pixel", "internal/slide", "internal/hl7",
		"ingest/plan", "ingest/inquiry"},
	"ingest/plan":    {"models", "internal/pixel", "internal/slide"}, // decisions: no archive, ledger or wire is in reach; only a survey looks at slides
	"ingest/inquiry": {"internal/dicom", "internal/dimse"},           // it asks archives, and hands over what they send
	"ingest/upload":  {"ingest", "internal/webui", "internal/slide"}, // the one page of ingest: a door for files, on its floor
	"inference":      {"models", "internal/codec", "internal/pixel", "internal/slide", "internal/mask"},
	"report":         {"internal/dicom", "internal/dimse", "internal/slide", "internal/words", "internal/hl7", "internal/pixel", "internal/codec", "internal/mask"}, // heatmaps are laid on a slide's grid
	"worldlist": {"internal/webui", "internal/words", "internal/pixel", "internal/codec", "internal/slide", "internal/dicom", "internal/mask", "internal/evidence", "internal/slip",
		"worldlist/order", "worldlist/veil"}, // it reads windows out of headers, and shows what networks drew
	"worldlist/order":   {"internal/words"},                                                                                        // decisions, and how they are told: nothing that could change them is in reach
	"worldlist/veil":    {"worldlist/order", "internal/webui", "internal/words"},                                                   // below every room that shows something of the AI
	"oversight":         {"models", "internal/webui", "internal/words", "oversight/quality", "oversight/audit", "oversight/table"}, // it shows cards and moves states
	"oversight/table":   {},
	"oversight/audit":   {"internal/webui", "oversight/table"},           // no model is in reach
	"oversight/quality": {"models", "internal/webui", "oversight/table"}, // figures, and their page
}

// doors names the one package that may import each third-party module.
var doors = map[string][]string{
	"github.com/hibiken/asynq":               {"queue"},
	"github.com/redis/go-redis":              {"queue", "internal/embedded"}, // embedded hands out a client over a pipe
	"github.com/minio/minio-go":              {"store/objects"},
	"modernc.org/sqlite":                     {"store/sqldb"},
	"github.com/lib/pq":                      {"store/sqldb"},
	"github.com/yalue/onnxruntime_go":        {"internal/onnx"},
	"github.com/k2-fsa/sherpa-onnx-go-linux": {"internal/onnx"},
	"google.golang.org/protobuf":             {"internal/onnx"},
	"golang.org/x/text":                      {"internal/dicom/charset"},
	"github.com/disintegration/imaging":      {"internal/pixel"},
	"github.com/ebitengine/purego":           {"internal/codec", "internal/slide"}, // native libraries found at run time: decoders, OpenSlide
	"github.com/alicebob/miniredis":          {"internal/embedded"},
	"github.com/spf13/cobra":                 {"cmd/varde"},
	"github.com/spf13/pflag":                 {"cmd/varde", "cmd/varde/settings"},                                                                 // the flags that cobra takes
	"github.com/BurntSushi/toml":             {"cmd/varde", "cmd/varde/settings", "models/modelcard", "worldlist/pathway", "worldlist/screening"}, // settings, cards, and tables of pathways and screenings
	"golang.org/x/term":                      {"cmd/varde"},
	"github.com/danielgtaylor/huma":          {"internal/webui"},
	"github.com/prometheus/client_golang":    {"internal/metrics"},
	"github.com/chromedp/chromedp":           {"internal/webui/webuitest"}, // linked into tests only
	"codeberg.org/go-pdf/fpdf":               {"report"},                   // printed reports
	"golang.org/x/image":                     {"report"},                   // letters that are burned into captures and printed
	"github.com/google/fhir":                 {"report"},                   // linked into tests only
	"github.com/santhosh-tekuri/jsonschema":  {"report"},                   // linked into tests only
	"golang.org/x/sync":                      {"*"},                        // errgroup: a goroutine is started by whoever waits for it
}

const (
	maxFileLines     = 500
	maxFunctionLines = 80
)

// TestHouseAndPlanAgree parses every file that is no test and holds it against
// the plan above.
func TestHouseAndPlanAgree(t *testing.T) {
	commented := map[string]bool{}
	for _, file := range sources(t) {
		pkg := path.Dir(file)
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		commented[pkg] = commented[pkg] || tree.Doc != nil
		for _, spec := range tree.Imports {
			checkImport(t, file, pkg, strings.Trim(spec.Path.Value, `"`))
		}
		checkSizes(t, set, tree, file)
	}
	for pkg, ok := range commented {
		if !ok {
			t.Errorf("%s: no package comment; a newcomer must learn what to expect there", pkg)
		}
		if home(pkg) == "" && !strings.HasPrefix(pkg, "cmd/") {
			t.Errorf("%s: not on the plan; give it a place in mayImport", pkg)
		}
	}
}

// TestPlanCatchesBreaches plants breaches and expects the check to see them.
func TestPlanCatchesBreaches(t *testing.T) {
	for _, tt := range []struct{ pkg, imports string }{
		{"report", "varde/ingest"},
		{"study", "varde/models"},
		{"store", "varde/queue"},
		{"store/reading", "varde/store/work"},
		{"store/sqldb", "varde/store"},
		{"ingest", "github.com/hibiken/asynq"},
		{"store", "example.org/unheard/of"},
		{"internal/dicom", "varde/internal/dimse"},
	} {
		if allowed(tt.pkg, tt.imports) {
			t.Errorf("%s may import %s, and should not", tt.pkg, tt.imports)
		}
	}
}

func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case strings.HasSuffix(p, ".go") && !strings.HasSuffix(p, "_test.go"):
			files = append(files, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// home is the entry of the plan that a package belongs to: itself or its
// nearest parent.
func home(pkg string) string {
	for ; pkg != "." && pkg != "/"; pkg = path.Dir(pkg) {
		if _, ok := mayImport[pkg]; ok {
			return pkg
		}
	}
	return ""
}

func allowed(pkg, imports string) bool {
	if !strings.Contains(strings.SplitN(imports, "/", 2)[0], ".") && imports != "varde" && !strings.HasPrefix(imports, "varde/") {
		return true // the standard library
	}
	if ours, ok := strings.CutPrefix(imports, "varde/"); ok {
		if strings.HasPrefix(pkg, "cmd/") || ours == "study" {
			return true
		}
		if home(pkg) == home(ours) {
			return home(pkg) != ""
		}
		mine := mayImport[home(pkg)]
		return slices.Contains(mine, ours) || slices.Contains(mine, home(ours)) && home(ours) != ""
	}
	for module, at := range doors {
		if imports == module || strings.HasPrefix(imports, module+"/") {
			return slices.Contains(at, "*") || slices.Contains(at, pkg) || slices.Contains(at, home(pkg))
		}
	}
	return false
}

func checkImport(t *testing.T, file, pkg, imports string) {
	if !allowed(pkg, imports) {
		t.Errorf("%s: %s may not import %s", file, pkg, imports)
	}
}

func checkSizes(t *testing.T, set *token.FileSet, tree *ast.File, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n > maxFileLines {
		t.Errorf("%s: %d lines, more than %d", file, n, maxFileLines)
	}
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > maxFunctionLines {
			t.Errorf("%s: %s has %d lines, more than %d", file, f.Name.Name, n, maxFunctionLines)
		}
		if f.Name.Name == "init" && f.Recv == nil {
			t.Errorf("%s: an init function; say it where it is used", file)
		}
	}
}
