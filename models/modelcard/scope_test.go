package modelcard_test

import (
	"strings"
	"testing"

	"varde/models/modelcard"
	"varde/models/modelcard/cardtest"
	"varde/study"
)

func sct(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

func years(v float64) *float64 { return &v }

// TestFiltersOfTheIntendedUseBite asks every filter with a header that fits, one
// that does not, and one that does not say.
func TestFiltersOfTheIntendedUseBite(t *testing.T) {
	type header struct {
		image study.Image
		who   study.Person
	}
	word := func(set func(*study.Image, string), all ...string) []header {
		var out []header
		for _, v := range all {
			var h header
			set(&h.image, v)
			out = append(out, h)
		}
		return out
	}
	part := func(i *study.Image, v string) { i.BodyPart = v }
	view := func(i *study.Image, v string) { i.View = v }
	taken := func(all ...study.Taken) []header {
		var out []header
		for _, v := range all {
			out = append(out, header{image: study.Image{Taken: v}})
		}
		return out
	}
	born := func(all ...string) []header {
		var out []header
		for _, v := range all {
			out = append(out, header{who: study.Person{Birth: v}})
		}
		return out
	}
	he := []study.Code{sct("12710003", "hematoxylin stain"), sct("36879007", "water soluble eosin stain")}
	for name, tt := range map[string]struct {
		use       modelcard.Use
		key       string
		fits, not []header
		reason    string
	}{
		"a part of the body": {modelcard.Use{BodyParts: []string{"CHEST"}}, "body_parts",
			append(word(part, "CHEST", "chest ", "THORAX", "Toraks"), taken(
				study.Taken{Regions: []study.Code{sct("51185008", "Chest")}},
				study.Taken{Regions: []study.Code{{Value: "T-D3000", Scheme: "SRT", Meaning: "Chest"}}},
				study.Taken{Regions: []study.Code{{Value: "4711", Scheme: "99LOCAL", Meaning: "Thorax"}}})...),
			append(word(part, "LUNG", "ABDOMEN", "BRYST", "CHESTABDOMEN"), taken(study.Taken{Regions: []study.Code{sct("818981001", "Abdomen")}})...),
			study.ReasonBodyPart},
		"a part of the body in a code": {modelcard.Use{BodyParts: []string{"SCT:76752008"}}, "body_parts",
			word(part, "BREAST", "MAMMA"), word(part, "CHEST"), study.ReasonBodyPart},
		"a view": {modelcard.Use{Views: []string{"CC", "MLO"}}, "views",
			append(word(view, "CC", "mlo", "cranio-caudal"), taken(study.Taken{Views: []study.Code{sct("399368009", "medio-lateral oblique")}})...),
			word(view, "ML", "XCCL", "AP"), study.ReasonView},
		"a side": {modelcard.Use{Laterality: []string{"R"}}, "laterality",
			word(func(i *study.Image, v string) { i.Laterality = v }, "R"), word(func(i *study.Image, v string) { i.Laterality = v }, "L"), study.ReasonLaterality},
		"adults, by the header": {modelcard.Use{MinAge: 18}, "age",
			taken(study.Taken{Years: years(18)}, study.Taken{Years: years(90)}), taken(study.Taken{Years: years(17.9)}, study.Taken{Years: years(0)}), study.ReasonAge},
		"adults up to 75, by birth": {modelcard.Use{MinAge: 18, MaxAge: 75}, "age",
			born("20081122", "19510101", "19501123"), born("20081123", "19501122", "20260101"), study.ReasonAge},
		"infants": {modelcard.Use{MaxAge: 0.5}, "age", taken(study.Taken{Years: years(0.4)}), taken(study.Taken{Years: years(0.6)}), study.ReasonAge},
		"women": {modelcard.Use{Sex: []string{"F"}}, "sex",
			[]header{{who: study.Person{Sex: "F"}}, {who: study.Person{Sex: "f "}}}, []header{{who: study.Person{Sex: "M"}}, {who: study.Person{Sex: "O"}}}, study.ReasonSex},
		"a maker": {modelcard.Use{Manufacturers: []string{"Siemens", "GE Medical Systems"}}, "manufacturers",
			word(func(i *study.Image, v string) { i.Manufacturer = v }, "SIEMENS", "Siemens Healthineers", "GE MEDICAL SYSTEMS"),
			word(func(i *study.Image, v string) { i.Manufacturer = v }, "Siemensstadt", "GE", "Philips"), study.ReasonScanner},
		"a scanner": {modelcard.Use{Scanners: []string{"SOMATOM Force"}}, "scanners",
			taken(study.Taken{Device: "SOMATOM Force"}, study.Taken{Device: "Somatom  Force VB20"}), taken(study.Taken{Device: "SOMATOM Definition"}), study.ReasonScanner},
		"thin slices": {modelcard.Use{MinThicknessMM: 0.5, MaxThicknessMM: 1.5}, "thickness",
			[]header{{image: study.Image{ThicknessMM: 0.5}}, {image: study.Image{ThicknessMM: 1.5001}}},
			[]header{{image: study.Image{ThicknessMM: 0.4}}, {image: study.Image{ThicknessMM: 5}}}, study.ReasonThickness},
		"a tube voltage": {modelcard.Use{KVP: [2]float64{100, 140}}, "kvp",
			taken(study.Taken{KVP: 100}, study.Taken{KVP: 140}), taken(study.Taken{KVP: 80}, study.Taken{KVP: 150}), study.ReasonAcquisition},
		"a field": {modelcard.Use{Tesla: [2]float64{1.4, 3.1}}, "tesla",
			taken(study.Taken{Tesla: 1.5}, study.Taken{Tesla: 3}), taken(study.Taken{Tesla: 0.3}, study.Taken{Tesla: 7}), study.ReasonAcquisition},
		"a kernel": {modelcard.Use{Kernels: []string{"B70f"}}, "kernels",
			taken(study.Taken{Kernel: "b70f"}), taken(study.Taken{Kernel: "B30f"}), study.ReasonAcquisition},
		"a photometric interpretation": {modelcard.Use{Photometric: []string{"MONOCHROME2"}}, "photometric",
			word(func(i *study.Image, v string) { i.Photometric = v }, "MONOCHROME2"), word(func(i *study.Image, v string) { i.Photometric = v }, "MONOCHROME1"), study.ReasonPixels},
		"a stain": {modelcard.Use{Stains: []string{"H&E"}}, "stains",
			taken(study.Taken{Stains: he}, study.Taken{Stains: []study.Code{sct("104210008", "hematoxylin and eosin stain method")}}),
			taken(study.Taken{Stains: he[:1]}, study.Taken{Stains: append(he[:2:2], sct("1", "Ki-67"))}, study.Taken{Stains: []study.Code{sct("1", "PAS")}}), study.ReasonStaining},
		"an organ": {modelcard.Use{Organs: []string{"PROSTATE"}}, "organs",
			taken(study.Taken{Anatomy: []study.Code{sct("41216001", "Prostate")}}, study.Taken{Anatomy: []study.Code{{Value: "x", Scheme: "99L", Meaning: "Prostata"}}}),
			taken(study.Taken{Anatomy: []study.Code{sct("76752008", "Breast")}}, study.Taken{Anatomy: []study.Code{sct("41216001", ""), sct("76752008", "")}}), study.ReasonSpecimen},
		"a kind of specimen": {modelcard.Use{Specimens: []string{"SCT:119376003"}}, "specimens",
			taken(study.Taken{Specimen: []study.Code{sct("119376003", "Tissue specimen")}}), taken(study.Taken{Specimen: []study.Code{sct("119342007", "Saliva")}}), study.ReasonSpecimen},
	} {
		ask := func(u modelcard.Use, h header) study.Reason {
			return u.Outside(study.Study{Date: "20261122", Patient: study.NewPatient(h.who)}, study.Instance{Image: &h.image})
		}
		for i, h := range tt.fits {
			if r := ask(tt.use, h); !r.Zero() {
				t.Errorf("%s: header %d that fits is out of scope: %v", name, i+1, r)
			}
		}
		for i, h := range tt.not {
			if r := ask(tt.use, h); r.Code != tt.reason {
				t.Errorf("%s: header %d that does not fit gives %v", name, i+1, r)
			}
		}
		lenient := tt.key == "body_parts" || tt.key == "intents"
		if r := ask(tt.use, header{}); lenient != r.Zero() {
			t.Errorf("%s: a header that does not say gives %v", name, r)
		}
		for word, passes := range map[string]bool{modelcard.MissingPass: true, modelcard.MissingRefuse: false} {
			u := tt.use
			u.Missing = modelcard.Missing{tt.key: word}
			r := ask(u, header{})
			if passes != r.Zero() || !passes && (r.Code != tt.reason || !strings.HasPrefix(r.Detail, "(00")) {
				t.Errorf("%s: with missing = %s a header that does not say gives %v", name, word, r)
			}
		}
		if r := ask(modelcard.Use{}, tt.not[0]); !r.Zero() {
			t.Errorf("%s: without the filter: %v", name, r)
		}
	}
}

// TestReasonsHoldNoPerson puts a person where a sender may put one.
func TestReasonsHoldNoPerson(t *testing.T) {
	who := study.Person{Name: "Ødegård^Bjørn", ID: "13116900216", Birth: "20200113", Sex: "Bjørn"}
	img := study.Image{BodyPart: "Ødegård", View: "Bjørn", Laterality: "Bjørn", Intent: "Ødegård", Manufacturer: "Ødegård", Photometric: "Bjørn",
		Taken: study.Taken{Device: "Bjørn", Kernel: "Ødegård", Years: years(6.25), Stains: []study.Code{sct("1", "Bjørn")}, Anatomy: []study.Code{sct("1", "Ødegård")}}}
	for _, u := range []modelcard.Use{{BodyParts: []string{"CHEST"}}, {Views: []string{"AP"}}, {Laterality: []string{"L"}}, {Intents: []string{"FOR PRESENTATION"}},
		{Manufacturers: []string{"x"}}, {Scanners: []string{"x"}}, {Kernels: []string{"x"}}, {Photometric: []string{"RGB"}}, {Sex: []string{"F"}},
		{MinAge: 18}, {Stains: []string{"H&E"}}, {Organs: []string{"LUNG"}}} {
		r := u.Outside(study.Study{Date: "20261122", Patient: study.NewPatient(who)}, study.Instance{Image: &img})
		for _, word := range []string{"degård", "Bjørn", "1311", "2020", "6.25"} {
			if r.Zero() || strings.Contains(r.String(), word) {
				t.Errorf("%+v: %v", u, r)
			}
		}
	}
}

// deviceCard is the card of a medical device with every section that is about the
// law, reading and performance.
func deviceCard(t testing.TB) string {
	t.Helper()
	return strings.Replace(cardtest.Card(cardtest.Plain(t, 1), "1.0"), `regulatory = "not a medical device"`, `regulatory = "CE 0123, class IIa"`, 1) + `
[device]
regulation = "MDR"
class = "IIa"
udi_di = "04012345678901"
notified_body = "0123"
certificate = "G10 012345 0001"
valid_until = "2028-05-31"
manufacturer = "Tests AS, Oslo"
[protocol]
mode = "concurrent"
text = "Beside the reader, who looks at the whole study."
readers = ["radiologist"]
[[claims]]
metric = "sensitivity"
value = 0.91
low = 0.87
high = 0.94
cases = 412
population = "adults in two Norwegian hospitals"
source = "Somebody et al."
url = "https://example.org/paper"
year = 2025
`
}

func TestCardsOfDevicesSayWhatTheLawAsks(t *testing.T) {
	good := deviceCard(t)
	c, err := modelcard.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if c.Device == nil || c.Protocol == nil || len(c.Claims) != 1 || c.Claims[0].Cases != 412 {
		t.Fatalf("%+v", c)
	}
	for name, tt := range map[string]struct{ old, new, want string }{
		"a word too much":               {`"CE 0123, class IIa"`, `"not a medical device"`, "there is a section device"},
		"no regulation":                 {`regulation = "MDR"`, ``, "device.regulation"},
		"a class of another regulation": {`class = "IIa"`, `class = "B"`, "device.class by MDR"},
		"no notified body":              {`notified_body = "0123"`, ``, "needs one"},
		"three digits":                  {`notified_body = "0123"`, `notified_body = "123"`, "four digits"},
		"no certificate":                {`certificate = "G10 012345 0001"`, ``, "certificate is missing"},
		"a digit that is wrong":         {`04012345678901`, `04012345678902`, "udi_di"},
		"two digits swapped":            {`04012345678901`, `04012345687901`, "udi_di"},
		"no such day":                   {`2028-05-31`, `2028-02-30`, "valid_until"},
		"no manufacturer":               {`manufacturer = "Tests AS, Oslo"`, ``, "device.manufacturer"},
		"another mode":                  {`mode = "concurrent"`, `mode = "alone"`, "protocol.mode"},
		"no text":                       {`text = "Beside the reader, who looks at the whole study."`, ``, "protocol.text"},
		"a claim of nobody":             {`source = "Somebody et al."`, ``, "source is empty"},
		"a claim about nobody":          {`population = "adults in two Norwegian hospitals"`, ``, "population is empty"},
		"an interval beside the value":  {`low = 0.87`, `low = 0.92`, "does not lie between"},
		"a level above one":             {`cases = 412`, "cases = 412\nlevel = 95.0", "level is 95"},
		"no address":                    {`https://example.org/paper`, `javascript:alert(1)`, "url is"},
		"a filter that is misspelled":   {`modality = ["SM"]`, "modality = [\"SM\"]\nmissing = { stain = \"pass\" }", "no such filter"},
		"a word for no filter":          {`modality = ["SM"]`, "modality = [\"SM\"]\nmissing = { stains = \"pass\" }", "has no such filter"},
		"another word":                  {`modality = ["SM"]`, "modality = [\"SM\"]\nstains = [\"H&E\"]\nmissing = { stains = \"maybe\" }", "use.missing.stains"},
		"ages upside down":              {`modality = ["SM"]`, "modality = [\"SM\"]\nmin_age = 40\nmax_age = 18", "use.min_age"},
		"ages in months":                {`modality = ["SM"]`, "modality = [\"SM\"]\nmax_age = 216", "in years"},
		"a third side":                  {`modality = ["SM"]`, "modality = [\"SM\"]\nlaterality = [\"B\"]", "use.laterality"},
		"a third end":                   {`modality = ["SM"]`, "modality = [\"SM\"]\nkvp = [100.0, 120.0, 140.0]", ""},
		"ends upside down":              {`modality = ["SM"]`, "modality = [\"SM\"]\nkvp = [140.0, 100.0]", "use.kvp"},
		"an empty word":                 {`modality = ["SM"]`, "modality = [\"SM\"]\nviews = [\" \"]", "empty word"},
	} {
		text := strings.Replace(good, tt.old, tt.new, 1)
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := modelcard.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := modelcard.Parse([]byte(strings.Replace(cardtest.Card(cardtest.Plain(t, 1), "1.0"), `"not a medical device"`, `"CE"`, 1))); err == nil {
		t.Error("a card without a device that says CE is taken")
	}
}
