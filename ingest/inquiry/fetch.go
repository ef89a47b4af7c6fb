package inquiry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// The classes by which an archive is asked: Study Root, PS3.4 Annex C.6.2.
const (
	findClass study.UID = "1.2.840.10008.5.1.4.1.2.2.1"
	moveClass study.UID = "1.2.840.10008.5.1.4.1.2.2.2"
	getClass  study.UID = "1.2.840.10008.5.1.4.1.2.2.3"
)

const (
	// mostFetched is how many objects of a study are fetched in one round.
	mostFetched = 5000
	// mostListed is how many objects of a study are listed.
	mostListed = 100_000
	// mostSeries is of how many series objects are listed.
	mostSeries = 1000
	// fetchBatch is how many objects one C-GET names: the list stays far below
	// 64 KiB, which is the most that one value may have in Explicit VR.
	fetchBatch = 128
	// mostContexts is how many presentation contexts an association may have,
	// PS3.8 §9.3.2.2.
	mostContexts = 128
)

// A remote is an object that an archive lists.
type remote struct{ series, instance, class study.UID }

// A remoteSeries is a series that an archive lists; count is below zero where it
// does not say.
type remoteSeries struct {
	uid   study.UID
	count int
}

// list asks what the archive has of a study: by numbers first, and object by object
// only where these don't tell that all is here. Nothing is listed otherwise. Our own
// reports are left out.
func (q *Inquirer) list(ctx context.Context, uid study.UID, here holding) ([]remote, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	a, err := q.Dial(ctx, dimse.Plain(findClass))
	if err != nil {
		return nil, fmt.Errorf("ask about study %s: %w", uid, err)
	}
	listed, err := listOver(ctx, a, uid, here)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask about study %s: %w", uid, err), a.Abort())
	}
	_ = a.Release() // the answers are here, however it ends
	return listed, nil
}

func listOver(ctx context.Context, a *dimse.Association, uid study.UID, here holding) ([]remote, error) {
	there, err := askStudy(ctx, a, uid)
	if err != nil {
		return nil, err
	}
	verdict := Judge(here.Holding, there)
	if verdict == Enough {
		return nil, nil
	}
	series, total, err := askSeries(ctx, a, uid)
	if err != nil {
		return nil, err
	}
	if verdict == Unclear && total >= 0 && Judge(here.Holding, Count{Found: true, Instances: total, Series: len(series)}) == Enough {
		return nil, nil
	}
	var listed []remote
	for _, s := range series {
		if listed, err = askImages(ctx, a, uid, s.uid, here.own, listed); err != nil {
			return nil, err
		}
	}
	return listed, nil
}

// query begins an identifier, PS3.4 §C.2.2.
func query(level string, uid study.UID) *dicom.Item {
	return dicom.NewItem().Set(dicom.QueryRetrieveLevel, level).Set(dicom.StudyInstanceUID, string(uid))
}

// find hands each match to each. A query that ends with anything but success wraps
// study.ErrRefused.
func find(ctx context.Context, a *dimse.Association, query *dicom.Item, each func(*dicom.Dataset) error) error {
	status, err := a.Find(ctx, findClass, query, each)
	if err == nil && status != dimse.Success {
		err = fmt.Errorf("the query ends with %v: %w", status, study.ErrRefused)
	}
	return err
}

// number reads a count, which is -1 where there is none that makes sense.
func number(d *dicom.Dataset, t dicom.Tag) int {
	if n, ok := d.Int(t); ok && n >= 0 {
		return n
	}
	return -1
}

// askStudy asks for a study's numbers.
func askStudy(ctx context.Context, a *dimse.Association, uid study.UID) (Count, error) {
	var c Count
	err := find(ctx, a, query("STUDY", uid).Set(dicom.NumberOfStudyRelatedSeries).Set(dicom.NumberOfStudyRelatedInstances), func(d *dicom.Dataset) error {
		if d.Text(dicom.StudyInstanceUID) == string(uid) { // some archives answer more than was asked
			c = Count{Found: true, Instances: number(d, dicom.NumberOfStudyRelatedInstances), Series: number(d, dicom.NumberOfStudyRelatedSeries)}
		}
		return nil
	})
	return c, err
}

// askSeries asks for the series of a study. total is below zero where one of them
// has no number.
func askSeries(ctx context.Context, a *dimse.Association, uid study.UID) (all []remoteSeries, total int, err error) {
	err = find(ctx, a, query("SERIES", uid).Set(dicom.SeriesInstanceUID).Set(dicom.NumberOfSeriesRelatedInstances), func(d *dicom.Dataset) error {
		series, err := study.ParseUID(d.Text(dicom.SeriesInstanceUID))
		if err != nil {
			return fmt.Errorf("series: %w", err)
		}
		if len(all) >= mostSeries {
			return fmt.Errorf("more than %d series: %w", mostSeries, study.ErrInvalid)
		}
		all = append(all, remoteSeries{series, number(d, dicom.NumberOfSeriesRelatedInstances)})
		return nil
	})
	for _, s := range all {
		if s.count < 0 {
			return all, -1, err
		}
		total += s.count
	}
	return all, total, err
}

// askImages adds the objects of a series that are not our own reports.
func askImages(ctx context.Context, a *dimse.Association, uid, series study.UID, own map[study.UID]bool, listed []remote) ([]remote, error) {
	wish := query("IMAGE", uid).Set(dicom.SeriesInstanceUID, string(series)).Set(dicom.SOPInstanceUID).Set(dicom.SOPClassUID)
	err := find(ctx, a, wish, func(d *dicom.Dataset) error {
		instance, err := study.ParseUID(d.Text(dicom.SOPInstanceUID))
		if err != nil {
			return fmt.Errorf("instance: %w", err)
		}
		if len(listed) >= mostListed {
			return fmt.Errorf("more than %d objects: %w", mostListed, study.ErrInvalid)
		}
		if !own[instance] {
			listed = append(listed, remote{series, instance, study.UID(d.Text(dicom.SOPClassUID))})
		}
		return nil
	})
	return listed, err
}

// fetch brings objects of a study here: by C-GET or, from an archive that does not
// offer that, by a C-MOVE to ourselves. It says which it was.
func (q *Inquirer) fetch(ctx context.Context, uid study.UID, here holding, lacking []remote) (how string, err error) {
	defer q.Traffic.StudiesEnded(uid)
	err = q.getAll(ctx, uid, here, lacking)
	if !errors.Is(err, errNoGet) || q.Own == "" {
		return "get", err
	}
	return "move", q.move(ctx, uid, lacking)
}

// errNoGet is an archive that does not offer C-GET, or gives us nothing by it.
var errNoGet = fmt.Errorf("the archive brings nothing by C-GET: %w", study.ErrRefused)

// getAll gets objects, as many classes over one association as there are presentation
// contexts for.
func (q *Inquirer) getAll(ctx context.Context, uid study.UID, here holding, lacking []remote) error {
	lacking = slices.Clone(lacking[:min(len(lacking), mostFetched)])
	for i, o := range lacking {
		if !dicom.IsStorage(o.class) { // it did not say: then like the rest
			lacking[i].class = cmp.Or(here.classes[o.series], here.class)
		}
		if lacking[i].class == "" {
			return fmt.Errorf("it does not say of which class its objects are: %w", errNoGet)
		}
	}
	slices.SortFunc(lacking, func(a, b remote) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.series, b.series), cmp.Compare(a.instance, b.instance))
	})
	for len(lacking) > 0 {
		contexts, n := propose(lacking)
		if err := q.get(ctx, uid, lacking[:n], contexts); err != nil {
			return fmt.Errorf("fetch objects of study %s: %w", uid, err)
		}
		lacking = lacking[n:]
	}
	return nil
}

// move has the archive send objects to our own door, series by series.
func (q *Inquirer) move(ctx context.Context, uid study.UID, lacking []remote) error {
	a, err := q.Dial(ctx, dimse.Plain(moveClass))
	if err != nil {
		return fmt.Errorf("move objects of study %s: %w", uid, err)
	}
	defer q.Traffic.BeginMove(q.AET, uid)()
	lacking = slices.Clone(lacking[:min(len(lacking), mostFetched)])
	slices.SortFunc(lacking, func(a, b remote) int {
		return cmp.Or(cmp.Compare(a.series, b.series), cmp.Compare(a.instance, b.instance))
	})
	for rest := lacking; len(rest) > 0; {
		wish, n := wishFor(uid, rest)
		counts, status, err := a.Move(ctx, moveClass, wish, q.Own, nil)
		if err == nil && status != dimse.Success && counts.Completed == 0 {
			err = fmt.Errorf("the archive does not send to %s: %v; it must know our address: %w", q.Own, status, study.ErrRefused)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("move objects of study %s: %w", uid, err), a.Abort())
		}
		rest = rest[n:]
	}
	_ = a.Release() // what came is kept, however it ends
	return nil
}

// wishFor names the next objects, of one series, that one request brings.
func wishFor(uid study.UID, rest []remote) (*dicom.Item, int) {
	n := 1
	for n < len(rest) && n < fetchBatch && rest[n].series == rest[0].series {
		n++
	}
	names := make([]any, n)
	for i, o := range rest[:n] {
		names[i] = string(o.instance)
	}
	return query("IMAGE", uid).Set(dicom.SeriesInstanceUID, string(rest[0].series)).Set(dicom.SOPInstanceUID, names...), n
}

// propose lists the presentation contexts for as many objects, sorted by class, as
// one association can bring: one context for each class and syntax, so that nothing
// need be transcoded.
func propose(objects []remote) (contexts []dimse.Context, n int) {
	contexts = []dimse.Context{dimse.Plain(getClass)}
	syntaxes := FetchedSyntaxes()
	for i, o := range objects {
		if i > 0 && objects[i-1].class == o.class {
			continue
		}
		if len(contexts)+len(syntaxes) > mostContexts {
			return contexts, i
		}
		for _, s := range syntaxes {
			contexts = append(contexts, dimse.Context{Class: o.class, Syntaxes: []study.UID{s}, Provide: true})
		}
	}
	return contexts, len(objects)
}

// FetchedSyntaxes lists the transfer syntaxes in which objects are fetched by
// C-GET.
func FetchedSyntaxes() []study.UID {
	return []study.UID{
		dicom.ExplicitLE, dicom.ImplicitLE, dicom.Deflated, dicom.ExplicitBE, dicom.RLE,
		dicom.JPEGBaseline, dicom.JPEGExtended, dicom.JPEGLossless57, dicom.JPEGLosslessSV1,
		dicom.JPEGLS, dicom.JPEGLSNear, dicom.J2KLossless, dicom.J2K,
		dicom.HTJ2KLossless, dicom.HTJ2KLosslessRPCL, dicom.HTJ2K,
		dicom.MPEG2, dicom.MPEG4, dicom.HEVC,
	}
}

// get fetches objects, sorted by class and series, over one association.
func (q *Inquirer) get(ctx context.Context, uid study.UID, objects []remote, contexts []dimse.Context) error {
	a, err := q.Dial(ctx, contexts...)
	if err != nil {
		if errors.Is(err, study.ErrRefused) && !errors.As(err, new(*dimse.RejectedError)) {
			err = fmt.Errorf("%w: %w", errNoGet, err) // none of the contexts
		}
		return err
	}
	if len(a.Accepted(getClass)) == 0 {
		return errors.Join(errNoGet, a.Release())
	}
	for rest := objects; len(rest) > 0; {
		wish, n := wishFor(uid, rest)
		counts, status, err := a.Get(ctx, getClass, wish, q.Receiver, nil)
		if err == nil && status != dimse.Success && counts.Completed == 0 {
			err = fmt.Errorf("the retrieval ends with %v: %w", status, study.ErrRefused)
		}
		if err != nil && counts.Completed == 0 && ctx.Err() == nil { // some break the association off
			err = fmt.Errorf("%w: %w", errNoGet, err)
		}
		if err != nil {
			return errors.Join(err, a.Abort())
		}
		rest = rest[n:]
	}
	_ = a.Release() // what came is kept, however it ends
	return nil
}
