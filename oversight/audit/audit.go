// Package audit shows who did what, and what readers were shown of the AI.
//
//	Pages.Add   /audit, by study, person, model and time, and the same as a file with
//	            the hashes by which whoever has it can walk the chain
//	            /audit/check walks the chain and says what came of it
//
// The page names no patient, and who may not see studies is led to none.
package audit

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"varde/internal/webui"
	"varde/study"
)

// A Trail is who did what, link by link.
type Trail interface {
	// AuditTrail gives rows, newest first.
	AuditTrail(ctx context.Context, f study.AuditFilter) ([]study.AuditRow, error)
	// Shown gives what readers were shown of the AI on a study.
	Shown(ctx context.Context, uid study.UID) ([]study.Shone, error)
	// VerifyAudit walks the chain and gives its length; a chain that was tampered
	// with is an error of kind [study.ErrInvalid].
	VerifyAudit(ctx context.Context) (int64, error)
	// Audit adds a row.
	Audit(ctx context.Context, actor, action, entity string) error
}

// Pages are the page of what was done, over a trail.
type Pages struct{ Trail Trail }

// pages are the handlers of one site.
type pages struct {
	Pages
	site *webui.Site
}

// Add puts the page and its file on a site that was made with [Part].
func (p Pages) Add(site *webui.Site) {
	h := &pages{p, site}
	site.Page("GET /audit", webui.SeeAudit, h.audit)
	site.Page("POST /audit/check", webui.SeeAudit, h.checkAudit)
	site.Handle("GET /audit.csv", webui.SeeAudit, http.HandlerFunc(h.auditCSV))
}

//go:embed templates static
var files embed.FS

// Part gives the template of the page to a site. It stands on the styles of
// oversight's pages.
func Part() webui.Part { return webui.Part{Templates: folder("templates"), Static: folder("static")} }

// folder is one of the embedded ones, which are known to be there.
func folder(name string) fs.FS {
	f, err := fs.Sub(files, name)
	if err != nil {
		panic("embedded folder: " + err.Error())
	}
	return f
}
