package report

import (
	"fmt"
	"strings"

	"varde/study"
)

// A language is what a report says in one tongue. Codes keep the standard's
// English meanings; everything that is written for a reader is here.
type language struct {
	code, country   study.Code // PS3.16 CID 5000 and CID 5001
	series          string     // Series Description, at most 64 characters
	disclaimer      string
	state           map[study.AIState]string
	noFindings      string // … after the state's sentence
	oneFinding      string
	findings        string // %d
	partial         string // %d of %d
	whole           string // %d
	calibrated      string
	uncalibrated    string
	replaces        string
	model           string // name, id@version, SHA-256
	reasons         map[string]string
	oneSlide        string // name
	worstSlide      string // number of slides, name of the worst
	slideStates     map[study.AIState]string
	slidePartial    string // state, %d of %d
	heatmap         string
	because         string // reason
	becauseWithMore string // reason, detail
}

// languages has one entry for each language that a report can be written in.
var languages = map[string]language{
	"en": {
		code:       study.Code{Value: "en", Scheme: "RFC5646", Meaning: "English"},
		country:    study.Code{Value: "US", Scheme: "ISO3166_1", Meaning: "United States"},
		series:     "AI result (unverified)",
		disclaimer: "Decision support only – not for primary diagnosis. Not a medical device.",
		state: map[study.AIState]string{
			study.Flagged:    "AI flagged this study.",
			study.Uncertain:  "AI is uncertain about this study.",
			study.NotFlagged: "AI ran and did not flag this study.",
			study.Running:    "AI is still running.",
			study.Failed:     "AI failed and gave no answer: read normally.",
			study.OutOfScope: "AI did not run: this study is outside the model's intended use.",
		},
		noFindings:   "It found nothing to point at.",
		oneFinding:   "It points at 1 finding.",
		findings:     "It points at %d findings.",
		partial:      "Partial result: AI saw %d of %d image parts. What it did not see can hold findings; this is no negative result.",
		whole:        "AI saw all %d image parts that it should see.",
		calibrated:   "The probability is calibrated.",
		uncalibrated: "The probability is not calibrated: it orders studies, and is no frequency.",
		replaces:     "This report replaces an earlier one of the same model, because the study has changed.",
		model:        "Model: %s (%s), SHA-256 %s.",
		reasons: map[string]string{
			study.ReasonNoModel:        "no model is in use for this kind of study",
			study.ReasonPrior:          "an earlier study, fetched for comparison",
			study.ReasonModality:       "the model is for another modality",
			study.ReasonBodyPart:       "the model is for another part of the body",
			study.ReasonIntent:         "the model is for images of another presentation intent",
			study.ReasonAge:            "the model is for patients of another age",
			study.ReasonLaterality:     "the model is for the other side",
			study.ReasonAcquisition:    "the model is for images that are taken in another way",
			study.ReasonScanner:        "the model is for scanners of another make",
			study.ReasonSex:            "the model is for patients of the other sex",
			study.ReasonSpecimen:       "the model is for another organ or kind of specimen",
			study.ReasonStaining:       "the model is for another stain",
			study.ReasonThickness:      "the model is for slices of another thickness",
			study.ReasonView:           "the model is for another view",
			study.ReasonGeometry:       "the slices do not form an evenly spaced volume",
			study.ReasonSpacing:        "the pixel spacing is missing, implausible or too coarse",
			study.ReasonTooFew:         "there are fewer images than the model needs",
			study.ReasonPixels:         "the pixels are of a kind that the model is not for",
			study.ReasonTransferSyntax: "the images are compressed in a way that cannot be read here",
			study.ReasonDamaged:        "image data are damaged or contradictory",
			study.ReasonPositions:      "the place of the slide's tiles is uncertain",
			study.ReasonStain:          "the slide's stain could not be measured",
			study.ReasonEmpty:          "the image is empty or shows no body",
			study.ReasonCropped:        "the body is cut off by the edge of the image",
			study.ReasonPolarity:       "the image is a negative: what should be dark is bright",
			study.ReasonBlur:           "the image is blurred by motion or out of focus",
			study.ReasonSaturated:      "too much of the body is at the end of the gray scale",
			study.ReasonNoise:          "the image is noisier than the model is for",
			study.ReasonCoverage:       "too little of the patient is covered",
			study.ReasonTissue:         "no tissue was found, or nothing but tissue: needs review",
			study.ReasonStopped:        "the model was stopped",
			study.ReasonCanceled:       "the work on it was canceled",
			study.ReasonInternal:       "a technical error that was tried again without success",
		},
		oneSlide:   "Slide: %s.",
		worstSlide: "The worst of %d slides is %s. Worst first:",
		slideStates: map[study.AIState]string{
			study.Flagged:    "flagged",
			study.Uncertain:  "uncertain",
			study.NotFlagged: "not flagged",
			study.Running:    "AI is still running",
			study.Failed:     "AI failed: read normally",
			study.OutOfScope: "AI did not run",
		},
		slidePartial:    "%s, partial: AI saw %d of %d parts",
		heatmap:         "The heatmap is a segmentation in this study. Where it does not say that AI looked, anything may be there.",
		because:         "Reason: %s.",
		becauseWithMore: "Reason: %s (%s).",
	},
	"nb": {
		code:       study.Code{Value: "nb", Scheme: "RFC5646", Meaning: "Bokmål, Norwegian"},
		country:    study.Code{Value: "NO", Scheme: "ISO3166_1", Meaning: "Norway"},
		series:     "KI-resultat (ikke verifisert)",
		disclaimer: "Kun beslutningsstøtte – ikke for primærdiagnostikk. Ikke medisinsk utstyr.",
		state: map[study.AIState]string{
			study.Flagged:    "KI markerte denne undersøkelsen.",
			study.Uncertain:  "KI er usikker på denne undersøkelsen.",
			study.NotFlagged: "KI kjørte og markerte ikke denne undersøkelsen.",
			study.Running:    "KI kjører fortsatt.",
			study.Failed:     "KI feilet og ga ikke svar: gransk som vanlig.",
			study.OutOfScope: "KI kjørte ikke: undersøkelsen er utenfor modellens tiltenkte bruk.",
		},
		noFindings:   "Den fant ingenting å peke på.",
		oneFinding:   "Den peker på 1 funn.",
		findings:     "Den peker på %d funn.",
		partial:      "Delvis resultat: KI så %d av %d bildedeler. Det den ikke så, kan inneholde funn; dette er ikke et negativt resultat.",
		whole:        "KI så alle %d bildedeler som den skulle se.",
		calibrated:   "Sannsynligheten er kalibrert.",
		uncalibrated: "Sannsynligheten er ikke kalibrert: den ordner undersøkelser og er ingen hyppighet.",
		replaces:     "Denne rapporten erstatter en tidligere fra samme modell, fordi undersøkelsen er endret.",
		model:        "Modell: %s (%s), SHA-256 %s.",
		reasons: map[string]string{
			study.ReasonNoModel:        "ingen modell er i bruk for denne typen undersøkelse",
			study.ReasonPrior:          "en tidligere undersøkelse, hentet til sammenligning",
			study.ReasonModality:       "modellen er for en annen modalitet",
			study.ReasonBodyPart:       "modellen er for en annen kroppsdel",
			study.ReasonIntent:         "modellen er for bilder med et annet visningsformål",
			study.ReasonAge:            "modellen er for pasienter i en annen alder",
			study.ReasonLaterality:     "modellen er for den andre siden",
			study.ReasonAcquisition:    "modellen er for bilder som er tatt opp på en annen måte",
			study.ReasonScanner:        "modellen er for apparater av et annet fabrikat",
			study.ReasonSex:            "modellen er for pasienter av det andre kjønnet",
			study.ReasonSpecimen:       "modellen er for et annet organ eller en annen type preparat",
			study.ReasonStaining:       "modellen er for en annen farging",
			study.ReasonThickness:      "modellen er for snitt med en annen tykkelse",
			study.ReasonView:           "modellen er for en annen projeksjon",
			study.ReasonGeometry:       "snittene danner ikke et volum med jevn avstand",
			study.ReasonSpacing:        "pikselavstanden mangler, er usannsynlig eller for grov",
			study.ReasonTooFew:         "det er færre bilder enn modellen trenger",
			study.ReasonPixels:         "pikslene er av en type som modellen ikke er for",
			study.ReasonTransferSyntax: "bildene er komprimert på en måte som ikke kan leses her",
			study.ReasonDamaged:        "bildedata er skadet eller motstridende",
			study.ReasonPositions:      "plasseringen av snittets bildefelt er usikker",
			study.ReasonStain:          "fargingen av snittet kunne ikke måles",
			study.ReasonEmpty:          "bildet er tomt eller viser ingen kropp",
			study.ReasonCropped:        "kroppen er kuttet av bildekanten",
			study.ReasonPolarity:       "bildet er et negativ: det som skal være mørkt, er lyst",
			study.ReasonBlur:           "bildet er uskarpt på grunn av bevegelse eller feil fokus",
			study.ReasonSaturated:      "for mye av kroppen ligger ved enden av gråskalaen",
			study.ReasonNoise:          "bildet har mer støy enn modellen er laget for",
			study.ReasonCoverage:       "for lite av pasienten er dekket",
			study.ReasonTissue:         "det ble ikke funnet vev, eller bare vev: må vurderes",
			study.ReasonStopped:        "modellen ble stoppet",
			study.ReasonCanceled:       "arbeidet med den ble avbrutt",
			study.ReasonInternal:       "en teknisk feil som ble prøvd på nytt uten hell",
		},
		oneSlide:   "Snitt: %s.",
		worstSlide: "Det verste av %d snitt er %s. Verst først:",
		slideStates: map[study.AIState]string{
			study.Flagged:    "markert",
			study.Uncertain:  "usikker",
			study.NotFlagged: "ikke markert",
			study.Running:    "KI kjører fortsatt",
			study.Failed:     "KI feilet: gransk som vanlig",
			study.OutOfScope: "KI kjørte ikke",
		},
		slidePartial:    "%s, delvis: KI så %d av %d deler",
		heatmap:         "Varmekartet er en segmentering i denne undersøkelsen. Der det ikke sier at KI har sett, kan hva som helst være.",
		because:         "Årsak: %s.",
		becauseWithMore: "Årsak: %s (%s).",
	},
	"da": {
		code:       study.Code{Value: "da", Scheme: "RFC5646", Meaning: "Danish"},
		country:    study.Code{Value: "DK", Scheme: "ISO3166_1", Meaning: "Denmark"},
		series:     "AI-resultat (ikke verificeret)",
		disclaimer: "Kun beslutningsstøtte – ikke til primærdiagnostik. Ikke medicinsk udstyr.",
		state: map[study.AIState]string{
			study.Flagged:    "AI markerede denne undersøgelse.",
			study.Uncertain:  "AI er usikker på denne undersøgelse.",
			study.NotFlagged: "AI kørte og markerede ikke denne undersøgelse.",
			study.Running:    "AI kører stadig.",
			study.Failed:     "AI fejlede og gav intet svar: granskes som normalt.",
			study.OutOfScope: "AI kørte ikke: undersøgelsen er uden for modellens tiltænkte brug.",
		},
		noFindings:   "Den fandt intet at pege på.",
		oneFinding:   "Den peger på 1 fund.",
		findings:     "Den peger på %d fund.",
		partial:      "Delvist resultat: AI så %d af %d billeddele. Det, den ikke så, kan indeholde fund; dette er ikke et negativt resultat.",
		whole:        "AI så alle %d billeddele, som den skulle se.",
		calibrated:   "Sandsynligheden er kalibreret.",
		uncalibrated: "Sandsynligheden er ikke kalibreret: den ordner undersøgelser og er ingen hyppighed.",
		replaces:     "Denne rapport erstatter en tidligere fra samme model, fordi undersøgelsen er ændret.",
		model:        "Model: %s (%s), SHA-256 %s.",
		reasons: map[string]string{
			study.ReasonNoModel:        "ingen model er i brug til denne type undersøgelse",
			study.ReasonPrior:          "en tidligere undersøgelse, hentet til sammenligning",
			study.ReasonModality:       "modellen er til en anden modalitet",
			study.ReasonBodyPart:       "modellen er til en anden del af kroppen",
			study.ReasonIntent:         "modellen er til billeder med et andet visningsformål",
			study.ReasonAge:            "modellen er til patienter i en anden alder",
			study.ReasonLaterality:     "modellen er til den anden side",
			study.ReasonAcquisition:    "modellen er til billeder, der er optaget på en anden måde",
			study.ReasonScanner:        "modellen er til apparater af et andet fabrikat",
			study.ReasonSex:            "modellen er til patienter af det andet køn",
			study.ReasonSpecimen:       "modellen er til et andet organ eller en anden type præparat",
			study.ReasonStaining:       "modellen er til en anden farvning",
			study.ReasonThickness:      "modellen er til snit med en anden tykkelse",
			study.ReasonView:           "modellen er til en anden projektion",
			study.ReasonGeometry:       "snittene danner ikke et volumen med jævn afstand",
			study.ReasonSpacing:        "pixelafstanden mangler, er usandsynlig eller for grov",
			study.ReasonTooFew:         "der er færre billeder, end modellen har brug for",
			study.ReasonPixels:         "pixlerne er af en type, som modellen ikke er til",
			study.ReasonTransferSyntax: "billederne er komprimeret på en måde, der ikke kan læses her",
			study.ReasonDamaged:        "billeddata er beskadigede eller modstridende",
			study.ReasonPositions:      "placeringen af snittets billedfelter er usikker",
			study.ReasonStain:          "farvningen af snittet kunne ikke måles",
			study.ReasonEmpty:          "billedet er tomt eller viser ingen krop",
			study.ReasonCropped:        "kroppen er skåret af ved billedets kant",
			study.ReasonPolarity:       "billedet er et negativ: det, der skal være mørkt, er lyst",
			study.ReasonBlur:           "billedet er uskarpt på grund af bevægelse eller forkert fokus",
			study.ReasonSaturated:      "for meget af kroppen ligger ved enden af gråskalaen",
			study.ReasonNoise:          "billedet har mere støj, end modellen er lavet til",
			study.ReasonCoverage:       "for lidt af patienten er dækket",
			study.ReasonTissue:         "der blev ikke fundet væv, eller kun væv: skal vurderes",
			study.ReasonStopped:        "modellen blev stoppet",
			study.ReasonCanceled:       "arbejdet med den blev afbrudt",
			study.ReasonInternal:       "en teknisk fejl, som blev forsøgt igen uden held",
		},
		oneSlide:   "Snit: %s.",
		worstSlide: "Det værste af %d snit er %s. Værst først:",
		slideStates: map[study.AIState]string{
			study.Flagged:    "markeret",
			study.Uncertain:  "usikker",
			study.NotFlagged: "ikke markeret",
			study.Running:    "AI kører stadig",
			study.Failed:     "AI fejlede: granskes som normalt",
			study.OutOfScope: "AI kørte ikke",
		},
		slidePartial:    "%s, delvist: AI så %d af %d dele",
		heatmap:         "Varmekortet er en segmentering i denne undersøgelse. Hvor det ikke siger, at AI har set, kan hvad som helst være.",
		because:         "Årsag: %s.",
		becauseWithMore: "Årsag: %s (%s).",
	},
}

// tongue gives a language by its name, English where the name is unknown.
func tongue(name string) language {
	if l, ok := languages[name]; ok {
		return l
	}
	return languages["en"]
}

// summary says in one paragraph what the reader must know first.
func (l language) summary(r study.Result) string {
	words := []string{l.state[r.AI]}
	if answered(r) {
		words = append(words, l.count(len(r.Findings)))
	}
	return strings.Join(words, " ")
}

func (l language) count(n int) string {
	switch n {
	case 0:
		return l.noFindings
	case 1:
		return l.oneFinding
	}
	return fmt.Sprintf(l.findings, n)
}

// coverage says how much the model saw. It is empty for a model that did not run.
func (l language) coverage(r study.Result) string {
	switch {
	case r.Partial() && r.Seen > 0 || r.Partial() && answered(r):
		return fmt.Sprintf(l.partial, r.Seen, r.Planned)
	case answered(r) && r.Planned > 0:
		return fmt.Sprintf(l.whole, r.Planned)
	}
	return ""
}

// reason says why a model failed, did not run, or did not see all.
func (l language) reason(r study.Reason) string {
	text, ok := l.reasons[r.Code]
	switch {
	case r.Zero():
		return ""
	case !ok:
		text = r.Code
	}
	if r.Detail == "" {
		return fmt.Sprintf(l.because, text)
	}
	return fmt.Sprintf(l.becauseWithMore, text, r.Detail)
}

// tray tells of the slides of a case: which one is the worst, and what became of
// each. It is empty where there are none.
func (l language) tray(r study.Result) string {
	switch {
	case len(r.Slides) == 0:
		return ""
	case len(r.Slides) == 1:
		return fmt.Sprintf(l.oneSlide, slideName(r.Slides[0]))
	}
	lines := make([]string, len(r.Slides))
	for n, s := range r.Slides {
		state := l.slideStates[s.AI]
		if text, ok := l.reasons[s.Reason.Code]; ok {
			state += " (" + text + ")"
		}
		if s.Partial() && s.Seen > 0 {
			state = fmt.Sprintf(l.slidePartial, state, s.Seen, s.Planned)
		}
		lines[n] = slideName(s) + ": " + state
	}
	all := strings.Join(lines, "; ") + "."
	for _, s := range r.Slides {
		if s.Series == r.Slide {
			return fmt.Sprintf(l.worstSlide, len(r.Slides), slideName(s)) + " " + all
		}
	}
	return all // none was scored, and none is the worst
}

// heatmaps says that there is one, and how it is to be read.
func (l language) heatmaps(objects []study.Report) string {
	for _, o := range objects {
		if o.Kind == KindHeatmap {
			return l.heatmap
		}
	}
	return ""
}

// probability says how a probability is to be taken. It is empty where there is
// none.
func (l language) probability(r study.Result) string {
	has := r.Probability != nil
	for _, f := range r.Findings {
		has = has || f.Probability != nil
	}
	switch {
	case !has:
		return ""
	case r.Calibrated:
		return l.calibrated
	}
	return l.uncalibrated
}
