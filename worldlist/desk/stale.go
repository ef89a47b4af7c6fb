package desk

import (
	"net/http"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// A stalePage answers a form that was made of a page which shows what no longer holds.
type stalePage struct {
	Back    string
	Stopped []string // models on the page that have been stopped
	Kept    string   // what was typed
}

// stale reports whether a form is about something else than its page would show now: an
// image came, a result was corrected, a model was stopped. Then it has answered, with
// what was typed and with the way to go on, and nothing was kept. A form that does not
// say what its page showed is about what holds.
func (d *Desk) stale(w http.ResponseWriter, r *http.Request, uid study.UID, typed string) bool {
	was := veil.Shown(r.PostFormValue("shown"))
	if was == "" {
		return false
	}
	c, err := d.Veil.OnPage(r.Context(), uid)
	if err != nil {
		d.site.Fail(w, r, err)
		return true
	}
	if d.Veil.StillShown(was, c) {
		return false
	}
	s := stalePage{Back: backTo(uid, r.PostFormValue("slide")), Kept: typed}
	for _, one := range d.Veil.StoppedIn(was, c) {
		name := one.Name
		if name == "" {
			name = one.Model.ID
		}
		s.Stopped = append(s.Stopped, name+" "+one.Model.Version)
	}
	l := webui.VisitOf(r.Context()).Lang
	d.site.Show(w, r, webui.View{Template: "stale", Title: l.T("live.stale"), Status: http.StatusConflict, Data: s})
	return true
}
