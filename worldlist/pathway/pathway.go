// Package pathway is the legal clocks: which step of which pathway an examination
// belongs to, and when that step's limit is over.
//
//	Load            the tables: ours, and the site's own file over them
//	Tables.Check    what is wrong with them, all of it
//	Tables.Read     what an order starts, and what it says of the patient
//	Holidays        the days on which a country does not work
//
// Limits are rows of versioned tables and never constants in code. A pathway is
// started by the code that an order names, or, where the site says in which country
// it lies, by a diagnosis.
package pathway

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"varde/internal/slip"
	"varde/study"
)

//go:embed tables.toml
var ours string

// Day is how dates stand in a table.
const Day = "2006-01-02"

// The events that a limit may count from. Of a consent and of a referral for
// treatment nobody tells an imaging department; steps that count from them are for
// the reader of the table.
const (
	Referral          = "referral" // the referral was received
	Ordered           = "order"    // the order was placed
	Arrival           = "arrival"  // the first image came
	Consent           = "consent"
	TreatmentReferral = "treatment_referral"
)

// The units of a limit.
const (
	Calendar = "calendar"
	Working  = "working" // Monday to Friday, less the country's holidays and the site's closed days
)

// A Step is one limit of a pathway.
type Step struct {
	Code string      `toml:"code" json:"code"`
	Name study.Names `toml:"name" json:"name"`
	// From lists the events that the limit counts from; the first that is known
	// counts. After names the step at whose end it begins instead: when that step's
	// EndedBy is known to have happened, or else when its limit is over.
	From    []string `toml:"from" json:"from,omitempty"`
	After   string   `toml:"after" json:"after,omitempty"`
	EndedBy string   `toml:"ended_by" json:"ended_by,omitempty"`
	Days    int      `toml:"days" json:"days"`
	Unit    string   `toml:"unit" json:"unit"` // [Calendar] or [Working]; empty counts as calendar
	// Reads says that an examination is read in this step, unless its order names
	// another: its limit is the examination's deadline. Each pathway has one.
	Reads bool `toml:"reads" json:"reads,omitempty"`
}

// A Pathway is one version of one pathway.
type Pathway struct {
	Code    string      `toml:"code" json:"code"`
	Aliases []string    `toml:"aliases" json:"aliases,omitempty"` // what orders may call it too
	Name    study.Names `toml:"name" json:"name"`
	Country string      `toml:"country" json:"country"` // ISO 3166, two letters: whose holidays count
	ICD10   []string    `toml:"icd10" json:"icd10,omitempty"`
	// ValidFrom and ValidTo are days; the version counts from the first one on and
	// until before the second one, by the day of the referral. Empty: open.
	ValidFrom string `toml:"valid_from" json:"valid_from"`
	ValidTo   string `toml:"valid_to" json:"valid_to,omitempty"`
	Source    string `toml:"source" json:"source"` // where the limits are written
	Steps     []Step `toml:"step" json:"steps"`
}

// A Remark is a kind of thing that an order may say of a patient, and the codes
// that say it.
type Remark struct {
	Kind  string      `toml:"kind" json:"kind"`
	Name  study.Names `toml:"name" json:"name"`
	Codes []string    `toml:"codes" json:"codes"`
}

// Tables are all pathways and remarks that are in force at a site.
type Tables struct {
	Pathways []Pathway `toml:"pathway" json:"pathways"`
	Remarks  []Remark  `toml:"remark" json:"remarks"`
	Closed   []string  `toml:"closed" json:"closed,omitempty"` // days on which the site does not work
	// Country is where the site lies: diagnoses start that country's pathways.
	// Empty: only an order that names a pathway starts one.
	Country string `toml:"-" json:"country"`
	// Version names what the tables say, all of it.
	Version string `toml:"-" json:"version"`
	// Zone is where a day begins and ends; nil stands for the machine's.
	Zone *time.Location `toml:"-" json:"-"`
}

// Load reads our tables and, over them, the site's own file; an empty name is no
// file. A row of the site with the code of one of ours counts from its valid_from
// on, or in its place when that is the same day; codes of a remark are added to
// ours.
func Load(file, country string) (*Tables, error) {
	text := ""
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the site's pathways; see --pathways: %w", err)
		}
		text = string(b)
	}
	t, err := Parse(text, country)
	if err != nil && file != "" {
		return nil, slip.Under("pathways in "+file+": ", err)
	}
	return t, err
}

// Parse is [Load] of a file's text.
func Parse(site, country string) (*Tables, error) {
	t, err := decode(ours)
	if err != nil {
		return nil, err
	}
	own, unknown := decode(site)
	if own == nil {
		return nil, unknown
	}
	for _, p := range own.Pathways {
		t.Pathways = slices.DeleteFunc(t.Pathways, func(k Pathway) bool { return k.Code == p.Code && k.ValidFrom == p.ValidFrom })
		t.Pathways = append(t.Pathways, p)
	}
	for _, r := range own.Remarks {
		i := slices.IndexFunc(t.Remarks, func(k Remark) bool { return k.Kind == r.Kind })
		if i < 0 {
			t.Remarks = append(t.Remarks, r)
			continue
		}
		t.Remarks[i].Codes = append(t.Remarks[i].Codes, r.Codes...)
		if r.Name.EN != "" {
			t.Remarks[i].Name = r.Name
		}
	}
	t.Closed, t.Country = own.Closed, country
	sum := sha256.Sum256([]byte(ours + "\x00" + site + "\x00" + country))
	t.Version = fmt.Sprintf("%x", sum[:6])
	return t, errors.Join(unknown, t.Check())
}

// decode reads tables. Beside an error about keys that are unknown it gives what else
// there is.
func decode(text string) (*Tables, error) {
	var t Tables
	meta, err := toml.Decode(text, &t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", study.ErrInvalid, err)
	}
	return &t, slip.Undecoded(text, meta.Undecoded(), t)
}

// Check tells everything that is wrong with the tables; nil when nothing is.
func (t *Tables) Check() error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf(format+": %w", append(a, study.ErrInvalid)...))
	}
	if t.Country != "" && !known(t.Country) {
		bad("country %q; holidays are known of %s", t.Country, strings.Join(Countries(), ", "))
	}
	for _, d := range t.Closed {
		if _, err := time.Parse(Day, d); err != nil {
			bad("closed day %q is not like 2026-05-15", d)
		}
	}
	seen := map[string]bool{}
	for _, p := range t.Pathways {
		if key := p.Code + " from " + p.ValidFrom; seen[key] {
			bad("pathway %s stands twice", key)
		} else {
			seen[key] = true
		}
		p.check(func(format string, a ...any) { bad("pathway %q: "+format, append([]any{p.Code}, a...)...) })
	}
	for _, r := range t.Remarks {
		if r.Kind == "" || r.Name.EN == "" {
			bad("remark %q needs a kind and an English name", r.Kind)
		}
	}
	return errors.Join(errs...)
}

func (p Pathway) check(bad func(format string, a ...any)) {
	if p.Code == "" || strings.ContainsAny(p.Code, " /\t") {
		bad("a code is one word without a slash")
	}
	if p.Name.EN == "" || p.Source == "" {
		bad("it needs an English name, and a source: where its limits are written")
	}
	if !known(p.Country) {
		bad("country %q; holidays are known of %s", p.Country, strings.Join(Countries(), ", "))
	}
	from, err := time.Parse(Day, p.ValidFrom)
	if err != nil {
		bad("valid_from %q is not like 2026-05-15", p.ValidFrom)
	}
	if to, err := time.Parse(Day, p.ValidTo); p.ValidTo != "" && (err != nil || !to.After(from)) {
		bad("valid_to %q is no day after valid_from", p.ValidTo)
	}
	reads, before := 0, map[string]bool{}
	for _, s := range p.Steps {
		s.check(before, bad)
		before[s.Code] = true
		if s.Reads {
			reads++
		}
	}
	if reads != 1 {
		bad("%d steps have reads = true, and one must", reads)
	}
}

// check holds a step against those that stand before it.
func (s Step) check(before map[string]bool, bad func(format string, a ...any)) {
	events := []string{Referral, Ordered, Arrival, Consent, TreatmentReferral}
	if s.Code == "" || s.Name.EN == "" || before[s.Code] {
		bad("step %q needs a code of its own, and an English name", s.Code)
	}
	if s.Days < 1 || s.Days > 3650 {
		bad("step %q: days is %d", s.Code, s.Days)
	}
	if s.Unit != "" && s.Unit != Calendar && s.Unit != Working {
		bad("step %q: unit %q is none of calendar, working", s.Code, s.Unit)
	}
	if (len(s.From) == 0) == (s.After == "") {
		bad("step %q counts either from events or after a step", s.Code)
	}
	if s.After != "" && !before[s.After] {
		bad("step %q comes after %q, which does not stand before it", s.Code, s.After)
	}
	for _, e := range append(slices.Clone(s.From), s.EndedBy) {
		if e != "" && !slices.Contains(events, e) {
			bad("step %q: event %q is none of %s", s.Code, e, strings.Join(events, ", "))
		}
	}
}

// On gives the version of a pathway that is in force on a day, found by its code
// or by another word for it.
func (t *Tables) On(code string, day time.Time) (Pathway, bool) {
	return t.newest(day, func(p Pathway) bool {
		return strings.EqualFold(p.Code, code) || slices.ContainsFunc(p.Aliases, func(a string) bool { return strings.EqualFold(a, code) })
	})
}

// newest is the version with the latest first day of those that are in force.
func (t *Tables) newest(day time.Time, wanted func(Pathway) bool) (best Pathway, found bool) {
	on := day.In(t.zone()).Format(Day)
	for _, p := range t.Pathways {
		if wanted(p) && p.ValidFrom <= on && (p.ValidTo == "" || on < p.ValidTo) && (!found || p.ValidFrom > best.ValidFrom) {
			best, found = p, true
		}
	}
	return best, found
}

func (t *Tables) zone() *time.Location {
	if t.Zone != nil {
		return t.Zone
	}
	return time.Local
}
