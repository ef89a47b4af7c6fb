package statement

import (
	"fmt"
	"reflect"
	"strings"

	"varde/cmd/varde/settings"
	"varde/models/modelcard"
	"varde/study"
)

// inventoryFacts are what the inventory of models is made from.
type inventoryFacts struct {
	Version string       `json:"version"`
	Models  []modelFacts `json:"models"`
}

// modelFacts is what the inventory tells of one model.
type modelFacts struct {
	Ref         study.ModelRef   `json:"ref"`
	Name        string           `json:"name"`
	Vendor      string           `json:"vendor"`
	Description string           `json:"description"`
	State       study.ModelState `json:"state"`
	Share       string           `json:"share"`
	Card        study.Hash       `json:"card_sha256"`
	Second      *study.Hash      `json:"second_network_sha256,omitempty"`
	Regulatory  string           `json:"regulatory"`
	Device      []string         `json:"device"`
	Reading     string           `json:"reading"`
	Use         modelcard.Use    `json:"use"`
	Filters     []filter         `json:"filters"`
	Input       string           `json:"input"`
	Thresholds  []string         `json:"thresholds"`
	Claims      []string         `json:"claims"`
	Calibration string           `json:"calibration"`
	Executes    []string         `json:"executes_on"`
	Goes        []string         `json:"destinations"`
}

// A filter is a condition of the intended use that is held against each study.
type filter struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// inventory tells of every model of the registry, the live ones first as the
// registry sorts them.
func inventory(s settings.Settings, entries []Model) inventoryFacts {
	f := inventoryFacts{Version: settings.Version, Models: []modelFacts{}}
	for _, e := range entries {
		f.Models = append(f.Models, factsOf(s, e))
	}
	return f
}

func factsOf(s settings.Settings, e Model) modelFacts {
	c := e.Card
	m := modelFacts{Ref: c.Ref(), Name: c.Name, Vendor: c.Vendor, Description: c.Description, State: e.State, Share: e.Share.String(), Card: c.Hash,
		Regulatory: c.Regulatory, Device: []string{}, Use: c.Use, Filters: filters(c.Use), Input: inputText(c.Input), Thresholds: thresholds(c),
		Claims: []string{}, Calibration: "none of this site: numbers are the model's own, and no percentage is shown", Executes: c.Providers, Goes: []string{}}
	if len(m.Executes) == 0 {
		m.Executes = []string{"cpu"}
	}
	if c.MIL != nil {
		m.Second = &c.MIL.SHA256
	}
	if d := c.Device; d != nil {
		m.Device = []string{"class " + d.Class + " by " + d.Regulation, "UDI-DI " + d.UDI, "manufacturer " + d.Manufacturer}
		for _, x := range [][2]string{{"notified body ", d.NotifiedBody}, {"certificate ", d.Certificate}, {"valid until ", d.ValidUntil}, {"instructions ", d.Instructions}} {
			if x[1] != "" {
				m.Device = append(m.Device, x[0]+x[1])
			}
		}
	}
	if p := c.Protocol; p != nil {
		m.Reading = strings.TrimSpace(p.Mode + ", by " + strings.Join(p.Readers, ", ") + ". " + p.Text)
	}
	for _, x := range c.Claims {
		m.Claims = append(m.Claims, ClaimWords(x)+"; "+x.Population+". "+ClaimSource(x))
	}
	if k := e.Calibration; k != nil {
		m.Calibration = fmt.Sprintf("number %d of %s, SHA-256 %s", k.Number, k.At.UTC().Format("2006-01-02"), k.SHA256)
	}
	if e.State == study.ModelLive { // no other one's results reach anybody
		for _, d := range destinationsOf(s) {
			m.Goes = append(m.Goes, d.Name+" ("+strings.Join(d.Kinds, ", ")+"; "+d.Lang+")")
		}
	}
	return m
}

// filters lists the conditions that are set, by their keys in the card.
func filters(u modelcard.Use) []filter {
	all := []filter{}
	v := reflect.ValueOf(u)
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("toml")
		switch key {
		case "text", "not_for", "measures", "limits":
			continue // words, and no conditions
		}
		if x := v.Field(i); !x.IsZero() {
			value := strings.Trim(fmt.Sprint(x), "[]")
			if x.Kind() == reflect.Map {
				value = strings.TrimPrefix(strings.TrimSuffix(value, "]"), "map[")
			}
			all = append(all, filter{key, value})
		}
	}
	return all
}

// inputText says what the network sees.
func inputText(in modelcard.Input) string {
	words := []string{string(in.Kind)}
	if in.Width > 0 {
		words = append(words, fmt.Sprintf("%d×%d pixels", in.Width, in.Height))
	}
	if in.MicronsPerPixel > 0 {
		words = append(words, fmt.Sprintf("%g µm a pixel", in.MicronsPerPixel))
	}
	if in.SpacingMM != [3]float64{} {
		words = append(words, fmt.Sprintf("resampled to %g × %g × %g mm (0 = as it is)", in.SpacingMM[0], in.SpacingMM[1], in.SpacingMM[2]))
	}
	return strings.Join(append(words, "values "+in.Values), ", ")
}

// thresholds lists what turns numbers into findings and states.
func thresholds(c modelcard.Card) []string {
	all := []string{}
	if f := c.Find; f != nil {
		line := fmt.Sprintf("a finding from %g on", f.Threshold)
		if f.MinMM > 0 {
			line += fmt.Sprintf(", at least %g mm", f.MinMM)
		}
		if f.MinCluster > 1 {
			line += fmt.Sprintf(", %d within %g mm", f.MinCluster, f.ClusterMM)
		}
		all = append(all, line)
	}
	if c.Flag.By != "" {
		line := fmt.Sprintf("flagged from %g on, by %s", c.Flag.Flagged, c.Flag.By)
		if c.Flag.Uncertain != 0 {
			line += fmt.Sprintf("; uncertain from %g on", c.Flag.Uncertain)
		}
		all = append(all, line)
	}
	for _, l := range c.Label {
		line := fmt.Sprintf("label %s: flagged from %g on", l.Name, l.Flagged)
		if l.Uncertain != 0 {
			line += fmt.Sprintf(", uncertain from %g on", l.Uncertain)
		}
		all = append(all, line)
	}
	return all
}

// ClaimWords writes a claim's number with its interval.
func ClaimWords(m modelcard.Claim) string {
	unit := ""
	if m.Unit != "" && m.Unit != "1" {
		unit = " " + m.Unit
	}
	s := fmt.Sprintf("%s %g%s", m.Metric, m.Value, unit)
	if m.Low != 0 || m.High != 0 {
		level := m.Level
		if level == 0 {
			level = 0.95
		}
		s += fmt.Sprintf(" (%g %% interval %g–%g)", 100*level, m.Low, m.High)
	}
	if m.Cases > 0 {
		s += fmt.Sprintf(" in %d cases", m.Cases)
	}
	return s
}

// ClaimSource writes where a claim is published.
func ClaimSource(m modelcard.Claim) string {
	s := m.Source
	if m.Year > 0 {
		s += fmt.Sprintf(" (%d)", m.Year)
	}
	return strings.TrimSpace(s + " " + m.URL)
}
