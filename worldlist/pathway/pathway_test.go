package pathway_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/study"
	"varde/worldlist/pathway"
)

// oslo is a zone with a summer, without a database of zones: tests run anywhere.
var oslo = time.FixedZone("CET", 3600)

func tables(t *testing.T, site, country string) *pathway.Tables {
	t.Helper()
	all, err := pathway.Parse(site, country)
	if err != nil {
		t.Fatal(err)
	}
	all.Zone = oslo
	return all
}

func day(text string) time.Time {
	at, err := time.ParseInLocation("2006-01-02 15:04", text, oslo)
	if err != nil {
		panic(err)
	}
	return at
}

const site = `
closed = ["2026-05-15"]

[[pathway]]
code       = "NO-BREAST"
aliases    = ["B01"]
country    = "NO"
valid_from = "2026-03-01"
name       = { en = "Breast, new limits" }
source     = "the hospital's board"
  [[pathway.step]]
  code  = "reading"
  name  = { en = "reading", nb = "tyding" }
  from  = ["arrival"]
  days  = 3
  unit  = "working"
  reads = true

[[pathway]]
code       = "LOCAL"
country    = "DK"
valid_from = "2026-01-01"
valid_to   = "2026-07-01"
name       = { en = "Local" }
source     = "the hospital's board"
  [[pathway.step]]
  code  = "reading"
  name  = { en = "reading" }
  from  = ["order"]
  days  = 1
  reads = true

[[remark]]
kind  = "no_resuscitation"
name  = { en = "No resuscitation", nb = "HLR minus" }
codes = ["HLR-"]
`

func TestClockOfEachOrder(t *testing.T) {
	referred, told, arrived := day("2026-02-02 10:00"), day("2026-02-04 09:00"), day("2026-02-06 13:00")
	c50 := []study.Code{{Value: "C50.9", Scheme: "I10"}}
	for _, tt := range []struct {
		name    string
		country string
		order   study.Order
		arrived time.Time
		step    string // empty: no clock
		from    string
		due     string
	}{
		{"Denmark: 14 days from the referral", "", study.Order{Pathway: "DK-MAX", ReferredAt: referred}, arrived, "DK-MAX/examination", "referral", "2026-02-16"},
		{"and from the order, when nobody tells of a referral", "", study.Order{Pathway: "dk-max", Told: study.Message{At: told}}, arrived, "DK-MAX/examination", "order", "2026-02-18"},
		{"Norway, before the images: 7 and 12 days", "", study.Order{Pathway: "NO-BREAST", ReferredAt: referred}, time.Time{}, "NO-BREAST/workup", "referral", "2026-02-21"},
		{"the images have begun the work-up", "", study.Order{Pathway: "NO-BREAST", ReferredAt: referred}, arrived, "NO-BREAST/workup", "arrival", "2026-02-18"},
		{"late images don't put the limit off", "", study.Order{Pathway: "NO-BREAST", ReferredAt: referred}, day("2026-02-20 08:00"), "NO-BREAST/workup", "referral", "2026-02-21"},
		{"pancreas: 8 and 14 days", "", study.Order{Pathway: "NO-PANCREAS", ReferredAt: referred}, time.Time{}, "NO-PANCREAS/workup", "referral", "2026-02-24"},
		{"a step that the order names", "", study.Order{Pathway: "NO-BREAST/treatment", ReferredAt: referred}, time.Time{}, "NO-BREAST/treatment", "referral", "2026-03-06"},
		{"a step that there isn't", "", study.Order{Pathway: "NO-BREAST/x", ReferredAt: referred}, arrived, "", "", ""},
		{"a step that nobody tells the event of", "", study.Order{Pathway: "DK-MAX/treatment", ReferredAt: referred}, arrived, "", "", ""},
		{"a pathway that there isn't", "", study.Order{Pathway: "X", ReferredAt: referred}, arrived, "", "", ""},
		{"working days", "", study.Order{Pathway: "DK-MAX/notice", ReferredAt: referred}, arrived, "DK-MAX/notice", "referral", "2026-02-12"},
		{"working days over Easter", "", study.Order{Pathway: "DK-MAX/notice", ReferredAt: day("2026-03-27 12:00")}, arrived, "DK-MAX/notice", "referral", "2026-04-13"},
		{"by diagnosis", "NO", study.Order{Codes: c50, ReferredAt: referred}, time.Time{}, "NO-BREAST/workup", "referral", "2026-02-21"},
		{"the longest prefix counts, and the country", "DK", study.Order{Codes: c50, ReferredAt: referred}, time.Time{}, "DK-MAX/examination", "referral", "2026-02-16"},
		{"a Danish code", "DK", study.Order{Codes: []study.Code{{Value: "DC509", Scheme: "SKS"}}, ReferredAt: referred}, arrived, "DK-MAX/examination", "referral", "2026-02-16"},
		{"D05 is no C", "DK", study.Order{Codes: []study.Code{{Value: "D05", Scheme: "I10"}}, ReferredAt: referred}, arrived, "", "", ""},
		{"another scheme", "NO", study.Order{Codes: []study.Code{{Value: "C50", Scheme: "SCT"}}, ReferredAt: referred}, arrived, "", "", ""},
		{"a diagnosis starts nothing where no country is set", "", study.Order{Codes: c50, ReferredAt: referred}, arrived, "", "", ""},
		{"nothing at all", "NO", study.Order{}, time.Time{}, "", "", ""},
		{"the site's version from its day on, by the site's code", "", study.Order{Pathway: "B01", ReferredAt: day("2026-05-13 08:00")}, day("2026-05-13 13:00"), "NO-BREAST/reading", "arrival", "2026-05-20"}, // Ascension, a closed day, a weekend
		{"and ours before it", "", study.Order{Pathway: "NO-BREAST", ReferredAt: day("2026-02-28 08:00")}, time.Time{}, "NO-BREAST/workup", "referral", "2026-03-19"},
		{"until it ends", "", study.Order{Pathway: "LOCAL", Told: study.Message{At: day("2026-07-01 00:00")}}, arrived, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tables(t, site, tt.country).Read(tt.order, tt.arrived).Clock
			step := ""
			if !c.Zero() {
				step = c.Pathway + "/" + c.Step
			}
			if step != tt.step || c.From != tt.from {
				t.Fatalf("step %q from %q, want %q from %q", step, c.From, tt.step, tt.from)
			}
			if due := c.Due.In(oslo).Format("2006-01-02 15:04:05"); !c.Zero() && due != tt.due+" 23:59:59" {
				t.Errorf("due %s, want %s", due, tt.due)
			}
		})
	}
}

func TestRemarksAreReadFromCodes(t *testing.T) {
	all := tables(t, site, "")
	got := all.Read(study.Order{Codes: []study.Code{{Value: "z515"}, {Value: "HLR-"}, {Value: "Z51.5"}, {Value: "Z51"}}}, time.Time{})
	var kinds []string
	for _, r := range got.Remarks {
		kinds = append(kinds, r.Kind+" "+r.Name.In("nb"))
	}
	if want := []string{"palliative Palliativ fase", "no_resuscitation HLR minus"}; !slices.Equal(kinds, want) {
		t.Errorf("%v, want %v", kinds, want)
	}
	if !got.Clock.Zero() {
		t.Error("a remark started a clock")
	}
}

func TestReadDecidesByItsArgumentsAlone(t *testing.T) {
	all := tables(t, site, "NO")
	o := study.Order{Pathway: "NO-BREAST", ReferredAt: day("2026-02-02 10:00"), Codes: []study.Code{{Value: "Z51.5"}}}
	if a, b := all.Read(o, time.Time{}), all.Read(o, time.Time{}); !reflect.DeepEqual(a, b) {
		t.Error("two readings differ")
	}
}

// TestEasterSundays are from the almanac.
func TestEasterSundays(t *testing.T) {
	for year, want := range map[int]string{1961: "04-02", 2000: "04-23", 2008: "03-23", 2011: "04-24", 2019: "04-21", 2024: "03-31", 2025: "04-20", 2026: "04-05", 2027: "03-28", 2038: "04-25", 2285: "03-22"} {
		if got := pathway.Easter(year).Format("01-02"); got != want {
			t.Errorf("Easter %d is on %s, want %s", year, got, want)
		}
	}
}

func TestHolidaysOfEachCountry(t *testing.T) {
	no := []string{"2026-01-01", "2026-04-02", "2026-04-03", "2026-04-05", "2026-04-06", "2026-05-01", "2026-05-14", "2026-05-17", "2026-05-24", "2026-05-25", "2026-12-25", "2026-12-26"}
	if got := pathway.Holidays("NO", 2026); !slices.Equal(got, no) {
		t.Errorf("Norway: %v", got)
	}
	da := []string{"2023-01-01", "2023-04-06", "2023-04-07", "2023-04-09", "2023-04-10", "2023-05-05", "2023-05-18", "2023-05-28", "2023-05-29", "2023-12-25", "2023-12-26"}
	if got := pathway.Holidays("DK", 2023); !slices.Equal(got, da) {
		t.Errorf("Denmark: %v", got)
	}
	if slices.Contains(pathway.Holidays("DK", 2024), "2024-04-26") || pathway.Holidays("SE", 2026) != nil {
		t.Error("Great Prayer Day after 2023, or holidays of an unknown country")
	}
}

func TestEveryFaultOfATableIsTold(t *testing.T) {
	_, err := pathway.Parse(`
closed = ["15.5.2026"]
[[pathway]]
code = "A B"
country = "SE"
valid_from = "2026-01-01"
valid_to = "2025-01-01"
  [[pathway.step]]
  code = "one"
  name = { en = "one" }
  from = ["dream"]
  after = "two"
  unit = "moons"
`, "XX")
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, must := range []string{"15.5.2026", "one word", "a source", `"SE"`, "valid_to", `"dream"`, `"two"`, `"moons"`, "days is 0", "reads = true", "counts either", `"XX"`} {
		if !strings.Contains(err.Error(), must) {
			t.Errorf("nothing is said of %s: %v", must, err)
		}
	}
	for name, text := range map[string]string{"no TOML": "[[", "unknown key": "color = 1"} {
		if _, err := pathway.Parse(text, ""); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestVersionNamesAllThatTheTablesSay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pathways.toml")
	if err := os.WriteFile(file, []byte(site), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := pathway.Load(file, "NO")
	if err != nil {
		t.Fatal(err)
	}
	without, err := pathway.Load("", "NO")
	if err != nil {
		t.Fatal(err)
	}
	other, err := pathway.Load("", "DK")
	if err != nil {
		t.Fatal(err)
	}
	if own.Version == without.Version || without.Version == other.Version {
		t.Error("other tables have the same version")
	}
	if _, err := pathway.Load(file+"x", ""); err == nil {
		t.Error("a file that is not there was read")
	}
}
