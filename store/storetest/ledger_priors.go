package storetest

import (
	"context"
	"time"

	"varde/study"
)

var priorPromises = []promise{
	{"a prior that we fetched is not on the worklist", priorFetched},
	{"a prior that is pushed is new work, also when nothing in it is new", priorPushed},
	{"a study that is here is no prior", priorHere},
	{"a search for priors is made again until it is over", priorSearches},
}

// fetchPrior has a prior of study 1.2 come because we asked for it.
func (b *Bench) fetchPrior(uid study.UID) {
	b.T.Helper()
	ctx := context.Background()
	wanted, err := b.WantPriors(ctx, []study.Prior{{Study: uid, Of: "1.2", AE: "PACS", Objects: 2, Evidence: study.PriorEvidence{Date: "20250101"}}})
	b.OK(err)
	Same(b, "wanted", len(wanted), 1)
	for n := 1; n <= 2; n++ {
		a := Arrival(uid, n, "")
		a.Fetched, a.Instance.ReceivedAt = true, b.Clock.Now()
		_, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
	}
	b.OK(b.PriorCame(ctx, uid, "get", ""))
	p := b.Plan(uid)
	p.Note = study.Reason{Code: study.ReasonPrior}
	b.OK(b.Ledger.Settle(ctx, p))
}

// waits gives the studies on the worklist.
func (b *Bench) waits() (uids []study.UID) {
	b.T.Helper()
	rows, _, err := b.Worklist(context.Background(), study.WorklistFilter{})
	b.OK(err)
	for _, r := range rows {
		uids = append(uids, r.Study.UID)
	}
	return uids
}

func priorFetched(b *Bench) {
	b.Settle("1.2", Asked("m", 1))
	b.fetchPrior("1.1")
	Same(b, "on the worklist", b.waits(), []study.UID{"1.2"})
	Same(b, "what a reader is told", b.Status("1.1", study.Settled).Note, study.ReasonPrior)
	is, err := b.IsPrior(context.Background(), "1.1")
	b.OK(err)
	Same(b, "it is a prior", is, true)
	a := Arrival("1.1", 3, "") // more of it, fetched
	a.Fetched = true
	_, err = b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	Same(b, "on the worklist", b.waits(), []study.UID{"1.2"})
	all, err := b.Priors(context.Background(), "1.2")
	b.OK(err)
	Same(b, "how", []any{len(all), all[0].How, all[0].State, all[0].AE, all[0].Evidence.Date}, []any{1, "get", "fetched", "PACS", "20250101"})
}

func priorPushed(b *Bench) {
	b.Settle("1.2", Asked("m", 1))
	b.fetchPrior("1.1")
	r, err := b.Ledger.Receive(context.Background(), Arrival("1.1", 1, ""))
	b.OK(err)
	Same(b, "outcome", r, study.Receipt{Outcome: study.Duplicate, Reopened: true})
	Same(b, "note", b.Status("1.1", study.Receiving).Note, "")
	Same(b, "on the worklist", len(b.waits()), 2)
	is, err := b.IsPrior(context.Background(), "1.1")
	b.OK(err)
	Same(b, "it is a prior", is, false)
	b.OK(b.Ledger.Settle(context.Background(), b.Plan("1.1", Asked("m", 1))))
	b.Status("1.1", study.Scoring)
}

func priorHere(b *Bench) {
	b.Receive("1.1", 1, 1)
	wanted, err := b.WantPriors(context.Background(), []study.Prior{{Study: "1.1", Of: "1.2", AE: "PACS"}})
	b.OK(err)
	Same(b, "wanted", len(wanted), 0)
	a := Arrival("1.1", 2, "")
	a.Fetched = true // a slice that was missing
	_, err = b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	Same(b, "on the worklist", b.waits(), []study.UID{"1.1"})
}

func priorSearches(b *Bench) {
	ctx := context.Background()
	since := b.Clock.Now().Add(-time.Hour)
	due := func() int {
		all, err := b.PriorsDue(ctx, since, 10)
		b.OK(err)
		return len(all)
	}
	b.Receive("1.2", 1, 1)
	Same(b, "due while it is received", due(), 0)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("m", 1))))
	Same(b, "due", due(), 1)
	b.OK(b.PriorsSearched(ctx, "1.2", 0, "nobody is there", b.Clock.Now().Add(time.Minute)))
	Same(b, "due after a failure", due(), 0)
	b.Clock.Pass(time.Minute)
	Same(b, "due after a while", due(), 1)
	b.OK(b.PriorsSearched(ctx, "1.2", 1, "", time.Time{}))
	n, err := b.PriorTries(ctx, "1.2")
	b.OK(err)
	Same(b, "tries", n, 2)
	b.Clock.Pass(time.Hour)
	Same(b, "due when it is over", due(), 0)
	b.fetchPrior("1.1")
	Same(b, "due for a prior", due(), 0)
}
