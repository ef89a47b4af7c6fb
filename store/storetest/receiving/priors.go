package receiving

import (
	"context"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var priorPromises = []storetest.Promise{
	{Name: "a prior that we fetched is not on the worklist", Test: priorFetched},
	{Name: "a prior that is pushed is new work, also when nothing in it is new", Test: priorPushed},
	{Name: "a study that is here is no prior", Test: priorHere},
	{Name: "a search for priors is made again until it is over", Test: priorSearches},
}

// waits gives the studies on the worklist.
func waits(b *storetest.Bench) (uids []study.UID) {
	b.T.Helper()
	rows, _, err := b.Worklist(context.Background(), study.WorklistFilter{})
	b.OK(err)
	for _, r := range rows {
		uids = append(uids, r.Study.UID)
	}
	return uids
}

func priorFetched(b *storetest.Bench) {
	b.Settle("1.2", storetest.Asked("m", 1))
	b.FetchPrior("1.1")
	storetest.Same(b, "on the worklist", waits(b), []study.UID{"1.2"})
	storetest.Same(b, "what a reader is told", b.Status("1.1", study.Settled).Note, study.ReasonPrior)
	is, err := b.IsPrior(context.Background(), "1.1")
	b.OK(err)
	storetest.Same(b, "it is a prior", is, true)
	a := storetest.Arrival("1.1", 3, "") // more of it, fetched
	a.Fetched = true
	_, err = b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	storetest.Same(b, "on the worklist", waits(b), []study.UID{"1.2"})
	all, err := b.Priors(context.Background(), "1.2")
	b.OK(err)
	storetest.Same(b, "how", []any{len(all), all[0].How, all[0].State, all[0].AE, all[0].Evidence.Date}, []any{1, "get", "fetched", "PACS", "20250101"})
}

func priorPushed(b *storetest.Bench) {
	b.Settle("1.2", storetest.Asked("m", 1))
	b.FetchPrior("1.1")
	r, err := b.Ledger.Receive(context.Background(), storetest.Arrival("1.1", 1, ""))
	b.OK(err)
	storetest.Same(b, "outcome", r, study.Receipt{Outcome: study.Duplicate, Reopened: true})
	storetest.Same(b, "note", b.Status("1.1", study.Receiving).Note, "")
	storetest.Same(b, "on the worklist", len(waits(b)), 2)
	is, err := b.IsPrior(context.Background(), "1.1")
	b.OK(err)
	storetest.Same(b, "it is a prior", is, false)
	b.OK(b.Ledger.Settle(context.Background(), b.Plan("1.1", storetest.Asked("m", 1))))
	b.Status("1.1", study.Scoring)
}

func priorHere(b *storetest.Bench) {
	b.Receive("1.1", 1, 1)
	wanted, err := b.WantPriors(context.Background(), []study.Prior{{Study: "1.1", Of: "1.2", AE: "PACS"}})
	b.OK(err)
	storetest.Same(b, "wanted", len(wanted), 0)
	a := storetest.Arrival("1.1", 2, "")
	a.Fetched = true // a slice that was missing
	_, err = b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	storetest.Same(b, "on the worklist", waits(b), []study.UID{"1.1"})
}

func priorSearches(b *storetest.Bench) {
	ctx := context.Background()
	since := b.Clock.Now().Add(-time.Hour)
	due := func() int {
		all, err := b.PriorsDue(ctx, since, 10)
		b.OK(err)
		return len(all)
	}
	b.Receive("1.2", 1, 1)
	storetest.Same(b, "due while it is received", due(), 0)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("m", 1))))
	storetest.Same(b, "due", due(), 1)
	b.OK(b.PriorsSearched(ctx, "1.2", 0, "nobody is there", b.Clock.Now().Add(time.Minute)))
	storetest.Same(b, "due after a failure", due(), 0)
	b.Clock.Pass(time.Minute)
	storetest.Same(b, "due after a while", due(), 1)
	b.OK(b.PriorsSearched(ctx, "1.2", 1, "", time.Time{}))
	n, err := b.PriorTries(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "tries", n, 2)
	b.Clock.Pass(time.Hour)
	storetest.Same(b, "due when it is over", due(), 0)
	b.FetchPrior("1.1")
	storetest.Same(b, "due for a prior", due(), 0)
}
