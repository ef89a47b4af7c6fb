package dicomweb

import (
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"

	"varde/ingest/slidefile"
	"varde/study"
)

// target finds the objects that a path names.
func (s *Service) target(r *http.Request) ([]study.Instance, error) {
	var uids [3]study.UID
	for i, name := range []string{"study", "series", "instance"} {
		text := r.PathValue(name)
		if text == "" {
			continue
		}
		uid, err := study.ParseUID(text)
		if err != nil {
			return nil, err
		}
		uids[i] = uid
	}
	if uids[2] != "" {
		in, err := s.Catalog.Instance(r.Context(), uids[2])
		if err != nil {
			return nil, err
		}
		seen, err := s.visible(r.Context(), []study.Instance{in})
		if err != nil {
			return nil, err
		}
		if in.Study != uids[0] || in.Series != uids[1] || len(seen) == 0 {
			return nil, fmt.Errorf("instance %s of series %s of study %s: %w", uids[2], uids[1], uids[0], study.ErrNotFound)
		}
		return []study.Instance{in}, nil
	}
	all, err := s.Catalog.ObjectsOf(r.Context(), uids[0], uids[1])
	if err == nil {
		all, err = s.visible(r.Context(), all)
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("study %s: %w", uids[0], study.ErrNotFound)
	}
	return all, err
}

// retrieve gives whole objects as they are stored, PS3.18 §10.4.1.1: a multipart
// body, or one object by itself when the client asks for application/dicom.
func (s *Service) retrieve(w http.ResponseWriter, r *http.Request) {
	all, err := s.target(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for _, wish := range wishes(r) {
		single := wish.media == typeDICOM || wish.media == "application/*"
		multi := covers(wish.media, typeMultipart) && covers(wish.inner, typeDICOM)
		fit := slices.DeleteFunc(slices.Clone(all), func(i study.Instance) bool { return !wish.takes(i.TransferSyntax) })
		switch {
		case len(fit) == 0:
		case multi:
			s.sendAll(w, r, fit)
			return
		case single && len(fit) == 1:
			s.sendOne(w, r, fit[0])
			return
		}
	}
	s.fail(w, r, errNotAcceptable)
}

func (s *Service) sendOne(w http.ResponseWriter, r *http.Request, in study.Instance) {
	body, size, err := s.whole(r.Context(), in)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", typeDICOM+"; transfer-syntax="+string(in.TransferSyntax))
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if _, err := copyOut(w, body); err != nil {
		s.abort(r, err)
	}
}

func (s *Service) sendAll(w http.ResponseWriter, r *http.Request, all []study.Instance) {
	m := multipartAnswer(w, typeDICOM)
	for _, in := range all {
		err := func() error {
			body, _, err := s.whole(r.Context(), in)
			if err != nil {
				return err
			}
			defer body.Close()
			part, err := m.CreatePart(textproto.MIMEHeader{
				"Content-Type":     {typeDICOM + "; transfer-syntax=" + string(in.TransferSyntax)},
				"Content-Location": {instanceURL(s.base(r), in.Study, in.Series, in.UID)},
			})
			if err != nil {
				return err
			}
			_, err = copyOut(part, body)
			return err
		}()
		if err != nil {
			s.abort(r, fmt.Errorf("send instance %s: %w", in.UID, err))
		}
	}
	if err := m.Close(); err != nil {
		s.abort(r, err)
	}
}

// whole opens an object from its beginning to its end and says how long it is. A
// level of a slide file is put together on the way.
func (s *Service) whole(ctx context.Context, in study.Instance) (io.ReadCloser, int64, error) {
	return slidefile.Objects{Archive: s.Objects, Frames: s.Catalog.Frames}.Open(ctx, in)
}

// elsewhere reports whether the frames of an instance lie in a slide file.
func elsewhere(in study.Instance) bool { return in.Image != nil && in.Image.Origin != nil }

// multipartAnswer begins a multipart/related answer.
func multipartAnswer(w http.ResponseWriter, inner string) *multipart.Writer {
	m := multipart.NewWriter(w)
	w.Header().Set("Content-Type", fmt.Sprintf(`multipart/related; type="%s"; boundary=%s`, inner, m.Boundary()))
	w.WriteHeader(http.StatusOK)
	return m
}

// copyOut copies in pieces that suit the network, and hides the ways round them
// that the two sides may offer.
func copyOut(w io.Writer, r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 128<<10))
}

// stored opens the bytes of an object from an offset, as its frames are counted:
// a deflated data set is inflated on the way.
func (s *Service) stored(ctx context.Context, in study.Instance, off, n int64) (io.ReadCloser, error) {
	if !deflated(in) {
		return s.Objects.Range(ctx, in.Key, off, n)
	}
	return s.inflated(ctx, in, off, n)
}
