package calibration

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"varde/study"
)

// A Case is one exam of which the truth is known.
type Case struct {
	Score    float64 // what the model said, before any calibration
	Positive bool    // what was there
	Weight   float64 // above 0; 1 when the table does not say
}

func (c Case) outcome() float64 {
	if c.Positive {
		return 1
	}
	return 0
}

const (
	maxTable = 256 << 20
	maxCases = 5_000_000
)

// ReadCases reads a table of labelled cases and gives its hash. The first line
// names the columns: score, label, and weight if there is one, in any order;
// others are refused, so that no table of patients is read by mistake. Labels are
// 0 and 1. Columns are parted by commas, semicolons or tabs, and with the latter
// two a number may have a decimal comma. Errors name the line and wrap
// [study.ErrInvalid]; they hold nothing of what stands in it.
func ReadCases(r io.Reader) ([]Case, study.Hash, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	if err != nil {
		return nil, study.Hash{}, fmt.Errorf("read cases: %w", err)
	}
	if len(b) > maxTable {
		return nil, study.Hash{}, fmt.Errorf("read cases: more than %d bytes: %w", maxTable, study.ErrInvalid)
	}
	cases, err := readCases(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if err != nil {
		return nil, study.Hash{}, fmt.Errorf("read cases: %w: %w", err, study.ErrInvalid)
	}
	return cases, sha256.Sum256(b), nil
}

func readCases(b []byte) ([]Case, error) {
	head, _, _ := bytes.Cut(b, []byte("\n"))
	c := csv.NewReader(bytes.NewReader(b))
	c.ReuseRecord, c.TrimLeadingSpace = true, true
	for _, d := range ";\t" {
		if bytes.ContainsRune(head, d) {
			c.Comma = d
		}
	}
	names, err := c.Read()
	if err != nil {
		return nil, errors.New("the table has no first line that names its columns")
	}
	at := map[string]int{}
	for i, n := range names {
		key := strings.ToLower(strings.TrimSpace(n))
		if _, twice := at[key]; twice || key != "score" && key != "label" && key != "weight" {
			return nil, fmt.Errorf("column %d is none of score, label and weight, or there twice; leave everything else out", i+1)
		}
		at[key] = i
	}
	_, score := at["score"]
	_, label := at["label"]
	if !score || !label {
		return nil, errors.New("the first line names no column score, or none label")
	}
	var all []Case
	for line := 2; ; line++ {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil || len(all) >= maxCases {
			return nil, fmt.Errorf("line %d can't be read: it needs %d columns, and a table has at most %d cases", line, len(names), maxCases)
		}
		one, err := caseOf(row, at, c.Comma != ',')
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		all = append(all, one)
	}
}

func caseOf(row []string, at map[string]int, comma bool) (Case, error) {
	number := func(i int) (float64, bool) {
		s := strings.TrimSpace(row[i])
		if comma {
			s = strings.Replace(s, ",", ".", 1)
		}
		v, err := strconv.ParseFloat(s, 64)
		return v, err == nil && !math.IsNaN(v) && math.Abs(v) <= 1e100
	}
	c := Case{Weight: 1}
	var ok bool
	if c.Score, ok = number(at["score"]); !ok {
		return c, errors.New("the score is no number")
	}
	label, ok := number(at["label"])
	if !ok || label != 0 && label != 1 {
		return c, errors.New("the label is neither 0 nor 1")
	}
	c.Positive = label == 1
	if i, weighed := at["weight"]; weighed {
		if c.Weight, ok = number(i); !ok || c.Weight < 1e-6 || c.Weight > 1e6 {
			return c, errors.New("the weight is no number from 0.000001 to 1000000")
		}
	}
	return c, nil
}
