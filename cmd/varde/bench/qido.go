package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/ingest/dicomweb"
	"varde/internal/dicom"
	"varde/store"
	"varde/study"
)

const (
	// qidoStudies is how many studies are searched: a large hospital's year.
	qidoStudies = 100_000
	// qidoAsked is how many searches a round asks.
	qidoAsked = 500
	// qidoLimit is how long the slowest hundredth may take.
	qidoLimit = 50.0 // ms
)

// benchQIDO searches a ledger of 100,000 studies over HTTP as archives and viewers
// do, and pages through all of them.
func benchQIDO(ctx context.Context, ask Options, show func(Figure)) error {
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ledger, err := store.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		return err
	}
	defer ledger.Close()
	if err := fillLedger(ctx, ledger, qidoStudies); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &dicomweb.Service{Finder: ledger, Catalog: ledger, Log: slog.New(slog.DiscardHandler)}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	defer server.Close()
	go func() { _ = server.Serve(l) }()
	base := "http://" + l.Addr().String()
	rng := rand.New(rand.NewPCG(1, 1))
	usual, err := qidoTimes(ctx, rng, base, ask.Rounds*qidoAsked, qidoPath)
	if err != nil {
		return err
	}
	inside, err := qidoTimes(ctx, rng, base, ask.Rounds*qidoAsked/5, qidoInside)
	if err != nil {
		return err
	}
	if err := qidoPages(ctx, base); err != nil {
		return err
	}
	show(lower("ingest.qido100k_p99_ms", quantile(usual, 0.99), "ms", "limit", qidoLimit))
	show(lower("ingest.qido100k_inside_p99_ms", quantile(inside, 0.99), "ms", "limit", qidoLimit))
	return nil
}

// qidoTimes asks n searches and gives how many ms each took.
func qidoTimes(ctx context.Context, rng *rand.Rand, base string, n int, draw func(*rand.Rand) string) (took []float64, err error) {
	for range n {
		began := time.Now()
		path := draw(rng)
		if _, err := qidoAsk(ctx, base+path); err != nil {
			return nil, fmt.Errorf("search %s: %w", path, err)
		}
		took = append(took, time.Since(began).Seconds()*1000)
	}
	return took, nil
}

// qidoInside draws a search for what stands amid a text: no order of the texts
// helps there.
func qidoInside(rng *rand.Rand) string {
	p := qidoStudy(rng.IntN(qidoStudies)).Patient.Reveal()
	q := url.Values{"limit": {"100"}}
	switch rng.IntN(4) {
	case 0:
		q.Set("PatientName", "*"+p.Name[4:])
	case 1:
		q.Set("PatientName", "*"+p.Name[3:len(p.Name)-2]+"*")
	case 2:
		q.Set("PatientName", "?"+p.Name[1:])
	case 3:
		q.Set("PatientID", "*"+p.ID[3:])
	}
	return "/studies?" + q.Encode()
}

// Names of a generated ledger. They are of nobody.
var (
	qidoFamilies   = []string{"HANSEN", "JENSEN", "BERG", "LUND", "DAHL", "NIELSEN", "HAUGEN", "KRISTENSEN", "MOEN", "SYNTHETIC"}
	qidoGiven      = []string{"KARI", "OLA", "METTE", "LARS", "INGRID", "SOREN", "ASTRID", "NILS"}
	qidoModalities = []study.Modality{study.CT, study.CT, study.MG, study.CT, study.SM, study.CT, study.MG, "XA"}
)

// qidoStudy gives study n of the generated ledger: every patient has ten.
func qidoStudy(n int) study.Study {
	day := time.Date(2025, 1, 1, 7, 0, 0, 0, time.UTC).Add(time.Duration(n) * 5 * time.Minute)
	patient := n % (qidoStudies / 10)
	return study.Study{
		UID: study.UID(fmt.Sprintf("2.25.7%09d", n)), ID: fmt.Sprint(n), Accession: fmt.Sprintf("ACC%07d", n),
		Patient: study.NewPatient(study.Person{ID: fmt.Sprintf("SYN%06d", patient), Birth: "19600101", Sex: "O",
			Name: fmt.Sprintf("%s%d^%s", qidoFamilies[patient%len(qidoFamilies)], patient%997, qidoGiven[patient%len(qidoGiven)])}),
		Description: "CHEST", Date: day.Format("20060102"), Time: day.Format("150405"), Referring: "SYN^REFERRER",
		Modality: qidoModalities[n%len(qidoModalities)], Sender: "BENCH", ReceivedAt: day, LastInstanceAt: day,
	}
}

// fillLedger records n studies of two series.
func fillLedger(ctx context.Context, ledger *store.Ledger, n int) error {
	const writers = 128 // they share a commit
	g, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		g.Go(func() error {
			for i := w; i < n; i += writers {
				s := qidoStudy(i)
				for k := range 2 {
					in := study.Instance{Study: s.UID, Series: study.UID(fmt.Sprintf("%s.%d", s.UID, k+1)),
						UID: study.UID(fmt.Sprintf("%s.%d.1", s.UID, k+1)), Class: dicom.CTImage, TransferSyntax: dicom.ExplicitLE,
						Modality: s.Modality, Number: 1, SeriesNumber: k + 1, Key: "dicom/none", Bytes: 1, ReceivedAt: s.ReceivedAt}
					if _, err := ledger.Receive(ctx, study.Arrival{Study: s, Instance: in}); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// qidoPath draws a search as clients ask it.
func qidoPath(rng *rand.Rand) string {
	s := qidoStudy(rng.IntN(qidoStudies))
	p := s.Patient.Reveal()
	q := url.Values{"limit": {"100"}}
	switch rng.IntN(9) {
	case 0:
		q.Set("PatientID", p.ID)
	case 1:
		q.Set("AccessionNumber", s.Accession)
	case 2:
		q.Set("StudyDate", s.Date)
		q.Set("ModalitiesInStudy", string(s.Modality))
	case 3:
		q.Set("StudyDate", s.Date+"-")
	case 4:
		q.Set("PatientName", p.Name[:8]+"*")
	case 5:
		q.Set("ModalitiesInStudy", string(s.Modality))
	case 6:
		q.Set("offset", fmt.Sprint(rng.IntN(qidoStudies)))
	case 7:
		return "/studies/" + string(s.UID) + "/series?" + q.Encode()
	case 8:
		return "/studies/" + string(s.UID) + "/instances?" + q.Encode()
	}
	return "/studies?" + q.Encode()
}

// qidoAsk asks one search and gives the studies of its answer, in its order.
func qidoAsk(ctx context.Context, address string) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s: %w", resp.Status, study.ErrRefused)
	}
	var found []struct {
		Study struct{ Value []string } `json:"0020000D"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		return nil, err
	}
	uids := make([]string, 0, len(found))
	for _, f := range found {
		if len(f.Study.Value) != 1 {
			return nil, fmt.Errorf("a match names no study: %w", study.ErrInvalid)
		}
		uids = append(uids, f.Study.Value[0])
	}
	if len(uids) == 0 {
		return nil, fmt.Errorf("nothing was found: %w", study.ErrNotFound)
	}
	return uids, nil
}

// qidoPages pages through all studies and fails when one is missing or comes
// twice.
func qidoPages(ctx context.Context, base string) error {
	seen := make(map[string]bool, qidoStudies)
	for len(seen) < qidoStudies {
		uids, err := qidoAsk(ctx, fmt.Sprintf("%s/studies?limit=1000&offset=%d", base, len(seen)))
		if err != nil {
			return fmt.Errorf("page from %d: %w", len(seen), err)
		}
		for _, uid := range uids {
			if seen[uid] {
				return fmt.Errorf("page from %d: study %s came twice: %w", len(seen), uid, study.ErrInvalid)
			}
			seen[uid] = true
		}
	}
	return nil
}
