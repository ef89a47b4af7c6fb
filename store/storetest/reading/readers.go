package reading

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var readerPromises = []storetest.Promise{
	{Name: "the worklist pages through the order without a gap", Test: paging},
	{Name: "the worklist filters by modality, status and text", Test: filtering},
	{Name: "the last page of the worklist is its end", Test: lastPage},
	{Name: "a study that is read while it is scored leaves the worklist and is reported all the same", Test: readEarly},
	{Name: "studies are found by patient and accession, latest first", Test: findingCases},
	{Name: "tokens and sessions open until they expire", Test: tokens},
	{Name: "the audit tells what was done, newest first", Test: auditing},
	{Name: "counts say what is waiting", Test: counting},
	{Name: "waiting for a change is woken by it", Test: waking},
}

func paging(b *storetest.Bench) {
	ctx := context.Background()
	var want []string
	for n := range 25 {
		a := storetest.Arrival(study.UID(fmt.Sprintf("1.%d", 100+n)), 1, "")
		if n%5 == 0 {
			b.Clock.Pass(time.Second) // five studies share each key
		}
		_, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
		want = append(want, string(a.Study.UID))
	}
	stat := storetest.Arrival("1.5", 1, "")
	stat.Study.Priority = study.PriorityStat
	_, err := b.Ledger.Receive(ctx, stat)
	b.OK(err)
	want = append([]string{"1.5"}, want...)
	var got []string
	f := study.WorklistFilter{Limit: 4}
	for {
		rows, next, err := b.Worklist(ctx, f)
		b.OK(err)
		for _, c := range rows {
			got = append(got, string(c.Study.UID))
		}
		if next.Zero() {
			break
		}
		// What is read in between leaves no gap.
		b.OK(b.MarkRead(ctx, rows[len(rows)-1].Study.UID, "dr", ""))
		f.After, err = study.ParseCursor(next.String())
		b.OK(err)
	}
	storetest.Same(b, "order", got, want)
}

func filtering(b *storetest.Bench) {
	ctx := context.Background()
	for n, modality := range []study.Modality{study.CT, study.MG, study.CT} {
		a := storetest.Arrival(study.UID(fmt.Sprintf("1.%d", n)), 1, "")
		a.Study.Modality = modality
		a.Study.Patient = study.NewPatient(study.Person{ID: fmt.Sprintf("ID_%d%%", n), Name: "Ås^Bjørn" + fmt.Sprint(n)})
		_, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
	}
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	for _, tt := range []struct {
		name string
		f    study.WorklistFilter
		want string
	}{
		{"all", study.WorklistFilter{}, "1.0 1.1 1.2"},
		{"modality", study.WorklistFilter{Modality: study.CT}, "1.0 1.2"},
		{"status", study.WorklistFilter{Status: study.Scoring}, "1.2"},
		{"name in another case", study.WorklistFilter{Text: "åS^BJØRN1"}, "1.1"},
		{"part of the ID", study.WorklistFilter{Text: "id_2"}, "1.2"},
		{"a wildcard stands for itself", study.WorklistFilter{Text: "0%"}, "1.0"},
		{"an underscore too", study.WorklistFilter{Text: "Ås_"}, ""},
		{"accession", study.WorklistFilter{Text: "a1.1"}, "1.1"},
		{"together", study.WorklistFilter{Modality: study.MG, Status: study.Receiving, Text: "bj"}, "1.1"},
	} {
		rows, _, err := b.Worklist(ctx, tt.f)
		b.OK(err)
		var got []string
		for _, c := range rows {
			got = append(got, string(c.Study.UID))
		}
		storetest.Same(b, tt.name, strings.Join(got, " "), tt.want)
	}
}

func lastPage(b *storetest.Bench) {
	for n := range 7 {
		b.Clock.Pass(time.Second)
		b.Receive(study.UID(fmt.Sprintf("1.%d", n)), 1, 1)
	}
	rows, next, err := b.Worklist(context.Background(), study.WorklistFilter{Last: true, Limit: 3})
	b.OK(err)
	var got []study.UID
	for _, c := range rows {
		got = append(got, c.Study.UID)
	}
	storetest.Same(b, "rows", got, []study.UID{"1.4", "1.5", "1.6"})
	storetest.Same(b, "next", next.Zero(), true)
}

func readEarly(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.OK(b.MarkRead(ctx, "1.2", "dr", "no AI needed"))
	rows, _, err := b.Worklist(ctx, study.WorklistFilter{})
	b.OK(err)
	storetest.Same(b, "on the worklist", len(rows), 0)
	b.Status("1.2", study.Scoring)
	b.Score()
	b.Conclude(study.Flagged, 1)
	b.Report()
	b.Status("1.2", study.Read)
	readings, err := b.Readings(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "readings", readings, []study.Reading{{Study: "1.2", Rev: 1, By: "dr", Verdict: "no AI needed", At: b.Clock.Now()}})
	b.Is(b.MarkRead(ctx, "1.99", "dr", ""), study.ErrNotFound)
}

func findingCases(b *storetest.Bench) {
	ctx := context.Background()
	for n := range 4 {
		b.Clock.Pass(time.Second)
		a := storetest.Arrival(study.UID(fmt.Sprintf("1.%d", n)), 1, "")
		a.Study.Patient = study.NewPatient(study.Person{ID: fmt.Sprint("P", n%2)})
		_, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
	}
	second, err := b.Study(ctx, "1.2")
	b.OK(err)
	for _, tt := range []struct {
		f    study.CaseFilter
		want []study.UID
	}{
		{study.CaseFilter{}, []study.UID{"1.3", "1.2", "1.1", "1.0"}},
		{study.CaseFilter{PatientID: "P1"}, []study.UID{"1.3", "1.1"}},
		{study.CaseFilter{PatientID: "P1", Limit: 1}, []study.UID{"1.3"}},
		{study.CaseFilter{After: second.Received()}, []study.UID{"1.1", "1.0"}},
		{study.CaseFilter{After: second.Received(), PatientID: "P0"}, []study.UID{"1.0"}},
		{study.CaseFilter{Accession: "A1.2"}, []study.UID{"1.2"}},
		{study.CaseFilter{Status: study.Read}, nil},
		{study.CaseFilter{PatientID: "P0", Accession: "A1.1"}, nil},
	} {
		cases, err := b.Cases(ctx, tt.f)
		b.OK(err)
		var got []study.UID
		for _, c := range cases {
			got = append(got, c.Study.UID)
		}
		storetest.Same(b, fmt.Sprintf("%+v", tt.f), got, tt.want)
	}
	_, err = b.Case(ctx, "1.99")
	b.Is(err, study.ErrNotFound)
}

func tokens(b *storetest.Bench) {
	ctx := context.Background()
	good := study.Token{Hash: sha256.Sum256([]byte("a")), Role: "admin", Name: "root"}
	brief := study.Token{Hash: sha256.Sum256([]byte("b")), Role: "reader", Name: "anna", Expires: b.Clock.Now().Add(time.Hour)}
	b.OK(b.AddToken(ctx, good, "setup"))
	b.OK(b.AddToken(ctx, brief, "root"))
	session := study.Token{Hash: sha256.Sum256([]byte("c")), Role: "reader", Name: "anna", Expires: b.Clock.Now().Add(time.Hour)}
	b.OK(b.AddSession(ctx, session))
	role, name, err := b.TokenRole(ctx, brief.Hash)
	b.OK(err)
	storetest.Same(b, "token", []string{role, name}, []string{"reader", "anna"})
	_, err = b.Session(ctx, session.Hash)
	b.OK(err)
	_, err = b.Session(ctx, good.Hash)
	b.Is(err, study.ErrNotFound)
	_, err = b.Token(ctx, session.Hash)
	b.Is(err, study.ErrNotFound)
	b.Clock.Pass(time.Hour)
	_, err = b.Token(ctx, brief.Hash)
	b.Is(err, study.ErrNotFound)
	_, err = b.Session(ctx, session.Hash)
	b.Is(err, study.ErrNotFound)
	_, err = b.Token(ctx, good.Hash)
	b.OK(err)
	b.OK(b.DropToken(ctx, good.Hash, "root"))
	_, err = b.Token(ctx, good.Hash)
	b.Is(err, study.ErrNotFound)
	b.Is(b.DropToken(ctx, good.Hash, "root"), study.ErrNotFound)
	all, err := b.Tokens(ctx)
	b.OK(err)
	storetest.Same(b, "tokens", len(all), 1)
}

func auditing(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	b.Report("PACS")
	due, err := b.DueDeliveries(ctx, 1)
	b.OK(err)
	b.OK(b.Delivered(ctx, due[0].ID))
	b.OK(b.MarkOpened(ctx, "1.2", "dr"))
	b.OK(b.MarkRead(ctx, "1.2", "dr", "agree"))
	b.OK(b.Audit(ctx, "dr", "exported", "study 1.2"))
	n, err := b.VerifyAudit(ctx)
	b.OK(err)
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	var got []string
	for _, r := range rows {
		got = append(got, r.Action)
		if all := fmt.Sprint(r); strings.Contains(all, "Nordmann") || strings.Contains(all, "P1.2") {
			b.T.Errorf("a patient in the audit: %s", all)
		}
	}
	storetest.Same(b, "actions", got, []string{"exported", "read", "opened", "delivered", "report", "result", "settled"})
	storetest.Same(b, "length", n, int64(len(rows)))
	older, err := b.AuditRows(ctx, rows[4].N, 2)
	b.OK(err)
	storetest.Same(b, "older", []string{older[0].Action, older[1].Action}, []string{"result", "settled"})
}

func counting(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 3))
	b.Receive("1.3", 1, 1)
	j := b.Claim(study.PoolCPU, 2)[0]
	b.OK(b.Started(ctx, j.ID, j.Attempt, "w"))
	c, err := b.Counts(ctx)
	b.OK(err)
	storetest.Same(b, "studies", c.Studies, map[study.Status]int{study.Scoring: 1, study.Receiving: 1})
	var got []string
	for _, n := range c.Jobs {
		got = append(got, fmt.Sprintf("%s %s %s %d", n.Pool, n.Lane, n.State, n.Count))
	}
	storetest.Same(b, "jobs", got, []string{"cpu routine enqueued 1", "cpu routine ready 1", "cpu routine running 1"})
	storetest.Same(b, "oldest", c.Jobs[1].Oldest, b.Clock.Now())
}

func waking(b *storetest.Bench) {
	moved, changed := b.JobsMoved(), b.Changed()
	b.Receive("1.2", 1, 1)
	<-changed
	select {
	case <-moved:
		b.T.Error("an arrival moves no job")
	default:
	}
	b.OK(b.Ledger.Settle(context.Background(), b.Plan("1.2", storetest.Asked("ct", 1))))
	<-moved
}
