package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// seenFor is how long somebody who has read a study counts as a reader here without
// being able to sign in just now, as between two shifts.
const seenFor = 30 * 24 * time.Hour

// A handoverError is that a study can't be handed to whom its holder named. It is of
// kind [study.ErrInvalid].
type handoverError struct {
	study   study.UID
	to, why string // why is toSelf or toNobody
	known   []string
}

// Why a handover was refused, as in an address and in the locale key "claim.to.WHY".
const (
	toSelf   = "self"
	toNobody = "nobody"
)

// Error says what to do.
func (e *handoverError) Error() string {
	if e.why == toSelf {
		return fmt.Sprintf("study %s is in the hands of %s already: name somebody else", e.study, e.to)
	}
	const most = 20
	names := "nobody else"
	if len(e.known) > 0 {
		names = strings.Join(e.known[:min(len(e.known), most)], "; ")
	}
	if n := len(e.known) - most; n > 0 {
		names += fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("study %s to %q: nobody of that name reads here. These do: %s. Whoever is missing signs in once, or has an administrator make a token with varde user token --role reader",
		e.study, e.to, names)
}

// Unwrap gives the kind.
func (e *handoverError) Unwrap() error { return study.ErrInvalid }

// colleague gives the name, as the service knows it, of the reader to whom the visitor
// wants to hand a study: one who can sign in or has read here lately, or who has asked
// for this study.
func (d *Desk) colleague(ctx context.Context, uid study.UID, who, to string) (string, error) {
	if study.SamePerson(who, to) {
		return "", &handoverError{study: uid, to: to, why: toSelf}
	}
	known, err := d.colleagues(ctx, uid, who)
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(known, func(name string) bool { return study.SamePerson(name, to) }); i >= 0 {
		return known[i], nil
	}
	return "", &handoverError{study: uid, to: to, why: toNobody, known: known}
}

// colleagues are those to whom the visitor may hand a study, in the order of their
// names, each once.
func (d *Desk) colleagues(ctx context.Context, uid study.UID, who string) ([]string, error) {
	var roles, known []string
	for _, r := range webui.Roles {
		if (webui.Identity{Role: r}).May(webui.ReadStudies) {
			roles = append(roles, r)
		}
	}
	if d.Staff != nil {
		var err error
		if known, err = d.Staff.KnownReaders(ctx, roles, d.site.Now().Add(-seenFor)); err != nil {
			return nil, err
		}
	}
	claims, err := d.Claims.Claims(ctx, d.Idle)
	if err != nil {
		return nil, err
	}
	if asked := ClaimOf(claims, uid).Asked; asked != "" {
		known = append(known, asked)
	}
	var names []string
	for _, name := range known {
		if !study.SamePerson(name, who) && !slices.ContainsFunc(names, func(n string) bool { return study.SamePerson(n, name) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
