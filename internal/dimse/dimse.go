// Package dimse speaks DICOM on the wire, PS3.7 and PS3.8: verification, storage,
// query and retrieve, and the N-services, in both roles. Every byte that it reads comes from a stranger: each
// length is held against a limit before it is believed, each wait has an end,
// and the memory of an association does not depend on what is sent over it.
//
//	Server.Serve        takes associations; each C-STORE goes to its Handler as a stream,
//	                    every other request to the Service of its class as an Exchange
//	Dialer.Dial         opens an association to a peer
//	Association.Store   sends one object, as a stream
//	Association.Echo    asks whether anyone is there
//	Association.Find    asks what there is; Move and Get have it sent
//	Association.Request performs an N-service: storage commitment and its report
//
// From the wire upward: transport (a connection whose waits are bounded), pdu and
// associate (PS3.8 §9.3), message (fragments of a command or a data set, PS3.8
// Annex E), command (PS3.7 §6.3), and on top the acceptor and the association.
package dimse

import (
	"context"
	"io"
	"time"

	"varde/study"
)

// A Handler keeps what peers send.
type Handler interface {
	// Store takes one object and says what became of it. The sender may delete
	// its own copy once it hears Success. It is called from many goroutines,
	// once at a time for each association. What it leaves unread of r.Data is
	// drained. A panic costs the association and nothing else. ctx ends when
	// the server's time to shut down is over.
	Store(ctx context.Context, r StoreRequest) Status
}

// A StoreRequest is one C-STORE, PS3.7 §9.1.1. Both UIDs have been checked, and
// Class is that of the presentation context.
type StoreRequest struct {
	Calling, Called string // AE titles, trimmed
	Remote          string // the peer's address, host:port
	Class, Instance study.UID
	TransferSyntax  study.UID // in which Data is encoded: the peer's own, as accepted
	Originator      string    // who asked for it by a C-MOVE, an AE title; empty otherwise
	// Data is the bare data set, without preamble and file meta information.
	// It ends with io.EOF only after the last fragment; any other error means
	// that the object is not whole. It must not be read after Store returns.
	Data io.Reader
}

// A Summary tells how an association went that a Server took.
type Summary struct {
	Calling, Remote string
	Stored          int  // C-STORE requests answered with success or a warning
	Failed          int  // … with a failure
	Released        bool // in order, by the peer; else aborted, broken or refused
}

// applicationContext is the one that there is, PS3.7 §A.2.1.
const applicationContext study.UID = "1.2.840.10008.3.1.1.1"

// The limits. Where a Server or a Dialer has a field, it wins.
const (
	defaultMaxPDU          = 128 << 10        // the largest that the fastest senders use
	defaultTimeout         = 60 * time.Second // for the bytes of one PDU, or for a silent peer
	requestTimeout         = 15 * time.Second // for a new connection to ask for its association (ARTIM)
	defaultGrace           = 10 * time.Second // for messages under way when the server stops
	defaultMaxAssociations = 64
	defaultMaxPerCalling   = 32
	maxAssociatePDU        = 1 << 20  // 128 contexts of 40 syntaxes are 350 KiB
	maxCommandSet          = 64 << 10 // a C-STORE command has some 200 bytes
	maxDataSet             = 1 << 40  // one object
	maxContexts            = 128      // the odd numbers of a byte
	maxRoles               = 256      // some ask twice for each context
	maxIdentifier          = 32 << 20 // a data set that is no object: some 200,000 references
	maxUnassociated        = 64       // connections that have not yet asked for an association
	lingerTimeout          = time.Second
)

// What holds where a [Server] says nothing else.
const (
	MaxPDU        = defaultMaxPDU        // bytes of one data PDU
	MaxPerCalling = defaultMaxPerCalling // associations of one calling AE title
)

// or gives v, or d where v is zero.
func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
