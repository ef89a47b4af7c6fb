package webui

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// A page is what the layout and every template see.
type page struct {
	View
	Visit
	Path string // with the query: where a form comes back to
	Demo bool
	Nav  []place
	// Notices are what every page says to those who work here.
	Notices []string
	site    *Site
}

// A place is an entry of the navigation.
type place struct {
	Path, Label string
	Here        bool
}

// loadPages reads the layout, and each template with it and with what its part
// shares among its pages: the files whose names begin with shared_.
func (s *Site) loadPages(parts []Part) error {
	layout, err := template.New("layout").Option("missingkey=error").ParseFS(files, "templates/layout.html")
	if err != nil {
		return fmt.Errorf("read the layout: %w", err)
	}
	s.pages = map[string]*template.Template{}
	trees := []fs.FS{sub(files, "templates")}
	for _, p := range parts {
		if p.Templates != nil {
			trees = append(trees, p.Templates)
		}
	}
	for _, tree := range trees {
		names, err := fs.Glob(tree, "*.html")
		if err != nil {
			return fmt.Errorf("list templates: %w", err)
		}
		shared := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, "shared_") })
		for _, file := range names {
			if file == "layout.html" || strings.HasPrefix(file, "shared_") {
				continue
			}
			name := strings.TrimSuffix(path.Base(file), ".html")
			if s.pages[name] != nil {
				return fmt.Errorf("two templates are called %s", name)
			}
			t, err := template.Must(layout.Clone()).ParseFS(tree, append(shared, file)...)
			if err != nil {
				return fmt.Errorf("read template %s: %w", name, err)
			}
			s.pages[name] = t
		}
	}
	return nil
}

// Show writes a page. It is whole before the first byte goes out, so that a
// fault in a template never leaves half a page that looks like a whole one.
func (s *Site) Show(w http.ResponseWriter, r *http.Request, v View) {
	t, ok := s.pages[v.Template]
	if !ok {
		s.o.Log.ErrorContext(r.Context(), "page failed", "template", v.Template, "err", "no such template")
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	visit := VisitOf(r.Context())
	p := &page{View: v, Visit: visit, Path: r.URL.RequestURI(), Demo: s.o.Demo, site: s}
	if r.URL.Query().Has("k") {
		p.Path = "/"
	}
	if s.o.Notices != nil && (visit.Who.May(SeeStudies) || visit.Who.May(SeeOperations)) {
		p.Notices = s.o.Notices(r.Context(), visit)
	}
	for _, n := range s.nav {
		if visit.Who.May(n.Right) {
			p.Nav = append(p.Nav, place{n.Path, visit.Lang.T(n.Label), n.Path == r.URL.Path})
		}
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", p); err != nil {
		s.o.Log.ErrorContext(r.Context(), "page failed", "template", v.Template, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(visit.Lang))
	w.Header().Set("Cache-Control", "no-store")
	if v.Status != 0 {
		w.WriteHeader(v.Status)
	}
	_, _ = w.Write(b.Bytes())
}

// Zone is the one in which the site shows times.
func (s *Site) Zone() *time.Location { return s.o.Zone }

// Now is the site's clock, in its zone.
func (s *Site) Now() time.Time { return s.o.Now().In(s.o.Zone) }

// T gives a text in the visitor's language.
func (p *page) T(key string, args ...any) string { return p.Lang.T(key, args...) }

// Asset gives the address of a file.
func (p *page) Asset(name string) (string, error) {
	if _, ok := p.site.assets.files[name]; !ok {
		return "", fmt.Errorf("no asset %s", name)
	}
	return p.site.assets.path(name), nil
}

// Number writes a whole number.
func (p *page) Number(n int) string { return p.Lang.Number(n) }

// Langs lists the languages for the switch.
func (p *page) Langs() []Lang { return Langs }
