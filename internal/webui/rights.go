package webui

import (
	"context"
	"slices"
)

// A Right is something that a role may do.
type Right int

// The rights.
const (
	SignedIn        Right = iota // any role
	SeeStudies                   // the worklist, studies, images, results
	ReadStudies                  // open a study as its reader and give a verdict
	SendStudies                  // add instances over HTTP
	SeeModels                    // cards and states
	StopModels                   // suspend, withdraw, promote
	SeeOperations                // jobs, deliveries, conflicts
	SeeMetrics                   // numbers about the service, and of nobody
	RunQueue                     // pause, resume, retry and cancel the work of models
	DecideConflicts              // take an object that contradicts a study into use, or not
	SeeAudit                     // who did what
	Administer                   // tokens and settings
)

// The roles. They are fixed in code, so that what a role may do is reviewed and
// tested with the rest of it.
const (
	Reader   = "reader"   // a physician who reads
	Quality  = "quality"  // watches models, may stop one
	Operator = "operator" // keeps the system going
	Admin    = "admin"    // everything
	Auditor  = "auditor"  // sees who did what, and no patient
	System   = "system"   // an archive, a record or another machine that sends studies and reads results
	Monitor  = "monitor"  // a machine that collects metrics, or scales workers by them
)

// Roles lists them.
var Roles = []string{Reader, Quality, Operator, Admin, Auditor, System, Monitor}

var rights = map[string][]Right{
	Reader:   {SeeStudies, ReadStudies, SeeModels},
	Quality:  {SeeStudies, SeeModels, StopModels, SeeOperations, SeeMetrics},
	Operator: {SeeStudies, SendStudies, SeeModels, StopModels, SeeOperations, SeeMetrics, RunQueue, DecideConflicts},
	Admin:    {SeeStudies, ReadStudies, SendStudies, SeeModels, StopModels, SeeOperations, SeeMetrics, RunQueue, DecideConflicts, SeeAudit, Administer},
	Auditor:  {SeeModels, SeeOperations, SeeMetrics, SeeAudit},
	System:   {SeeStudies, SendStudies},
	Monitor:  {SeeMetrics},
}

// An Identity is who asks. The zero value is nobody.
type Identity struct {
	Name string // of the person or machine, for the audit trail
	Role string
}

// May reports whether who has a right. Nobody has none, and an unknown role none
// but to be signed in.
func (who Identity) May(r Right) bool {
	return who.Role != "" && (r == SignedIn || slices.Contains(rights[who.Role], r))
}

// A Visit is what is known of a request before any handler sees it.
type Visit struct {
	Who     Identity
	Lang    Lang
	Theme   string // dark, light, or empty: as the system says
	NoKeys  bool   // shortcuts of a single key are off (WCAG 2.1.4): <html data-keys="off">
	Density string // of lists' rows, compact or roomy, or empty: <html data-density="…">
}

type visitKey struct{}

// VisitOf gives the visit that a request belongs to.
func VisitOf(ctx context.Context) Visit {
	v, _ := ctx.Value(visitKey{}).(Visit)
	return v
}

func withVisit(ctx context.Context, v Visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}
