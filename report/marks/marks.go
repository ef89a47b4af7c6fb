// Package marks points at what a model found on images, for viewers that show no
// structured report.
//
//	Work.Presentations   rings and words over the images, as a Grayscale Softcopy
//	                     Presentation State for each kind of image
//	Work.Keys            a Key Object Selection of the images with findings
//
// What has no finding gets neither: a set of marks that is empty would read as
// "nothing found", and that is for the report to say, in words.
package marks

import (
	"cmp"
	"slices"

	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// Series numbers of these objects, behind those of the report and its maps.
const (
	presentationSeries = 9904
	keySeries          = 9905
)

// A Work is what the objects are made from. It is one result's.
type Work struct {
	Result    study.Result
	Instances []study.Instance // the study's, in order
	Identity  identity.Identity
	Lang      string // en, nb, da; anything else stands for en
	// Name gives the n-th object of a kind its UID and that of its series, made
	// from what it is about.
	Name func(n int) (object, series study.UID)
}

// A spot is one region of one finding.
type spot struct {
	finding study.Finding
	region  study.Region
}

// spots gives the regions on each image, by instance, most suspicious first.
// Regions on slides have an object of their own.
func (w Work) spots() map[study.UID][]spot {
	out := map[study.UID][]spot{}
	for _, f := range w.Result.Findings {
		for _, r := range f.Regions {
			if !r.Total && len(r.Points) >= 2 {
				out[r.Instance] = append(out[r.Instance], spot{f, r})
			}
		}
	}
	for _, s := range out {
		slices.SortStableFunc(s, func(a, b spot) int { return cmp.Compare(a.finding.Number, b.finding.Number) })
	}
	return out
}

// told is the result in the sentences that every report takes from one place.
func (w Work) told() words.Told {
	l, ok := words.ParseLang(w.Lang)
	if !ok {
		l = words.English
	}
	return words.Tell(l, w.Identity.Study, w.Result, words.TellOptions{})
}

// phrases is what these objects say in one tongue besides the sentences of the
// result.
type phrases struct {
	rings, keys   string // Series Description, and the layer of the rings
	texts, banner string // the other layers
	keyText       string // %s %s %s: model, version, hash
	partial       string
	disclaimer    string
}

func tongue(lang string) phrases {
	switch lang {
	case "nb":
		return phrases{
			rings: "KI-markeringer (ikke verifisert)", keys: "KI-nøkkelbilder (ikke verifisert)", texts: "Tekst til funnene", banner: "Hva KI sier, og hvilken modell",
			keyText: "Bilder med funn fra %s (%s, sha256 %s).", partial: "Delvis: KI så ikke alt.",
			disclaimer: "Kun beslutningsstøtte – ikke for primærdiagnostikk.",
		}
	case "da":
		return phrases{
			rings: "AI-markeringer (ikke verificeret)", keys: "AI-nøglebilleder (ikke verificeret)", texts: "Tekst til fundene", banner: "Hvad AI siger, og hvilken model",
			keyText: "Billeder med fund fra %s (%s, sha256 %s).", partial: "Delvis: AI så ikke alt.",
			disclaimer: "Kun beslutningsstøtte – ikke til primærdiagnostik.",
		}
	}
	return phrases{
		rings: "AI marks (unverified)", keys: "AI key images (unverified)", texts: "Words on the findings", banner: "What AI says, and which model",
		keyText: "Images with findings of %s (%s, sha256 %s).", partial: "Partial: AI did not see everything.",
		disclaimer: "Decision support only – not for primary diagnosis.",
	}
}
