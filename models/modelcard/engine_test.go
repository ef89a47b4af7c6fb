package modelcard_test

import (
	"strings"
	"testing"

	"varde/models"
	"varde/models/modelcard"
)

// TestProvidersOfACardAreStrict: a word that is none, one that comes twice, and a
// cpu before others are faults; a card that lists nobody is for the cpu.
func TestProvidersOfACardAreStrict(t *testing.T) {
	for _, tt := range []struct {
		line        string
		fault       string
		accelerated bool
		cpu         bool
	}{
		{``, "", false, true},
		{`providers = ["cpu"]`, "", false, true},
		{`providers = ["tensorrt", "cuda"]`, "", true, false},
		{`providers = ["cuda", "cpu"]`, "", true, true},
		{`providers = ["cpu", "cuda"]`, "it must be the last", false, false},
		{`providers = ["cuda", "cuda"]`, "twice", false, false},
		{`providers = ["rocket"]`, "rocket", false, false},
	} {
		text := strings.Replace(string(models.Reference()[0].CardTOML), "name = ", tt.line+"\nname = ", 1)
		c, err := modelcard.Parse([]byte(text))
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%s: %v", tt.line, err)
			}
			continue
		}
		if err != nil || c.Accelerated() != tt.accelerated || c.AllowsCPU() != tt.cpu {
			t.Errorf("%s: accelerated %v, cpu %v, %v", tt.line, c.Accelerated(), c.AllowsCPU(), err)
		}
	}
}
