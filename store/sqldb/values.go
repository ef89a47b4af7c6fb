package sqldb

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"varde/study"
)

// MS is how a time is kept: milliseconds since 1970, and 0 for none.
func MS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// At reads what ms wrote.
func At(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Bit is how a boolean is kept.
func Bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Clean makes a stranger's text fit for every engine: PostgreSQL takes neither
// NUL nor bytes that are no UTF-8.
func Clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// Values gives ($1, …, $n).
func Values(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ", $%d", i+1)
	}
	return "(" + b.String()[2:] + ")"
}

// Rows gives n rows of as many values each: ($1, …, $k), ($k+1, …), ….
func Rows(n, values int) string {
	var b strings.Builder
	for i := range n * values {
		before := ", "
		switch {
		case i == 0:
			before = "("
		case i%values == 0:
			before = "), ("
		}
		fmt.Fprintf(&b, "%s$%d", before, i+1)
	}
	return b.String() + ")"
}

// Pack makes the JSON of v. What JSON can't hold (a number that is none) is the
// caller's fault and will be so again.
func Pack(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%w: %w", study.ErrInvalid, err)
	}
	return string(b), nil
}

// Unpack reads what pack wrote. The empty text leaves v as it is.
func Unpack(s string, v any) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), v)
}

// Hash reads 32 bytes.
func Hash(b []byte) (h study.Hash) {
	copy(h[:], b)
	return h
}

// ScanHash scans a row of one hash.
func ScanHash(rows *sql.Rows) (study.Hash, error) {
	var b []byte
	err := rows.Scan(&b)
	return Hash(b), err
}

// In makes a list for IN of values, of which there is at least one. Its length is a power
// of two, by naming the last one again, so that there are few texts to prepare.
func In[T any](values []T) (list string, args []any) { return InAfter(nil, values) }

// InAfter is [In] in a statement that has other arguments before these.
func InAfter[T any](before []any, values []T) (list string, args []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	names := make([]string, n)
	for i := range n {
		names[i] = fmt.Sprintf("$%d", len(before)+i+1)
		args = append(args, values[min(i, len(values)-1)])
	}
	return "(" + strings.Join(names, ", ") + ")", args
}
