// Package ups is the reading worklist for other workstations: DICOM's unified
// procedure steps over HTTP, UPS-RS, PS3.18 §11 and PS3.4 Annex CC. A study that
// waits to be read is one work item, in the very order of our own list, under the
// same claims and behind the same veil.
//
//	Service.Add            the routes, below the base of DICOMweb
//	search, retrieve       what waits, and why (search.go, item.go)
//	change, update, cancel what performers do (state.go)
//	subscribe, channel     who is told of changes, and how (subscribe.go, channel.go)
//	socket                 the server's part of RFC 6455 (socket.go)
//
// To take an item up is a claim of the reading room: one person has a study, whether
// they sit at our pages or elsewhere. To complete it is an answer: the study leaves
// every list.
package ups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/veil"
)

// Items are the work items. idle is after how long a claim is over.
type Items interface {
	// Workitems gives the last item of each of the studies as it is now.
	Workitems(ctx context.Context, idle time.Duration, studies ...study.UID) ([]study.Workitem, error)
	// Workitem gives one item, or an error of kind [study.ErrNotFound].
	Workitem(ctx context.Context, uid study.UID, idle time.Duration) (study.Workitem, error)
	// EndedWorkitems gives completed or canceled ones, the last first.
	EndedWorkitems(ctx context.Context, state string, offset, limit int) ([]study.Workitem, error)
}

// Performers take items up and end them.
type Performers interface {
	// MoveWorkitem does what a performer asks; a [study.WorkError] says why not.
	MoveWorkitem(ctx context.Context, m study.WorkMove) (study.Workitem, error)
	// RequestCancel asks the performer of an item to give it up. Where nobody could
	// tell them, that is of kind [study.ErrIncomplete].
	RequestCancel(ctx context.Context, w study.Workitem, by, reason string) error
	// KeepWork notes that a performer is still at work.
	KeepWork(ctx context.Context, by string, idle time.Duration) error
}

// Events are what becomes of items.
type Events interface {
	// FollowWorkitems brings all items to where their studies are.
	FollowWorkitems(ctx context.Context, idle time.Duration) error
	// WorkEvents gives events behind one, oldest first.
	WorkEvents(ctx context.Context, after int64, limit int) ([]study.WorkEvent, error)
	// LastWorkEvent gives the number of the last one.
	LastWorkEvent(ctx context.Context) (int64, error)
}

// Subscriptions are who wants to be told. They outlive this process.
type Subscriptions interface {
	// PutSubscription is refused for an application that is somebody else's.
	PutSubscription(ctx context.Context, s study.WorkSubscription) error
	// DropSubscriptions ends one, or all of an application.
	DropSubscriptions(ctx context.Context, ae, owner string, target study.UID) error
	// Subscriptions gives those of an application.
	Subscriptions(ctx context.Context, ae string) ([]study.WorkSubscription, error)
}

// A Service answers UPS-RS. All fields are needed but Idle.
type Service struct {
	Items         Items
	Performers    Performers
	Events        Events
	Subscriptions Subscriptions
	// Veil gives the reading order, each row as the visitor may see it.
	Veil *veil.Veil
	// Desk takes requests for what somebody has in hand on our own pages.
	Desk desk.Claims
	// Orders gives what is known of a study's orders.
	Orders func(ctx context.Context, uid study.UID) ([]study.Order, error)
	// Changed gives a channel that is closed the next time that something changes.
	Changed func() <-chan struct{}
	// Idle is after how long without a sign of its holder a claim is over; 0 = 20 min.
	Idle time.Duration
	// Base is the path of DICOMweb, without a slash at its end.
	Base string
	Log  *slog.Logger
}

// server is a service on a site.
type server struct {
	Service
	site *webui.Site
	hub  hub
}

// A Route is one thing that the service answers.
type Route struct {
	Transaction string // as PS3.18 names it
	Method      string
	Path        string // below the base
	Right       webui.Right
	handle      func(*server, http.ResponseWriter, *http.Request)
}

// Routes lists what the service answers, in the order of PS3.18 §11.
func Routes() []Route {
	const item, list = "/workitems/{workitem}", "/workitems"
	return []Route{
		{"Create", http.MethodPost, list, webui.SeeStudies, (*server).create},
		{"Retrieve", http.MethodGet, item, webui.SeeStudies, (*server).retrieve},
		{"Update", http.MethodPost, item, webui.ReadStudies, (*server).update},
		{"Change state", http.MethodPut, item + "/state", webui.ReadStudies, (*server).change},
		{"Request cancellation", http.MethodPost, item + "/cancelrequest", webui.SeeStudies, (*server).cancel},
		{"Search", http.MethodGet, list, webui.SeeStudies, (*server).search},
		{"Subscribe", http.MethodPost, item + "/subscribers/{ae}", webui.SeeStudies, (*server).subscribe},
		{"Unsubscribe", http.MethodDelete, item + "/subscribers/{ae}", webui.SeeStudies, (*server).unsubscribe},
		{"Suspend", http.MethodPost, item + "/subscribers/{ae}/suspend", webui.SeeStudies, (*server).suspend},
		{"Notification connection", http.MethodGet, "/subscribers/{ae}", webui.SeeStudies, (*server).listen},
	}
}

// Add puts the service on a site.
func (s Service) Add(site *webui.Site) {
	if s.Idle == 0 {
		s.Idle = 20 * time.Minute
	}
	h := &server{Service: s, site: site}
	h.hub.server = h
	for _, r := range Routes() {
		site.Handle(r.Method+" "+s.Base+r.Path, r.Right, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.handle(h, w, q) }))
	}
}

// create answers that items are made by nobody but the list: a study that waits is
// one.
func (s *server) create(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "work items are the studies that wait to be read: send the study, and its order, and the item is there", http.StatusMethodNotAllowed)
}

// A refusal is an answer with a Warning of the standard's own words.
type refusal struct {
	code    int
	warning string
	detail  string
}

// Error gives the detail.
func (r *refusal) Error() string { return r.detail }

// Warnings of PS3.18 Tables 11.6.3-2, 11.7.3-2, 11.8.3-2 and 11.10.3-2.
const (
	warnMissing      = "The Transaction UID is missing."
	warnIncorrect    = "The Transaction UID is incorrect."
	warnInconsistent = "The submitted request is inconsistent with the state of the UPS Instance."
	warnCanceled     = "The UPS is already in the requested state of CANCELED."
	warnCompleted    = "The UPS is already in the requested state of COMPLETED."
	warnDone         = "The UPS is already COMPLETED."
	warnWillNot      = "Performer chooses not to cancel."
	warnNobody       = "The performer cannot be contacted."
	warnLock         = "Deletion Lock not granted."
	warnOptional     = "Requested optional Attributes are not supported."
	warnFuzzy        = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
)

// Warnings lists what a Warning header may say when a performer's request was not
// done, or not as asked.
func Warnings() []string {
	return []string{warnMissing, warnIncorrect, warnInconsistent, warnCanceled, warnCompleted, warnDone, warnWillNot, warnNobody, warnLock, warnOptional, warnFuzzy}
}

func warn(w http.ResponseWriter, r *http.Request, text string) {
	w.Header().Add("Warning", fmt.Sprintf("299 %s %q", r.Host, text))
}

// faults are what becomes of a [study.WorkError].
var faults = map[string]refusal{
	study.WorkNoTransaction:    {http.StatusBadRequest, warnMissing, "name the transaction"},
	study.WorkWrongTransaction: {http.StatusBadRequest, warnIncorrect, "another transaction has it in hand"},
	study.WorkConflict:         {http.StatusConflict, warnInconsistent, "it can't go there from the state that it is in"},
	study.WorkHeld:             {http.StatusConflict, warnInconsistent, "somebody has it in hand"},
	study.WorkLate:             {http.StatusConflict, warnInconsistent, "images came after it was taken up: cancel it, and take up the next item of the study"},
	study.WorkComing:           {http.StatusConflict, warnInconsistent, "its images are still coming"},
}

// answers is the one table from our errors to HTTP. The first that fits counts.
var answers = []struct {
	err  error
	code int
}{
	{errNotAcceptable, http.StatusNotAcceptable},
	{errTooLarge, http.StatusRequestEntityTooLarge},
	{study.ErrNotFound, http.StatusNotFound},
	{study.ErrBusy, http.StatusTooManyRequests},
	{study.ErrUnsupported, http.StatusUnsupportedMediaType},
	{study.ErrInvalid, http.StatusBadRequest},
	{study.ErrRefused, http.StatusConflict},
	{study.ErrIncomplete, http.StatusConflict},
}

var (
	errNotAcceptable = errors.New("work items are given as application/dicom+json")
	errTooLarge      = errors.New("the data set is too large")
)

// fail answers with an error.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens
	}
	var said *refusal
	var work *study.WorkError
	var held *study.HeldError
	switch {
	case errors.As(err, &said):
	case errors.As(err, &work):
		f := faults[work.What]
		said = &f
	case errors.As(err, &held):
		said = &refusal{http.StatusConflict, warnInconsistent, held.Error()}
	}
	if said != nil {
		warn(w, r, said.warning)
		http.Error(w, said.detail, said.code)
		return
	}
	code := http.StatusInternalServerError
	for _, a := range answers {
		if errors.Is(err, a.err) {
			code = a.code
			break
		}
	}
	text := err.Error()
	switch code {
	case http.StatusInternalServerError:
		s.Log.ErrorContext(r.Context(), "UPS-RS request failed", "method", r.Method, "route", r.Pattern, "err", err)
		text = "internal error"
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "60")
	case http.StatusConflict:
		warn(w, r, warnInconsistent)
	}
	http.Error(w, text, code)
}

// typeJSON is the one media type of data sets, PS3.18 §8.7.3.
const typeJSON = "application/dicom+json"

// acceptable reports whether a client takes the JSON model, PS3.18 §8.7.5.
func acceptable(r *http.Request) bool {
	all := append(r.URL.Query()["accept"], r.Header.Values("Accept")...)
	if len(all) == 0 {
		return true
	}
	for _, one := range strings.Split(strings.Join(all, ","), ",") {
		media, params, err := mime.ParseMediaType(one)
		if err == nil && params["q"] != "0" && (media == typeJSON || media == "application/json" || media == "application/*" || media == "*/*") {
			return true
		}
	}
	return false
}

// maxBody bounds the data set of a request.
const maxBody = 256 << 10

// read takes the one data set of a request.
func read(w http.ResponseWriter, r *http.Request) (record, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != typeJSON && media != "application/json" {
		return nil, fmt.Errorf("the data set is to be application/dicom+json: %w", study.ErrUnsupported)
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return nil, fmt.Errorf("more than %d bytes: %w", maxBody, errTooLarge)
	}
	if err != nil {
		return nil, fmt.Errorf("read the data set: %w: %w", study.ErrInvalid, err)
	}
	return parse(b)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // when the client is gone, it will ask again
}

// base is the absolute address of the service as the client came to it.
func (s *server) base(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host + s.Base
}

// itemIn reads the item of the path.
func (s *server) itemIn(r *http.Request) (study.Workitem, error) {
	uid, err := study.ParseUID(r.PathValue("workitem"))
	if err != nil {
		return study.Workitem{}, err
	}
	return s.Items.Workitem(r.Context(), uid, s.Idle)
}
