package dimse

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"

	"varde/internal/dicom"
	"varde/study"
)

// An acceptor is one association that a Server takes: the acceptor's side of PS3.8
// §9.2, and the SCP of PS3.7.
type acceptor struct {
	server *Server
	hall   *hall
	t      *transport
	in     *inbound
	out    *outbound
	log    *slog.Logger
	called string
	later  []func(context.Context, *Reporter) // when the peer is quiet
	lastID uint16                             // of our own requests
	sum    Summary
	inside bool // counted in the hall as an association
	told   bool // the end was reported
}

func newAcceptor(s *Server, h *hall, c net.Conn) *acceptor {
	return newAcceptorSize(s, h, c, defaultMaxPDU)
}

// newAcceptorSize is newAcceptor with a read buffer of another size.
func newAcceptorSize(s *Server, h *hall, c net.Conn, buffer int) *acceptor {
	t := newTransport(c, or(s.Timeout, defaultTimeout))
	a := &acceptor{server: s, hall: h, t: t, log: s.logger()}
	a.sum.Remote = c.RemoteAddr().String()
	a.in = &inbound{t: t, r: bufio.NewReaderSize(t, buffer), max: or(s.MaxPDU, defaultMaxPDU)}
	return a
}

// run serves the association to its end, whatever that is.
func (a *acceptor) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer a.rescue()
	a.end(a.serve(ctx))
}

// serve takes the association and then one request after the other. It always
// returns an error, errReleased when all went well.
func (a *acceptor) serve(ctx context.Context) error {
	if err := a.associate(); err != nil {
		return err
	}
	for {
		if err := a.report(ctx); err != nil {
			return err
		}
		if err := a.request(ctx); err != nil {
			return err
		}
	}
}

// associate reads the request for an association and answers it.
func (a *acceptor) associate() error {
	a.t.setIdle(true)
	a.t.budget = min(a.t.timeout, requestTimeout)
	certificate, err := a.shakeHands()
	if err != nil {
		return err
	}
	h, err := readHeader(a.in.r, sta2, 0)
	if err != nil {
		return err
	}
	body, err := readBody(a.in.r, h)
	a.t.setIdle(false)
	if err != nil {
		return err
	}
	rq, err := decodeAssociate(body, false)
	if err != nil {
		return err
	}
	a.called, a.sum.Calling = rq.called, rq.calling
	a.log = a.log.With("ae", rq.calling, "remote", a.sum.Remote)
	if rejected := a.judge(rq, certificate); rejected != nil {
		return rejected
	}
	if a.out, err = newOutbound(a.t, rq.maxLength); err != nil {
		return err
	}
	o := offer{services: a.server.Services}
	roles := o.grant(rq.roles)
	answers, agreed := o.negotiate(rq.contexts)
	a.in.contexts = agreed
	ac := associate{called: rq.called, calling: rq.calling, contexts: answers, roles: roles, maxLength: a.in.max}
	if _, err := a.t.Write(ac.encode(pduAssociateAC)); err != nil {
		return err
	}
	a.log.Info("association accepted", "contexts", len(agreed), "proposed", len(answers))
	return nil
}

// shakeHands opens a TLS connection and gives the certificate of the peer.
func (a *acceptor) shakeHands() (*x509.Certificate, error) {
	c, ok := a.t.Conn.(*tls.Conn)
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.t.budget)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	if all := c.ConnectionState().PeerCertificates; len(all) > 0 {
		return all[0], nil
	}
	return nil, nil
}

// judge says why an association is not for us, or nil, and then it is counted.
func (a *acceptor) judge(rq associate, certificate *x509.Certificate) *RejectedError {
	s := a.server
	switch {
	case rq.version&protocolVersion1 == 0:
		return rejectVersion()
	case rq.application != applicationContext:
		return rejectApplication()
	case s.AET != "" && rq.called != s.AET:
		return rejectCalled()
	case !validAE(rq.calling):
		return rejectCalling()
	case s.AcceptCalling != nil && !s.AcceptCalling(rq.calling, a.sum.Remote):
		return rejectCalling()
	case s.Admit != nil && !s.Admit(Peer{AE: rq.calling, Remote: a.sum.Remote, Certificate: certificate}):
		return rejectCalling()
	case !a.hall.enter(rq.calling):
		return rejectLimit()
	}
	a.inside = true
	return nil
}

// request takes one message and answers it.
func (a *acceptor) request(ctx context.Context) error {
	c, id, err := a.in.readCommand()
	if err != nil {
		return err
	}
	return a.handle(ctx, c, id)
}

// handle answers one request.
func (a *acceptor) handle(ctx context.Context, c command, id byte) error {
	status := Success
	service, served := a.server.Services[a.in.contexts[id].class]
	switch {
	case c.field&responseBit != 0:
		return confused("response %04X to nothing that was asked", c.field)
	case served && c.field != fieldCancel:
		return a.exchange(ctx, service, c, id)
	case c.field == fieldStore:
		return a.store(ctx, c, id)
	case c.field == fieldCancel: // has no answer, and what it would cancel is over
		return nil
	case c.field != fieldEcho:
		status = UnrecognizedOperation
	}
	if c.hasData {
		if err := a.in.dataSet(id).drain(); err != nil {
			return err
		}
	}
	return a.answer(id, c.reply(status))
}

// store hands an object to the handler, drains what that left, and answers.
func (a *acceptor) store(ctx context.Context, c command, id byte) error {
	agreed := a.in.contexts[id]
	status := judgeStore(c, agreed)
	data := a.in.dataSet(id)
	if !c.hasData {
		data.err = io.EOF
	}
	if status == Success {
		status = a.server.Handler.Store(ctx, StoreRequest{
			Calling: a.sum.Calling, Called: a.called, Remote: a.sum.Remote,
			Class: c.class, Instance: c.instance, TransferSyntax: agreed.syntax, Originator: c.originator,
			Data: data,
		})
	} else { // the handler tells of its own refusals, with the reason
		a.log.Warn("instance refused", "instance", string(c.reply(status).instance), "status", status.String())
	}
	if err := data.drain(); err != nil {
		return err
	}
	if status.OK() {
		a.sum.Stored++
	} else {
		a.sum.Failed++
	}
	return a.answer(id, c.reply(status))
}

// judgeStore says what is wrong with a C-STORE request before its data is looked
// at.
func judgeStore(c command, agreed negotiated) Status {
	if c.class != agreed.class || agreed.class == dicom.Verification {
		return SOPClassNotSupported
	}
	if _, err := study.ParseUID(string(c.instance)); err != nil {
		return InvalidSOPInstance
	}
	if !c.hasData {
		return CannotUnderstand
	}
	return Success
}

func (a *acceptor) answer(id byte, c command) error { return a.out.send(id, c.encode(), nil) }

// end says goodbye as the reason for the end demands, and tells who wants to know.
func (a *acceptor) end(err error) {
	var rejected *RejectedError
	var aborted *AbortError
	established := a.in.contexts != nil
	switch {
	case errors.Is(err, errReleased):
		a.sum.Released = true
		a.t.farewell(releasePDU(pduReleaseRP))
	case errors.As(err, &rejected):
		a.t.farewell(rejectPDU(*rejected))
	case errors.As(err, &aborted) && !aborted.ByPeer:
		a.t.farewell(abortPDU(aborted.Source, aborted.Reason))
	case errors.Is(err, errStopped), established && errors.Is(err, os.ErrDeadlineExceeded):
		a.t.farewell(abortPDU(abortProvider, reasonNotSpecified))
	default: // gone, or silent from the start (AA-2: close without a word)
		_ = a.t.Close()
	}
	a.tell(established, err)
}

// tell reports the end to the log and to the server's owner.
func (a *acceptor) tell(established bool, err error) {
	if a.told {
		return
	}
	a.told = true
	switch {
	case a.sum.Released:
		a.log.Info("association released", "stored", a.sum.Stored, "refused", a.sum.Failed)
	case !established && errors.Is(err, io.EOF): // a port probe
		a.log.Debug("connection closed without a request", "remote", a.sum.Remote)
	default:
		a.log.Warn("association ended early", "stored", a.sum.Stored, "refused", a.sum.Failed, "err", err)
	}
	if established && a.server.Ended != nil {
		a.server.Ended(a.sum)
	}
}

// rescue keeps a panic of the handler from reaching anyone else. The text of a
// panic may hold a patient's data, so that only a run-time error's is logged.
func (a *acceptor) rescue() {
	p := recover()
	if p == nil {
		return
	}
	what := "a value that is not logged"
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	a.log.Error("association lost to a panic", "panic", what)
	a.t.farewell(abortPDU(abortUser, reasonNotSpecified))
	a.tell(a.in.contexts != nil, errPanic)
}

var errPanic = errors.New("panic")
