package webui

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"varde/study"
)

// The answers that a setting takes. The first is what holds when nothing is said.
var choices = map[string][]string{
	"theme":   {"system", "dark", "light"},
	"keys":    {"on", "off"},
	"density": {"normal", "compact", "roomy"},
}

// visit says how a visitor likes the pages: as they have set it, else as this
// browser has, else as the browser is. An address may ask for a language (?lang=nb).
func (s *Site) visit(r *http.Request, likes study.Preference) Visit {
	v := Visit{Lang: Accepted(r.Header.Get("Accept-Language")), NoKeys: liked(r, keysCookie, likes.Keys) == "off"}
	for _, tag := range []string{cookie(r, langCookie), likes.Lang, r.URL.Query().Get("lang")} {
		if l, ok := ParseLang(tag); ok {
			v.Lang = l
		}
	}
	if t := liked(r, themeCookie, likes.Theme); t == "dark" || t == "light" {
		v.Theme = t
	}
	if d := liked(r, densityCookie, likes.Density); d == "compact" || d == "roomy" {
		v.Density = d
	}
	return v
}

// liked is a person's own choice, else the browser's.
func liked(r *http.Request, name, own string) string { return cmp.Or(own, cookie(r, name)) }

func cookie(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

// A settingsView is what the page of settings sees.
type settingsView struct {
	Saved   bool
	Lang    Lang
	Choices []setting
}

// A setting is one question with its answers.
type setting struct {
	Name    string
	Answers []answerTo
}

type answerTo struct {
	Value  string
	Chosen bool
}

// settingsPage shows how the visitor likes the pages.
func (s *Site) settingsPage(r *http.Request) (View, error) {
	v := VisitOf(r.Context())
	keys := "on"
	if v.NoKeys {
		keys = "off"
	}
	now := map[string]string{"theme": cmp.Or(v.Theme, "system"), "keys": keys, "density": cmp.Or(v.Density, "normal")}
	data := settingsView{Saved: r.URL.Query().Get("saved") == "1", Lang: v.Lang}
	for _, name := range []string{"theme", "keys", "density"} {
		q := setting{Name: name}
		for _, a := range choices[name] {
			q.Answers = append(q.Answers, answerTo{a, a == now[name]})
		}
		data.Choices = append(data.Choices, q)
	}
	return View{Template: "settings", Title: v.Lang.T("settings.title"), Data: data}, nil
}

// settings keeps what the form says, and leaves alone what it does not speak of: in
// cookies, which are no secret and hold before anyone has signed in, and for whoever
// has signed in under their name.
func (s *Site) settings(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	who, likes, err := s.identify(r)
	if err != nil {
		who = Identity{} // a session that is over changes nobody's settings
	}
	keep := func(name, value string) {
		http.SetCookie(w, &http.Cookie{
			Name: name, Value: value, Path: "/", MaxAge: yearInSec,
			HttpOnly: true, Secure: s.o.Secure, SameSite: http.SameSiteLaxMode,
		})
	}
	next := local(r.PostFormValue("next"))
	if l, ok := ParseLang(r.PostFormValue("lang")); ok {
		keep(langCookie, string(l))
		likes.Lang, next = string(l), withoutLang(next) // which would outdo the choice
	}
	for _, q := range []struct {
		name, cookie string
		to           *string
	}{{"theme", themeCookie, &likes.Theme}, {"keys", keysCookie, &likes.Keys}, {"density", densityCookie, &likes.Density}} {
		if a := r.PostFormValue(q.name); slices.Contains(choices[q.name], a) {
			keep(q.cookie, a)
			*q.to = a
		}
	}
	if who.Role != "" && s.o.Preferences != nil && r.Header.Get("Authorization") == "" {
		if err := s.o.Preferences.SetPreference(r.Context(), who.Name, likes); err != nil {
			s.Fail(w, r, fmt.Errorf("keep settings: %w", err))
			return
		}
		s.sessions.prefer(who, likes)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}
