package worldlist

import (
	"context"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// A Lister gives the reading order to services beside the pages, each row as
// whoever asks may see it: of the same veil, and in the same places.
type Lister struct{ p *pages }

// NewLister makes one for a site.
func NewLister(site *webui.Site, cases Cases, veil *Veil) *Lister {
	return &Lister{&pages{Pages: Pages{Cases: cases, Veil: veil}, site: site}}
}

// Knowing has it say of results whose model was stopped since that it was.
func (l *Lister) Knowing(about func(study.ModelRef) (About, bool)) *Lister {
	l.p.About = about
	return l
}

// A Seen is a case as somebody may see it everywhere; what they may not is gone.
type Seen struct {
	study.Case
	Sight Sight
}

// InOrder gives a window of the reading order as the visitor of the context may see
// it, and the cursor behind its last row, which is zero when nothing follows.
func (l *Lister) InOrder(ctx context.Context, f study.WorklistFilter) ([]Seen, study.Cursor, error) {
	rows, next, err := l.p.inOrder(ctx, f)
	all := make([]Seen, len(rows))
	for i, r := range l.p.holding(rows) {
		all[i] = Seen{r.Case, r.Sight}
	}
	return all, next, err
}

// One gives one study as the visitor of the context may see it, or an error of kind
// [study.ErrNotFound].
func (l *Lister) One(ctx context.Context, uid study.UID) (Seen, error) {
	c, sight, err := l.p.caseFor(ctx, uid)
	if err != nil {
		return Seen{}, err
	}
	one := l.p.holding([]seenCase{{c, sight}})[0]
	return Seen{one.Case, one.Sight}, nil
}

// Why tells in words why the study stands where it stands.
func (s Seen) Why(l webui.Lang, now time.Time) []string {
	return whyWords(l, s.Study.Place, now)
}

// AI tells in words what the AI says of the study as a whole, what must stand beside
// it, and which models say so, by name, version and hash: nothing to whom it is hidden.
func (s Seen) AI(l webui.Lang) string {
	if s.Sight.Blind {
		return ""
	}
	word, beside := aiWords(l, s.Case)
	said := []string{strings.Join(nonEmpty(word, beside), ", ")}
	for _, r := range speaking(s.Results) {
		if r.AI == s.Case.AI() {
			said = append(said, r.Model.String()+", SHA-256 "+r.Model.SHA256.Short())
		}
	}
	return strings.Join(said, " · ")
}
