package sending

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/store/storetest"
	"varde/study"
)

// matrixPromises are about what goes where, and in which order.
var matrixPromises = []storetest.Promise{
	{Name: "a study's reports go to a destination in the order of their writing", Test: inOrder},
	{Name: "one destination does not hold up another, and one study no other", Test: heldUpAlone},
	{Name: "what was given up stands in nobody's way", Test: givenUpInOrder},
	{Name: "each kind has a report for each language and purpose", Test: tongues},
	{Name: "a message is no object of its study", Test: messageIsNoObject},
	{Name: "a report that failed its check is never sent", Test: heldReport},
	{Name: "one process at a time sends to a destination", Test: turns},
	{Name: "what a stopped model has told is called back, once, from whoever has it", Test: recalled},
	{Name: "what a model that was withdrawn has told is called back by itself, wherever that was broken off", Test: recalledByItself},
	{Name: "what was given up may be given up for good, and how each destination fares is known", Test: dropped},
	{Name: "a final answer calls for what tells of it, and nothing that comes meanwhile ends that", Test: verifies},
	{Name: "a report that a model was stopped is not called back", Test: stoppedStays},
	{Name: "whoever has an answer that a model does not give again is told so", Test: unasked},
	{Name: "an answer that another version takes over hides behind no failure", Test: takenOver},
	{Name: "a model that a study has outgrown says so to whoever has its answer", Test: outgrown},
	{Name: "whoever was told of a result hears of its patient as corrected, each time", Test: readdressed},
	{Name: "what a reader said of an earlier state of a study is told anew with its patient as corrected", Test: readdressedAnswer},
	{Name: "of a model that was withdrawn nothing but the recall is told", Test: unaskedWithdrawn},
	{Name: "objects of a model that was withdrawn are found no more, and stay", Test: rejected},
}

// set is what is written for a job: kinds, each with its language behind a colon.
func set(j study.Job, destinations []string, kinds ...string) []study.Report {
	var all []study.Report
	for n, k := range kinds {
		r := storetest.ReportOf(j)
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
func written(b *storetest.Bench, uid study.UID, destinations []string, kinds ...string) {
	b.T.Helper()
	b.Settle(uid, storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(context.Background(), j, set(j, destinations, kinds...)...))
}

// due lists what is due, as kind to destination.
func due(b *storetest.Bench) (words []string, all []study.Delivery) {
	b.T.Helper()
	all, err := b.DueDeliveries(context.Background(), 100)
	b.OK(err)
	for _, d := range all {
		words = append(words, d.Kind+" to "+d.Destination)
	}
	return words, all
}

func inOrder(b *storetest.Bench) {
	ctx := context.Background()
	written(b, "1.2", []string{"PACS"}, "sr:en", "gsps:en", "oru:en")
	words, all := due(b)
	storetest.Same(b, "due", words, []string{"sr to PACS", "gsps to PACS", "oru to PACS"})

	// The first fails: nothing overtakes it.
	b.OK(b.DeliveryFailed(ctx, all[0].ID, "away", b.Clock.Now().Add(time.Minute)))
	words, _ = due(b)
	storetest.Same(b, "due behind one that failed", len(words), 0)

	// The study is corrected meanwhile: the correction waits behind.
	b.Receive("1.2", 3, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	b.Score()
	b.Conclude(study.NotFlagged, 0)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, j, set(j, []string{"PACS"}, "sr:en")...))
	words, _ = due(b)
	storetest.Same(b, "due with a correction", len(words), 0)

	b.Clock.Pass(time.Minute)
	words, all = due(b)
	storetest.Same(b, "due again", words, []string{"sr to PACS", "gsps to PACS", "oru to PACS", "sr to PACS"})
	storetest.Same(b, "in the order of revisions", all[0].Seq < all[3].Seq, true)

	// One in the middle fails for longer than the next; those behind it wait for it.
	b.OK(b.Delivered(ctx, all[0].ID))
	b.OK(b.DeliveryFailed(ctx, all[2].ID, "busy", b.Clock.Now().Add(time.Minute)))
	b.OK(b.DeliveryFailed(ctx, all[1].ID, "busy", b.Clock.Now().Add(time.Hour)))
	b.Clock.Pass(time.Minute)
	words, _ = due(b)
	storetest.Same(b, "due before the one in the middle", len(words), 0)
	b.Clock.Pass(time.Hour)
	words, _ = due(b)
	storetest.Same(b, "due after it", words, []string{"gsps to PACS", "oru to PACS", "sr to PACS"})
	one, err := b.DueDeliveries(ctx, 1)
	b.OK(err)
	storetest.Same(b, "the first of them", one[0].Kind, "gsps")
}

func heldUpAlone(b *storetest.Bench) {
	ctx := context.Background()
	written(b, "1.2", []string{"PACS", "RIS"}, "sr:en", "gsps:en")
	written(b, "1.3", []string{"PACS"}, "sr:en")
	_, all := due(b)
	for _, d := range all {
		if d.Study == "1.2" && d.Destination == "PACS" && d.Kind == "sr" {
			b.OK(b.DeliveryFailed(ctx, d.ID, "away", b.Clock.Now().Add(time.Hour)))
		}
	}
	_, all = due(b)
	var got []string
	for _, d := range all {
		got = append(got, fmt.Sprint(d.Study, " ", d.Kind, " ", d.Destination))
	}
	storetest.Same(b, "due", fmt.Sprint(got), fmt.Sprint([]string{"1.2 sr RIS", "1.3 sr PACS", "1.2 gsps RIS"}))
}

func givenUpInOrder(b *storetest.Bench) {
	ctx := context.Background()
	written(b, "1.2", []string{"PACS"}, "sr:en", "gsps:en")
	_, all := due(b)
	b.OK(b.DeliveryFailed(ctx, all[0].ID, "it takes none", time.Time{}))
	words, _ := due(b)
	storetest.Same(b, "due", words, []string{"gsps to PACS"})
	b.OK(b.RetryDelivery(ctx, all[0].ID, "operator", "it does now"))
	words, _ = due(b)
	storetest.Same(b, "due again, in order", words, []string{"sr to PACS", "gsps to PACS"})
}

func tongues(b *storetest.Bench) {
	ctx := context.Background()
	written(b, "1.2", nil, "sr:nb", "sr:da", "oru:nb", "seg")
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	var got []string
	for _, r := range c.Reports {
		got = append(got, r.Kind+":"+r.Lang+" "+r.Media)
	}
	storetest.Same(b, "reports", fmt.Sprint(got), fmt.Sprint([]string{"sr:da application/dicom", "sr:nb application/dicom",
		"oru:nb x-application/hl7-v2+er7", "seg: application/dicom"}))
	before, err := b.Predecessors(ctx, "1.2", 2, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "predecessors of a second revision", len(before), 4)
	before, err = b.Predecessors(ctx, "1.2", 1, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "predecessors of the first", len(before), 0)
}

func messageIsNoObject(b *storetest.Bench) {
	ctx := context.Background()
	written(b, "1.2", []string{"RIS"}, "sr:en", "oru:en", "fhir-r4:en")
	objects, err := b.ObjectsOf(ctx, "1.2", "")
	b.OK(err)
	storetest.Same(b, "objects, ours among them", len(objects), 3)
	_, all := due(b)
	var got []string
	for _, d := range all {
		got = append(got, d.Kind+" "+d.Media)
	}
	storetest.Same(b, "due", fmt.Sprint(got), fmt.Sprint([]string{"sr application/dicom", "oru x-application/hl7-v2+er7", "fhir-r4 application/fhir+json"}))
}

func heldReport(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	reports := set(j, []string{"PACS"}, "sr:en", "mammo:en")
	reports[1].Held = "check report: invalid: root is no template"
	b.OK(b.Reported(ctx, j, reports...))
	b.Status("1.2", study.Reported)
	words, _ := due(b)
	storetest.Same(b, "due", words, []string{"sr to PACS"})
	held, err := b.Deliveries(ctx, "held", 10)
	b.OK(err)
	storetest.Same(b, "held", fmt.Sprint(len(held), held[0].Kind, held[0].Error), fmt.Sprint(1, "mammo", reports[1].Held))
	b.Is(b.RetryDelivery(ctx, held[0].ID, "operator", "send it all the same"), study.ErrInvalid)
	objects, err := b.ObjectsOf(ctx, "1.2", "")
	b.OK(err)
	storetest.Same(b, "objects, the sound report among them", len(objects), 3)
	counts, err := b.Counts(ctx)
	b.OK(err)
	storetest.Same(b, "counted", counts.Deliveries["held"], 1)
	before, err := b.Predecessors(ctx, "1.2", 2, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "what a correction may name", len(before), 1)
	left, err := b.Undelivered(ctx)
	b.OK(err)
	storetest.Same(b, "what has not reached it", fmt.Sprint(len(left), left[0].Destination, left[0].Waiting, left[0].Held, left[0].Oldest.IsZero()), fmt.Sprint(1, "PACS", 1, 1, false))
}

// turns tries who may send. A ledger that one process has to itself gives the turn to
// whoever asks, so that there only what must be given is tried.
func turns(b *storetest.Bench) {
	ctx := context.Background()
	take := func(who string, d time.Duration) bool {
		b.T.Helper()
		mine, err := b.TakeTurn(ctx, "PACS", who, b.Clock.Now().Add(d))
		b.OK(err)
		return mine
	}
	storetest.Same(b, "the first has it, and again", []bool{take("one", time.Minute), take("one", time.Minute)}, []bool{true, true})
	if !take("two", time.Minute) { // of several processes
		storetest.Same(b, "the first gives it back, and the second has it", []bool{take("one", 0), take("two", time.Minute)}, []bool{true, true})
		storetest.Same(b, "the first has it no more", take("one", time.Minute), false)
		b.Clock.Pass(2 * time.Minute) // the second has died
	}
	storetest.Same(b, "the first has it again", take("one", time.Minute), true)
}

func recalled(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct")
	written(b, "1.2", []string{"PACS", "RIS"}, "sr:en", "oru:en")
	written(b, "1.3", []string{"PACS"}, "sr:en") // nobody has it yet
	_, all := due(b)
	for _, d := range all {
		if d.Study == "1.2" && d.Destination == "PACS" {
			b.OK(b.Delivered(ctx, d.ID))
		}
	}
	_, err := b.Recall(ctx, storetest.Model("ct"), "", "bo", "the threshold was wrong")
	b.Is(err, study.ErrRefused)
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelWithdrawn)))
	_, err = b.Recall(ctx, storetest.Model("ct"), "", "bo", "")
	b.Is(err, study.ErrInvalid)
	for _, want := range []int{1, 0} { // once
		n, err := b.Recall(ctx, storetest.Model("ct"), "", "bo", "the threshold was wrong")
		b.OK(err)
		storetest.Same(b, "called back", n, want)
	}
	// What comes meanwhile does not end it.
	b.Receive("1.2", 3, 3)
	j := b.ClaimOne(study.PoolReport)
	storetest.Same(b, "job", fmt.Sprint(j.Task, j.Study, j.Rev), fmt.Sprint(study.TaskWithdraw, "1.2", 1))
	before, err := b.Predecessors(ctx, "1.2", j.Rev+1, j.Model)
	b.OK(err)
	storetest.Same(b, "what is taken back", len(before), 2)
	reports := set(j, []string{"PACS", "RIS"}, "reject:en", "oru:en")
	for i := range reports {
		reports[i].Purpose, reports[i].UID = study.PurposeWithdrawn, reports[i].UID+".9"
	}
	b.OK(b.Reported(ctx, j, reports...))
	words, _ := due(b)
	storetest.Same(b, "due: what was not sent stays, and who has nothing is told nothing", words, []string{"reject to PACS", "oru to PACS"})
}
