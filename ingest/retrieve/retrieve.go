// Package retrieve answers peers that ask what we hold and want to have it: query
// and retrieve in the Study Root model, PS3.4 Annex C. What we wrote ourselves is
// found like what was received.
//
//	Provider.Serve   one C-FIND, C-MOVE or C-GET
//
// Objects go out bit for bit in the transfer syntax in which they came: a peer
// that does not take that is told which objects it lacks. A peer may take its
// request back at any time.
package retrieve

import (
	"context"
	"io"
	"log/slog"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// The SOP classes of the Study Root model, PS3.4 §C.4.
const (
	FindClass study.UID = "1.2.840.10008.5.1.4.1.2.2.1"
	MoveClass study.UID = "1.2.840.10008.5.1.4.1.2.2.2"
	GetClass  study.UID = "1.2.840.10008.5.1.4.1.2.2.3"
)

// A Finder finds what is held, in an order that stands.
type Finder interface {
	FindStudies(ctx context.Context, q study.Query) ([]study.Match, error)
	FindSeries(ctx context.Context, q study.Query) ([]study.Match, error)
	FindInstances(ctx context.Context, q study.Query) ([]study.Match, error)
}

// Objects gives the bytes of objects.
type Objects interface {
	// Range gives n bytes from off, or all to the end when n is negative.
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// A Provider is the provider (SCP) of the three classes.
type Provider struct {
	Finder  Finder
	Objects Objects
	// Frames gives where the frames of an object lie. Without it an object that
	// stands for a level of a slide file can't be sent.
	Frames func(ctx context.Context, uid study.UID) (study.Frames, error)
	AET    string // ours, as peers may retrieve from
	// Allowed says who may ask. nil lets all.
	Allowed func(ae, remote string) bool
	// Dial opens an association with the destination of a C-MOVE. The error wraps
	// study.ErrNotFound when its address is not known.
	Dial func(ctx context.Context, ae string, contexts ...dimse.Context) (*dimse.Association, error)
	Log  *slog.Logger
}

var _ dimse.Service = (*Provider)(nil)

const (
	// pageSize is how many matches are read at once.
	pageSize = 200
	// mostMatches ends a query that is too wide to be meant.
	mostMatches = 20_000
	// mostObjects is how many objects one retrieval may bring: a large study has
	// ten thousand.
	mostObjects = 100_000
)

// Serve answers one request.
func (p *Provider) Serve(ctx context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	if p.Allowed != nil && !p.Allowed(x.Calling, x.Remote) {
		return dimse.Answer{Status: dimse.NotAuthorized}, nil
	}
	switch {
	case x.Operation == dimse.CFind && x.Class == FindClass:
		return p.find(ctx, x)
	case x.Operation == dimse.CMove && x.Class == MoveClass:
		return p.move(ctx, x)
	case x.Operation == dimse.CGet && x.Class == GetClass:
		return p.get(ctx, x)
	}
	return dimse.Answer{Status: dimse.UnrecognizedOperation}, nil
}

// A level of the information model, PS3.4 §C.6.2.
type level int

const (
	noLevel level = iota
	studies
	series
	images
)

var levels = map[string]level{"STUDY": studies, "SERIES": series, "IMAGE": images}

// uniqueKeys are the unique keys, from the top.
var uniqueKeys = []dicom.Tag{studies: dicom.StudyInstanceUID, series: dicom.SeriesInstanceUID, images: dicom.SOPInstanceUID}

// levelOf reads the level of an identifier and checks that the unique keys above
// it are there: without them a query is relational, which must be negotiated.
func levelOf(d *dicom.Dataset) (level, bool) {
	at := levels[d.Text(dicom.QueryRetrieveLevel)]
	if at == noLevel {
		return at, false
	}
	for above := studies; above < at; above++ {
		if _, err := study.ParseUID(d.Text(uniqueKeys[above])); err != nil {
			return at, false
		}
	}
	return at, true
}
