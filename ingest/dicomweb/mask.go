package dicomweb

import (
	"context"
	"path"
	"slices"
	"strings"

	"varde/study"
)

// visible gives those of the objects, which are of one study, that whoever asks may
// see.
func (s *Service) visible(ctx context.Context, all []study.Instance) ([]study.Instance, error) {
	if s.Mask == nil || len(all) == 0 {
		return all, nil
	}
	seen, whole, err := s.Mask(ctx, all[0].Study)
	if err != nil || whole {
		return all, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(in study.Instance) bool { return !seen[in.UID] }), nil
}

// maxMasked bounds the matches that are looked through for those that may be seen.
const maxMasked = 20 * maxResults

// seen searches, and gives what whoever asks may see. Where something is kept back
// it counts for nothing: neither in the offset nor in whether there is more.
func (s *Service) seen(ctx context.Context, at level, q study.Query) ([]study.Match, error) {
	find := map[level]func(context.Context, study.Query) ([]study.Match, error){
		studies: s.Finder.FindStudies, series: s.Finder.FindSeries, instances: s.Finder.FindInstances,
	}[at]
	found, err := find(ctx, q)
	if err != nil {
		return nil, err
	}
	n := len(found)
	out, err := s.masked(ctx, found, at, q)
	if err != nil || len(out) == n && (q.Offset == 0 || s.Mask == nil) {
		return out, err
	}
	if len(out) == n { // what is kept back may lie before
		before := q
		before.Offset, before.Limit = 0, min(q.Offset, maxMasked)
		skipped, err := find(ctx, before)
		if err != nil {
			return nil, err
		}
		m := len(skipped)
		if skipped, err = s.masked(ctx, skipped, at, q); err != nil || len(skipped) == m {
			return out, err
		}
	}
	out = nil
	window := q
	window.Limit = maxResults
	for window.Offset = 0; len(out) < q.Offset+q.Limit && window.Offset < maxMasked; window.Offset += maxResults {
		found, err := find(ctx, window)
		if err != nil {
			return nil, err
		}
		whole := len(found) < maxResults
		if found, err = s.masked(ctx, found, at, q); err != nil {
			return nil, err
		}
		if out = append(out, found...); whole {
			break
		}
	}
	return out[min(q.Offset, len(out)):min(q.Offset+q.Limit, len(out))], nil
}

// masked takes out of what a search found whatever who asks may not see, and out of
// what it says of the rest that there is more: counts, modalities, and that a study
// matched by something in it that is hidden.
func (s *Service) masked(ctx context.Context, found []study.Match, at level, q study.Query) ([]study.Match, error) {
	if s.Mask == nil {
		return found, nil
	}
	known := map[study.UID][]study.Instance{} // of studies that are masked
	whole := map[study.UID]bool{}
	out := found[:0]
	for _, m := range found {
		uid := m.Study.UID
		if _, ok := known[uid]; !ok && !whole[uid] {
			seen, all, err := s.Mask(ctx, uid)
			if err != nil {
				return nil, err
			}
			whole[uid] = all
			if !all {
				objects, err := s.Catalog.ObjectsOf(ctx, uid, "")
				if err != nil {
					return nil, err
				}
				known[uid] = slices.DeleteFunc(objects, func(in study.Instance) bool { return !seen[in.UID] })
			}
		}
		if whole[uid] {
			out = append(out, m)
			continue
		}
		if one, ok := reduced(m, known[uid], at, q); ok {
			out = append(out, one)
		}
	}
	return out, nil
}

// reduced is a match with nothing in it but the objects that may be seen; false
// where there is none left that matches.
func reduced(m study.Match, seen []study.Instance, at level, q study.Query) (study.Match, bool) {
	counts := map[study.UID]int{}
	m.Modalities = nil
	matches := false
	for _, in := range seen {
		counts[in.Series]++
		if in.Modality != "" && !slices.Contains(m.Modalities, in.Modality) {
			m.Modalities = append(m.Modalities, in.Modality)
		}
		here := at == studies || in.Series == m.Series && (at == series || in.UID == m.Instance.UID)
		matches = matches || here && inQuery(in, q)
	}
	slices.Sort(m.Modalities)
	m.StudySeries, m.StudyInstances, m.SeriesInstances = len(counts), len(seen), counts[m.Series]
	return m, matches
}

// inQuery reports whether an object has what a search asks of series and objects.
func inQuery(in study.Instance, q study.Query) bool {
	like := func(pattern, value string) bool {
		ok, err := path.Match(strings.ToLower(strings.NewReplacer("[", `\[`, `\`, `\\`, "/", "_").Replace(pattern)), strings.ToLower(strings.ReplaceAll(value, "/", "_")))
		return pattern == "" || ok && err == nil
	}
	among := func(list []study.UID, uid study.UID) bool { return len(list) == 0 || slices.Contains(list, uid) }
	return among(q.Series, in.Series) && among(q.Instances, in.UID) && among(q.Classes, in.Class) &&
		like(q.Modality, string(in.Modality)) && like(q.SeriesText, in.SeriesText) &&
		(q.SeriesNumber == nil || *q.SeriesNumber == in.SeriesNumber) && (q.InstanceNumber == nil || *q.InstanceNumber == in.Number)
}
