// Package row says how the vocabulary lies in the tables: the columns of a study,
// an instance, a job, a result, a report, a delivery and a model's changes, and how
// a row of them is read. It decides nothing and changes nothing.
//
//	StudyColumns, ScanStudy   what is asked of a table, and how the answer is read
//	FindStudy                 one of them
//	Entity                    how a study is named in the audit
package row

import (
	"fmt"
	"strings"

	"varde/study"
)

// SearchText is what a page's search box looks in.
func SearchText(s study.Study) string {
	p := s.Patient.Reveal()
	return strings.ToLower(strings.Join([]string{p.Name, p.ID, s.Accession}, "\n"))
}

// Entity names a study in the audit.
func Entity(uid study.UID) string { return "study " + string(uid) }

const (
	// defaultLimit is the length of a list when nobody says.
	defaultLimit = 100
	// maxLimit keeps one request from reading the whole ledger.
	maxLimit = 1000
)

// LimitOf is how many rows a list has for which n were asked.
func LimitOf(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// LikeText makes a text stand for itself in a LIKE.
func LikeText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// Signed refuses what nobody answers for: a name and a reason are needed, in which
// something can be seen.
func Signed(by, reason string) error {
	if study.Said(by) == "" || study.Said(reason) == "" {
		return fmt.Errorf("a name and a reason are needed: %w", study.ErrInvalid)
	}
	return nil
}
