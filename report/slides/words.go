package slides

import catalog "varde/internal/words"

// words is what the objects say in one tongue. Codes keep the standard's English
// meanings.
type words struct {
	heat          string // Series Description of the heatmap, at most 64 characters
	findings      string // … of the annotations
	probability   string // what the pixels mean
	scaled        string // low, high with unit
	noProbability string // … when it is none
	unseen        string // … and where they mean nothing
	numbers       string // Series Description of the parametric map
	padded        string // where a parametric map means nothing
	seen          string // Segment Label
	seenText      string // Segment Description
	partial       string // %d of %d
	whole         string // %d
	top           string // %d of %d
	all           string // %d
	notSeen       string // classification of a patch that was missed
	disclaimer    string
}

// tongues has one entry for each language that an object can be written in.
var tongues = map[string]words{
	"en": {
		heat: "AI heatmap (unverified)", findings: "AI findings (unverified)",
		probability:   "The model's probability, patch by patch: 255 is 1.",
		scaled:        "The model's number, patch by patch, on a scale from %s (0) to %s (255).",
		noProbability: "It is no probability.",
		unseen:        "0 says something only where segment 2 is 255: elsewhere AI did not look.",
		padded:        "Below the range: not looked at.",
		numbers:       "AI parametric map (unverified)",
		seen:          "Looked at by AI",
		seenText:      "255 where AI looked. Where it is 0 AI did not look, and anything may be there.",
		partial:       "Partial: AI saw %d of %d patches",
		whole:         "AI saw all %d patches",
		top:           "The %d most suspicious of %d findings",
		all:           "All %d findings",
		notSeen:       "Not looked at",
	},
	"nb": {
		heat: "KI-varmekart (ikke verifisert)", findings: "KI-funn (ikke verifisert)",
		probability:   "Modellens sannsynlighet, felt for felt: 255 er 1.",
		scaled:        "Modellens tall, felt for felt, på en skala fra %s (0) til %s (255).",
		noProbability: "Det er ingen sannsynlighet.",
		unseen:        "0 sier bare noe der segment 2 er 255: ellers har KI ikke sett.",
		padded:        "Under skalaen: ikke sett.",
		numbers:       "KI-parameterkart (ikke verifisert)",
		seen:          "Sett av KI",
		seenText:      "255 der KI har sett. Der det er 0, har KI ikke sett, og hva som helst kan være der.",
		partial:       "Delvis: KI så %d av %d felter",
		whole:         "KI så alle %d felter",
		top:           "De %d mest mistenkelige av %d funn",
		all:           "Alle %d funn",
		notSeen:       "Ikke sett",
	},
	"da": {
		heat: "AI-varmekort (ikke verificeret)", findings: "AI-fund (ikke verificeret)",
		probability:   "Modellens sandsynlighed, felt for felt: 255 er 1.",
		scaled:        "Modellens tal, felt for felt, på en skala fra %s (0) til %s (255).",
		noProbability: "Det er ingen sandsynlighed.",
		unseen:        "0 siger kun noget, hvor segment 2 er 255: ellers har AI ikke set.",
		padded:        "Under skalaen: ikke set.",
		numbers:       "AI-parameterkort (ikke verificeret)",
		seen:          "Set af AI",
		seenText:      "255 hvor AI har set. Hvor det er 0, har AI ikke set, og hvad som helst kan være der.",
		partial:       "Delvist: AI så %d af %d felter",
		whole:         "AI så alle %d felter",
		top:           "De %d mest mistænkelige af %d fund",
		all:           "Alle %d fund",
		notSeen:       "Ikke set",
	},
}

// voice is the language of the work with the words of the model's card.
func (w Work) voice() catalog.Voice {
	l, ok := catalog.ParseLang(w.Lang)
	if !ok {
		l = catalog.English
	}
	return l.With(w.Result.Terms)
}

// tongue gives a language by its name, English where the name is unknown. What is
// said of every result is said here as everywhere.
func tongue(name string) words {
	w, ok := tongues[name]
	if !ok {
		name, w = "en", tongues["en"]
	}
	w.disclaimer = catalog.Lang(name).T("bar.support")
	return w
}
