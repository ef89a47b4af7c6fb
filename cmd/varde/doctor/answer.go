package doctor

import (
	"errors"
	"fmt"
	"strings"

	"varde/cmd/varde/settings"
	"varde/internal/dimse"
	"varde/study"
)

// The reasons of a rejection by the peer's application that are about titles, PS3.8
// table 9-21.
const (
	rejectedByUser   = 1
	unknownOurs      = 3
	unknownItsOwn    = 7
	noAnswerOfDICOM  = "it answers, and not in DICOM: is this the port of its DICOM service?"
	hangsUpOnUnknown = "it ends the association at once, as some do with whom they do not know"
)

// answered gives cause and remedy of an answer that a destination gave by itself, the
// way to it being open; what it has no word for keeps the remedy that it was given.
func answered(s settings.Settings, d settings.Destination, err error, remedy string) (string, error) {
	if d.Way() == settings.ByDIMSE {
		return answeredDICOM(s, d, err, remedy)
	}
	if d.URL == "" {
		return remedy, err
	}
	said := func(code string) bool { return strings.Contains(err.Error(), "answered "+code+" ") }
	credentials := d.TokenFile + d.LoginFile
	switch {
	case said("401") && credentials == "":
		return "write token_file= or login_file= with what it lets us in by", fmt.Errorf("it wants to know who asks, and no credentials are set: %w", err)
	case said("401"):
		return "see whether " + credentials + " holds what it lets in, and has not run out", err
	case said("403"):
		return "have its owner let us store, and search and read where that is wanted", err
	case errors.Is(err, study.ErrNotFound) && d.Way() == settings.BySTOW:
		return "a server is there and has nothing at this path: write the address up to, and without, /studies; often it ends with /dicom-web or /rs", err
	case errors.Is(err, study.ErrNotFound):
		return "a server is there and has nothing at this path: write the address up to, and without, /metadata; often it ends with /fhir or /r4", err
	case strings.Contains(err.Error(), "malformed HTTP") || strings.Contains(err.Error(), "connection reset") || strings.HasSuffix(err.Error(), "EOF"):
		return "it takes connections and does not answer in HTTP: is the port right?", err
	}
	return remedy, err
}

// answeredDICOM is answered of an archive that is called by DICOM's own protocol.
func answeredDICOM(s settings.Settings, d settings.Destination, err error, remedy string) (string, error) {
	var rejected *dimse.RejectedError
	var aborted *dimse.AbortError
	switch {
	case errors.As(err, &rejected) && errors.Is(err, study.ErrBusy):
		return "it takes no more associations just now: try again later, or have its owner allow more", err
	case errors.As(err, &rejected) && rejected.Source == rejectedByUser && rejected.Reason == unknownItsOwn:
		return "it goes by another AE title than " + d.AET + ": write its own before the @", err
	case errors.As(err, &rejected) && rejected.Source == rejectedByUser && rejected.Reason == unknownOurs:
		return "have it know our AE title " + s.AET + " and, as many want, the address of this machine; --aet changes ours", err
	case errors.As(err, &aborted) && aborted.ByPeer:
		return "have it know our AE title " + s.AET + " and the address of this machine, and see its own log", fmt.Errorf(hangsUpOnUnknown+": %w", err)
	case errors.As(err, &aborted):
		return noAnswerOfDICOM, err
	}
	return remedy, err
}
