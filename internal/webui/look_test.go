package webui_test

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// luminance is that of WCAG 2.2.
func luminance(hex string) float64 {
	n, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		return math.NaN()
	}
	channel := func(v uint64) float64 {
		c := float64(v&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(n>>16) + 0.7152*channel(n>>8) + 0.0722*channel(n)
}

func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestContrastOfTheTokens(t *testing.T) {
	b, err := os.ReadFile("static/varde.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?s)--bg1: .*?\}`).FindAllString(string(b), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d sets of tokens, want dark, light, and light by the system", len(blocks))
	}
	var sets []map[string]string
	for _, block := range blocks {
		tokens := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z0-9]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(block, -1) {
			tokens[m[1]] = m[2]
		}
		sets = append(sets, tokens)
		for _, bg := range []string{"bg1", "bg2", "bg3"} {
			for _, ink := range []string{"text", "soft", "accent", "warn", "bad", "ok"} {
				if c := contrast(tokens[ink], tokens[bg]); !(c >= 5.8) {
					t.Errorf("%s %s on %s %s: %.2f", ink, tokens[ink], bg, tokens[bg], c)
				}
			}
			if c := contrast(tokens["border"], tokens[bg]); !(c >= 3.8) {
				t.Errorf("border %s on %s %s: %.2f", tokens["border"], bg, tokens[bg], c)
			}
		}
		if c := contrast(tokens["bg1"], tokens["accent"]); c < 5.8 {
			t.Errorf("main button: %.2f", c)
		}
	}
	for k, v := range sets[1] {
		if sets[2][k] != v {
			t.Errorf("--%s is %s by choice and %s by the system", k, v, sets[2][k])
		}
	}
}

// TestNoFileNamesAnotherHost lets through the names of XML's name spaces, which
// nothing fetches, and what others wrote: that asks no other host either and keeps
// the policy, but only a browser can tell.
func TestNoFileNamesAnotherHost(t *testing.T) {
	address := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9-]+\.[a-z]`)
	for _, dir := range []string{".", "../../worldlist", "../../oversight", "../../oversight/quality", "../../oversight/audit"} {
		for _, sub := range []string{"static", "templates"} {
			err := filepath.WalkDir(filepath.Join(dir, sub), func(p string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() && d.Name() == "vendor" {
					return filepath.SkipDir
				}
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(p)
				for _, m := range address.FindAllString(strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", ""), -1) {
					t.Errorf("%s names %s", p, m)
				}
				if strings.Contains(string(b), ` style="`) || strings.Contains(string(b), "innerHTML") || strings.Contains(string(b), " onclick=") {
					t.Errorf("%s makes style or script out of text, which the policy forbids", p)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
