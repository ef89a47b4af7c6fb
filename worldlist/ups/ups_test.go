package ups_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
	"varde/worldlist"
	"varde/worldlist/order"
	"varde/worldlist/ups"
	"varde/worldlist/veil"
)

// tokens are those of people whose names begin with their roles.
type tokens struct{}

var people = []string{"reader anna", "reader bo", "operator ops", "auditor au"}

func (tokens) TokenRole(_ context.Context, h study.Hash) (role, name string, err error) {
	for _, p := range people {
		if h == sha256.Sum256([]byte(p)) {
			role, name, _ = strings.Cut(p, " ")
			return role, name, nil
		}
	}
	return "", "", study.ErrNotFound
}

// A ward is the service over a real ledger.
type ward struct {
	*storetest.Bench
	server *httptest.Server
	path   string
	rules  []study.Protocol
}

const idle = 20 * time.Minute

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{path: filepath.Join(t.TempDir(), "ledger.db"), rules: []study.Protocol{study.Concurrent}}
	w.Bench = storetest.NewBench(t, func(tb testing.TB, o store.LedgerOptions) *store.Ledger {
		l, err := store.OpenLedger(context.Background(), w.path, o)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = l.Close() })
		return l
	}, order.Place)
	w.serve(t)
	return w
}

// serve puts the service of the ward's ledger behind an address.
func (w *ward) serve(t *testing.T) {
	t.Helper()
	site, err := webui.New(webui.Options{Tokens: tokens{}, Now: w.Clock.Now, Zone: time.UTC}, worldlist.Parts()...)
	if err != nil {
		t.Fatal(err)
	}
	cloth := &veil.Veil{Zone: time.UTC, Answers: w.Ledger, Cases: w.Ledger, Audit: w.Ledger.AuditEach,
		Protocols: func(study.ModelRef, string) []study.Protocol { return w.rules }}
	ups.Service{Items: w.Ledger, Performers: w.Ledger, Events: w.Ledger, Subscriptions: w.Ledger, Desk: w.Ledger, Orders: w.Ledger.Orders,
		Veil: cloth, Changed: w.Ledger.Changed, Idle: idle, Base: "/dicom-web", Log: slog.New(slog.DiscardHandler)}.Add(site)
	w.server = httptest.NewServer(site)
	t.Cleanup(w.server.Close)
	t.Cleanup(site.EndStreams) // before the server waits for them
}

// restart closes the ledger and the server, and opens both again.
func (w *ward) restart(t *testing.T) {
	t.Helper()
	w.server.CloseClientConnections()
	w.server.Close()
	if err := w.Ledger.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := store.OpenLedger(t.Context(), w.path, store.LedgerOptions{Now: w.Clock.Now, Place: order.Place})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w.Ledger = l
	w.serve(t)
}

// An answer is one of the service.
type answer struct {
	code   int
	header http.Header
	body   string
	sets   []map[string]attribute
}

type attribute struct {
	VR    string
	Value []any
}

func (a answer) warning() string { return strings.Join(a.header.Values("Warning"), "; ") }

// text gives the first value of an element of the first data set.
func (a answer) text(tag string) string {
	if len(a.sets) == 0 || len(a.sets[0][tag].Value) == 0 {
		return ""
	}
	return fmt.Sprint(a.sets[0][tag].Value[0])
}

// each gives the first value of an element of every data set.
func (a answer) each(tag string) (all []string) {
	for _, s := range a.sets {
		all = append(all, fmt.Sprint(s[tag].Value[0]))
	}
	return all
}

func (w *ward) ask(who, method, path, body string, header ...string) answer {
	w.T.Helper()
	a, err := w.try(who, method, path, body, header...)
	if err != nil {
		w.T.Fatal(err)
	}
	return a
}

func (w *ward) try(who, method, path, body string, header ...string) (a answer, err error) {
	r, err := http.NewRequest(method, w.server.URL+"/dicom-web"+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	r.Header.Set("Authorization", "Bearer "+who)
	if body != "" {
		r.Header.Set("Content-Type", "application/dicom+json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answered, err := http.DefaultClient.Do(r)
	if err != nil {
		return a, err
	}
	defer answered.Body.Close()
	b, err := io.ReadAll(answered.Body)
	a = answer{code: answered.StatusCode, header: answered.Header, body: string(b)}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/dicom+json") {
		err = json.Unmarshal(b, &a.sets)
	}
	return a, err
}

const (
	anna = "reader anna"
	bo   = "reader bo"
	ops  = "operator ops"
)

func stateBody(state, transaction string) string {
	parts := []string{}
	if state != "" {
		parts = append(parts, fmt.Sprintf(`"00741000":{"vr":"CS","Value":[%q]}`, state))
	}
	if transaction != "" {
		parts = append(parts, fmt.Sprintf(`"00081195":{"vr":"UI","Value":[%q]}`, transaction))
	}
	return "[{" + strings.Join(parts, ",") + "}]"
}

// performed is all that a performer must have told before completing.
const performed = `[{"00741216":{"vr":"SQ","Value":[{
	"00404028":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["WS1"]},"00080102":{"vr":"SH","Value":["99HOSP"]},"00080104":{"vr":"LO","Value":["Station 1"]}}]},
	"00404050":{"vr":"DT","Value":["20260301080000"]},"00404051":{"vr":"DT","Value":["20260301081000"]},
	"00404019":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["110005"]},"00080102":{"vr":"SH","Value":["DCM"]},"00080104":{"vr":"LO","Value":["Interpretation"]}}]},
	"00404033":{"vr":"SQ"}}]}}]`

// item gives the item of a study that waits.
func (w *ward) item(uid study.UID) study.UID {
	w.T.Helper()
	all, err := w.Workitems(context.Background(), idle, uid)
	w.OK(err)
	return all[0].UID
}

func (w *ward) state(uid study.UID, who, state, transaction string) answer {
	w.T.Helper()
	return w.ask(who, http.MethodPut, "/workitems/"+string(uid)+"/state", stateBody(state, transaction))
}

func (w *ward) urgent(uid study.UID, p study.Priority) {
	w.T.Helper()
	a := storetest.Arrival(uid, 1, "")
	a.Study.Priority, a.Study.Description = p, "CT thorax"
	_, err := w.Ledger.Receive(context.Background(), a)
	w.OK(err)
	w.Clock.Pass(time.Minute)
}

func TestSearchGivesTheReadingOrder(t *testing.T) {
	w := newWard(t)
	for n, p := range []study.Priority{study.PriorityRoutine, study.PriorityStat, study.PriorityUrgent, study.PriorityRoutine, study.PriorityStat} {
		w.urgent(study.UID(fmt.Sprintf("1.2.%d", n)), p)
	}
	want := []string{"1.2.1", "1.2.4", "1.2.2", "1.2.0", "1.2.3"}
	all := w.ask(ops, "GET", "/workitems", "")
	if got := all.each("0020000D"); all.code != 200 || !slices.Equal(got, want) {
		t.Fatal(all.code, got)
	}
	if got := all.each("00741200"); !slices.Equal(got, []string{"HIGH", "HIGH", "MEDIUM", "LOW", "LOW"}) {
		t.Error(got)
	}
	if _, ok := all.sets[0]["00404021"]; ok {
		t.Error("the input stands in a search that asks for nothing more")
	}
	for _, tt := range []struct {
		query   string
		want    []string
		warning string
	}{
		{"limit=2", want[:2], "offset=2"},
		{"limit=2&offset=2", want[2:4], "offset=4"},
		{"limit=2&offset=4", want[4:], ""},
		{"offset=5", nil, ""},
		{"00741200=LOW", want[3:], ""},
		{"ScheduledProcedureStepPriority=HIGH&limit=1&offset=1", want[1:2], ""},
		{"PatientID=P1.2.3", want[4:], ""},
		{"PatientID=P1.2.?&limit=1", want[:1], "offset=1"},
		{"PatientName=nordmann*", want, ""},
		{"PatientName=Nordman", nil, ""},
		{"AccessionNumber=A1.2.2", want[2:3], ""},
		{"0040A370.00080050=A1.2.2", want[2:3], ""},
		{"ReferencedRequestSequence.AccessionNumber=A1.2.9", nil, ""},
		{"StudyInstanceUID=1.2.3,1.2.0", []string{"1.2.3", "1.2.0"}, ""},
		{"SOPInstanceUID=" + string(w.item("1.2.2")), want[2:3], ""},
		{"00404005=20260301080200-20260301080300", []string{"1.2.2", "1.2.3"}, ""},
		{"ScheduledWorkitemCodeSequence.CodeValue=110005&limit=1", want[:1], "offset=1"},
		{"WorklistLabel=READING&limit=5", want, ""},
		{"WorklistLabel=SCORING", nil, ""},
		{"InputReadinessState=READY", nil, ""},
		{"ProcedureStepState=SCHEDULED", want, ""},
		{"ProcedureStepState=IN PROGRESS", nil, ""},
		{"ProcedureStepState=COMPLETED", nil, ""},
		{"fuzzymatching=true&limit=5", want, "fuzzymatching parameter is not supported"},
		{"Nonsense=1", want, "ignored: Nonsense"},
	} {
		got := w.ask(ops, "GET", "/workitems?"+strings.ReplaceAll(tt.query, " ", "%20"), "")
		code := http.StatusOK
		if len(tt.want) == 0 {
			code = http.StatusNoContent
		}
		if uids := got.each("0020000D"); got.code != code || !slices.Equal(uids, tt.want) || !strings.Contains(got.warning(), tt.warning) {
			t.Errorf("%s: %d %v, warning %q", tt.query, got.code, uids, got.warning())
		}
	}
	with := w.ask(ops, "GET", "/workitems?includefield=InputInformationSequence&limit=1", "")
	if !strings.Contains(with.body, w.server.URL+"/dicom-web/studies/1.2.1") {
		t.Error("the input does not say where the study is", with.body)
	}
	for _, tt := range []struct {
		path, accept string
		code         int
	}{
		{"/workitems?limit=no", "", 400}, {"/workitems?PatientBirthDate=19500231", "", 400}, {"/workitems?PatientBirthDate=1950-01-01", "", 400},
		{"/workitems?ScheduledProcedureStepStartDateTime=yesterday", "", 400}, {"/workitems?00404011=20261301-", "", 400},
		{"/workitems?PatientBirthDate=19500101-", "", 200}, {"/workitems?00404005=2026", "", 200},
		{"/workitems?offset=99999", "", 400},
		{"/workitems", "application/dicom+xml", 406}, {"/workitems", `multipart/related; type="application/dicom+xml"`, 406},
		{"/workitems/1.2.3.4", "", 404}, {"/workitems/x", "", 400}, {"/workitems/" + string(w.item("1.2.2")), "application/dicom+xml", 406},
	} {
		header := []string{}
		if tt.accept != "" {
			header = []string{"Accept", tt.accept}
		}
		if got := w.ask(ops, "GET", tt.path, "", header...); got.code != tt.code {
			t.Errorf("%s as %s: %d", tt.path, tt.accept, got.code)
		}
	}
	if got := w.ask("auditor au", "GET", "/workitems", ""); got.code != 403 {
		t.Error("an auditor searches:", got.code)
	}
	if got := w.ask(ops, "POST", "/workitems", performed); got.code != 405 || got.header.Get("Allow") == "" {
		t.Error("an item is made:", got.code)
	}
}

func TestItemHoldsEveryAttributeOfTheTable(t *testing.T) {
	w := newWard(t)
	w.Settle("1.2")
	_, err := w.TakeOrders(t.Context(), []study.Order{{Told: study.Message{Sender: "RIS", ID: "1", At: w.Clock.Now()}, Accession: "A1.2", Placer: "PL1", Filler: "FI1",
		Patient: study.NewPatient(study.Person{ID: "P1.2", Name: "Nordmann^Kari", Birth: "19500101", Sex: "F"}), Deadline: w.Clock.Now().Add(5 * 24 * time.Hour)}})
	w.OK(err)
	a := w.ask(anna, "GET", "/workitems/"+string(w.item("1.2"))+"?lang=nb", "")
	if a.code != 200 || len(a.sets) != 1 {
		t.Fatal(a.code, a.body)
	}
	for _, one := range ups.Attributes() {
		tag := fmt.Sprintf("%08X", uint32(one.Tag))
		if got, ok := a.sets[0][tag]; !ok || one.Tag.Keyword() == "" || got.VR != one.Tag.VRs()[0] {
			t.Errorf("%s %s: %v", tag, one.Tag.Keyword(), got)
		}
		delete(a.sets[0], tag)
	}
	if len(a.sets[0]) > 0 {
		t.Error("not in the table:", a.sets[0])
	}
	a = w.ask(anna, "GET", "/workitems/"+string(w.item("1.2")), "", "Accept-Language", "nb")
	for tag, want := range map[string]string{"00080016": ups.Class, "00741000": "SCHEDULED", "00404041": "READY", "00741202": "READING",
		"00404005": "20260301080000+0000", "00404011": "20260306080000+0000", "00100020": "P1.2"} {
		if a.text(tag) != want {
			t.Errorf("%s: %q, want %q", tag, a.text(tag), want)
		}
	}
	if !strings.Contains(a.text("00400400"), "Hvorfor her: ") || !strings.Contains(a.body, `"PL1"`) || !strings.Contains(a.body, `"FI1"`) {
		t.Error(a.body)
	}
}

// TestPerformersMoveItemsAsTheStandardSays asks for every transition in every state,
// with the right transaction, a wrong one and none.
func TestPerformersMoveItemsAsTheStandardSays(t *testing.T) {
	w := newWard(t)
	const ours, other = "2.25.1", "2.25.2"
	const missing, incorrect, conflict = "The Transaction UID is missing.", "The Transaction UID is incorrect.", "inconsistent with the state"
	const canceled, completed = "already in the requested state of CANCELED.", "already in the requested state of COMPLETED."
	type want struct {
		code    int
		warning string
	}
	ok, no := want{200, ""}, want{409, conflict}
	gone := want{400, missing}
	bad := want{400, incorrect}
	for _, tt := range []struct {
		to, who, transaction string
		want                 [4]want // scheduled, in progress, completed, canceled
	}{
		{"IN PROGRESS", anna, ours, [4]want{ok, no, no, no}},
		{"IN PROGRESS", bo, other, [4]want{ok, no, no, no}},
		{"IN PROGRESS", anna, "", [4]want{gone, gone, no, no}},
		{"COMPLETED", anna, ours, [4]want{no, ok, {200, completed}, no}},
		{"COMPLETED", anna, other, [4]want{no, bad, {200, completed}, no}},
		{"COMPLETED", bo, ours, [4]want{no, bad, {200, completed}, no}},
		{"COMPLETED", anna, "", [4]want{gone, gone, {200, completed}, no}},
		{"CANCELED", anna, ours, [4]want{no, ok, no, {200, canceled}}},
		{"CANCELED", bo, other, [4]want{no, bad, no, {200, canceled}}},
		{"CANCELED", anna, "", [4]want{gone, gone, no, {200, canceled}}},
		{"SCHEDULED", anna, ours, [4]want{no, no, no, no}},
		{"", anna, ours, [4]want{{400, ""}, {400, ""}, {400, ""}, {400, ""}}},
		{"IN PROGRESS", ops, ours, [4]want{{403, ""}, {403, ""}, {403, ""}, {403, ""}}},
	} {
		for n, from := range []string{"SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"} {
			uid := study.UID(fmt.Sprintf("1.2.%d", w.Clock.Now().UnixNano()))
			w.Clock.Pass(time.Millisecond)
			w.Settle(uid)
			item := w.item(uid)
			if n > 0 {
				w.state(item, anna, "IN PROGRESS", ours)
				w.ask(anna, "POST", "/workitems/"+string(item)+"?transaction-uid="+ours, performed)
			}
			if n > 1 {
				w.state(item, anna, from, ours)
			}
			if got := w.ask(anna, "GET", "/workitems/"+string(item), "").text("00741000"); got != from {
				t.Fatal(from, got)
			}
			got := w.state(item, tt.who, tt.to, tt.transaction)
			if got.code != tt.want[n].code || tt.want[n].warning != "" && !strings.Contains(got.warning(), tt.want[n].warning) || tt.want[n] == ok && got.warning() != "" {
				t.Errorf("from %s to %s by %s with %q: %d %q %s", from, tt.to, tt.who, tt.transaction, got.code, got.warning(), got.body)
			}
		}
	}
}

func TestRequestsThatAreNoneAreRefused(t *testing.T) {
	w := newWard(t)
	w.Settle("1.2")
	item := "/workitems/" + string(w.item("1.2"))
	w.state(w.item("1.2"), anna, "IN PROGRESS", "2.25.1")
	at := item + "?transaction-uid=2.25.1"
	deep := strings.Repeat(`{"00741002":{"vr":"SQ","Value":[`, 12) + "{}" + strings.Repeat("]}}", 12)
	for _, tt := range []struct {
		method, path, body, media string
		code                      int
	}{
		{"PUT", item + "/state", "<NativeDicomModel/>", "application/dicom+xml", 415},
		{"POST", at, performed, "multipart/related", 415},
		{"POST", at, "{", "application/dicom+json", 400},
		{"POST", at, "[{},{}]", "application/dicom+json", 400},
		{"POST", at, "{} {}", "application/dicom+json", 400},
		{"POST", at, deep, "application/dicom+json", 400},
		{"POST", at, `{"00741002":{"vr":"SQ","Value":["x"]}}`, "application/dicom+json", 400},
		{"POST", at, `{"00741002":{"vr":"SQ","Value":[{},{}]}}`, "application/dicom+json", 400},
		{"POST", at, `{"00741002":{"vr":"LO","Value":["x"]}}`, "application/dicom+json", 400},
		{"POST", at, `{"zzz":{"vr":"LO"}}`, "application/dicom+json", 400},
		{"POST", at, `{"00741002":{"vr":"SQ","InlineBinary":"AA=="}}`, "application/dicom+json", 400},
		{"POST", at, `{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Else^Somebody"}]}}`, "application/dicom+json", 400},
		{"POST", at, stateBody("COMPLETED", "2.25.1"), "application/dicom+json", 400},
		{"POST", at, `{"00741002":{"vr":"SQ","Value":[{"00741006":{"vr":"ST","Value":["` + strings.Repeat("x", 300<<10) + `"]}}]}}`, "application/dicom+json", 413},
		{"POST", item, performed, "application/dicom+json", 400},
		{"POST", item + "?transaction-uid=2.25.9", performed, "application/dicom+json", 400},
		{"POST", item + "?transaction-uid=no", performed, "application/dicom+json", 400},
		{"POST", at, performed, "application/json", 200},
		{"POST", item + "?2.25.1", performed, "application/dicom+json; charset=utf-8", 200},
		{"POST", at, "[" + `{"00091001":{"vr":"LO","Value":["x"]}}` + "]", "application/dicom+json", 200},
		{"POST", "/workitems/1.2.3?transaction-uid=2.25.1", performed, "application/dicom+json", 404},
	} {
		got := w.ask(anna, tt.method, tt.path, tt.body, "Content-Type", tt.media)
		if got.code != tt.code {
			t.Errorf("%s %.60s as %s: %d %s, want %d", tt.method, tt.body, tt.media, got.code, got.body, tt.code)
		}
	}
}

// TestCompletingIsReading takes a study up, tells how far it is, and completes it:
// it leaves the list, and nothing of the AI counts as shown.
func TestCompletingIsReading(t *testing.T) {
	w := newWard(t)
	w.rules = []study.Protocol{study.Independent}
	w.Settle("1.2", storetest.Asked("m", 1))
	w.Score()
	w.Conclude(study.Flagged, 0.9)
	uid := w.item("1.2")
	item := "/workitems/" + string(uid)
	if got := w.state(uid, anna, "IN PROGRESS", "2.25.1"); got.code != 200 {
		t.Fatal(got.code, got.body)
	}
	claims, err := w.Claims(t.Context(), idle)
	if err != nil || len(claims) != 1 || claims[0].By != "anna" {
		t.Fatal("the reading room does not know of it", claims, err)
	}
	if s, err := w.Study(t.Context(), "1.2"); err != nil || !s.Opened {
		t.Error("its place may still move", err)
	}
	if got := w.state(uid, anna, "COMPLETED", "2.25.1"); got.code != 409 || !strings.Contains(got.body, "PerformedStationNameCodeSequence") {
		t.Error("completed without what was performed:", got.code, got.body)
	}
	progress := `[{"00741002":{"vr":"SQ","Value":[{"00741004":{"vr":"DS","Value":[40]},"00741006":{"vr":"ST","Value":["blåbær"]}}]}}]`
	for _, body := range []string{progress, performed} {
		if got := w.ask(anna, "POST", item+"?transaction-uid=2.25.1", body); got.code != 200 {
			t.Fatal(got.code, got.body)
		}
	}
	hers := w.ask(anna, "GET", item, "")
	if !strings.Contains(hers.body, "blåbær") || !strings.Contains(hers.body, "Station 1") || strings.Contains(hers.body, "2.25.1\"") {
		t.Error(hers.body)
	}
	if his := w.ask(bo, "GET", item, ""); strings.Contains(his.body, "blåbær") {
		t.Error("a reader who has not answered is told what another one says")
	}
	if got := w.state(uid, anna, "COMPLETED", "2.25.1"); got.code != 200 {
		t.Fatal(got.code, got.body)
	}
	if got := w.ask(anna, "GET", "/workitems", ""); got.code != 204 {
		t.Error("it still waits:", got.body)
	}
	ended := w.ask(anna, "GET", "/workitems?ProcedureStepState=COMPLETED", "")
	if ended.text("00080018") != string(uid) {
		t.Error(ended.code, ended.body)
	}
	steps, err := w.Steps(t.Context(), "1.2")
	if err != nil || len(steps) != 1 || steps[0].Step != study.StepFinal || steps[0].Verdict != "none" || steps[0].By != "anna" {
		t.Error(steps, err)
	}
	rows, err := w.AuditRows(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range rows {
		said = append(said, r.Actor+" "+r.Action)
	}
	for _, want := range []string{"anna claim take", "anna work item taken", "anna read", "anna work item completed"} {
		if !slices.Contains(said, want) {
			t.Errorf("the audit does not tell %q: %q", want, said)
		}
	}
}

// TestOneReaderHasAStudyWhereverTheySit has workstations and our pages reach for one
// study at the same moment.
func TestOneReaderHasAStudyWhereverTheySit(t *testing.T) {
	w := newWard(t)
	for round := range 5 {
		uid := study.UID(fmt.Sprintf("1.2.%d", round))
		w.Settle(uid)
		item := w.item(uid)
		var wait sync.WaitGroup
		won := make([]bool, 8)
		for n := range won {
			wait.Go(func() {
				who := []string{anna, bo}[n%2]
				if n >= 4 {
					_, err := w.MoveClaim(t.Context(), study.ClaimMove{Study: uid, Kind: study.ClaimTake, By: fmt.Sprint("page", n), Idle: idle})
					won[n] = err == nil
					return
				}
				a, err := w.try(who, "PUT", "/workitems/"+string(item)+"/state", stateBody("IN PROGRESS", fmt.Sprintf("2.25.%d", n+1)))
				won[n] = a.code == 200
				if err != nil || a.code != 200 && a.code != 409 {
					t.Error(a.code, err)
				}
			})
		}
		wait.Wait()
		n := 0
		for _, w := range won {
			if w {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%d have study %s", n, uid)
		}
		if got := w.ask(bo, "GET", "/workitems/"+string(item), "").text("00741000"); got != "IN PROGRESS" {
			t.Error(got)
		}
	}
}

// TestClaimOnAPageEndsAsTheNextItem follows a study through our pages as a
// workstation sees it.
func TestClaimOnAPageEndsAsTheNextItem(t *testing.T) {
	w := newWard(t)
	w.Settle("1.2")
	first := w.item("1.2")
	move := func(kind, by string) {
		t.Helper()
		_, err := w.MoveClaim(t.Context(), study.ClaimMove{Study: "1.2", Kind: kind, By: by, Idle: idle})
		w.OK(err)
	}
	move(study.ClaimTake, "Dr. Dahl")
	got := w.ask(anna, "GET", "/workitems?ProcedureStepState=IN%20PROGRESS&includefield=all", "")
	if got.text("00080018") != string(first) || !strings.Contains(got.body, "Dr. Dahl") {
		t.Error(got.body)
	}
	if a := w.state(first, anna, "COMPLETED", "2.25.1"); a.code != 400 || !strings.Contains(a.warning(), "incorrect") {
		t.Error("completed from elsewhere:", a.code, a.warning())
	}
	if a := w.ask(anna, "POST", "/workitems/"+string(first)+"/cancelrequest", ""); a.code != 202 {
		t.Error(a.code, a.body)
	}
	if all, err := w.Claims(t.Context(), idle); err != nil || all[0].Asked != "anna" {
		t.Error("the holder is not told who asks", all, err)
	}
	move(study.ClaimRelease, "Dr. Dahl")
	second := w.item("1.2")
	if got := w.ask(anna, "GET", "/workitems", ""); got.text("00080018") != string(second) || second == first {
		t.Error(got.body)
	}
	ended := w.ask(anna, "GET", "/workitems/"+string(first), "")
	if ended.text("00741000") != "CANCELED" || !strings.Contains(ended.body, "00404052") || !strings.Contains(ended.body, "110513") {
		t.Error(ended.body)
	}
	// A performer who gives no sign loses it, and cannot complete it any more.
	w.state(second, anna, "IN PROGRESS", "2.25.1")
	w.Clock.Pass(idle + time.Second)
	if a := w.state(second, anna, "COMPLETED", "2.25.1"); a.code != 409 {
		t.Error(a.code, a.body)
	}
	if got := w.ask(anna, "GET", "/workitems", ""); got.text("00741000") != "SCHEDULED" {
		t.Error(got.body)
	}
}

func TestCancelRequestsAreAnswered(t *testing.T) {
	w := newWard(t)
	w.Settle("1.2")
	uid := w.item("1.2")
	ask := func(who string) string {
		a := w.ask(who, "POST", "/workitems/"+string(uid)+"/cancelrequest", `[{"00741238":{"vr":"LT","Value":["moved"]}}]`)
		return fmt.Sprint(a.code, " ", a.warning())
	}
	check := func(got, want string) {
		t.Helper()
		if !strings.HasPrefix(got, want[:3]) || !strings.Contains(got, want[4:]) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(ask(ops), "409 Performer chooses not to cancel.")
	w.state(uid, anna, "IN PROGRESS", "2.25.1")
	check(ask(bo), "409 The performer cannot be contacted.")
	w.ask(anna, "POST", "/workitems/"+string(study.WorkAll)+"/subscribers/DESK", "")
	check(ask(bo), "202 ")
	w.ask(anna, "POST", "/workitems/"+string(uid)+"?transaction-uid=2.25.1", performed)
	w.state(uid, anna, "COMPLETED", "2.25.1")
	check(ask(bo), "409 The UPS is already COMPLETED.")
	w.Settle("1.3")
	uid = w.item("1.3")
	w.state(uid, anna, "IN PROGRESS", "2.25.1")
	w.state(uid, anna, "CANCELED", "2.25.1")
	check(ask(bo), "202 already in the requested state of CANCELED.")
}

// TestBlindReaderFindsNoTraceOfTheAI looks for what a model said behind every door
// of the service.
func TestBlindReaderFindsNoTraceOfTheAI(t *testing.T) {
	w := newWard(t)
	for n := range 6 {
		w.Settle(study.UID(fmt.Sprintf("1.2.%d", n)), storetest.Asked("m", 1))
		w.Clock.Pass(time.Minute)
	}
	w.Score()
	w.Conclude(study.Flagged, 0.9)
	everything := func(who, lang string) string {
		all := w.ask(who, "GET", "/workitems?includefield=all&limit=1000", "", "Accept-Language", lang)
		one := w.ask(who, "GET", "/workitems/"+string(w.item("1.2.3")), "", "Accept-Language", lang)
		if all.code != 200 || one.code != 200 {
			t.Fatal(all.code, one.code)
		}
		return all.body + one.body
	}
	traces := func(text string) (found []string) {
		for _, l := range webui.Langs {
			for _, word := range []string{"m@1", "SHA-256", l.T("ups.ai", ""), l.T("ai.flagged"), l.T("why.ai_flagged"), l.T("ai.hidden")} {
				if strings.Contains(text, strings.TrimSpace(word)) {
					found = append(found, word)
				}
			}
		}
		return found
	}
	for _, lang := range []string{"en", "nb", "da"} {
		if found := traces(everything(anna, lang)); len(found) < 4 {
			t.Error("nothing to hide in", lang)
		}
	}
	w.rules = []study.Protocol{study.Independent}
	for _, lang := range []string{"en", "nb", "da"} {
		if found := traces(everything(anna, lang)); len(found) > 0 {
			t.Errorf("a blind reader is told %q", found)
		}
	}
	// The places depend on the reader: two readers have different lists.
	hers, his := w.ask(anna, "GET", "/workitems", "").each("0020000D"), w.ask(bo, "GET", "/workitems", "").each("0020000D")
	if slices.Equal(hers, his) || len(hers) != 6 || len(his) != 6 {
		t.Error("the order tells", hers, his)
	}
}

func TestKeysAreReadAsTheStandardWritesThem(t *testing.T) {
	w := newWard(t)
	w.urgent("1.2", study.PriorityStat)
	for query, want := range map[string]int{
		"ProcedureStepLabel=*thorax": 1, "ProcedureStepLabel=*[a-z]*": 0, "ProcedureStepLabel=": 1,
		"00741204=" + url.QueryEscape("Read: CT thora?"): 1, "ScheduledProcedureStepStartDateTime=2026-": 1, "ScheduledProcedureStepStartDateTime=-2025": 0,
		"PatientSex=F": 1, "PatientSex=M": 0, "00100030=19500101": 1, "ScheduledStationNameCodeSequence.CodeValue=X": 0,
	} {
		if got := w.ask(ops, "GET", "/workitems?"+query, ""); len(got.sets) != want || bytes.Contains([]byte(got.warning()), []byte("ignored")) {
			t.Errorf("%s: %d %s", query, len(got.sets), got.warning())
		}
	}
}
