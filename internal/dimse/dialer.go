package dimse

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

// A Dialer opens associations as their user (SCU).
type Dialer struct {
	Calling, Called string        // AE titles, 1 to 16 characters
	Timeout         time.Duration // of each wait, the connection's included; 0 stands for a minute
	TLS             *tls.Config   // nil dials in the clear
}

// A Context is a presentation context to propose: one SOP class and the transfer
// syntaxes of which the peer picks one. To learn which of several syntaxes a peer
// takes, propose a Context for each.
type Context struct {
	Class    study.UID
	Syntaxes []study.UID
	// Provide asks to be the provider (SCP) of the class, PS3.7 §D.3.3.4: to be
	// sent objects by a C-GET, or to report events.
	Provide bool
}

// Verification is the Context for a C-ECHO.
func Verification() Context {
	return Context{Class: dicom.Verification, Syntaxes: []study.UID{dicom.ImplicitLE}}
}

// Dial opens an association to addr (host:port). The error is a *RejectedError
// when the peer rejected it, an *AbortError when it broke off, and wraps
// study.ErrRefused when the peer took none of the contexts. ctx counts for the
// opening only.
func (d Dialer) Dial(ctx context.Context, addr string, contexts ...Context) (*Association, error) {
	rq, err := d.request(contexts)
	if err != nil {
		return nil, fmt.Errorf("associate with %s at %s: %w", d.Called, addr, err)
	}
	timeout := or(d.Timeout, defaultTimeout)
	nd := net.Dialer{Timeout: timeout}
	c, err := nd.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("associate with %s: %w", d.Called, err)
	}
	if d.TLS != nil {
		if c, err = secure(ctx, c, timeout, addr, d.TLS); err != nil {
			return nil, fmt.Errorf("associate with %s at %s: %w", d.Called, addr, err)
		}
	}
	a, err := associateOver(ctx, c, timeout, rq)
	if err != nil {
		return nil, fmt.Errorf("associate with %s at %s: %w", d.Called, addr, err)
	}
	return a, nil
}

// request makes the A-ASSOCIATE-RQ.
func (d Dialer) request(contexts []Context) (associate, error) {
	rq := associate{called: d.Called, calling: d.Calling, maxLength: defaultMaxPDU}
	if !validAE(d.Called) || !validAE(d.Calling) {
		return rq, fmt.Errorf("AE titles %q and %q must have 1 to 16 plain characters: %w", d.Calling, d.Called, study.ErrInvalid)
	}
	if len(contexts) == 0 || len(contexts) > maxContexts {
		return rq, fmt.Errorf("%d presentation contexts, not 1 to %d: %w", len(contexts), maxContexts, study.ErrInvalid)
	}
	for i, c := range contexts {
		if len(c.Syntaxes) == 0 {
			return rq, fmt.Errorf("presentation context for %s without a transfer syntax: %w", c.Class, study.ErrInvalid)
		}
		for _, u := range append([]study.UID{c.Class}, c.Syntaxes...) {
			if _, err := study.ParseUID(string(u)); err != nil {
				return rq, err
			}
		}
		rq.contexts = append(rq.contexts, contextItem{id: byte(2*i + 1), abstract: c.Class, syntaxes: c.Syntaxes})
		if r := (role{class: c.Class, scp: true}); c.Provide && !slices.Contains(rq.roles, r) {
			rq.roles = append(rq.roles, r)
		}
	}
	return rq, nil
}

// associateOver asks for an association over a connection, which it closes when
// that fails.
func associateOver(ctx context.Context, c net.Conn, timeout time.Duration, rq associate) (*Association, error) {
	t := newTransport(c, timeout)
	a := &Association{calling: rq.calling, called: rq.called, t: t, in: &inbound{t: t, r: bufio.NewReaderSize(t, 16<<10), max: rq.maxLength}}
	err := a.attempt(ctx, func() error { return a.open(rq) })
	if err != nil {
		return nil, err
	}
	return a, nil
}

// open sends the request and reads the answer.
func (a *Association) open(rq associate) error {
	if _, err := a.t.Write(rq.encode(pduAssociateRQ)); err != nil {
		return refusedOver(a.t.Conn, err)
	}
	a.t.wait()
	h, err := readHeader(a.in.r, sta5, 0)
	if err != nil {
		return refusedOver(a.t.Conn, unexpectedEnd(err))
	}
	body, err := readBody(a.in.r, h)
	if err != nil {
		return err
	}
	if h.kind == pduAssociateRJ {
		return &RejectedError{Result: body[1], Source: body[2], Reason: body[3]}
	}
	ac, err := decodeAssociate(body, true)
	if err != nil {
		return err
	}
	if a.out, err = newOutbound(a.t, ac.maxLength); err != nil {
		return err
	}
	return a.agree(rq, ac)
}

// agree matches the answers with what was proposed.
func (a *Association) agree(rq, ac associate) error {
	proposed := map[byte]contextItem{}
	for _, c := range rq.contexts {
		proposed[c.id] = c
	}
	provide := map[study.UID]bool{}
	for _, r := range ac.roles {
		provide[r.class] = r.scp && slices.Contains(rq.roles, role{class: r.class, scp: true})
	}
	a.in.contexts = map[byte]negotiated{}
	for _, answer := range ac.contexts {
		c, ok := proposed[answer.id]
		if !ok {
			return broken(reasonInvalidPart, "answer to presentation context %d, which was not proposed", answer.id)
		}
		if answer.result != contextAccepted {
			continue
		}
		if syntax := answer.syntaxes[0]; slices.Contains(c.syntaxes, syntax) {
			a.in.contexts[c.id] = negotiated{c.abstract, syntax, provide[c.abstract]}
			continue
		}
		return broken(reasonInvalidPart, "presentation context %d accepted in a transfer syntax that was not offered", c.id)
	}
	for _, c := range rq.contexts { // in the order of the proposal
		if n, ok := a.in.contexts[c.id]; ok {
			a.agreed = append(a.agreed, accepted{c.id, n})
		}
	}
	if len(a.agreed) == 0 {
		return noContextError(ac.contexts)
	}
	return nil
}

// errNoContext ends an association that is of no use. The peer did nothing wrong.
var errNoContext = errors.New("the peer accepts none of the presentation contexts")

// noContextError says for each context why the peer did not accept it.
func noContextError(answers []contextItem) error {
	words := map[byte]string{
		1: "user rejection", contextNoReason: "no reason given",
		contextAbstractSyntax: "SOP class not supported", contextTransferSyntax: "transfer syntaxes not supported",
	}
	text := ""
	for _, c := range answers {
		text += fmt.Sprintf(", context %d: %s", c.id, or(words[c.result], "unknown reason"))
	}
	return fmt.Errorf("%w%s: %w", errNoContext, text, study.ErrRefused)
}
