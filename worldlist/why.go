package worldlist

import (
	"time"

	"varde/internal/webui"
	"varde/study"
)

// WhyWords tells in a reader's language why a study stands where it stands, one
// reason each.
func WhyWords(p study.Place, l webui.Lang) []string { return whyWords(l, p, time.Now()) }

// OutlookWords tell in a reader's language what the present pace means for the
// deadlines that wait, and that nobody answers for the models; nothing when there is
// nothing to tell.
func OutlookWords(f Forecast, l webui.Lang) []string {
	all := outlookWords(l, f)
	if f.AILayer == study.AIDown {
		all = append(all, l.T("outlook.ai_down"))
	}
	return all
}

// RemarkWords are what a study's orders say of the patient, in a reader's language.
func RemarkWords(s study.Study, l webui.Lang) string { return remarkWords(l, s) }
