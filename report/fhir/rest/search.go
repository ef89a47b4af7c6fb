package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"varde/report/fhir"
	"varde/study"
)

const (
	// batch is how many studies are read at once, and mostStudies how many are
	// looked at for one page: one that finds too little leads on to the next.
	batch       = 50
	mostStudies = 500
)

// search answers with a page of what is asked for, the latest study first.
func (s *Server) search(w http.ResponseWriter, r *http.Request, k kind, q query) error {
	want, err := asked(k, q)
	if err != nil {
		return err
	}
	page, next, err := s.page(r.Context(), k, want, s.host(r))
	if err != nil {
		return err
	}
	base := s.host(r) + s.Base
	b := &fhir.Bundle{Base: fhir.Base{ResourceType: "Bundle"}, Type: "searchset"}
	self := base + "/" + k.name
	if len(want.used) > 0 {
		self += "?" + want.used.Encode()
	}
	b.Link = append(b.Link, fhir.BundleLink{Relation: "self", URL: self})
	if next != "" {
		want.used.Set("_after", next)
		b.Link = append(b.Link, fhir.BundleLink{Relation: "next", URL: base + "/" + k.name + "?" + want.used.Encode()})
	}
	for _, f := range page {
		if _, _, err := s.versioned(f); err != nil {
			return err
		}
		raw, err := fhir.Raw(f.resource)
		if err != nil {
			return err
		}
		b.Entry = append(b.Entry, fhir.Entry{FullURL: base + "/" + k.name + "/" + fhir.IDOf(f.resource), Resource: raw, Search: &fhir.EntrySearch{Mode: "match"}})
	}
	out, err := fhir.Write(s.Version, b)
	if err != nil {
		return err
	}
	s.give(w, http.StatusOK, out)
	return nil
}

// page gives one page, and where the next one begins; empty at the end.
func (s *Server) page(ctx context.Context, k kind, want search, host string) (page []found, next string, err error) {
	if k.site {
		all, err := s.siteOf(ctx, k, host)
		for _, f := range all {
			if want.matches(f) {
				page = append(page, f)
			}
		}
		skip := min(want.skip, len(page))
		if page = page[skip:]; len(page) > want.count {
			page, next = page[:want.count], "~"+strconv.Itoa(skip+want.count)
		}
		return page, next, err
	}
	after, within, skip := want.after, want.within, want.skip
	for looked := 0; looked < mostStudies; {
		cases, more, err := s.cases(ctx, k, want, after, within)
		if err != nil {
			return nil, "", err
		}
		for _, c := range cases {
			all, err := s.resourcesOf(ctx, k, c)
			if err != nil {
				return nil, "", err
			}
			n := 0
			for _, f := range all {
				if !want.matches(f) {
					continue
				}
				if n++; n <= skip {
					continue
				}
				if len(page) == want.count {
					return page, c.Study.Received().String() + "~" + strconv.Itoa(n-1), nil
				}
				page = append(page, f)
			}
			after, within, skip = c.Study.Received(), false, 0
			looked++
		}
		if !more {
			return page, "", nil
		}
	}
	return page, after.String(), nil
}

// studies gives the studies that are asked for by name, if they are: by a UID, or by
// the ID or the identifier of a resource of ours.
func (s search) studies() ([]study.UID, bool) {
	named := func(texts []string) []study.UID {
		uids := []study.UID{}
		for _, text := range texts {
			if id, err := fhir.ParseID(text); err == nil {
				uids = append(uids, id.Study)
			}
		}
		return uids
	}
	if s.ids != nil {
		return named(s.ids), true
	}
	for _, list := range s.identifier {
		if len(list) != 1 {
			continue
		}
		if name, id, ok := strings.Cut(list[0].value, "/"); ok { // an accession number may have a slash too
			if _, ours := kindOf(name); ours {
				return named([]string{id}), true
			}
		}
		if uid, ok := strings.CutPrefix(list[0].value, "urn:oid:"); ok {
			return []study.UID{study.UID(uid)}, true
		}
	}
	return nil, false
}

// cases gives the next studies in which something may match, by the ledger's own
// indexes where the question allows it, and whether there are more behind them.
// within begins with the study of after itself.
func (s *Server) cases(ctx context.Context, k kind, want search, after study.Cursor, within bool) (all []study.Case, more bool, err error) {
	if uids, ok := want.studies(); ok {
		all, err := s.named(ctx, uids, after, within)
		// A finding's UID is no study's: it is looked for in all of them.
		if err != nil || len(all) > 0 || k.name != "Observation" || want.ids != nil {
			return all, false, err
		}
	}
	if within && !after.Zero() {
		if all, err = s.named(ctx, []study.UID{after.UID}, study.Cursor{}, false); err != nil {
			return nil, false, err
		}
	}
	f := study.CaseFilter{After: after, Limit: batch}
	for _, list := range want.patient {
		if len(list) == 1 {
			f.PatientID = list[0].value
		}
	}
	for _, list := range want.identifier {
		if len(list) == 1 && (list[0].system == nil || *list[0].system == "") {
			f.Accession = list[0].value
		}
	}
	if strings.HasPrefix(f.Accession, "urn:oid:") {
		f.Accession = ""
	}
	rows, err := s.Cases.Cases(ctx, f)
	return append(all, rows...), len(rows) == batch, err
}

// named gives studies by their UIDs; what is not there is left out.
func (s *Server) named(ctx context.Context, uids []study.UID, after study.Cursor, within bool) ([]study.Case, error) {
	var all []study.Case
	seen := map[study.UID]bool{}
	past := after.Zero()
	for _, uid := range uids {
		if seen[uid] {
			continue
		}
		seen[uid] = true
		if !past && uid == after.UID {
			if past = true; !within {
				continue
			}
		}
		if !past {
			continue
		}
		c, err := s.Cases.Case(ctx, uid)
		if errors.Is(err, study.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
		all = append(all, c)
	}
	return all, nil
}
