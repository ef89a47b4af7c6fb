package format

import (
	"strconv"
	"strings"
	"time"
)

// aperio reads SVS files of Aperio's ScanScopes and of Leica's later scanners.
// All pictures stand in the main chain: first the finest level, then a thumbnail
// in strips, then the other levels in tiles, then label and macro in strips.
func aperio() format {
	return format{name: "aperio", recognize: isAperio, levels: aperioLevels, facts: aperioFacts}
}

// aperioText is how much of a description is read for its values.
const aperioText = 64 << 10

func isAperio(s *source) bool {
	return len(s.dirs) > 0 && s.dirs[0].tiled() && strings.HasPrefix(s.dirs[0].text, "Aperio")
}

func aperioLevels(s *source) ([]Level, error) {
	var levels []Level
	for _, d := range s.dirs {
		if !d.tiled() {
			continue
		}
		l, err := s.level(d)
		if err != nil {
			return nil, err
		}
		levels = append(levels, l)
	}
	return levels, nil
}

// aperioFacts reads the description: a line of software, a line of sizes, and
// then name = value between bars. It also holds the name of the file and of
// whoever scanned it, which nobody here wants to know.
func aperioFacts(s *source, out *Slide) error {
	first := s.dirs[0]
	text, err := s.text(first, tagDescription, aperioText)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(text, "\n")
	line, _, _ = strings.Cut(line, "|")
	out.Manufacturer, out.Software = "Aperio", strings.TrimSpace(line)
	if strings.Contains(line, "Leica") {
		out.Manufacturer = "Leica Biosystems"
	}
	values := map[string]string{}
	for part := range strings.SplitSeq(text, "|") {
		if k, v, ok := strings.Cut(part, "="); ok {
			values[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	mpp := number(values["MPP"])
	out.MPP = [2]float64{mpp, mpp}
	out.Objective = number(values["AppMag"])
	out.Serial = values["ScanScope ID"]
	for _, layout := range []string{"01/02/06 15:04:05", "01/02/2006 15:04:05"} {
		if out.Scanned.IsZero() {
			out.Scanned = moment(layout, values["Date"]+" "+values["Time"])
		}
	}
	for i, d := range s.dirs {
		if d.tiled() {
			continue
		}
		kind := "other"
		text := strings.ToLower(d.text)
		switch {
		case i == 1:
			kind = "thumbnail"
		case strings.Contains(text, "\nlabel"):
			kind = "label"
		case strings.Contains(text, "\nmacro"):
			kind = "macro"
		}
		if err := s.associate(out, d, kind); err != nil {
			return err
		}
	}
	// Aperio's scanners leave nothing out on purpose: a tile without bytes is one
	// that was lost.
	out.lost()
	out.ICC, err = s.profile(first)
	return err
}

// associate notes a picture that is no level.
func (s *source) associate(out *Slide, d *directory, kind string) error {
	w, err := s.one(d, tagWidth, 0)
	if err != nil {
		return err
	}
	h, err := s.one(d, tagHeight, 0)
	if err != nil {
		return err
	}
	out.Associated = append(out.Associated, Associated{Kind: kind, Columns: int(min(w, maxSide)), Rows: int(min(h, maxSide))})
	return nil
}

// number reads a positive number with a point or, as some computers write it, a
// comma; 0 for anything else.
func number(s string) float64 {
	v, err := strconv.ParseFloat(strings.Replace(strings.TrimSpace(s), ",", ".", 1), 64)
	if err != nil || !(v > 0) || v > 1e9 {
		return 0
	}
	return v
}

// moment reads a time; the zero time for anything else.
func moment(layout, s string) time.Time {
	t, err := time.Parse(layout, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}
	}
	return t
}
