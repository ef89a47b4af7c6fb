package carry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"varde/study"
)

// Attributes of the answer to a STOW-RS request, PS3.18 §I.2.
const (
	failedSOPSequence     = "00081198"
	referencedSOPSequence = "00081199"
	failureReason         = "00081197"
	warningReason         = "00081196"
	instanceUID           = "00081155"
	duplicateInstance     = 0x0111 // "Duplicate SOP Instance", PS3.7 §C.5.5
)

// STOW stores objects by STOW-RS, one in each request, so that the answer is that of
// one object.
type STOW struct {
	Web
	// Warned is told of an object that was taken with a warning, by its code; nil
	// leaves it untold.
	Warned func(p Parcel, code int)
}

// Carry stores one object. A server that says that the object is there already is
// believed only when what it gives back is the same.
func (s *STOW) Carry(ctx context.Context, p Parcel) error {
	if p.Media != study.MediaDICOM {
		return hopeless(fmt.Errorf("%s is no DICOM object: %w", p.Kind, study.ErrInvalid))
	}
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	// The boundary is the object's own name: the same request each time.
	if err := m.SetBoundary("varde-" + string(p.UID)); err != nil {
		return hopeless(fmt.Errorf("%w: %w", study.ErrInvalid, err))
	}
	part, err := m.CreatePart(textproto.MIMEHeader{"Content-Type": {study.MediaDICOM}})
	if err == nil {
		_, err = part.Write(p.Bytes)
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		return err
	}
	a, err := s.ask(ctx, http.MethodPost, "/studies/"+string(p.Study),
		`multipart/related; type="application/dicom"; boundary=`+m.Boundary(), "application/dicom+json", body.Bytes())
	if err != nil {
		return err
	}
	told := readStored(a.body, p.UID)
	switch {
	case a.code == http.StatusOK && !told.failed && !told.others:
	case a.code == http.StatusAccepted && told.stored: // with a warning, or something altered
	case a.code == http.StatusOK && told.others, a.code == http.StatusAccepted && !told.failed && !told.stored:
		return s.unsaid(ctx, p, a) // it says nothing of this object
	case a.code == http.StatusConflict, told.failed && told.reason == duplicateInstance:
		return s.same(ctx, p, a, told)
	case told.failed:
		return s.refused(a, told)
	default:
		return a.fault(told.words())
	}
	if told.warning != 0 && s.Warned != nil {
		s.Warned(p, told.warning)
	}
	return nil
}

// unsaid is an answer that may be a success of something, and does not name the object:
// it is believed only when the object comes back. Some archives file it a moment later.
func (s *STOW) unsaid(ctx context.Context, p Parcel, a answer) error {
	got, err := s.Fetch(ctx, p)
	if err == nil && SameData(got, p.Bytes) {
		return nil
	}
	if err != nil && FaultOf(err).Down {
		return err
	}
	return &Fault{Err: fmt.Errorf("answered %d, which says nothing of the object, and does not give it back", a.code), After: a.after(), Most: mostConflicts}
}

// refused is an answer that names the object among those that were not stored.
func (s *STOW) refused(a answer, told stored) error {
	err := fmt.Errorf("answered %d%s", a.code, told.words())
	if told.reason >= 0xA700 && told.reason <= 0xA7FF || told.reason == 0x0110 { // out of resources, processing failure
		return &Fault{Err: err, After: a.after()}
	}
	return hopeless(fmt.Errorf("%w: %w", err, study.ErrRefused))
}

// same asks for an object that the server says it has, and holds it against ours.
func (s *STOW) same(ctx context.Context, p Parcel, a answer, told stored) error {
	got, err := s.Fetch(ctx, p)
	if err != nil {
		if FaultOf(err).Down {
			return err
		}
		return hopeless(fmt.Errorf("answered %d%s, and does not give the object: %w", a.code, told.words(), study.ErrRefused))
	}
	if !SameData(got, p.Bytes) {
		return hopeless(fmt.Errorf("answered %d%s: another object is there under this UID: %w", a.code, told.words(), study.ErrRefused))
	}
	return nil
}

// Fetch reads an object back by WADO-RS, as a file. One that is not there is
// [study.ErrNotFound].
func (s *STOW) Fetch(ctx context.Context, p Parcel) ([]byte, error) {
	path := fmt.Sprintf("/studies/%s/series/%s/instances/%s", p.Study, p.Series, p.UID)
	a, err := s.ask(ctx, http.MethodGet, path, "", `multipart/related; type="application/dicom"; transfer-syntax=*`, nil)
	if err != nil {
		return nil, err
	}
	if a.code == http.StatusNotFound || a.code == http.StatusGone {
		return nil, fmt.Errorf("object %s: %w", p.UID, study.ErrNotFound)
	}
	if a.code != http.StatusOK {
		return nil, a.fault("")
	}
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return a.body, nil
	}
	part, err := multipart.NewReader(bytes.NewReader(a.body), params["boundary"]).NextPart()
	if err != nil {
		return nil, fmt.Errorf("read the object that came back: %w: %w", study.ErrInvalid, err)
	}
	defer func() { _ = part.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(part); err != nil {
		return nil, fmt.Errorf("read the object that came back: %w: %w", study.ErrInvalid, err)
	}
	return b.Bytes(), nil
}

// Find asks by QIDO-RS whether the server lists an object.
func (s *STOW) Find(ctx context.Context, p Parcel) (bool, error) {
	a, err := s.ask(ctx, http.MethodGet, fmt.Sprintf("/studies/%s/instances?SOPInstanceUID=%s", p.Study, p.UID), "", "application/dicom+json", nil)
	switch {
	case err != nil:
		return false, err
	case a.code == http.StatusNoContent || a.code == http.StatusNotFound:
		return false, nil
	case a.code != http.StatusOK:
		return false, a.fault("")
	}
	return bytes.Contains(a.body, []byte(`"`+p.UID+`"`)), nil
}

// stored is what an answer says of one object.
type stored struct {
	stored, failed  bool
	others          bool // it names others as stored, and not this one
	reason, warning int
}

func (t stored) words() string {
	if t.failed {
		return fmt.Sprintf(" for it with failure reason %04X", t.reason)
	}
	return ""
}

// jsonData is a data set of the DICOM JSON model, as far as it is read here.
type jsonData map[string]struct {
	Value []json.RawMessage `json:"Value"`
}

func (d jsonData) text(tag string) (s string) {
	if v := d[tag].Value; len(v) > 0 {
		_ = json.Unmarshal(v[0], &s)
	}
	return s
}

func (d jsonData) number(tag string) (n int) {
	if v := d[tag].Value; len(v) > 0 {
		_ = json.Unmarshal(v[0], &n)
	}
	return n
}

func (d jsonData) items(tag string) (all []jsonData) {
	for _, raw := range d[tag].Value {
		var item jsonData
		if json.Unmarshal(raw, &item) == nil {
			all = append(all, item)
		}
	}
	return all
}

// readStored reads an answer. One that can't be read says nothing, and its status
// counts.
func readStored(body []byte, uid study.UID) (t stored) {
	var d jsonData
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("[")) { // some servers put it in a list
		var list []jsonData
		if json.Unmarshal(body, &list) != nil || len(list) == 0 {
			return t
		}
		d = list[0]
	} else if json.Unmarshal(body, &d) != nil {
		return t
	}
	for _, item := range d.items(failedSOPSequence) {
		if id := item.text(instanceUID); id == string(uid) || id == "" {
			t.failed, t.reason = true, item.number(failureReason)
		}
	}
	for _, item := range d.items(referencedSOPSequence) {
		if item.text(instanceUID) == string(uid) {
			t.stored, t.warning = true, item.number(warningReason)
		} else {
			t.others = true
		}
	}
	t.others = t.others && !t.stored
	return t
}
