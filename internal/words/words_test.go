package words_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/words"
	"varde/study"
)

func texts(t *testing.T, l words.Lang) map[string]string {
	t.Helper()
	files, err := filepath.Glob("locale/" + string(l) + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no texts", err)
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(f, err)
		}
	}
	return all
}

var placeholder = regexp.MustCompile(`\{\d\}`)

func TestCatalogsAreEqual(t *testing.T) {
	english := texts(t, words.English)
	for _, l := range words.Langs[1:] {
		other := texts(t, l)
		for key, text := range english {
			translated, ok := other[key]
			if !ok {
				t.Errorf("%s: no text for %s", l, key)
				continue
			}
			a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(translated, -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				t.Errorf("%s: %s has the places %v, English has %v", l, key, b, a)
			}
			if strings.TrimSpace(translated) == "" {
				t.Errorf("%s: %s is empty", l, key)
			}
		}
		for key := range other {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: %s has no English", l, key)
			}
		}
	}
}

// sources are the files that use texts: pages, scripts and the code of the
// stages that have pages.
func sources(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{".", "../webui", "../../worldlist", "../../worldlist/order", "../../worldlist/veil", "../../worldlist/desk", "../../worldlist/viewer", "../../worldlist/rehearsal", "../../worldlist/ups", "../../worldlist/foreign", "../../oversight", "../../oversight/quality", "../../oversight/audit", "../../ingest/upload", "../../report", "../../report/masks", "../../report/marks", "../../report/messages", "../../report/capture", "../../report/pdf", "../../report/pm", "../../report/answer", "../../report/fhir", "../../report/fhir/rest"} {
		for _, pattern := range []string{"*.go", "templates/*.html", "static/*.js"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if strings.HasSuffix(f, "_test.go") {
					continue
				}
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				all[f] = string(b)
			}
		}
	}
	return all
}

// families are the keys that code puts together, by their beginnings. Each member
// is listed in the test that follows.
var families = []string{"foreign.by_", "foreign.kind_", "foreign.unread_", "foreign.how_", "audit.did_", "cure.", "verified.says_", "purpose.", "audit.protocol_", "quality.by_", "quality.sex_", "settings.", "timeline.", "clock.", "ai.", "class.", "code.", "conflict.", "delivery.", "due.", "error.", "exam.", "impression.", "job.", "lane.", "lang.", "models.", "modelstate.", "month.", "reason.", "role.", "simulation.rule_", "simulation.priority_", "simulation.exams_", "screening.", "case.wait_", "case.reason_", "claim.to.", "status.", "task.", "upload.as_", "verdict.", "why.", "step.", "worker.", "wrong."}

func TestEveryKeyIsUsedAndEveryUsedKeyIsThere(t *testing.T) {
	english := texts(t, words.English)
	code := sources(t)
	used := map[string]bool{}
	inPage := regexp.MustCompile(`\.T "([^"]+)"`)
	inCode := regexp.MustCompile(`\.T\("([^"]+)"[,)]|add\("(ran\.[a-z]+)"|Label: "([^"]+)"|Text: "([a-z]+\.[a-z_]+)"|showSignIn\([^"]*"([a-z]+\.[a-z]+)"`)
	for file, text := range code {
		for _, r := range []*regexp.Regexp{inPage, inCode} {
			for _, m := range r.FindAllStringSubmatch(text, -1) {
				key := strings.Join(m[1:], "")
				if strings.HasSuffix(key, ".") {
					continue // the beginning of a family
				}
				used[key] = true
				if _, ok := english[key]; !ok {
					t.Errorf("%s uses %s, which has no text", file, key)
				}
			}
		}
	}
	for key := range english {
		base := strings.TrimSuffix(key, ".one")
		family := slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(key, f) })
		if !used[key] && !used[base] && !family {
			t.Errorf("nothing uses %s", key)
		}
	}
}

func TestEveryMemberOfAFamilyHasAText(t *testing.T) {
	var keys []string
	add := func(family string, members ...string) {
		for _, m := range members {
			keys = append(keys, family+m)
		}
	}
	add("foreign.by_", "person", "machine", "unknown")
	add("foreign.kind_", "report", "segmentation", "marks", "selection", "annotations")
	add("foreign.unread_", "slow", "large", "broken", "gone", "internal")
	add("foreign.how_", "automatic", "semiautomatic", "manual")
	add("upload.as_", string(study.Stored), string(study.Duplicate), string(study.Conflicted), "busy", "invalid", "refused", "failed")
	for m := range 12 {
		add("month.", strconv.Itoa(m+1))
	}
	states := []string{string(study.Flagged), string(study.Uncertain), string(study.NotFlagged), string(study.Running), string(study.Failed), string(study.OutOfScope)}
	for _, s := range states {
		add("ai.", s, s+".says")
		add("why.ai_", s)
	}
	add("ai.", "stopped", "stopped.says", "unasked", "unasked.says", "none.says")
	for _, why := range []study.Stall{study.StallPaused, study.StallNoWorker} {
		add("ai.waits_", string(why), string(why)+".says")
		add("ai.more_waits_", string(why))
	}
	add("claim.to.", "self", "nobody")
	add("why.", "arrived", "ai_lapsed", "ai_partial", "ai_none", "head_start", "head_start_mean", "kept", "deadline", "rule", "ai_absent", "at_risk", "pathway", "class_at_risk", "class_stat", "class_overdue", "class_pathway", "class_routine")
	add("settings.", "theme", "theme.says", "theme.system", "theme.dark", "theme.light", "keys", "keys.says", "keys.on", "keys.off",
		"density", "density.says", "density.normal", "density.compact", "density.roomy", "label")
	add("timeline.", "exam", "ai", "found", "report", "read", "told", "order", "pathway", "due", "prior", "report_final", "report_corrected", "report_preliminary",
		"prior_wanted", "prior_fetched", "prior_failed", "prior_pushed")
	add("quality.by_", "site", "sex", "age", "class", "ai")
	add("quality.sex_", "F", "M", "O")
	for _, p := range study.Protocols {
		add("audit.protocol_", string(p))
	}
	add("clock.", "from_referral", "from_order", "from_arrival", "by_order", "by_diagnosis")
	add("class.", "at_risk", "stat", "overdue", "pathway", "routine")
	add("reason.", study.ReasonNoModel, study.ReasonNoImages, study.ReasonPrior, study.ReasonModality, study.ReasonBodyPart, study.ReasonIntent, study.ReasonGeometry, study.ReasonSpacing,
		study.ReasonTooFew, study.ReasonPixels, study.ReasonTransferSyntax, study.ReasonDamaged, study.ReasonPositions, study.ReasonTissue, study.ReasonStain, study.ReasonEmpty, study.ReasonCropped,
		study.ReasonPolarity, study.ReasonBlur, study.ReasonSaturated, study.ReasonNoise, study.ReasonCoverage, study.ReasonStopped, study.ReasonUnasked, study.ReasonInternal, study.ReasonCanceled)
	for _, s := range []study.Status{study.Receiving, study.Settled, study.Scoring, study.Scored, study.Reported, study.Read, study.Refused} {
		add("status.", string(s))
	}
	for _, s := range []study.ModelState{study.ModelDraft, study.ModelShadow, study.ModelLive, study.ModelSuspended, study.ModelWithdrawn} {
		add("modelstate.", string(s))
	}
	for _, l := range study.Lanes {
		add("lane.", l.String())
	}
	add("job.", study.JobReady, study.JobEnqueued, study.JobRunning, study.JobDone, study.JobFailed, study.JobCanceled)
	add("delivery.", "waiting", "sent", "delivered", "failed", "retry", "withheld", "held", "dropped")
	add("cure.", "away", "ask", "certificate", "commit", "gone", "kind", "object", "rights")
	add("purpose.", string(study.PurposeWithdrawn), string(study.PurposeCorrected), string(study.PurposeVerified), string(study.PurposePatient))
	add("role.", webui.Roles...)
	add("task.", string(study.TaskScore), string(study.TaskConclude), string(study.TaskReport), string(study.TaskWithdraw), string(study.TaskVerify), string(study.TaskPatient))
	add("verified.says_", "agree", "changes", "disagree", "none")
	add("worker.", "working", "waiting", "leaving")
	add("models.", "suspend", "withdraw", "promote", "shadow", "share", "saved", "saved.asked")
	add("exam.", study.ExamStates[:]...)
	add("verdict.", "agree", "changes", "disagree", "none")
	add("impression.", study.Impressions[:]...)
	add("wrong.", study.Wrongs[:]...)
	add("case.wait_", study.WaitKinds[:]...)
	add("case.reason_", study.RescanReasons[:]...)
	add("why.", "case")
	add("reason.", "word_gap", "word_orientation", "word_step", "word_tilt")
	add("screening.state_", study.ScreeningStates[:]...)
	add("screening.turn_", study.ScreeningTurns[:]...)
	add("screening.why_", study.ScreeningWhys[:]...)
	add("screening.list_", study.ListSecond, study.ListConsensus, study.ListDiscordance)
	add("screening.", study.AnswerRecall, study.AnswerNoRecall)
	add("step.", study.StepSkipped, study.StepOwn, study.StepShown, study.StepFinding, study.StepMissed, study.StepFinal, study.StepAddendum)
	add("ai.", "hidden")
	add("error.", "400", "403", "404", "405", "409", "415", "500", "503")
	add("simulation.", "rule_first_come", "rule_classes", "rule_ours", "rule_flagged_first", "priority_stat", "priority_urgent", "priority_pathway",
		"priority_routine", "exams_all", "exams_diseased", "exams_missed")
	for _, l := range words.Langs {
		add("lang.", string(l), string(l)+".code")
		for _, k := range keys {
			if !l.Has(k) {
				t.Errorf("%s: no text for %s", l, k)
			}
		}
	}
}

// TestTemplatesHoldNoWordsOfTheirOwn lets through signs, key caps, the product's
// name and those of file formats, which are the same in every language.
func TestTemplatesHoldNoWordsOfTheirOwn(t *testing.T) {
	tags := regexp.MustCompile(`(?s)\{\{.*?\}\}|<kbd>.*?</kbd>|<!.*?>|<[^>]*>`)
	word := regexp.MustCompile(`\pL{2,}`)
	for file, text := range sources(t) {
		if filepath.Ext(file) != ".html" {
			continue
		}
		for _, w := range word.FindAllString(tags.ReplaceAllString(text, " "), -1) {
			if !slices.Contains([]string{"Varde", "GeoJSON", "CSV"}, w) {
				t.Errorf("%s: the word %q is in no catalog", file, w)
			}
		}
	}
}

func TestNumbersAndDatesByLanguage(t *testing.T) {
	at := time.Date(2026, 2, 3, 14, 5, 0, 0, time.UTC)
	for _, tt := range []struct {
		lang                                        words.Lang
		number, decimal, small, date, moment, short string
	}{
		{words.English, "1,234,567", "0.25", "0.00123", "Feb 3, 2026", "Feb 3, 2026 14:05", "Feb 3 14:05"},
		{words.Bokmal, "1\u00a0234\u00a0567", "0,25", "0,00123", "03.02.2026", "03.02.2026 14:05", "03.02. 14:05"},
		{words.Danish, "1.234.567", "0,25", "0,00123", "03.02.2026", "03.02.2026 14.05", "03.02. 14.05"},
	} {
		got := []string{tt.lang.Number(1234567), tt.lang.Decimal(0.25), tt.lang.Decimal(0.0012345), tt.lang.Date(at), tt.lang.Moment(at), tt.lang.Short(at, at.AddDate(0, 1, 0))}
		want := []string{tt.number, tt.decimal, tt.small, tt.date, tt.moment, tt.short}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.lang, got, want)
		}
	}
	if got := words.English.T("list.new", 1) + "; " + words.English.T("list.new", 2); got != "1 new study – press R; 2 new studies – press R" {
		t.Error(got)
	}
	if got := words.English.Decimal(-1234.5); got != "−1,234" && got != "−1,235" {
		t.Error(got)
	}
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5 s", 90 * time.Minute: "1 h 30 min", 2 * time.Hour: "2 h", 72 * time.Hour: "3 days", 5 * time.Minute: "5 min"} {
		if got := words.English.Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestLanguageIsTheOneThatTheVisitorLikesBest(t *testing.T) {
	for header, want := range map[string]words.Lang{
		"":                               words.English,
		"da-DK,da;q=0.9,en;q=0.8":        words.Danish,
		"no":                             words.Bokmal,
		"nn-NO, en;q=0.5":                words.Bokmal,
		"fr-FR, de;q=0.9":                words.English,
		"fr, en;q=0.2, nb;q=0.7":         words.Bokmal,
		"da;q=x":                         words.English,
		strings.Repeat("xx,", 50) + "da": words.English,
	} {
		if got := words.Accepted(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}
