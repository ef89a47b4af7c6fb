package slides

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// WriteCSV writes a line for each patch that was asked for: its corner and size in
// pixels of the full resolution, whether the model saw it, its number (empty where
// it did not), and the model. The columns of the box and of the number are those
// that other tools for slides write and read.
func (w Work) WriteCSV(to io.Writer, s Slide) error {
	out := csv.NewWriter(to)
	if err := out.Write([]string{"minx", "miny", "width", "height", "seen", s.Layer.column(), "model"}); err != nil {
		return err
	}
	model := fmt.Sprintf("%s+sha256:%s", w.Result.Model, w.Result.Model.SHA256.Short())
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	err := s.eachPatch(func(p patch) error {
		line := []string{number(p.x), number(p.y), number(p.w), number(p.h), "0", "", model}
		if p.seen {
			line[4], line[5] = "1", strconv.FormatFloat(float64(p.value), 'g', -1, 32)
		}
		return out.Write(line)
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}
