package oversight

import (
	"context"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// deadLines lists what could not be delivered and what is held.
func (p *pages) deadLines(ctx context.Context, l webui.Lang, v *queueView) error {
	for status, to := range map[string]*[]deadLine{"failed": &v.Dead, "held": &v.Held} {
		all, err := p.Post.GivenUp(ctx, status, mostRows)
		if err != nil {
			return err
		}
		for _, d := range all {
			kind := d.Kind
			if d.Lang != "" {
				kind += " (" + d.Lang + ")"
			}
			if d.Purpose != study.PurposeResult {
				kind += ", " + l.T("purpose."+string(d.Purpose))
			}
			*to = append(*to, deadLine{ID: d.ID, Study: string(d.Study), Destination: d.Destination, Kind: kind, Tries: d.Tries,
				Since: l.Moment(d.WrittenAt.In(p.site.Zone())), Cause: d.Error, Cure: l.T("cure." + cureOf(d.Error))})
		}
	}
	return nil
}

// cures tells by what a cause says what may help; the first that fits counts.
var cures = [...]struct{ cure, words string }{
	{"gone", "is not configured"},
	{"kind", "takes no |takes nothing else|unsupported|415"},
	{"commit", "commitment|did not have it"},
	{"certificate", "certificate|tls:"},
	{"rights", "401|403|unauthorized|forbidden|calling ae title"},
	{"object", "no such object|another hash|gone or broken|not found"},
	{"away", "connect|dial|timeout|timed out|deadline|no such host|reset by peer|broken pipe|eof|503|502"},
}

// cureOf names what may help against a cause: the locale has "cure." with it.
func cureOf(cause string) string {
	cause = strings.ToLower(cause)
	for _, c := range cures {
		for word := range strings.SplitSeq(c.words, "|") {
			if strings.Contains(cause, word) {
				return c.cure
			}
		}
	}
	return "ask"
}

// destinationLines tells how each destination fares, those that fail first.
func (p *pages) destinationLines(ctx context.Context, l webui.Lang, now time.Time) (well []destinationLine, err error) {
	all, err := p.Post.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	var bad []destinationLine
	for _, d := range all {
		line := destinationLine{Name: d.Destination, State: l.T("destination.well"), Took: l.T("destination.never"), Waiting: d.Waiting, GivenUp: d.Failed}
		if !d.TookAt.IsZero() {
			line.Took = l.Moment(d.TookAt.In(p.site.Zone()))
		}
		if !d.Oldest.IsZero() {
			line.Oldest = l.Span(now.Sub(d.Oldest))
		}
		if d.FailsSince.IsZero() {
			well = append(well, line)
			continue
		}
		line.State, line.Bad = l.T("destination.fails", l.Span(now.Sub(d.FailsSince))), true
		bad = append(bad, line)
	}
	return append(bad, well...), nil
}

// A destinationJSON is how a destination fares.
type destinationJSON struct {
	Name       string     `json:"name"`
	TookAt     *time.Time `json:"took_at" doc:"when it last took something"`
	FailsSince *time.Time `json:"fails_since" doc:"null where the last try went well"`
	Error      string     `json:"error,omitempty" doc:"of the last try that failed"`
	Waiting    int        `json:"waiting"`
	Oldest     *time.Time `json:"oldest" doc:"when the oldest of what waits was written"`
	GivenUp    int        `json:"given_up"`
}

type destinationsOut struct{ Body []destinationJSON }

func (p *pages) apiDestinations(ctx context.Context, _ *struct{}) (*destinationsOut, error) {
	all, err := p.Post.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	out := &destinationsOut{[]destinationJSON{}}
	for _, d := range all {
		out.Body = append(out.Body, destinationJSON{d.Destination, moment(d.TookAt), moment(d.FailsSince), d.Error, d.Waiting, moment(d.Oldest), d.Failed})
	}
	return out, nil
}
