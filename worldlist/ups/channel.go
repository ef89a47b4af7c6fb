package ups

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

const (
	// maxChannels bounds the channels of this process, and perOwner those of one.
	maxChannels = 64
	perOwner    = 4
	// pace is how soon a channel looks again: many changes at once are one look.
	pace = 200 * time.Millisecond
	// look is how often it looks when nobody says that something changed, for claims
	// run out by themselves; at every sixth look it asks whether the other side lives.
	look = 5 * time.Second
	// lasts is how long a channel stays open, so that whoever has lost their right is
	// not told for ever. The client opens it again.
	lasts = time.Hour
)

// A hub knows the open channels of this process.
type hub struct {
	server *server
	mu     sync.Mutex // held for a look
	open   []*channel // guarded by mu

	following sync.Mutex // held while items are brought up to date
	followed  time.Time  // when that began; guarded by following
}

// A channel is one WebSocket of an application.
type channel struct {
	*server
	socket *socket
	ae     string
	owner  string
	view   view
	reader bool           // the owner may take items up
	after  int64          // the last event that was looked at
	sent   uint16         // counts messages
	asked  chan study.UID // what was just subscribed to
}

func (h *hub) enter(c *channel) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, o := range h.open {
		if o.owner == c.owner {
			n++
		}
	}
	if len(h.open) >= maxChannels || n >= perOwner {
		return fmt.Errorf("%d channels are open, %d of them yours: %w", len(h.open), n, study.ErrBusy)
	}
	h.open = append(h.open, c)
	return nil
}

func (h *hub) leave(c *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = slices.DeleteFunc(h.open, func(o *channel) bool { return o == c })
}

// subscribed tells the channels of an application what it has just subscribed to.
func (h *hub) subscribed(ae string, uid study.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.open {
		if c.ae == ae {
			select {
			case c.asked <- uid:
			default: // it will search
			}
		}
	}
}

// follow brings items up to date, once for all channels that want it at one moment.
func (h *hub) follow(ctx context.Context) error {
	wanted := time.Now()
	h.following.Lock()
	defer h.following.Unlock()
	if h.followed.After(wanted) {
		return nil
	}
	h.followed = time.Now()
	return h.server.Events.FollowWorkitems(ctx, h.server.Idle)
}

// listen opens the channel of an application, PS3.18 §8.10.4.
func (s *server) listen(w http.ResponseWriter, r *http.Request) {
	ae, err := titleIn(r)
	visit := webui.VisitOf(r.Context())
	c := &channel{server: s, ae: ae, owner: visit.Who.Name, view: s.viewOf(r), reader: visit.Who.May(webui.ReadStudies), asked: make(chan study.UID, 16)}
	var all []study.WorkSubscription
	if err == nil {
		all, err = s.Subscriptions.Subscriptions(r.Context(), ae)
	}
	if err == nil && len(all) > 0 && all[0].Owner != c.owner {
		err = fmt.Errorf("%s is %s's: %w", ae, all[0].Owner, study.ErrRefused)
	}
	if err == nil {
		c.after, err = s.Events.LastWorkEvent(r.Context())
	}
	if err == nil {
		err = s.hub.enter(c)
	}
	if err != nil {
		s.failOwner(w, r, err)
		return
	}
	defer s.hub.leave(c)
	if c.socket, err = upgrade(w, r); err != nil {
		s.Log.InfoContext(r.Context(), "no event channel", "err", err)
		return
	}
	defer func() { _ = c.socket.conn.Close() }()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		defer cancel()
		c.socket.listen()
	}()
	code, err := c.run(ctx)
	if err != nil && ctx.Err() == nil {
		s.Log.WarnContext(ctx, "event channel broke", "err", err)
	}
	c.socket.end(code) // whoever listens hears it
	<-heard
}

// run tells what becomes of items until the channel is over, and gives the code with
// which to close it, RFC 6455 §7.4.1.
func (c *channel) run(ctx context.Context) (code uint16, err error) {
	tick, over := time.NewTicker(look), time.NewTimer(lasts)
	defer tick.Stop()
	defer over.Stop()
	for looks := 1; ; looks++ {
		changed := c.Changed()
		if err := c.tell(ctx); err != nil {
			return closeBroken, err
		}
		select {
		case <-changed:
			select {
			case <-time.After(pace):
			case <-ctx.Done():
			}
		case uid := <-c.asked:
			err = c.begin(ctx, uid)
		case <-tick.C:
			if looks%6 == 0 {
				err = c.keep(ctx)
			}
		case <-c.site.Ending():
			return closeAway, nil
		case <-over.C:
			return closeAway, nil
		case <-ctx.Done():
			return closeNormal, nil
		}
		if err != nil {
			return closeBroken, err
		}
	}
}

// keep asks whether the other side lives; who is there is at work on what they have
// in hand.
func (c *channel) keep(ctx context.Context) error {
	if err := c.socket.ping(); err != nil || !c.reader {
		return err
	}
	return c.Performers.KeepWork(ctx, c.owner, c.Idle)
}

// tell sends the events that have come, as far as the application is subscribed to
// them.
func (c *channel) tell(ctx context.Context) error {
	if err := c.hub.follow(ctx); err != nil {
		return err
	}
	for {
		events, err := c.Events.WorkEvents(ctx, c.after, window)
		if err != nil || len(events) == 0 {
			return err
		}
		subscribed, err := c.mine(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			c.after = e.N
			if err := c.event(ctx, subscribed, e); err != nil {
				return err
			}
		}
	}
}

// mine gives what the application is subscribed to, nothing once it is somebody
// else's.
func (c *channel) mine(ctx context.Context) ([]study.WorkSubscription, error) {
	all, err := c.Subscriptions.Subscriptions(ctx, c.ae)
	return slices.DeleteFunc(all, func(s study.WorkSubscription) bool { return s.Owner != c.owner }), err
}

// event sends one event, if it is wanted.
func (c *channel) event(ctx context.Context, subscribed []study.WorkSubscription, e study.WorkEvent) error {
	if len(subscribed) == 0 {
		return nil
	}
	item, err := c.Items.Workitem(ctx, e.Item, c.Idle)
	if isNotFound(err) {
		return nil // it was long ago
	}
	if err != nil {
		return err
	}
	seen, err := c.Veil.CaseNow(ctx, item.Study)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !c.wanted(subscribed, item, seen) {
		return nil
	}
	item.By = e.By
	return c.send(e, c.view.hears(item, seen.Sight))
}

// wanted reports whether the application is to be told of an item.
func (c *channel) wanted(subscribed []study.WorkSubscription, w study.Workitem, seen veil.Seen) bool {
	for _, s := range subscribed {
		if s.Target == w.UID {
			return !s.Muted
		}
	}
	for _, s := range subscribed {
		if !isWhole(s.Target) || !s.Suspend.IsZero() && w.Made.After(s.Suspend) {
			continue
		}
		if s.Target == study.WorkAll {
			return true
		}
		all, err := filtered(s.Filter)
		set := c.view.describe(w, seen, nil)
		if err == nil && !slices.ContainsFunc(all, func(m match) bool { return !m.fits(set) }) {
			return true
		}
	}
	return false
}

// begin tells the state of what was just subscribed to.
func (c *channel) begin(ctx context.Context, uid study.UID) error {
	if !isWhole(uid) {
		w, err := c.Items.Workitem(ctx, uid, c.Idle)
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return c.state(w)
	}
	subscribed, err := c.mine(ctx)
	if err != nil {
		return err
	}
	var f study.WorklistFilter
	for f.Limit = window; ; {
		rows, next, err := c.Veil.InOrder(ctx, f)
		if err != nil {
			return err
		}
		uids := make([]study.UID, len(rows))
		for i, r := range rows {
			uids[i] = r.Study.UID
		}
		items, err := c.Items.Workitems(ctx, c.Idle, uids...)
		if err != nil {
			return err
		}
		for i, w := range items {
			if w.UID == "" || w.Ended() || !c.wanted(subscribed, w, rows[i]) {
				continue
			}
			if err := c.state(w); err != nil {
				return err
			}
		}
		if next.Zero() {
			return nil
		}
		f.After = next
	}
}

func (c *channel) state(w study.Workitem) error {
	return c.send(study.WorkEvent{Item: w.UID, Kind: study.WorkStateReport, State: w.State, Ready: w.Ready, By: w.By, Text: w.Reason}, true)
}

// send writes one event report, PS3.4 Table CC.2.4-1.
func (c *channel) send(e study.WorkEvent, hears bool) error {
	c.sent++
	r := record{}
	r[key(affectedClass)] = attribute{"UI", []any{EventClass}} // PS3.6 does not list commands
	r[key(messageID)] = attribute{"US", []any{c.sent}}
	r[key(affectedInstance)] = attribute{"UI", []any{e.Item}}
	r[key(eventType)] = attribute{"US", []any{e.Kind}}
	switch e.Kind {
	case study.WorkStateReport:
		r.set(stepState, e.State)
		r.set(inputReadiness, readiness(e.Ready))
		if e.State == study.WorkCanceled {
			if reason := c.view.reason(study.Workitem{Reason: e.Text}); hears {
				r.set(reasonForCancellation, clip(reason, 1024))
			}
			r.items(discontinuationReason, code(unspecified))
		}
	case study.WorkCancelRequested:
		r.set(requestingAE)
		r.set(contactName, clip(e.By, 64))
		r.set(reasonForCancellation, e.Text)
	case study.WorkProgress:
		r.items(progressInformation)
		if body := bodyOf(study.Workitem{Body: e.Body}); hears && body.first(progressInformation) != nil {
			r[key(progressInformation)] = body[key(progressInformation)]
		}
	case study.WorkAssigned:
		r.items(scheduledStationName)
		r.items(performerCode)
		r.set(performerOrganization)
		r.name(performerName, e.By)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.socket.text(b)
}
