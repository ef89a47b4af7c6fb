package dimse

import (
	"fmt"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// A RejectedError is an A-ASSOCIATE-RJ, PS3.8 §9.3.4. It wraps study.ErrBusy when
// the peer calls it transient, else study.ErrRefused.
type RejectedError struct{ Result, Source, Reason byte }

// Error names result, source and reason in the standard's words.
func (e *RejectedError) Error() string {
	result, source := "rejected permanently", "the peer"
	if e.Result == rejectedTransient {
		result = "rejected for now"
	}
	if name, ok := rejectSources[e.Source]; ok {
		source = name
	}
	reason, ok := rejectReasons[[2]byte{e.Source, e.Reason}]
	if !ok {
		reason = "no reason given"
	}
	return fmt.Sprintf("association %s by %s: %s (result %d, source %d, reason %d)", result, source, reason, e.Result, e.Source, e.Reason)
}

// Unwrap gives the kind of error.
func (e *RejectedError) Unwrap() error {
	if e.Result == rejectedTransient {
		return study.ErrBusy
	}
	return study.ErrRefused
}

// Results, sources and reasons of a rejection, PS3.8 table 9-21.
const (
	rejectedPermanent = 1
	rejectedTransient = 2

	rejectUser         = 1
	rejectACSE         = 2
	rejectPresentation = 3
)

var rejectSources = map[byte]string{
	rejectUser:         "the peer's application",
	rejectACSE:         "the peer's association control",
	rejectPresentation: "the peer's presentation layer",
}

var rejectReasons = map[[2]byte]string{
	{rejectUser, 2}:         "application context not supported",
	{rejectUser, 3}:         "calling AE title not recognized",
	{rejectUser, 7}:         "called AE title not recognized",
	{rejectACSE, 2}:         "protocol version not supported",
	{rejectPresentation, 1}: "temporary congestion",
	{rejectPresentation, 2}: "local limit exceeded",
}

// The rejections that we give.
func rejectVersion() *RejectedError     { return &RejectedError{rejectedPermanent, rejectACSE, 2} }
func rejectApplication() *RejectedError { return &RejectedError{rejectedPermanent, rejectUser, 2} }
func rejectCalling() *RejectedError     { return &RejectedError{rejectedPermanent, rejectUser, 3} }
func rejectCalled() *RejectedError      { return &RejectedError{rejectedPermanent, rejectUser, 7} }
func rejectLimit() *RejectedError       { return &RejectedError{rejectedTransient, rejectPresentation, 2} }

// A negotiated is a presentation context that both sides agreed on.
type negotiated struct {
	class, syntax study.UID
	provide       bool // the one who asked for the association may be its provider (SCP)
}

// preferred lists the transfer syntaxes that we know how to read in the order in
// which we take them where a peer leaves us the choice: lossless and compressed
// first, for a peer that offers such a syntax has usually stored the object in
// it, then lossy ones, then uncompressed ones.
var preferred = []study.UID{
	dicom.JPEGLS, dicom.J2KLossless, dicom.JPEGLosslessSV1, dicom.JPEGLossless57, dicom.RLE,
	dicom.JPEGBaseline, dicom.JPEGExtended, dicom.JPEGLSNear, dicom.J2K,
	dicom.HTJ2KLossless, dicom.HTJ2KLosslessRPCL, dicom.HTJ2K,
	dicom.Deflated, dicom.ExplicitLE, dicom.ExplicitBE, dicom.ImplicitLE,
}

// standardRoot begins the UIDs of the standard; what does not is private.
const standardRoot = "1.2.840.10008."

// storageElsewhere lists the storage classes of the standard, retired ones
// included, that do not lie under 1.2.840.10008.5.1.4.1.1 (PS3.6 table A-1).
var storageElsewhere = []study.UID{
	"1.2.840.10008.5.1.1.27",    // stored print
	"1.2.840.10008.5.1.1.29",    // hardcopy grayscale image
	"1.2.840.10008.5.1.1.30",    // hardcopy color image
	"1.2.840.10008.5.1.4.34.7",  // RT beams delivery instruction
	"1.2.840.10008.5.1.4.34.10", // RT brachy application setup delivery instruction
	"1.2.840.10008.5.1.4.38.1",  // hanging protocol
	"1.2.840.10008.5.1.4.39.1",  // color palette
	"1.2.840.10008.5.1.4.43.1",  // generic implant template
	"1.2.840.10008.5.1.4.44.1",  // implant assembly template
	"1.2.840.10008.5.1.4.45.1",  // implant template group
}

// acceptable reports whether we take an abstract syntax: verification, every
// storage class, and every private class, since objects of private classes come
// by C-STORE too and any other operation is answered with 0211.
func acceptable(class study.UID) bool {
	if _, err := study.ParseUID(string(class)); err != nil {
		return false
	}
	return class == dicom.Verification ||
		strings.HasPrefix(string(class), "1.2.840.10008.5.1.4.1.1.") ||
		slices.Contains(storageElsewhere, class) ||
		!strings.HasPrefix(string(class), standardRoot)
}

// choose picks one of the transfer syntaxes that a peer offers: the best one that
// we can read, else the first well-formed one, so that any object can be kept.
func choose(offered []study.UID) (study.UID, bool) {
	for _, s := range preferred {
		if slices.Contains(offered, s) {
			return s, true
		}
	}
	for _, s := range offered {
		if _, err := study.ParseUID(string(s)); err == nil {
			return s, true
		}
	}
	return "", false
}

// plain lists the transfer syntaxes that identifiers and the data sets of
// N-services are read and written in.
var plain = []study.UID{dicom.ExplicitLE, dicom.ImplicitLE}

// An offer is what a server takes beside verification and storage.
type offer struct {
	services map[study.UID]Service
	provide  map[study.UID]bool // classes whose provider the peer wants to be, as granted
}

// grant answers a proposal of roles. A peer may be the provider of a storage
// class, so that a C-GET can bring it objects, and of a class whose service hears
// reports.
func (o *offer) grant(proposed []role) (answers []role) {
	o.provide = map[study.UID]bool{}
	for _, r := range proposed {
		service, served := o.services[r.class]
		reporter, reports := service.(Hearer)
		r.scp = r.scp && (served && reports && reporter.Hears(r.class) || !served && r.class != dicom.Verification && acceptable(r.class))
		if _, err := study.ParseUID(string(r.class)); err != nil || o.provide[r.class] {
			continue
		}
		o.provide[r.class] = r.scp
		answers = append(answers, r)
	}
	return answers
}

// choose picks a transfer syntax for a context. A C-GET brings objects in the
// syntax that they are held in, and most are held plain.
func (o *offer) choose(c contextItem) (study.UID, bool) {
	_, served := o.services[c.abstract]
	if served || o.provide[c.abstract] {
		for _, s := range plain {
			if slices.Contains(c.syntaxes, s) {
				return s, true
			}
		}
	}
	if served {
		return "", false
	}
	return choose(c.syntaxes)
}

// Accepts lists the transfer syntaxes of the standard that a server with these
// services takes for a class, the one that it likes best first, as if a peer had
// offered all of them in one context. It is empty for a class that is refused.
func Accepts(services map[study.UID]Service, class study.UID) []study.UID {
	o := offer{services: services, provide: map[study.UID]bool{}}
	if _, served := services[class]; !served && !acceptable(class) {
		return nil
	}
	var all []study.UID
	for rest := dicom.TransferSyntaxes(); ; {
		best, ok := o.choose(contextItem{abstract: class, syntaxes: rest})
		if !ok {
			return all
		}
		all = append(all, best)
		rest = slices.DeleteFunc(rest, func(s study.UID) bool { return s == best })
	}
}

// negotiate answers the presentation contexts of a proposal, in its order.
func (o *offer) negotiate(proposed []contextItem) (answers []contextItem, agreed map[byte]negotiated) {
	agreed = map[byte]negotiated{}
	for _, c := range proposed {
		// The transfer syntax of a context that is not accepted means
		// nothing, but must be there (PS3.8 §9.3.3.2).
		answer := contextItem{id: c.id, syntaxes: []study.UID{dicom.ImplicitLE}}
		syntax, ok := o.choose(c)
		_, served := o.services[c.abstract]
		switch {
		case !served && !acceptable(c.abstract):
			answer.result = contextAbstractSyntax
		case !ok:
			answer.result = contextTransferSyntax
		default:
			answer.syntaxes[0] = syntax
			agreed[c.id] = negotiated{c.abstract, syntax, o.provide[c.abstract]}
		}
		answers = append(answers, answer)
	}
	return answers, agreed
}
