package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/oversight/table"
	"varde/study"
)

const (
	auditPage   = 100   // rows
	auditExport = 50000 // rows of a file
	auditDays   = 30    // that a search for a model goes back when nobody says how far
)

// An auditView is what the template sees.
type auditView struct {
	Study, Actor, Model, From, To string
	Rows                          []auditLine
	More, First, CSV              string
	Searched                      bool
	Checked                       string // what came of walking the chain; empty when nobody asked
	Broken                        bool
}

// An auditLine is one deed.
type auditLine struct {
	N, At, AtISO, Actor, Did, Detail string
	Study, StudyHref, Entity         string
	Shown                            []shownLines
	Lost                             bool // what was shown is not what the row names
}

// shownLines are the words that a reader saw of one model.
type shownLines struct {
	Model, Hash, Protocol, Lang, Build string
	Lines                              []string
}

// auditFilter reads the address.
func (p *pages) auditFilter(q url.Values) (f study.AuditFilter, err error) {
	f = study.AuditFilter{Actor: strings.TrimSpace(q.Get("user")), Model: strings.TrimSpace(q.Get("model")), Limit: auditPage + 1}
	if text := strings.TrimSpace(q.Get("study")); text != "" {
		if f.Study, err = study.ParseUID(text); err != nil {
			return f, fmt.Errorf("study %q: %w", text, err)
		}
	}
	if text := q.Get("before"); text != "" {
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil || f.Before < 1 {
			return f, fmt.Errorf("page before row %q: %w", text, study.ErrInvalid)
		}
	}
	zone := p.site.Zone()
	if text := q.Get("from"); text != "" {
		if f.From, err = time.ParseInLocation(time.DateOnly, text, zone); err != nil {
			return f, fmt.Errorf("first day %q: write YYYY-MM-DD: %w", text, study.ErrInvalid)
		}
	}
	if text := q.Get("to"); text != "" {
		last, err := time.ParseInLocation(time.DateOnly, text, zone)
		if err != nil {
			return f, fmt.Errorf("last day %q: write YYYY-MM-DD: %w", text, study.ErrInvalid)
		}
		f.To = last.AddDate(0, 0, 1)
	}
	if f.Model != "" && f.Study == "" && f.From.IsZero() {
		now := p.site.Now()
		f.From = time.Date(now.Year(), now.Month(), now.Day()-auditDays, 0, 0, 0, 0, zone)
	}
	return f, nil
}

// audit shows who did what.
func (p *pages) audit(r *http.Request) (webui.View, error) {
	visit, q := webui.VisitOf(r.Context()), r.URL.Query()
	l := visit.Lang
	f, err := p.auditFilter(q)
	if err != nil {
		return webui.View{}, err
	}
	rows, err := p.Trail.AuditTrail(r.Context(), f)
	if err != nil {
		return webui.View{}, err
	}
	v := auditView{Study: string(f.Study), Actor: f.Actor, Model: f.Model, To: q.Get("to"), Searched: f.Study != "" || f.Actor != "" || f.Model != "" || !f.From.IsZero() || !f.To.IsZero()}
	if !f.From.IsZero() {
		v.From = f.From.Format(time.DateOnly)
	}
	address := func(path string, before int64) string {
		all := url.Values{}
		for name, text := range map[string]string{"study": v.Study, "user": v.Actor, "model": v.Model, "from": v.From, "to": v.To} {
			if text != "" {
				all.Set(name, text)
			}
		}
		if before > 0 {
			all.Set("before", strconv.FormatInt(before, 10))
		}
		if len(all) == 0 {
			return path
		}
		return path + "?" + all.Encode()
	}
	if len(rows) > auditPage {
		rows = rows[:auditPage]
		v.More = address("/audit", rows[auditPage-1].N)
	}
	if f.Before > 0 {
		v.First = address("/audit", 0)
	}
	v.CSV = address("/audit.csv", 0)
	if v.Rows, err = p.auditLines(r.Context(), visit, rows); err != nil {
		return webui.View{}, err
	}
	return webui.View{Template: "audit", Title: l.T("audit.title"), Data: v}, nil
}

// auditLines puts rows into words, and adds to each that tells what a reader was
// shown the words themselves.
func (p *pages) auditLines(ctx context.Context, visit webui.Visit, rows []study.AuditRow) ([]auditLine, error) {
	l := visit.Lang
	shown := map[study.UID][]study.Shone{}
	var lines []auditLine
	for _, r := range rows {
		line := auditLine{N: strconv.FormatInt(r.N, 10), At: l.Moment(r.At.In(p.site.Zone())), AtISO: r.At.UTC().Format(time.RFC3339), Actor: r.Actor, Did: didWords(l, r.Action), Detail: r.Detail, Entity: r.Entity}
		if text, ok := strings.CutPrefix(r.Entity, "study "); ok {
			uid, err := study.ParseUID(text)
			if err == nil {
				line.Study, line.Entity = string(uid), ""
				line.StudyHref = "/audit?study=" + string(uid)
				if visit.Who.May(webui.SeeStudies) {
					line.StudyHref = "/studies/" + string(uid) + "?look=1"
				}
			}
			if err == nil && r.Action == "ai shown" {
				if _, ok := shown[uid]; !ok {
					if shown[uid], err = p.Trail.Shown(ctx, uid); err != nil {
						return nil, err
					}
				}
				line.show(l, r, shown[uid])
			}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// show adds what the row says was shown.
func (line *auditLine) show(l webui.Lang, r study.AuditRow, all []study.Shone) {
	i := slices.IndexFunc(all, func(s study.Shone) bool { return strings.HasSuffix(r.Detail, s.Digest.String()) })
	if i < 0 {
		line.Lost = true
		return
	}
	s := all[i].Shown
	for _, x := range s.Results {
		line.Shown = append(line.Shown, shownLines{Model: x.Model, Hash: x.SHA256.Short(), Protocol: protocolWords(l, x.Protocol), Lang: s.Lang, Build: s.Build, Lines: x.Lines})
	}
}

func protocolWords(l webui.Lang, names string) string {
	var all []string
	for _, name := range strings.Fields(names) {
		if key := "audit.protocol_" + name; l.Has(key) {
			name = l.T(key)
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// didWords names a deed in the reader's language; one that has no text keeps its
// own name.
func didWords(l webui.Lang, action string) string {
	key := "audit.did_" + strings.ReplaceAll(action, " ", "_")
	if l.Has(key) {
		return l.T(key)
	}
	return action
}

// checkAudit walks the chain and says what came of it.
func (p *pages) checkAudit(r *http.Request) (webui.View, error) {
	visit := webui.VisitOf(r.Context())
	l := visit.Lang
	n, err := p.Trail.VerifyAudit(r.Context())
	v := auditView{CSV: "/audit.csv"}
	switch {
	case errors.Is(err, study.ErrInvalid):
		v.Checked, v.Broken = l.T("audit.broken", err.Error()), true
	case err != nil:
		return webui.View{}, err
	default:
		v.Checked = l.T("audit.whole", int(n))
	}
	if err := p.Trail.Audit(r.Context(), visit.Who.Name, "audit checked", "audit"); err != nil {
		return webui.View{}, err
	}
	rows, err := p.Trail.AuditTrail(r.Context(), study.AuditFilter{Limit: auditPage + 1})
	if err != nil {
		return webui.View{}, err
	}
	if len(rows) > auditPage {
		rows = rows[:auditPage]
		v.More = "/audit?before=" + strconv.FormatInt(rows[auditPage-1].N, 10)
	}
	if v.Rows, err = p.auditLines(r.Context(), visit, rows); err != nil {
		return webui.View{}, err
	}
	return webui.View{Template: "audit", Title: l.T("audit.title"), Data: v}, nil
}

// auditCSV gives the rows that the page would show, each with its hash and the one
// before, so that whoever has the file can walk the chain.
func (p *pages) auditCSV(w http.ResponseWriter, r *http.Request) {
	f, err := p.auditFilter(r.URL.Query())
	if err == nil {
		err = p.Trail.Audit(r.Context(), webui.VisitOf(r.Context()).Who.Name, "audit exported", "audit")
	}
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	f.Limit = 1000
	out := table.Begin(w, "audit.csv", "n", "at", "actor", "action", "entity", "detail", "prev", "hash")
	for sent := 0; sent < auditExport; {
		rows, err := p.Trail.AuditTrail(r.Context(), f)
		if err != nil {
			_ = out.Write([]string{"", "", "", "", "", "the file ends here: the ledger did not answer", "", ""})
			break
		}
		for _, a := range rows {
			_ = out.Write([]string{strconv.FormatInt(a.N, 10), a.At.UTC().Format("2006-01-02T15:04:05.000Z"), table.Cell(a.Actor), table.Cell(a.Action), table.Cell(a.Entity), table.Cell(a.Detail), a.Prev.String(), a.Hash.String()})
			f.Before = a.N
		}
		if sent += len(rows); len(rows) == 0 || f.Before == 1 {
			break
		}
		out.Flush()
	}
	out.Flush()
}
