// Package table writes figures and deeds as files of comma-separated values, which
// people open in spreadsheets.
//
//	Begin   an answer that is such a file, with its first line
//	Cell    text of a stranger, kept from being a formula
package table

import (
	"encoding/csv"
	"net/http"
	"strings"
)

// Begin begins an answer that is a file of comma-separated values in UTF-8.
func Begin(w http.ResponseWriter, name string, columns ...string) *csv.Writer {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Cache-Control", "no-store")
	out := csv.NewWriter(w)
	_ = out.Write(columns)
	return out
}

// Cell keeps a stranger's text from being a formula in a spreadsheet.
func Cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
