package scores

import "varde/study"

// embed keeps the embedding of a tile whose score was kept.
func (w *work) embed(v []float32) {
	if len(v) == 0 {
		return
	}
	if w.part.Features == nil {
		w.part.Features = &study.Features{Dim: len(v)}
	}
	w.part.Features.Count++
	w.part.Features.Values = append(w.part.Features.Values, v...)
}
