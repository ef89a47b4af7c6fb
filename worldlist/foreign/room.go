package foreign

import (
	"cmp"
	"compress/gzip"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// Instances are the objects of a study.
type Instances interface {
	// Instances gives those that were received.
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
	// Instance gives one of them.
	Instance(ctx context.Context, uid study.UID) (study.Instance, error)
}

// A Room shows documents of others, behind the veil of the site: what a protocol hides
// of our AI it hides of theirs in the same study.
type Room struct {
	Veil      *veil.Veil
	Instances Instances
	Library   *Library

	site *webui.Site
}

//go:embed static
var files embed.FS

// Part gives the scripts and styles of documents of others to a site.
func Part() webui.Part {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return webui.Part{Static: static}
}

// Add puts documents of others on a site that was made with [Part].
func (o *Room) Add(site *webui.Site) {
	o.site = site
	site.Page("GET /studies/{study}/others", webui.SeeStudies, o.page)
	site.Handle("GET /studies/{study}/others/view", webui.SeeStudies, http.HandlerFunc(o.view))
	site.Handle("GET /studies/{study}/slides/{series}/others", webui.SeeStudies, http.HandlerFunc(o.slide))
	site.Handle("GET /studies/{study}/slides/{series}/others/area", webui.SeeStudies, http.HandlerFunc(o.area))
	site.Handle("GET /studies/{study}/frames/{instance}/{frame}/others", webui.SeeStudies, http.HandlerFunc(o.pieces))
}

// Machines reports whether documents came with a study that are hidden where our AI is.
func (o *Room) Machines(ctx context.Context, uid study.UID) (bool, error) {
	instances, err := o.Instances.Instances(ctx, uid)
	if err != nil {
		return false, err
	}
	docs, _ := o.Library.Documents(ctx, instances)
	return slices.ContainsFunc(docs, Document.Machine), nil
}

// Hides gives those of a study's instances that a sight hides.
func (o *Room) Hides(ctx context.Context, s veil.Sight, instances []study.Instance) map[study.UID]bool {
	hidden := map[study.UID]bool{}
	if !s.Others && !s.People {
		return hidden
	}
	for _, uid := range o.Library.Byproducts(ctx, instances, s.Others, s.People) {
		hidden[uid] = true
	}
	shown := o.shown(ctx, s, instances)
	for _, in := range instances {
		if _, ok := Candidate(in); ok && !slices.ContainsFunc(shown, func(d Document) bool { return d.In.UID == in.UID }) {
			hidden[in.UID] = true
		}
	}
	return hidden
}

// Visible gives those of a study's instances that a sight does not hide.
func (o *Room) Visible(ctx context.Context, s veil.Sight, instances []study.Instance) []study.Instance {
	hidden := o.Hides(ctx, s, instances)
	if len(hidden) == 0 {
		return instances
	}
	return slices.DeleteFunc(slices.Clone(instances), func(in study.Instance) bool { return hidden[in.UID] })
}

// Group tells what others found in a study, as far as the sight on it lets it be seen,
// with the documents.
func (o *Room) Group(ctx context.Context, l webui.Lang, uid study.UID, s veil.Sight, instances []study.Instance) (Group, []Document) {
	docs, many := o.Library.Documents(ctx, instances)
	docs, hidden := Shown(docs, s.Others, s.People)
	g := Group{UID: uid, Entries: Tell(l, docs, instances), Hidden: hidden, Many: many}
	o.sent(ctx, l, &g)
	return g, docs
}

// sent tells of documents that do not say who sent them who sent their study.
func (o *Room) sent(ctx context.Context, l webui.Lang, g *Group) {
	if !slices.ContainsFunc(g.Entries, func(e Entry) bool { return e.Sent == "" }) {
		return
	}
	s, err := o.Veil.Study(ctx, g.UID)
	if err != nil || s.Sender == "" {
		return // a page is not kept from opening by it
	}
	for i := range g.Entries {
		if e := &g.Entries[i]; e.Sent == "" {
			e.Sent = l.T("foreign.sent_with", s.Sender)
		}
	}
}

// Told tells on one line each what others measured and found in an exam, as far as the
// sight on it lets it be seen.
func (o *Room) Told(ctx context.Context, l webui.Lang, uid study.UID, s veil.Sight) ([]string, error) {
	instances, err := o.Instances.Instances(ctx, uid)
	if err != nil {
		return nil, err
	}
	return Told(l, o.shown(ctx, s, instances)), nil
}

// A page is what the template sees of a study and of the exams before it.
type page struct {
	UID           study.UID
	Patient, Exam string
	Foreign       Sheet
}

// page shows what others found in a study and in the earlier exams of its patient, and
// what was measured more than once.
func (o *Room) page(r *http.Request) (webui.View, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return webui.View{}, err
	}
	ctx, l := r.Context(), webui.VisitOf(r.Context()).Lang
	own, err := o.Veil.Study(ctx, uid)
	if err != nil {
		return webui.View{}, err
	}
	priors, err := o.Veil.Priors(ctx, own)
	if err != nil {
		return webui.View{}, err
	}
	s := page{UID: uid, Patient: person(own.Patient.Reveal().Name), Exam: examOf(own), Foreign: Sheet{Study: uid, Whole: true}}
	var exams []Exam
	for i, e := range append([]study.Study{own}, priors...) {
		instances, seen, err := o.in(ctx, e.UID)
		if err != nil {
			return webui.View{}, err
		}
		sight := seen.Sight
		if i > 0 {
			sight = seen.AsPrior()
		}
		group, docs := o.Group(ctx, l, e.UID, sight, instances)
		if group.Here = i == 0; !group.Here {
			group.Title = strings.Join(full(l.DICOMDate(e.Date), examOf(e)), " · ")
		}
		s.Foreign.Groups = append(s.Foreign.Groups, group)
		exams = append(exams, Exam{UID: e.UID, Date: cmp.Or(e.Date, e.ReceivedAt.Format("20060102")), Docs: docs})
	}
	s.Foreign.Growth = Grow(l, exams)
	return webui.View{Template: "others", Title: l.T("foreign.title"), Data: s}, nil
}

func examOf(s study.Study) string { return cmp.Or(s.Description, string(s.Modality)) }

// in gives a study's instances, and the study as the visitor may see it.
func (o *Room) in(ctx context.Context, uid study.UID) ([]study.Instance, veil.Seen, error) {
	seen, err := o.Veil.Case(ctx, uid)
	if err != nil {
		return nil, veil.Seen{}, err
	}
	instances, err := o.Instances.Instances(ctx, uid)
	return instances, seen, err
}

// beside gives a study's instances and the sight on it: as on an earlier exam where the
// query's with names a study that it is one of.
func (o *Room) beside(r *http.Request, uid study.UID) ([]study.Instance, veil.Sight, error) {
	ctx := r.Context()
	instances, seen, err := o.in(ctx, uid)
	with, bad := study.ParseUID(r.URL.Query().Get("with"))
	if err != nil || bad != nil || with == uid {
		return instances, seen.Sight, err
	}
	own, err := o.Veil.Study(ctx, with)
	if err != nil {
		return nil, veil.Sight{}, err
	}
	priors, err := o.Veil.Priors(ctx, own)
	if err == nil && slices.ContainsFunc(priors, func(p study.Study) bool { return p.UID == uid }) {
		return instances, seen.AsPrior(), nil
	}
	return instances, seen.Sight, err
}

// shown gives the documents of a study that a sight shows.
func (o *Room) shown(ctx context.Context, s veil.Sight, instances []study.Instance) []Document {
	docs, _ := o.Library.Documents(ctx, instances)
	docs, _ = Shown(docs, s.Others, s.People)
	return docs
}

// A viewJSON is what others drew over a study, for the viewer.
type viewJSON struct {
	Layers []Layer `json:"layers"`
	Rings  []Ring  `json:"rings"`
}

// view sends what others drew over the frames of a study.
func (o *Room) view(w http.ResponseWriter, r *http.Request) {
	uid, err := webui.PathUID(r, "study")
	var instances []study.Instance
	var sight veil.Sight
	if err == nil {
		instances, sight, err = o.beside(r, uid)
	}
	if err != nil {
		o.site.Fail(w, r, err)
		return
	}
	docs := o.shown(r.Context(), sight, instances)
	o.send(w, r, viewJSON{Layers: Lay(webui.VisitOf(r.Context()).Lang, docs, instances), Rings: Place(docs, instances)})
}

// pieces sends the outlines that others drew on one frame.
func (o *Room) pieces(w http.ResponseWriter, r *http.Request) {
	in, n, err := o.frameIn(r)
	var pieces []Piece
	if err == nil {
		var instances []study.Instance
		var sight veil.Sight
		if instances, sight, err = o.beside(r, in.Study); err == nil {
			pieces, err = o.Library.Pieces(r.Context(), o.shown(r.Context(), sight, instances), in, n)
		}
	}
	if err != nil {
		o.site.Fail(w, r, err)
		return
	}
	o.send(w, r, pieces)
}

// slide sends what others drew over one slide.
func (o *Room) slide(w http.ResponseWriter, r *http.Request) {
	docs, instances, series, err := o.onSlide(r)
	if err != nil {
		o.site.Fail(w, r, err)
		return
	}
	o.send(w, r, OnSlide(docs, instances, series))
}

// area sends the outlines of segments in an area of a slide.
func (o *Room) area(w http.ResponseWriter, r *http.Request) {
	docs, instances, series, err := o.onSlide(r)
	var a Area
	for name, v := range map[string]*int{"x": &a.X, "y": &a.Y, "w": &a.W, "h": &a.H} {
		if n, bad := strconv.Atoi(r.URL.Query().Get(name)); err == nil && (bad != nil || n > maxSide || n < -maxSide) {
			err = fmt.Errorf("area: %s is no number of pixels: %w", name, study.ErrInvalid)
		} else {
			*v = n
		}
	}
	var films Films
	if err == nil {
		ctx, stop := context.WithTimeout(r.Context(), 3*patience)
		defer stop()
		films, err = o.Library.Area(ctx, docs, instances, series, a)
	}
	if err != nil {
		o.site.Fail(w, r, err)
		return
	}
	o.send(w, r, films)
}

// maxSide bounds a side of a slide, and of an area: none has so many pixels.
const maxSide = 1 << 24

// onSlide gives the documents that may be shown of the study in the address, and its
// slide.
func (o *Room) onSlide(r *http.Request) (docs []Document, instances []study.Instance, series study.UID, err error) {
	uid, err := webui.PathUID(r, "study")
	if err == nil {
		series, err = webui.PathUID(r, "series")
	}
	var sight veil.Sight
	if err == nil {
		instances, sight, err = o.beside(r, uid)
	}
	if _, ok := glassOf(instances, series); err == nil && !ok {
		err = fmt.Errorf("slide %s of study %s: %w", series, uid, study.ErrNotFound)
	}
	if err != nil {
		return nil, nil, "", err
	}
	return o.shown(r.Context(), sight, instances), instances, series, nil
}

// frameIn finds the image and the frame number of the address.
func (o *Room) frameIn(r *http.Request) (study.Instance, int, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return study.Instance{}, 0, err
	}
	sop, err := webui.PathUID(r, "instance")
	if err != nil {
		return study.Instance{}, 0, err
	}
	in, err := o.Instances.Instance(r.Context(), sop)
	if err != nil {
		return study.Instance{}, 0, err
	}
	n, err := strconv.Atoi(r.PathValue("frame"))
	if err != nil || in.Study != uid || in.Image == nil || n < 1 || n > in.Image.Frames {
		return study.Instance{}, 0, fmt.Errorf("frame %q of instance %s: %w", r.PathValue("frame"), sop, study.ErrNotFound)
	}
	return in, n, nil
}

// send writes plain values, which hold for this visitor now.
func (o *Room) send(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		o.site.Fail(w, r, fmt.Errorf("write what others drew: %w", err))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	if !webui.AcceptsGzip(r) {
		_, _ = w.Write(b) // a visitor who has gone away needs no answer
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write(b) // the same
	_ = z.Close()
}
