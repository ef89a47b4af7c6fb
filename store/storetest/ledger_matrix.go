package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/study"
)

// matrixPromises are about what goes where, and in which order.
var matrixPromises = []promise{
	{"a study's reports go to a destination in the order of their writing", inOrder},
	{"one destination does not hold up another, and one study no other", heldUpAlone},
	{"what was given up stands in nobody's way", givenUpInOrder},
	{"each kind has a report for each language and purpose", tongues},
	{"a message is no object of its study", messageIsNoObject},
	{"a report that failed its check is never sent", heldReport},
	{"one process at a time sends to a destination", turns},
	{"what a stopped model has told is called back, once, from whoever has it", recalled},
	{"what a model that was withdrawn has told is called back by itself, wherever that was broken off", recalledByItself},
	{"what was given up may be given up for good, and how each destination fares is known", dropped},
	{"a final answer calls for what tells of it, and nothing that comes meanwhile ends that", verifies},
	{"a report that a model was stopped is not called back", stoppedStays},
	{"whoever has an answer that a model does not give again is told so", unasked},
	{"an answer that another version takes over hides behind no failure", takenOver},
	{"a model that a study has outgrown says so to whoever has its answer", outgrown},
	{"of a model that was withdrawn nothing but the recall is told", unaskedWithdrawn},
	{"objects of a model that was withdrawn are found no more, and stay", rejected},
}

// set is what is written for a job: kinds, each with its language behind a colon.
func set(j study.Job, destinations []string, kinds ...string) []study.Report {
	var all []study.Report
	for n, k := range kinds {
		r := ReportOf(j)
		r.UID = study.UID(fmt.Sprintf("%s.%d", r.UID, n))
		r.Kind, r.Lang, _ = strings.Cut(k, ":")
		r.Series, r.Key, r.Media, r.To = r.UID+".1", "results/"+string(r.UID), study.MediaOf(r.Kind), destinations
		if r.Media != study.MediaDICOM {
			r.Class = ""
		}
		all = append(all, r)
	}
	return all
}

// written settles a study and writes a set of it.
func (b *Bench) written(uid study.UID, destinations []string, kinds ...string) {
	b.T.Helper()
	b.Settle(uid, Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(context.Background(), j, set(j, destinations, kinds...)...))
}

// due lists what is due, as kind to destination.
func (b *Bench) due() (words []string, all []study.Delivery) {
	b.T.Helper()
	all, err := b.DueDeliveries(context.Background(), 100)
	b.OK(err)
	for _, d := range all {
		words = append(words, d.Kind+" to "+d.Destination)
	}
	return words, all
}

func inOrder(b *Bench) {
	ctx := context.Background()
	b.written("1.2", []string{"PACS"}, "sr:en", "gsps:en", "oru:en")
	words, all := b.due()
	Same(b, "due", words, []string{"sr to PACS", "gsps to PACS", "oru to PACS"})

	// The first fails: nothing overtakes it.
	b.OK(b.DeliveryFailed(ctx, all[0].ID, "away", b.Clock.Now().Add(time.Minute)))
	words, _ = b.due()
	Same(b, "due behind one that failed", len(words), 0)

	// The study is corrected meanwhile: the correction waits behind.
	b.Receive("1.2", 3, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("ct", 1))))
	b.Score()
	b.Conclude(study.NotFlagged, 0)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, j, set(j, []string{"PACS"}, "sr:en")...))
	words, _ = b.due()
	Same(b, "due with a correction", len(words), 0)

	b.Clock.Pass(time.Minute)
	words, all = b.due()
	Same(b, "due again", words, []string{"sr to PACS", "gsps to PACS", "oru to PACS", "sr to PACS"})
	Same(b, "in the order of revisions", all[0].Seq < all[3].Seq, true)

	// One in the middle fails for longer than the next; those behind it wait for it.
	b.OK(b.Delivered(ctx, all[0].ID))
	b.OK(b.DeliveryFailed(ctx, all[2].ID, "busy", b.Clock.Now().Add(time.Minute)))
	b.OK(b.DeliveryFailed(ctx, all[1].ID, "busy", b.Clock.Now().Add(time.Hour)))
	b.Clock.Pass(time.Minute)
	words, _ = b.due()
	Same(b, "due before the one in the middle", len(words), 0)
	b.Clock.Pass(time.Hour)
	words, _ = b.due()
	Same(b, "due after it", words, []string{"gsps to PACS", "oru to PACS", "sr to PACS"})
	one, err := b.DueDeliveries(ctx, 1)
	b.OK(err)
	Same(b, "the first of them", one[0].Kind, "gsps")
}

func heldUpAlone(b *Bench) {
	ctx := context.Background()
	b.written("1.2", []string{"PACS", "RIS"}, "sr:en", "gsps:en")
	b.written("1.3", []string{"PACS"}, "sr:en")
	_, all := b.due()
	for _, d := range all {
		if d.Study == "1.2" && d.Destination == "PACS" && d.Kind == "sr" {
			b.OK(b.DeliveryFailed(ctx, d.ID, "away", b.Clock.Now().Add(time.Hour)))
		}
	}
	_, all = b.due()
	var got []string
	for _, d := range all {
		got = append(got, fmt.Sprint(d.Study, " ", d.Kind, " ", d.Destination))
	}
	Same(b, "due", fmt.Sprint(got), fmt.Sprint([]string{"1.2 sr RIS", "1.3 sr PACS", "1.2 gsps RIS"}))
}

func givenUpInOrder(b *Bench) {
	ctx := context.Background()
	b.written("1.2", []string{"PACS"}, "sr:en", "gsps:en")
	_, all := b.due()
	b.OK(b.DeliveryFailed(ctx, all[0].ID, "it takes none", time.Time{}))
	words, _ := b.due()
	Same(b, "due", words, []string{"gsps to PACS"})
	b.OK(b.RetryDelivery(ctx, all[0].ID, "operator", "it does now"))
	words, _ = b.due()
	Same(b, "due again, in order", words, []string{"sr to PACS", "gsps to PACS"})
}

func tongues(b *Bench) {
	ctx := context.Background()
	b.written("1.2", nil, "sr:nb", "sr:da", "oru:nb", "seg")
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	var got []string
	for _, r := range c.Reports {
		got = append(got, r.Kind+":"+r.Lang+" "+r.Media)
	}
	Same(b, "reports", fmt.Sprint(got), fmt.Sprint([]string{"sr:da application/dicom", "sr:nb application/dicom",
		"oru:nb x-application/hl7-v2+er7", "seg: application/dicom"}))
	before, err := b.Predecessors(ctx, "1.2", 2, Model("ct"))
	b.OK(err)
	Same(b, "predecessors of a second revision", len(before), 4)
	before, err = b.Predecessors(ctx, "1.2", 1, Model("ct"))
	b.OK(err)
	Same(b, "predecessors of the first", len(before), 0)
}

func messageIsNoObject(b *Bench) {
	ctx := context.Background()
	b.written("1.2", []string{"RIS"}, "sr:en", "oru:en", "fhir-r4:en")
	objects, err := b.ObjectsOf(ctx, "1.2", "")
	b.OK(err)
	Same(b, "objects, ours among them", len(objects), 3)
	_, all := b.due()
	var got []string
	for _, d := range all {
		got = append(got, d.Kind+" "+d.Media)
	}
	Same(b, "due", fmt.Sprint(got), fmt.Sprint([]string{"sr application/dicom", "oru x-application/hl7-v2+er7", "fhir-r4 application/fhir+json"}))
}

func heldReport(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	reports := set(j, []string{"PACS"}, "sr:en", "mammo:en")
	reports[1].Held = "check report: invalid: root is no template"
	b.OK(b.Reported(ctx, j, reports...))
	b.Status("1.2", study.Reported)
	words, _ := b.due()
	Same(b, "due", words, []string{"sr to PACS"})
	held, err := b.Deliveries(ctx, "held", 10)
	b.OK(err)
	Same(b, "held", fmt.Sprint(len(held), held[0].Kind, held[0].Error), fmt.Sprint(1, "mammo", reports[1].Held))
	b.Is(b.RetryDelivery(ctx, held[0].ID, "operator", "send it all the same"), study.ErrInvalid)
	objects, err := b.ObjectsOf(ctx, "1.2", "")
	b.OK(err)
	Same(b, "objects, the sound report among them", len(objects), 3)
	counts, err := b.Counts(ctx)
	b.OK(err)
	Same(b, "counted", counts.Deliveries["held"], 1)
	before, err := b.Predecessors(ctx, "1.2", 2, Model("ct"))
	b.OK(err)
	Same(b, "what a correction may name", len(before), 1)
	left, err := b.Undelivered(ctx)
	b.OK(err)
	Same(b, "what has not reached it", fmt.Sprint(len(left), left[0].Destination, left[0].Waiting, left[0].Held, left[0].Oldest.IsZero()), fmt.Sprint(1, "PACS", 1, 1, false))
}

// turns tries who may send. A ledger that one process has to itself gives the turn to
// whoever asks, so that there only what must be given is tried.
func turns(b *Bench) {
	ctx := context.Background()
	take := func(who string, d time.Duration) bool {
		b.T.Helper()
		mine, err := b.TakeTurn(ctx, "PACS", who, b.Clock.Now().Add(d))
		b.OK(err)
		return mine
	}
	Same(b, "the first has it, and again", []bool{take("one", time.Minute), take("one", time.Minute)}, []bool{true, true})
	if !take("two", time.Minute) { // of several processes
		Same(b, "the first gives it back, and the second has it", []bool{take("one", 0), take("two", time.Minute)}, []bool{true, true})
		Same(b, "the first has it no more", take("one", time.Minute), false)
		b.Clock.Pass(2 * time.Minute) // the second has died
	}
	Same(b, "the first has it again", take("one", time.Minute), true)
}

func recalled(b *Bench) {
	ctx := context.Background()
	b.live("ct")
	b.written("1.2", []string{"PACS", "RIS"}, "sr:en", "oru:en")
	b.written("1.3", []string{"PACS"}, "sr:en") // nobody has it yet
	_, all := b.due()
	for _, d := range all {
		if d.Study == "1.2" && d.Destination == "PACS" {
			b.OK(b.Delivered(ctx, d.ID))
		}
	}
	_, err := b.Recall(ctx, Model("ct"), "", "bo", "the threshold was wrong")
	b.Is(err, study.ErrRefused)
	b.OK(b.SetModel(ctx, by("bo", "ct", study.ModelWithdrawn)))
	_, err = b.Recall(ctx, Model("ct"), "", "bo", "")
	b.Is(err, study.ErrInvalid)
	for _, want := range []int{1, 0} { // once
		n, err := b.Recall(ctx, Model("ct"), "", "bo", "the threshold was wrong")
		b.OK(err)
		Same(b, "called back", n, want)
	}
	// What comes meanwhile does not end it.
	b.Receive("1.2", 3, 3)
	j := b.ClaimOne(study.PoolReport)
	Same(b, "job", fmt.Sprint(j.Task, j.Study, j.Rev), fmt.Sprint(study.TaskWithdraw, "1.2", 1))
	before, err := b.Predecessors(ctx, "1.2", j.Rev+1, j.Model)
	b.OK(err)
	Same(b, "what is taken back", len(before), 2)
	reports := set(j, []string{"PACS", "RIS"}, "reject:en", "oru:en")
	for i := range reports {
		reports[i].Purpose, reports[i].UID = study.PurposeWithdrawn, reports[i].UID+".9"
	}
	b.OK(b.Reported(ctx, j, reports...))
	words, _ := b.due()
	Same(b, "due: what was not sent stays, and who has nothing is told nothing", words, []string{"reject to PACS", "oru to PACS"})
}
