package dicomweb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// inlineBytes is the longest binary value that stands in the metadata itself;
// longer ones are fetched from where a BulkDataURI says.
const inlineBytes = 1024

// metadata gives the attributes of objects in the JSON model, one object after
// the other, PS3.18 §10.4.1.1.2.
func (s *Service) metadata(w http.ResponseWriter, r *http.Request) {
	if !acceptsJSON(r) {
		s.fail(w, r, errNotAcceptable)
		return
	}
	all, err := s.target(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for n, in := range all {
		text, err := s.attributes(r, in)
		switch {
		case err != nil && n == 0:
			s.fail(w, r, err)
			return
		case err == nil && n == 0:
			w.Header().Set("Content-Type", typeJSON)
			text = append([]byte("["), text...)
		case err == nil:
			text = append([]byte(","), text...)
		}
		if err == nil {
			_, err = w.Write(text)
		}
		if err != nil {
			s.abort(r, fmt.Errorf("describe instance %s: %w", in.UID, err))
		}
	}
	if _, err := io.WriteString(w, "]"); err != nil {
		s.abort(r, err)
	}
}

// attributes gives one object in the JSON model.
func (s *Service) attributes(r *http.Request, in study.Instance) ([]byte, error) {
	h, err := s.header(r.Context(), in)
	if err != nil {
		return nil, err
	}
	base := instanceURL(s.base(r), in.Study, in.Series, in.UID) + "/bulkdata/"
	text, err := dicom.JSON(h.Data, func(path string, t dicom.Tag, length int64) string {
		if length >= 0 && length <= inlineBytes && t.Group() != dicom.PixelData.Group() { // pixels are not in the header, be they few
			return ""
		}
		return base + path
	})
	if err == nil && elsewhere(in) {
		text = withPixels(text, base+pixelPath)
	}
	return text, err
}

// pixelPath is the bulk data path of the pixels.
const pixelPath = "7FE00010"

// withPixels adds the pixels to the attributes of an object that does not hold
// them itself. Their tag is the highest that it has.
func withPixels(text []byte, url string) []byte {
	quoted, err := json.Marshal(url)
	end := bytes.LastIndexByte(text, '}')
	if err != nil || end < 0 {
		return text
	}
	return fmt.Appendf(text[:end:end], `,"%s":{"vr":"OB","BulkDataURI":%s}}`, pixelPath, quoted)
}

// header reads an object up to its pixels.
func (s *Service) header(ctx context.Context, in study.Instance) (*dicom.Header, error) {
	end := int64(-1)
	if !deflated(in) && !elsewhere(in) {
		frames, err := s.Catalog.Frames(ctx, in.UID)
		if err != nil {
			return nil, err
		}
		if len(frames.Spans) > 0 {
			end = frames.Spans[0].Off
		}
	}
	body, err := s.Objects.Range(ctx, in.Key, 0, end)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	h, err := dicom.Scan(body, dicom.ScanOptions{Charset: s.Charset})
	if err != nil {
		return nil, fmt.Errorf("read instance %s: %w", in.UID, err)
	}
	return h, nil
}

// bulkdata gives the value of one element, by the path that the metadata named,
// PS3.18 §10.4.1.1.5. The pixels of an encapsulated object come frame by frame.
func (s *Service) bulkdata(w http.ResponseWriter, r *http.Request) {
	all, err := s.target(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	in := all[0]
	if elsewhere(in) && r.PathValue("path") == pixelPath {
		s.allFrames(w, r, in)
		return
	}
	h, err := s.header(r.Context(), in)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	e, err := elementAt(h.Data, r.PathValue("path"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if e.Length < 0 {
		s.allFrames(w, r, in)
		return
	}
	var body io.ReadCloser = io.NopCloser(strings.NewReader(string(e.Value)))
	if e.Value == nil {
		if body, err = s.stored(r.Context(), in, e.Offset, e.Length); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	defer body.Close()
	for _, wish := range wishes(r) {
		switch {
		case covers(wish.media, typeMultipart) && covers(wish.inner, typeOctets):
			s.sendPart(w, r, typeOctets, body)
			return
		case covers(wish.media, typeOctets):
			w.Header().Set("Content-Type", typeOctets)
			w.Header().Set("Content-Length", strconv.FormatInt(e.Length, 10))
			if _, err := copyOut(w, body); err != nil {
				s.abort(r, err)
			}
			return
		}
	}
	s.fail(w, r, errNotAcceptable)
}

func (s *Service) sendPart(w http.ResponseWriter, r *http.Request, media string, body io.Reader) {
	m := multipartAnswer(w, media)
	part, err := m.CreatePart(textproto.MIMEHeader{"Content-Type": {media}})
	if err == nil {
		_, err = copyOut(part, body)
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		s.abort(r, err)
	}
}

// elementAt follows a path of tags and item numbers, as [dicom.JSON] writes it.
func elementAt(d *dicom.Dataset, path string) (dicom.Element, error) {
	steps := strings.Split(path, "/")
	fail := func() (dicom.Element, error) {
		return dicom.Element{}, fmt.Errorf("bulk data %.100q: %w", path, study.ErrNotFound)
	}
	for len(steps) > 2 {
		t, err1 := strconv.ParseUint(steps[0], 16, 32)
		n, err2 := strconv.Atoi(steps[1])
		if err1 != nil || err2 != nil || n < 0 {
			return fail()
		}
		var item *dicom.Dataset
		for i := range d.Each(dicom.Tag(t)) {
			if n == 0 {
				item = i
				break
			}
			n--
		}
		if item == nil {
			return fail()
		}
		d, steps = item, steps[2:]
	}
	t, err := strconv.ParseUint(steps[0], 16, 32)
	if err != nil || len(steps) != 1 {
		return fail()
	}
	e, ok := d.Find(dicom.Tag(t))
	if !ok || e.Length < 0 && dicom.Tag(t) != dicom.PixelData {
		return fail()
	}
	return e, nil
}
