package dimse

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// The types of PDU, PS3.8 §9.3.1.
const (
	pduAssociateRQ = 0x01
	pduAssociateAC = 0x02
	pduAssociateRJ = 0x03
	pduData        = 0x04
	pduReleaseRQ   = 0x05
	pduReleaseRP   = 0x06
	pduAbort       = 0x07
)

// A state of an association, named as in PS3.8 §9.2, table 9-10.
type state int

const (
	sta2 state = iota // acceptor: awaiting A-ASSOCIATE-RQ
	sta5              // requestor: awaiting A-ASSOCIATE-AC or -RJ
	sta6              // association established
	sta7              // awaiting A-RELEASE-RP
)

// legal lists the PDUs that a peer may send in each state; an A-ABORT always
// may. In Sta7 data may still be on its way, and both sides may ask for release
// at once.
var legal = map[state][]byte{
	sta2: {pduAssociateRQ},
	sta5: {pduAssociateAC, pduAssociateRJ},
	sta6: {pduData, pduReleaseRQ},
	sta7: {pduData, pduReleaseRQ, pduReleaseRP},
}

// An AbortError ends an association at once, PS3.8 §9.3.8: the peer's doing, or
// ours because the peer broke the protocol.
type AbortError struct {
	Source byte // 0 the service user, 2 the service provider
	Reason byte // of the provider
	What   string
	ByPeer bool
}

// Sources and reasons of an abort, PS3.8 table 9-26.
const (
	abortUser     = 0
	abortProvider = 2

	reasonNotSpecified   = 0
	reasonUnrecognized   = 1
	reasonUnexpected     = 2
	reasonUnexpectedPart = 5 // unexpected PDU parameter
	reasonInvalidPart    = 6 // invalid PDU parameter value
)

var abortWords = map[byte]string{
	0: "reason not specified", 1: "unrecognized PDU", 2: "unexpected PDU",
	4: "unrecognized PDU parameter", 5: "unexpected PDU parameter", 6: "invalid PDU parameter value",
}

// Error tells who aborted, and why.
func (e *AbortError) Error() string {
	who, why := "we", e.What
	if e.ByPeer {
		who, why = "the peer", "by its user"
		if e.Source == abortProvider {
			why = abortWords[e.Reason]
		}
	}
	return fmt.Sprintf("association aborted: %s (%s; source %d, reason %d)", who, why, e.Source, e.Reason)
}

// broken makes the error for a peer that broke PS3.8.
func broken(reason byte, format string, args ...any) error {
	return &AbortError{Source: abortProvider, Reason: reason, What: fmt.Sprintf(format, args...)}
}

// confused makes the error for a peer whose messages make no sense to DIMSE,
// which to PS3.8 is the service user.
func confused(format string, args ...any) error {
	return &AbortError{Source: abortUser, What: fmt.Sprintf(format, args...)}
}

// A pduHeader begins every PDU.
type pduHeader struct {
	kind   byte
	length uint32
}

// fixedLength has the length of the PDUs that have but one.
var fixedLength = map[byte]uint32{pduAssociateRJ: 4, pduReleaseRQ: 4, pduReleaseRP: 4, pduAbort: 4}

// readHeader reads the next PDU's header and refuses what the state or the limits
// forbid, before anything of the body is read. An A-ABORT comes as the error that
// it is.
func readHeader(r *bufio.Reader, s state, maxData uint32) (pduHeader, error) {
	var b [6]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return pduHeader{}, err // io.EOF stands for a peer that closed between PDUs
	}
	// The type alone is judged first: whoever speaks another protocol may
	// never send five bytes more.
	h := pduHeader{kind: b[0]}
	if h.kind == 0 || h.kind > pduAbort {
		return h, broken(reasonUnrecognized, "PDU type %02X", h.kind)
	}
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return h, unexpectedEnd(err)
	}
	h.length = binary.BigEndian.Uint32(b[2:])
	if n, ok := fixedLength[h.kind]; ok && h.length != n {
		return h, broken(reasonInvalidPart, "PDU type %02X of %d bytes", h.kind, h.length)
	}
	if h.kind == pduAbort {
		body, err := readBody(r, h)
		if err != nil {
			return h, err
		}
		return h, &AbortError{Source: body[2], Reason: body[3], ByPeer: true}
	}
	if !slices.Contains(legal[s], h.kind) {
		return h, broken(reasonUnexpected, "PDU type %02X", h.kind)
	}
	switch h.kind {
	case pduAssociateRQ, pduAssociateAC:
		if h.length < 68 || h.length > maxAssociatePDU {
			return h, broken(reasonInvalidPart, "association PDU of %d bytes", h.length)
		}
	case pduData:
		if h.length < 6 || h.length > maxData {
			return h, broken(reasonInvalidPart, "data PDU of %d bytes, limit %d", h.length, maxData)
		}
	}
	return h, nil
}

// readBody reads a whole PDU that is not data. Memory grows with the bytes that
// come, not with the length that was claimed.
func readBody(r io.Reader, h pduHeader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(h.length)))
	if err == nil && len(b) < int(h.length) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// unexpectedEnd makes an end in the middle of something the error that it is.
func unexpectedEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pdu puts a header before a body.
func pdu(kind byte, body []byte) []byte {
	b := make([]byte, 6, 6+len(body))
	b[0] = kind
	binary.BigEndian.PutUint32(b[2:], uint32(len(body)))
	return append(b, body...)
}

func abortPDU(source, reason byte) []byte { return pdu(pduAbort, []byte{0, 0, source, reason}) }

func rejectPDU(e RejectedError) []byte {
	return pdu(pduAssociateRJ, []byte{0, e.Result, e.Source, e.Reason})
}

func releasePDU(kind byte) []byte { return pdu(kind, make([]byte, 4)) }
