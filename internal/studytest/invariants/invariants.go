// Package invariants holds FHIR resources against the rules that the StructureDefinitions
// of R4 and R5 state beside names, types and cardinalities: the constraints with a key,
// such as obs-6. Validators of schemas do not look at them.
//
//	Broken   what is wrong with a resource, rule by rule
//	Keys     the rules that are looked at
//
// There are those that can be broken by what Varde writes: its resources, and bundles of
// the types transaction, transaction-response and searchset. Rules that are only best
// practice are among them where Varde keeps them.
package invariants

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// An object is a JSON object.
type object = map[string]any

// A rule is one constraint.
type rule struct {
	key     string
	of      string // the type of what it is about
	version string // r4 or r5; empty for both
	broken  func(o object) bool
}

// Keys lists the rules that a resource of a version, r4 or r5, is held against.
func Keys(version string) []string {
	var all []string
	for _, r := range rules() {
		if r.version == "" || r.version == version {
			all = append(all, r.key)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Broken gives what is wrong with a resource of a version, r4 or r5: the key of each
// rule that it breaks, and where. What is no JSON object breaks them all.
func Broken(version string, b []byte) []string {
	var whole object
	if err := json.Unmarshal(b, &whole); err != nil {
		return []string{"no JSON object: " + err.Error()}
	}
	c := &checker{version: version, rules: rules()}
	c.walk("", typeOf(whole), whole)
	return c.broken
}

type checker struct {
	version string
	rules   []rule
	broken  []string
}

func (c *checker) fault(key, where string) { c.broken = append(c.broken, key+" at "+where) }

// walk looks at an object of a type, and at all below it.
func (c *checker) walk(where, kind string, o object) {
	if _, resource := o["resourceType"]; resource {
		kind = typeOf(o)
		where = strings.TrimPrefix(where+"."+kind, ".")
		c.hold(where, "DomainResource", o)
	}
	c.hold(where, kind, o)
	if len(o) == 0 {
		c.fault("ele-1", where)
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		c.value(where+"."+name, kind, name, o[name])
	}
}

func (c *checker) value(where, parent, name string, v any) {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			c.fault("ele-1", where)
		}
		for i, x := range v {
			c.value(fmt.Sprintf("%s[%d]", where, i), parent, name, x)
		}
	case object:
		kind := types[parent+"."+name]
		if kind == "" {
			kind = types[name]
		}
		if _, points := v["reference"].(string); points && kind != "Reference" {
			c.fault("a type that is not known", where)
		}
		c.walk(where, kind, v)
	case string:
		if v == "" {
			c.fault("ele-1", where)
		}
	case nil:
		c.fault("ele-1", where)
	}
}

func (c *checker) hold(where, kind string, o object) {
	for _, r := range c.rules {
		if r.of == kind && (r.version == "" || r.version == c.version) && r.broken(o) {
			c.fault(r.key, where)
		}
	}
}

// types gives the types of elements, by their names or by the type that they stand in
// and their names.
var types = map[string]string{
	"identifier": "Identifier", "coding": "Coding", "sopClass": "Coding", "valueQuantity": "Quantity", "executionPeriod": "Period",
	"presentedForm": "Attachment", "note": "Annotation", "text": "Narrative", "entry": "Entry", "agent": "Agent",

	"subject": "Reference", "basedOn": "Reference", "partOf": "Reference", "study": "Reference", "imagingStudy": "Reference", "result": "Reference",
	"Media.link": "Reference", "media": "Media", "focus": "Reference", "for": "Reference", "requester": "Reference", "owner": "Reference", "who": "Reference",
	"onBehalfOf": "Reference", "target": "Reference", "what": "Reference", "valueReference": "Reference", "device": "Reference", "hasMember": "Reference",
	"performer": "Reference", "resultsInterpreter": "Reference", "endpoint": "Reference", "parent": "Reference", "assigner": "Reference",
}

func typeOf(o object) string {
	kind, _ := o["resourceType"].(string)
	return kind
}

func has(o object, name string) bool { return o[name] != nil }

func text(o object, name string) string {
	s, _ := o[name].(string)
	return s
}

func sub(o object, name string) object {
	m, _ := o[name].(object)
	return m
}

func list(o object, name string) []object {
	var all []object
	l, _ := o[name].([]any)
	for _, x := range l {
		if m, ok := x.(object); ok {
			all = append(all, m)
		}
	}
	return all
}

// valued reports whether an element with a choice of types has a value.
func valued(o object) bool {
	for name := range o {
		if strings.HasPrefix(name, "value") {
			return true
		}
	}
	return false
}

// rules are the constraints, in the words of the standard as conditions.
func rules() []rule {
	return slices.Concat(bundleRules(), resourceRules(), elementRules())
}

func elementRules() []rule {
	return []rule{
		{"ref-1", "Reference", "", func(o object) bool { return strings.HasPrefix(text(o, "reference"), "#") }}, // nothing of ours is contained
		{"ref-2", "Reference", "r5", func(o object) bool { return !has(o, "reference") && !has(o, "identifier") && !has(o, "display") }},
		{"ident-1", "Identifier", "r5", func(o object) bool { return !has(o, "value") }},
		{"cod-1", "Coding", "r5", func(o object) bool { return has(o, "display") && !has(o, "code") }},
		{"qty-3", "Quantity", "", func(o object) bool { return has(o, "code") && !has(o, "system") }},
		{"per-1", "Period", "", func(o object) bool {
			return has(o, "start") && has(o, "end") && moment(o, "end").Before(moment(o, "start"))
		}},
		{"att-1", "Attachment", "", func(o object) bool { return has(o, "data") && !has(o, "contentType") }},
		{"txt-1", "Narrative", "", func(o object) bool { return has(o, "div") && !plain(text(o, "div")) }},
		{"txt-2", "Narrative", "", func(o object) bool { return has(o, "div") && strings.TrimSpace(words(text(o, "div"))) == "" }},
	}
}

func resourceRules() []rule {
	contained := func(o object) []object { return list(o, "contained") }
	anyOf := func(all []object, broken func(object) bool) bool { return slices.ContainsFunc(all, broken) }
	return []rule{
		{"dom-2", "DomainResource", "", func(o object) bool {
			return anyOf(contained(o), func(c object) bool { return has(c, "contained") })
		}},
		{"dom-3", "DomainResource", "", func(o object) bool {
			return anyOf(contained(o), func(c object) bool { return !pointsTo(o, "#"+text(c, "id")) })
		}},
		{"dom-4", "DomainResource", "", func(o object) bool {
			return anyOf(contained(o), func(c object) bool { return has(sub(c, "meta"), "versionId") || has(sub(c, "meta"), "lastUpdated") })
		}},
		{"dom-5", "DomainResource", "", func(o object) bool {
			return anyOf(contained(o), func(c object) bool { return has(sub(c, "meta"), "security") })
		}},
		{"dom-6", "DiagnosticReport", "", func(o object) bool { return !has(sub(o, "text"), "div") }}, // of what people read
		{"obs-6", "Observation", "", func(o object) bool { return has(o, "dataAbsentReason") && valued(o) }},
		{"obs-7", "Observation", "", func(o object) bool {
			return valued(o) && anyOf(list(o, "component"), func(c object) bool { return sameCode(sub(o, "code"), sub(c, "code")) })
		}},
		{"obs-8", "Observation", "r5", func(o object) bool { return has(o, "bodySite") && has(o, "bodyStructure") }},
		{"inv-1", "Task", "", func(o object) bool {
			return has(o, "lastModified") && has(o, "authoredOn") && moment(o, "lastModified").Before(moment(o, "authoredOn"))
		}},
		{"dev-1", "Device", "r5", func(o object) bool {
			shown := 0
			for _, n := range list(o, "name") {
				if n["display"] == true {
					shown++
				}
			}
			return shown > 1
		}},
		{"prov-1", "Agent", "r5", func(o object) bool {
			who := text(sub(o, "who"), "reference")
			return who != "" && who == text(sub(o, "onBehalfOf"), "reference")
		}},
		{"cpb-1", "CapabilityStatement", "", func(o object) bool { return !has(o, "rest") && !has(o, "messaging") && !has(o, "document") }},
		{"cpb-2", "CapabilityStatement", "", func(o object) bool { return !has(o, "description") && !has(o, "software") && !has(o, "implementation") }},
		{"cpb-9", "CapabilityStatement", "", func(o object) bool {
			return anyOf(list(o, "rest"), func(r object) bool { return twice(list(r, "resource"), "type") })
		}},
		{"cpb-12", "CapabilityStatement", "", func(o object) bool {
			return anyOf(list(o, "rest"), func(r object) bool {
				return anyOf(list(r, "resource"), func(k object) bool { return twice(list(k, "searchParam"), "name") })
			})
		}},
		{"cpb-14", "CapabilityStatement", "", func(o object) bool { return text(o, "kind") == "instance" && !has(o, "implementation") }},
	}
}

func bundleRules() []rule {
	of := func(o object, kinds ...string) bool { return slices.Contains(kinds, text(o, "type")) }
	some := func(o object, broken func(object) bool) bool { return slices.ContainsFunc(list(o, "entry"), broken) }
	asked := func(e object) bool { return has(e, "request") }
	told := func(e object) bool { return has(e, "response") }
	return []rule{
		{"bdl-1", "Bundle", "", func(o object) bool { return has(o, "total") && !of(o, "searchset", "history") }},
		{"bdl-2", "Bundle", "", func(o object) bool {
			return !of(o, "searchset") && some(o, func(e object) bool { return has(e, "search") })
		}},
		{"bdl-3", "Bundle", "r4", func(o object) bool {
			due := of(o, "batch", "transaction", "history")
			return some(o, func(e object) bool { return asked(e) != due })
		}},
		{"bdl-3a", "Bundle", "r5", func(o object) bool {
			return of(o, "document", "message", "searchset", "collection") && some(o, func(e object) bool { return !has(e, "resource") || asked(e) || told(e) })
		}},
		{"bdl-3c", "Bundle", "r5", func(o object) bool {
			return of(o, "transaction", "batch") && some(o, func(e object) bool {
				body := slices.Contains([]string{"POST", "PUT", "PATCH"}, text(sub(e, "request"), "method"))
				return !asked(e) || body != has(e, "resource")
			})
		}},
		{"bdl-3d", "Bundle", "r5", func(o object) bool {
			return of(o, "transaction-response", "batch-response") && some(o, func(e object) bool { return !told(e) })
		}},
		{"bdl-4", "Bundle", "r4", func(o object) bool {
			due := of(o, "batch-response", "transaction-response", "history")
			return some(o, func(e object) bool { return told(e) != due })
		}},
		{"bdl-5", "Entry", "", func(e object) bool { return !has(e, "resource") && !asked(e) && !told(e) }},
		{"bdl-7", "Bundle", "", func(o object) bool { return !of(o, "history") && twice(list(o, "entry"), "fullUrl") }},
		{"bdl-8", "Entry", "", func(e object) bool { return strings.Contains(text(e, "fullUrl"), "/_history/") }},
		{"bdl-15", "Bundle", "r5", func(o object) bool {
			free := of(o, "transaction", "transaction-response", "batch", "batch-response")
			return some(o, func(e object) bool {
				return !has(e, "fullUrl") && (!free || text(sub(e, "request"), "method") == "POST")
			})
		}},
		{"bdl-18", "Bundle", "r5", func(o object) bool {
			self := slices.ContainsFunc(list(o, "link"), func(l object) bool { return text(l, "relation") == "self" })
			return of(o, "searchset") && !self
		}},
	}
}

// twice reports whether two of the objects have the same in an element.
func twice(all []object, name string) bool {
	seen := map[string]bool{}
	for _, o := range all {
		v := text(o, name)
		if v != "" && seen[v] {
			return true
		}
		seen[v] = true
	}
	return false
}

// sameCode reports whether two concepts have a coding in common, or are the same text.
func sameCode(a, b object) bool {
	for _, x := range list(a, "coding") {
		for _, y := range list(b, "coding") {
			if text(x, "code") == text(y, "code") && text(x, "system") == text(y, "system") {
				return true
			}
		}
	}
	return false
}

// moment reads a dateTime. One to the day is its beginning.
func moment(o object, name string) time.Time {
	for _, form := range []string{time.RFC3339, "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(form, text(o, name)); err == nil {
			return t
		}
	}
	return time.Time{}
}

// pointsTo reports whether anything in a resource refers to an address.
func pointsTo(v any, address string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return pointsTo(x, address) })
	case object:
		if v["reference"] == address {
			return true
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(x any) bool { return pointsTo(x, address) })
	}
	return false
}

// formatting is what a narrative may be made of, as far as ours are.
var formatting = []string{"div", "p", "br", "span", "b", "i", "ul", "ol", "li", "table", "thead", "tbody", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "a", "pre", "blockquote", "em", "strong", "code", "small", "hr", "dl", "dt", "dd", "sub", "sup", "caption", "img"}

// plain reports whether a narrative is one div of XHTML with nothing active in it.
func plain(div string) bool {
	d := xml.NewDecoder(strings.NewReader(div))
	depth := 0
	for first := true; ; {
		t, err := d.Token()
		if err == io.EOF {
			return depth == 0 && !first
		}
		if err != nil {
			return false
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 && (!first || t.Name.Local != "div" || t.Name.Space != "http://www.w3.org/1999/xhtml") || !slices.Contains(formatting, t.Name.Local) {
				return false
			}
			for _, a := range t.Attr {
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") {
					return false
				}
			}
			first = false
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(t)) != "" {
				return false
			}
		}
	}
}

// words is the text of a narrative.
func words(div string) string {
	var b strings.Builder
	d := xml.NewDecoder(strings.NewReader(div))
	for {
		t, err := d.Token()
		if err != nil {
			return b.String()
		}
		if c, ok := t.(xml.CharData); ok {
			b.Write(c)
		}
	}
}
