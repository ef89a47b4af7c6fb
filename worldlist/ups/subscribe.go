package ups

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"varde/internal/webui"
	"varde/study"
)

// maxFilter bounds the matching keys of a subscription.
const maxFilter = 2000

// titleIn reads the application of the path: an AE title, PS3.5 §6.2.
func titleIn(r *http.Request) (string, error) {
	ae := strings.TrimSpace(r.PathValue("ae"))
	if ae == "" || len(ae) > 16 || strings.ContainsFunc(ae, func(c rune) bool { return c < ' ' || c > '~' || c == '\\' }) {
		return "", fmt.Errorf("%q is no AE title: %w", ae, study.ErrInvalid)
	}
	return ae, nil
}

// target reads what a subscription is about: an item that is there, or one of the
// well-known instances.
func (s *server) target(r *http.Request) (ae string, uid study.UID, err error) {
	if ae, err = titleIn(r); err != nil {
		return "", "", err
	}
	if uid, err = study.ParseUID(r.PathValue("workitem")); err != nil {
		return "", "", err
	}
	if uid != study.WorkAll && uid != study.WorkFiltered {
		_, err = s.Items.Workitem(r.Context(), uid, s.Idle)
	}
	return ae, uid, err
}

// subscribe answers PS3.18 §11.10. The subscription stays until it is ended. A
// channel that is open is told the state of what was subscribed to.
func (s *server) subscribe(w http.ResponseWriter, r *http.Request) {
	ae, uid, err := s.target(r)
	filter := ""
	if err == nil && uid == study.WorkFiltered {
		if filter, err = filterIn(r.URL.Query()); err == nil {
			_, err = filtered(filter)
		}
	}
	owner := webui.VisitOf(r.Context()).Who.Name
	if err == nil {
		err = s.Subscriptions.PutSubscription(r.Context(), study.WorkSubscription{AE: ae, Owner: owner, Target: uid, Filter: filter})
	}
	if err != nil {
		s.failOwner(w, r, err)
		return
	}
	if r.URL.Query().Get("deletionlock") == "true" {
		warn(w, r, warnLock)
	}
	s.hub.subscribed(ae, uid)
	w.Header().Set("Content-Location", "ws"+strings.TrimPrefix(s.base(r), "http")+"/subscribers/"+url.PathEscape(ae))
	w.WriteHeader(http.StatusCreated)
}

// failOwner is fail where what is refused is somebody else's.
func (s *server) failOwner(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, study.ErrRefused) {
		http.Error(w, "the application is somebody else's: subscribe under another AE title", http.StatusForbidden)
		return
	}
	s.fail(w, r, err)
}

// filterIn reads the matching keys of a filtered subscription: filter=a=b,c=d, or as
// older clients write them, each by itself.
func filterIn(q url.Values) (string, error) {
	filter := strings.Join(q["filter"], ",")
	if filter == "" {
		var all []string
		for _, k := range slices.Sorted(maps.Keys(q)) {
			if k != "deletionlock" && k != "accept" && k != "charset" && k != "lang" {
				all = append(all, k+"="+strings.Join(q[k], ","))
			}
		}
		filter = strings.Join(all, ",")
	}
	if filter == "" || len(filter) > maxFilter {
		return "", fmt.Errorf("a filtered subscription names matching keys, in up to %d bytes: %w", maxFilter, study.ErrInvalid)
	}
	return filter, nil
}

// filtered reads what [filterIn] gave.
func filtered(filter string) (all []match, err error) {
	for _, pair := range strings.Split(filter, ",") {
		name, value, _ := strings.Cut(pair, "=")
		m, ok := matchOf(strings.TrimSpace(name), strings.TrimSpace(value))
		if !ok {
			return nil, fmt.Errorf("matching key %.40q: %w", name, study.ErrInvalid)
		}
		if m.value != "" {
			all = append(all, m)
		}
	}
	return all, nil
}

// unsubscribe answers PS3.18 §11.11. Who ends the subscription to a whole list is
// told of no item any more; an item can be left out of a whole list.
func (s *server) unsubscribe(w http.ResponseWriter, r *http.Request) {
	ae, uid, err := s.target(r)
	owner := webui.VisitOf(r.Context()).Who.Name
	if err == nil {
		err = s.drop(r.Context(), ae, owner, uid)
	}
	if err != nil {
		s.failOwner(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *server) drop(ctx context.Context, ae, owner string, uid study.UID) error {
	all, err := s.Subscriptions.Subscriptions(ctx, ae)
	if err != nil {
		return err
	}
	whole := slices.ContainsFunc(all, func(o study.WorkSubscription) bool { return isWhole(o.Target) })
	known := slices.ContainsFunc(all, func(o study.WorkSubscription) bool { return o.Target == uid })
	switch {
	case uid == study.WorkAll && known:
		return s.Subscriptions.DropSubscriptions(ctx, ae, owner, "")
	case !isWhole(uid) && whole:
		return s.Subscriptions.PutSubscription(ctx, study.WorkSubscription{AE: ae, Owner: owner, Target: uid, Muted: true})
	}
	return s.Subscriptions.DropSubscriptions(ctx, ae, owner, uid)
}

func isWhole(uid study.UID) bool { return uid == study.WorkAll || uid == study.WorkFiltered }

// suspend answers PS3.18 §11.12: items that are made from now on are not told of,
// and those that are there still are.
func (s *server) suspend(w http.ResponseWriter, r *http.Request) {
	ae, uid, err := s.target(r)
	if err == nil && !isWhole(uid) {
		err = fmt.Errorf("only the subscription to a whole list is suspended: %w", study.ErrInvalid)
	}
	var all []study.WorkSubscription
	if err == nil {
		all, err = s.Subscriptions.Subscriptions(r.Context(), ae)
	}
	if err == nil {
		i := slices.IndexFunc(all, func(o study.WorkSubscription) bool { return o.Target == uid })
		if i < 0 {
			err = fmt.Errorf("%s is not subscribed to %s: %w", ae, uid, study.ErrNotFound)
		} else {
			o := all[i]
			o.Owner, o.Suspend = webui.VisitOf(r.Context()).Who.Name, s.site.Now()
			err = s.Subscriptions.PutSubscription(r.Context(), o)
		}
	}
	if err != nil {
		s.failOwner(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}
