package upload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/webui"
	"varde/study"
)

// A SlideKeeper keeps slide files; [slidefile.Keeper] is the one that there is.
type SlideKeeper interface {
	Keep(ctx context.Context, src ingest.Source, id slidefile.Identifiers, name string, r io.Reader, size int64) (slidefile.Kept, error)
	Put(ctx context.Context, src ingest.Source, name string, r io.Reader, size int64) (*slidefile.Aside, error)
}

// A keptSlide is the answer to a slide file that was taken in.
type keptSlide struct {
	Study   study.UID     `json:"study_uid"`
	Series  study.UID     `json:"series_uid"`
	Outcome study.Outcome `json:"outcome"`
	Levels  int           `json:"levels"`
	Format  string        `json:"format"`
	Bytes   int64         `json:"bytes"`
	SHA256  study.Hash    `json:"sha256"`
	Held    string        `json:"held,omitempty"` // why it is not scored before a person has looked
}

// slideForm is what POST /api/v1/slides takes, for whoever has sent something else.
const slideForm = `send multipart/form-data with two parts: "identifiers", a JSON object with patient_id and what else is known, and "file", the slide`

// postSlide takes a slide file in: POST /api/v1/slides. The file streams to the
// archive; identifiers may stand before it or after it.
func (p *pages) postSlide(w http.ResponseWriter, r *http.Request) {
	kept, err := p.takeSlide(r)
	if err != nil {
		if errors.Is(err, study.ErrBusy) {
			w.Header().Set("Retry-After", "10")
		}
		p.site.Fail(w, r, err)
		return
	}
	code := http.StatusCreated
	if kept.Outcome == study.Duplicate {
		code = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", "/api/v1/studies/"+string(kept.Study))
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(keptSlide{Study: kept.Study, Series: kept.Series, Outcome: kept.Outcome, Levels: kept.Levels,
		Format: kept.Format, Bytes: kept.Bytes, SHA256: kept.SHA256, Held: heldText(kept)}) // when the client is gone, it will ask again
}

func heldText(k slidefile.Kept) string {
	if k.Held.Zero() {
		return ""
	}
	return k.Held.String()
}

// takeSlide reads the form.
func (p *pages) takeSlide(r *http.Request) (kept slidefile.Kept, err error) {
	form, err := r.MultipartReader()
	if err != nil {
		return kept, fmt.Errorf("%s: %w: %w", slideForm, study.ErrInvalid, err)
	}
	src := ingest.Source{Kind: "upload", Remote: r.RemoteAddr}
	var id *slidefile.Identifiers
	var aside *slidefile.Aside
	defer func() {
		if aside != nil {
			aside.Drop(r.Context())
		}
	}()
	for {
		part, err := form.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return kept, fmt.Errorf("read the form: %w: %w", study.ErrInvalid, err)
		}
		switch {
		case part.FormName() == "identifiers" && id == nil:
			read, err := slidefile.ReadIdentifiers(part)
			if err != nil {
				return kept, err
			}
			id = &read
		case part.FormName() == "file" && id != nil && aside == nil && kept.Study == "":
			if kept, err = p.Slides.Keep(r.Context(), src, *id, part.FileName(), part, 0); err != nil {
				return kept, err
			}
		case part.FormName() == "file" && aside == nil && kept.Study == "":
			if aside, err = p.Slides.Put(r.Context(), src, part.FileName(), part, 0); err != nil {
				return kept, err
			}
		default:
			return kept, fmt.Errorf("the form has a part too many; %s: %w", slideForm, study.ErrInvalid)
		}
	}
	switch {
	case kept.Study != "":
		return kept, nil
	case id == nil:
		return kept, fmt.Errorf("the form has no identifiers; %s: %w", slideForm, study.ErrInvalid)
	case aside == nil:
		return kept, fmt.Errorf("the form has no file; %s: %w", slideForm, study.ErrInvalid)
	}
	return aside.Keep(r.Context(), *id)
}

// A field of the page says whose slides are sent.
type field struct {
	Name string // in the form, and in the JSON of identifiers
	Text string // key of its label
	Hint string // what a value may look like
}

// fields are those of the form, in their order.
func fields() []field {
	return []field{
		{Name: "patient_id", Text: "upload.patient_id"},
		{Name: "patient_name", Text: "upload.patient_name", Hint: "Hansen^Kari"},
		{Name: "birth_date", Text: "upload.birth_date", Hint: "YYYY-MM-DD"},
		{Name: "sex", Text: "upload.sex", Hint: "F, M, O"},
		{Name: "accession", Text: "upload.accession"},
		{Name: "case_id", Text: "upload.case_id"},
		{Name: "container_id", Text: "upload.container_id"},
		{Name: "stain", Text: "upload.stain", Hint: "H&E"},
		{Name: "description", Text: "upload.description"},
	}
}

// maxField bounds one value of the form, in bytes.
const maxField = 1 << 10

// readField notes one value of the form and reports whether it was one.
func readField(form map[string]string, part *multipart.Part) (bool, error) {
	for _, f := range fields() {
		if f.Name != part.FormName() {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err == nil && len(b) > maxField {
			err = fmt.Errorf("field %s has more than %d bytes: %w", f.Name, maxField, study.ErrInvalid)
		}
		if text := strings.TrimSpace(string(b)); err == nil && text != "" {
			form[f.Name] = text
		}
		return true, err
	}
	return false, nil
}

// slideIdentifiers makes identifiers of the form's values.
func slideIdentifiers(form map[string]string) (slidefile.Identifiers, error) {
	b, err := json.Marshal(form)
	if err != nil {
		return slidefile.Identifiers{}, fmt.Errorf("read the form: %w", err)
	}
	return slidefile.ReadIdentifiers(strings.NewReader(string(b)))
}

// takeFile keeps one file of the page: a DICOM object, or a slide file of the
// patient that the form names. It looks at the beginning of the file to know
// which; a name may lie.
func (p *pages) takeFile(r *http.Request, form map[string]string, name string, part io.Reader) (ingest.Kept, error) {
	src := ingest.Source{Kind: "upload", Remote: r.RemoteAddr}
	b := bufio.NewReaderSize(part, 4<<10)
	head, _ := b.Peek(slidefile.HeadBytes) // what is wrong with it shows when it is read
	if p.Slides == nil || !slidefile.Looks(head) {
		return p.Receiver.Receive(r.Context(), src, ingest.Object{Data: b})
	}
	id, err := slideIdentifiers(form)
	if err != nil {
		return ingest.Kept{}, err
	}
	kept, err := p.Slides.Keep(r.Context(), src, id, name, b, 0)
	out := ingest.Kept{Study: kept.Study, Series: kept.Series}
	out.Outcome = kept.Outcome
	return out, err
}

// api adds the door for machines.
func (p *pages) api(site *webui.Site) {
	if p.Slides != nil {
		site.Handle("POST /api/v1/slides", webui.SendStudies, http.HandlerFunc(p.postSlide))
	}
}
